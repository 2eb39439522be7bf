"""Runs of pytest in a process of their own, without the time that each would take to import pytest.

As a program this is that process's parent: it imports pytest once and forks for each run. What pytest marks for its
rewriting of assertions isn't imported before the fork: backing_services itself, and its plugins.
"""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import pytest

from .compat import modules_of_pytest, run_exit_functions

MODULE = "libs.backing_services.tests.warm_pytest"
ROOT = Path(__file__).parents[3]
SECONDS = 60
OUT_OF_TIME = f"\nthis run took longer than {SECONDS} s\n"


@dataclass(frozen=True)
class Run:
    """The end of a run of pytest: its status, and what it wrote."""

    status: int
    text: str

    @property
    def lines(self) -> pytest.LineMatcher:
        """The text, to be matched line by line."""
        return pytest.LineMatcher(self.text.splitlines())


class WarmPytest:
    """A context manager: `run` is `python -m pytest options` in a folder, with these variables and no others.

    Of those that Python reads when it starts, PYTHONDONTWRITEBYTECODE is heeded.
    """

    def __enter__(self) -> Self:
        self._parent = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-m", MODULE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parent.communicate()

    def run(self, folder: Path, options: Sequence[str], environment: Mapping[str, str]) -> Run:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        order = {"folder": str(folder), "options": [*options], "environment": dict(environment)}
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        answer = self._parent.stdout.readline()
        assert answer, "the parent of these runs has ended"
        return Run(**json.loads(answer))


def serve() -> None:
    """One run after another, until nobody asks for one any more."""
    for module in ("structlog", *modules_of_pytest()):
        importlib.import_module(module)  # what each run needs
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as output:
            pid = os.fork() or become_pytest(output.fileno(), **order)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            text = output.read().decode(errors="replace") + (OUT_OF_TIME if status == -signal.SIGALRM else "")
            sys.stdout.write(json.dumps({"status": status, "text": text}) + "\n")
            sys.stdout.flush()


def become_pytest(output: int, folder: str, options: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """As if `python -m pytest` had been started there, and with as much time as a test may take."""
    status = 1
    try:
        signal.alarm(SECONDS)
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output, stream.fileno())
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0] = folder
        sys.argv = ["pytest", *options]
        sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
        random.seed()
        status = pytest.main([*options])
        run_exit_functions()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)  # whatever happened, this is not the process that forks


if __name__ == "__main__":
    serve()
