"""Where processes that have a document can be listened to: names, rights, pointers, and what the dead left."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlm_lsp.store import Store, StoreError

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"


@pytest.fixture
def home() -> Iterator[Path]:
    """With a path that leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="dlm") as folder:
        yield Path(folder).resolve()


def store(home: Path) -> Store:
    """A store that a run has made."""
    made = Store(home, DLM_ID)
    made.layout.ours.mkdir(parents=True)
    return made


def test_without_a_store_there_is_no_door_and_looking_makes_nothing(home: Path) -> None:
    there = Store(home, DLM_ID)
    assert there.open_door() is None
    assert there.doors() == {}
    assert list(home.iterdir()) == []


def test_a_store_of_a_newer_program_is_not_touched(home: Path) -> None:
    there = store(home)
    there.layout.manifest.write_text('{"schema_version": 99}')
    with pytest.raises(StoreError, match="newer"):
        there.open_door()
    assert list(there.layout.ours.iterdir()) == []


def test_each_process_has_its_own_and_takes_it_away(home: Path) -> None:
    there = store(home)
    one, other = there.open_door(), there.open_door()
    assert one is not None and other is not None
    assert set(there.doors().values()) == {one.path, other.path}
    for door in (one, other):
        assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(door.path))
    one.close()
    one.close()
    assert list(there.doors().values()) == [other.path]
    other.close()
    assert list(there.layout.live.iterdir()) == []


def test_what_the_dead_left_goes_and_what_lives_stays(home: Path) -> None:
    there = store(home / ("long" * 20))
    living, dead = there.open_door(), there.open_door()
    assert living is not None and dead is not None
    dead.listening.close()  # as the kernel does for a killed process
    now = there.open_door()
    assert now is not None
    assert set(there.doors().values()) == {living.path, now.path}
    assert not any(name.exists() for name in dead.names)
    for door in (living, now):
        door.close()
        assert not any(name.exists() for name in door.names)


def test_a_store_that_is_listened_to_can_be_copied(home: Path) -> None:
    """As others do, the original's `pack` among them; a socket among its files would end that."""
    there = store(home / "store")
    door = there.open_door()
    assert door is not None
    shutil.copytree(home / "store", home / "copy")
    door.close()


def test_a_file_tells_the_path_and_its_folder_is_the_owner_s_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    there = store(home / ("long" * 20))
    door = there.open_door()
    assert door is not None
    assert door.path.parent == home / f"dlm-lsp-{os.getuid()}"
    assert stat.S_IMODE(door.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
    (pointer,) = there.layout.live.iterdir()
    assert pointer.read_bytes() == os.fsencode(door.path)
    monkeypatch.delenv("XDG_RUNTIME_DIR")  # another environment, such as that of a terminal over ssh
    assert there.doors() == {pointer.name: door.path}
    door.close()


def test_a_folder_that_others_may_enter_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    (home / f"dlm-lsp-{os.getuid()}").mkdir(mode=0o755)
    (home / f"dlm-lsp-{os.getuid()}").chmod(0o755)
    door = store(home / ("long" * 20)).open_door()
    assert door is not None
    assert home not in door.path.parents
    door.close()


@pytest.mark.parametrize("content", [b"", b"\0", b"/etc/passwd", b"x" * 4000, b"relative.sock", b"\xff\xfe"])
def test_a_pointer_that_names_no_socket_of_this_user_s_is_passed_over(home: Path, content: bytes) -> None:
    there = store(home)
    there.layout.live.mkdir()
    (there.layout.live / "00000000.at").write_bytes(content)
    (there.layout.live / "notes.txt").write_text("x")
    (there.layout.live / "11111111.sock").write_text("no socket")
    assert there.doors() == {}
    door = there.open_door()
    assert door is not None
    assert list(there.doors().values()) == [door.path]
    door.close()
