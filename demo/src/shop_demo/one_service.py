"""`python -m shop_demo.one_service SERVICE ...`: a service's program, with the system of a running `make up`."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from shop_harness.services import ALL, SERVICES

from shop_demo.running import Running, RunningError, read_running


def main() -> NoReturn:
    """Become the service's program. The caller's own variables win over those of `make up`."""
    service, *arguments = sys.argv[1:] or [""]
    if service not in SERVICES:
        _refuse(f"there is no service {service!r}: choose one of {', '.join(SERVICES)}")
    try:
        running = read_running()
    except (RunningError, OSError) as error:
        _refuse(str(error))
    environment = dict(os.environ)
    if running is not None:
        _say(said_of(running))
        environment = variables_for(service, arguments, running) | environment
    os.execve(sys.executable, [sys.executable, "-m", service, *arguments], environment)  # noqa: S606 - our own program


def variables_for(service: str, arguments: Sequence[str], running: Running) -> dict[str, str]:
    """Those of `make up`, unless what they name is gone. A process that listens does so at any free port."""
    if running.is_over:
        return {}
    listens = not arguments or arguments[0] == "run" or arguments[0].startswith("-")
    return dict(running.variables) | ({ALL[service].port_variable: "0"} if listens else {})


def said_of(running: Running) -> str:
    """For a person: which system it is."""
    if running.is_over:
        return f"{running.file} is of a `make up` that was killed: it isn't used, and the next `make up` replaces it"
    return f"uses the system that `make up` runs ({running.file})"


def _say(line: str) -> None:
    typer.echo(f"run: {line}", err=True)


def _refuse(problem: str) -> NoReturn:
    _say(problem)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
