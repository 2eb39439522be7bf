"""The stand-in as a program, as a person starts it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

PROGRAM = [sys.executable, "-m", "tools.broker_stand_in"]


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([*PROGRAM, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        yield process
        process.kill()


def test_it_prints_its_address_and_serves_an_empty_broker_until_it_is_ended(program: "subprocess.Popen[str]") -> None:
    assert program.stdout
    line = program.stdout.readline()
    url = line.strip().partition("export PACT_BROKER_BASE_URL=")[2]

    assert httpx.get(f"{url}/environments", trust_env=False).json()["_embedded"] == {"environments": []}

    program.send_signal(signal.SIGINT)
    assert program.wait(20) == 0


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*PROGRAM, "--port", port], check=False, capture_output=True, text=True, timeout=60)  # noqa: S603

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"broker-stand-in: port {port}: Address already in use: name another one with --port\n"
