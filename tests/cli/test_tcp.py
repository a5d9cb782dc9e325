"""`dlm-lsp --tcp`: one client on a loopback socket, for whoever wants to look at the protocol."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from dlm_lsp.cli import app
from tests.protocol.wire import Wire

SERVER = [sys.executable, "-m", "dlm_lsp"]


@pytest.mark.parametrize("address", ["0", "localhost:0"])
def test_one_client_is_served_as_on_standard_streams(address: str) -> None:
    with subprocess.Popen([*SERVER, "--tcp", address], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(int(found[1]) for line in lines if (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line)))
        with Wire.to_port(port) as wire:
            wire.start()
            assert wire.ask("dlm/waitForIdle") is None
            wire.close_input()
        assert process.wait(30) == 1


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("here", "give [HOST:]PORT"),
        ("127.0.0.1:", "give [HOST:]PORT"),
        ("127.0.0.1:70000", "give [HOST:]PORT"),
        ("0.0.0.0:2087", "0.0.0.0 is no loopback address"),
        ("[::]:2087", ":: is no loopback address"),
        ("example.org:2087", "example.org is no loopback address"),
    ],
)
def test_only_this_machine_may_connect(address: str, complaint: str) -> None:
    refused = CliRunner().invoke(app, ["--tcp", address])
    assert refused.exit_code == 2
    assert complaint in " ".join(refused.output.replace("│", " ").split())


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = subprocess.run([*SERVER, "--tcp", str(port)], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_can_be_ended_before_anybody_connects() -> None:
    with subprocess.Popen([*SERVER, "--tcp", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on" in next(line for line in iter(process.stderr.readline, "") if "listening" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()
