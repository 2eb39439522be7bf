"""`python -m tools.logs ORDER`: what all processes said of one order, in the order of time."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer
from shop_demo.running import LOGS, RunningError, read_running

from tools.logs.story import Line, read_lines, story_of, told

COMPOSE = ("docker", "compose", "logs", "--no-color", "--no-log-prefix")
"""Each line says by itself which service it is of."""


class LogsError(Exception):
    """There are no logs; the message is one line for a person."""


def main(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    *,
    compose: Annotated[bool, typer.Option("--compose", help="Of the containers, not of `make up`.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they were logged.")] = False,
) -> None:
    """Exit with 1 where no line names the order, with 2 where there are no logs."""
    try:
        lines = _of_compose() if compose else _of_up()
    except (LogsError, RunningError, OSError) as error:
        raise _fail(str(error), 2) from None
    story = story_of(order, lines) if order else []
    if not story:
        raise _fail(f"none of {len(lines)} lines names {order!r}", 1)
    for line in story:
        typer.echo(line.text if as_json else told(line))


def _of_up() -> list[Line]:
    running = read_running()
    if running is None:
        raise LogsError("`make up` isn't running: start it, or say ARGS=--compose for the logs of the containers")
    folder = Path(running.variables.get(LOGS, ""))
    if running.is_over:
        if not folder.is_dir():
            raise LogsError(f"{running.file} is of a `make up` that was killed, and its logs are gone")
        typer.echo("logs: `make up` was killed; these are its last logs, until it's started again", err=True)
    lines: list[Line] = []
    for file in sorted(folder.glob("*.log")):
        with file.open(errors="replace") as texts:
            lines += read_lines(file.stem, texts)
    return lines


def _of_compose() -> list[Line]:
    try:
        done = subprocess.run(COMPOSE, capture_output=True, check=False)  # noqa: S603 - our own words
    except FileNotFoundError:
        raise LogsError("docker isn't installed: where `make up` runs, leave --compose out") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise LogsError(f"docker compose logs failed: {''.join(said)}")
    return list(read_lines("compose", done.stdout.decode(errors="replace").splitlines()))


def _fail(problem: str, status: int) -> typer.Exit:
    typer.echo(f"logs: {problem}", err=True)
    return typer.Exit(status)


if __name__ == "__main__":
    typer.run(main)
