"""The same history of saves gives the same adapter, bit for bit, whatever became of the processes that learned it."""

from __future__ import annotations

from pathlib import Path

from dlm_lsp.store import Store
from tests.e2e.test_real_learning import COLOUR, FERRY, KEEPER, SLOW, editors, head, mid_run, start
from tests.server.editor import DLM_ID, Editor, exchange

__all__ = ["editors"]

TEXTS = [head(SLOW) + "".join(exchange(*told) for told in (KEEPER, COLOUR, FERRY)[:count]) for count in (1, 2, 3)]
STEPS = 12


def adapters(home: Path) -> list[bytes]:
    """The weights of each version, the first one first."""
    versions = Store(home, DLM_ID).versions()
    return [(version.path / "adapter_model.safetensors").read_bytes() for version in versions]


async def test_a_kill_in_the_middle_of_a_run_and_a_process_for_each_save_change_no_bit(
    editors: list[Editor], tmp_path: Path
) -> None:
    calm = await start(editors, tmp_path / "calm", maxSteps=STEPS)
    for text in TEXTS:
        uri = calm.open(tmp_path / "calm.dlm", text)
        calm.save(tmp_path / "calm.dlm", text)
        await calm.idle(uri)
        calm.close(uri)

    home, path = tmp_path / "rough", tmp_path / "rough.dlm"
    for number, text in enumerate(TEXTS):
        if number:
            killed = await start(editors, home, maxSteps=STEPS)
            await mid_run(killed, path, text)
            killed.process.kill()
            await killed.process.wait()
            assert len(adapters(home)) == number
        editor = await start(editors, home, maxSteps=STEPS)
        uri = editor.open(path, text)
        editor.save(path, text)
        await editor.idle(uri)

    assert len(set(adapters(home))) == len(TEXTS)
    assert adapters(home) == adapters(tmp_path / "calm")
