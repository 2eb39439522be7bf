"""`pact broker ...` of pact-python-cli, as a process. Only its JSON counts: the exit status is unreliable."""

import subprocess
from typing import TypeVar

from pact_faststream._compat.pact_cli import AS_JSON, program
from pact_faststream.broker.answers import Answer, BrokerError, read_answer
from pact_faststream.broker.settings import BrokerSettings

ENDED_AFTER = 30.0
"""Seconds; without this limit the command waits for a silent broker for ever."""
A = TypeVar("A", bound=Answer)


def ask_pact(settings: BrokerSettings, model: type[A], *arguments: str) -> A:
    """The JSON answer of a command. Raises BrokerError."""
    return read_answer(model, run_pact(settings, *arguments, *AS_JSON), f"`pact broker {arguments[0]}`")


def run_pact(settings: BrokerSettings, *arguments: str) -> str:
    """The output of a command. Raises BrokerError, with the last line, if the command failed."""
    try:
        done = subprocess.run(  # noqa: S603
            [_program(), "broker", *arguments],
            env=settings.for_the_command_line(),
            check=False,
            capture_output=True,
            text=True,
            timeout=ENDED_AFTER,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(
            f"the Pact Broker fell silent: `pact broker {arguments[0]}` was ended after {ENDED_AFTER:g} s, "
            "and whether it was heard is unknown; doing it again does no harm"
        ) from None
    if done.returncode != 0:
        raise BrokerError(f"`pact broker {arguments[0]}` failed: {_last_line(done.stdout or done.stderr)}")
    return done.stdout


def _program() -> str:
    if (path := program()) is None:
        raise BrokerError("the command `pact` is not there: install pact-python-cli")
    return path


def _last_line(output: str) -> str:
    lines = [line.strip(" \N{CROSS MARK}") for line in output.splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
