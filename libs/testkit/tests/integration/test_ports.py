import socket
import subprocess
import sys

import pytest
from testkit import ports
from testkit.ports import free_port, is_free

ASKS = """
import sys
from testkit import ports
ports.RANGE = range({port}, {port} + 1)
try:
    print(ports.free_port())
except OSError as error:
    print(error)
"""


def asked_elsewhere(port: int) -> str:
    """What another process gets that has this port alone to choose from."""
    command = [sys.executable, "-c", ASKS.format(port=port)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - ours


def test_no_port_is_given_twice_while_its_process_lives() -> None:
    mine = free_port()
    assert is_free(mine)

    assert asked_elsewhere(mine) == f"no free port between {mine} and {mine + 1}"
    other = next(port for port in ports.RANGE if port != mine and asked_elsewhere(port) == str(port))

    assert asked_elsewhere(other) == str(other)  # that process is over


def test_a_port_on_which_somebody_listens_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "RANGE", range(port, port + 1))

        assert not is_free(port)
        with pytest.raises(OSError, match=f"no free port between {port} and {port + 1}"):
            free_port()
