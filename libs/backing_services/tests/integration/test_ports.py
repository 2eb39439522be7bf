import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from backing_services.processes import free_port, is_free
from backing_services.processes import free_ports as ports

ASKS = """
import sys
from backing_services.processes import free_ports as ports
ports.RANGE = range({port}, {port} + 1)
try:
    print(ports.free_port(), flush=True)
except OSError as error:
    print(error, flush=True)
sys.stdin.read()
"""


def asking(port: int, folder: Path) -> "subprocess.Popen[str]":
    """Another process that has this port alone to choose from, and whose claims are in this folder; it waits for us."""
    command = [sys.executable, "-c", ASKS.format(port=port)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


def told(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_no_port_is_given_twice_while_its_process_lives(tmp_path: Path) -> None:
    port = free_port()
    refusal = f"no free port between {port} and {port + 1}"

    with asking(port, tmp_path) as first:
        assert told(first) == str(port)
        with asking(port, tmp_path) as second:
            assert told(second) == refusal
            second.communicate()
        first.communicate()

    with asking(port, tmp_path) as third:
        assert told(third) == str(port)
        third.communicate()


def test_a_process_gets_each_port_once(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(ports, "RANGE", range(port, port + 1))

    with pytest.raises(OSError, match="no free port"):
        free_port()


def test_a_port_on_which_somebody_listens_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "RANGE", range(port, port + 1))

        assert not is_free(port)
        with pytest.raises(OSError, match=f"no free port between {port} and {port + 1}"):
            free_port()
