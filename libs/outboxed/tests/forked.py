"""A program that forks for each program it is given, from a process that has imported what outboxed alone brings.

It imports nothing that may be refused: neither outboxed nor what an extra brings is here before a fork.
"""

import atexit
import gc
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

PRELOADED = ("aiokafka", "pydantic", "sqlalchemy.dialects.postgresql", "sqlalchemy.ext.asyncio")


class Refuse:
    """A finder that comes first and finds that some packages aren't installed."""

    def __init__(self) -> None:
        self.packages: frozenset[str] = frozenset()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        del path, target
        if name in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def next_program(orders: Iterable[str], refuse: Refuse) -> str:
    """The code to run in this process, which then is a fork; the first process stays until nobody asks any more."""
    for line in orders:
        order = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            pid = os.fork()
            if not pid:
                become_a_program([output.fileno(), errors.fileno()], order["environment"])
                refuse.packages = frozenset(order["refused"])
                return str(order["code"])
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode())
        sys.stdout.write(json.dumps([status, *texts]) + "\n")
        sys.stdout.flush()
    return ""


def become_a_program(outputs: Sequence[int], environment: dict[str, str]) -> None:
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    for stream, output in zip((sys.stdout, sys.stderr), outputs, strict=True):
        os.dup2(output, stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    gc.disable()  # it ends before any garbage matters
    atexit.register(gc.freeze)  # neither does its end look for any


if __name__ == "__main__":
    refuse = Refuse()
    sys.meta_path.insert(0, refuse)
    refuse.packages = frozenset(json.loads(sys.argv[1]))
    for module in PRELOADED:
        importlib.import_module(module)
    gc.freeze()
    sys.argv = ["-c"]
    exec(next_program(sys.stdin, refuse), {"__name__": "__main__", "sys": sys})  # noqa: S102 - a test's own code, and it ends as any program does
