"""The benches of the page, and how one is run: what it prints is kept as it is, below a line about the run."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

import typer

from tools.measuring.cores import Reading
from tools.performance.printed import OVER_ITS_LIMIT, NotPrintedError, Printed, read

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "printed"
BENCHES: Mapping[str, str] = {
    "saga": "bench_saga",
    "price": "price",
    "load": "bench_load",
    "latency": "bench_latency",
    "relay": "bench_relay",
    "consumer": "bench_consumer",
    "tasks": "bench_tasks",
    "idle": "bench_idle",
    "backlog": "bench_backlog",
    "memory": "memory",
    "imports": "bench_imports",
}
"""Their modules in tools/, in the order of the page."""
COLUMNS = "160"
"""No table is wider, so that no cell is wrapped."""
OVER_THE_LIMIT = 1
BUSY = 0.25
"""Of the cores: where other programs used more of them, figures say little of ours."""
MUCH = ", more than a quarter: a busy machine's figures"
OF_CODE = (
    "--porcelain",
    "--",
    ".",
    ":!tools/performance/printed",
    ":!docs/performance.md",
    ":!docs/pictures",
    ":!README.md",
)
"""Without what the benches write themselves."""


class BenchError(RuntimeError):
    """A bench could not measure; the message is one line for a person."""


def run(name: str, arguments: str = "", *, busy: bool = False) -> int:
    """Run a bench and keep what it prints; its exit status, 0 or OVER_THE_LIMIT.

    Raises BenchError, and also where others used more than BUSY and the machine may not be `busy`; then what was kept
    stays.
    """
    measured, before = commit(), Reading.now()
    command = [sys.executable, "-m", f"tools.{BENCHES[name]}", *shlex.split(arguments)]
    ran = subprocess.run(  # noqa: S603
        command,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": COLUMNS},
    )
    if ran.returncode not in {0, OVER_THE_LIMIT}:
        raise BenchError(f"{name} ended with {ran.returncode}")
    after = Reading.now()
    shared = others_used(after.cores - after.cores_since(before), after.cores)
    about = f"{_about(measured, arguments)}; {shared}{OVER_ITS_LIMIT if ran.returncode else ''}"
    # where a run had its logs is nobody's business later
    lines = [about, *(line.rstrip() for line in ran.stdout.splitlines() if gettempdir() not in line)]
    text = "\n".join(lines) + "\n"
    _check(name, text)
    if MUCH in shared and not busy:
        raise BenchError(f"{name}: {shared}; without other programs it can be measured, or with --busy")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text(text)
    return ran.returncode


def arguments(given: Sequence[str], wanted: Sequence[str]) -> Mapping[str, str]:
    """Those of each bench, of `--given` for the `wanted` ones. Raises typer.BadParameter."""
    of_benches: dict[str, str] = {}
    for each in given:
        name, equals, of_bench = each.partition("=")
        if not equals or name not in wanted or name in of_benches:
            raise typer.BadParameter(f'--given "{each}": write "<bench>=<arguments>", once for a bench that is run')
        of_benches[name] = of_bench
    return of_benches


def printed() -> Mapping[str, Printed]:
    """What each bench printed when it was last run. Raises NotPrintedError."""
    return {name: read((FOLDER / f"{name}.txt").read_text()) for name in BENCHES if (FOLDER / f"{name}.txt").exists()}


def others_used(cores: float, of: int) -> str:
    """What a run says of the other programs; it ends with MUCH where they used more than BUSY."""
    return f"other programs used {cores:.1f} of {of} cores{MUCH if cores > BUSY * of else ''}"


def commit() -> str:
    """The commit that is measured, and whether its files were changed. Raises BenchError."""
    try:
        head, changed = (_git(*arguments) for arguments in (("rev-parse", "--short", "HEAD"), ("status", *OF_CODE)))
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"git doesn't say which commit is measured: {error}") from None
    return f"{head} and changes" if changed else head


def _check(name: str, text: str) -> None:
    """An error that a bench doesn't expect has the same exit status as a limit, and no line of figures at the end."""
    try:
        last_line = read(text).last_line
    except NotPrintedError as error:
        raise BenchError(f"{name}: {error}") from None
    if not last_line.startswith(name):
        raise BenchError(f"{name}: the last line is no figure of it: {last_line!r}")


def _about(measured: str, arguments: str) -> str:
    given = f' with `ARGS="{arguments}"`' if arguments else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}{given}, commit {measured}, Python {platform.python_version()}, "
        f"{platform.system()} on {platform.machine()}"
    )


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603, S607
    return run.stdout.strip()
