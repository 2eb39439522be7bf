"""The benches of the page, and how one is run: what it prints is kept as it is, below a line about the run."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

from tools.measuring.cores import Reading
from tools.performance.printed import NotPrintedError, Printed, read

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
OVER_THE_LIMIT, NOT_MEASURED = 1, 2


class BenchError(RuntimeError):
    """A bench could not measure; the message is one line for a person."""


def run(name: str, arguments: str = "") -> int:
    """Run a bench and keep what it prints; its exit status, 0 or OVER_THE_LIMIT. Raises BenchError."""
    before = Reading.now()
    command = [sys.executable, "-m", f"tools.{BENCHES[name]}", *arguments.split()]
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
    about = _about(before, Reading.now(), arguments)
    # where a run had its logs is nobody's business later
    lines = [about, *(line.rstrip() for line in ran.stdout.splitlines() if gettempdir() not in line)]
    text = "\n".join(lines) + "\n"
    try:
        read(text)
    except NotPrintedError as error:
        raise BenchError(f"{name}: {error}") from None
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text(text)
    return ran.returncode


def printed() -> Mapping[str, Printed]:
    """What each bench printed when it was last run. Raises NotPrintedError."""
    return {name: read((FOLDER / f"{name}.txt").read_text()) for name in BENCHES if (FOLDER / f"{name}.txt").exists()}


def _about(before: Reading, after: Reading, arguments: str) -> str:
    free = after.cores_since(before)
    given = f' with `ARGS="{arguments}"`' if arguments else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}{given}, Python {platform.python_version()}, {platform.system()} on "
        f"{platform.machine()}, {after.cores} cores; nobody else used {free:.1f} of them"
    )
