"""`make new-service-check`: in a clone, a new service passes every gate, and is taken out without a trace."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tools.scratch import ROOT
from tools.uv import own_environment, program

T = TypeVar("T")
ANSWERS = tomllib.loads((Path(__file__).parent / "answers.toml").read_text())


class GateError(Exception):
    """A gate did not do what it should; the message is what it said."""


@dataclass(frozen=True)
class Clone:
    """What is committed, in a folder of its own with an environment of its own."""

    folder: Path

    def run(self, *command: str, fails: bool = False) -> str:
        """What a command says. Raises GateError where it fails, or does not though it `fails`."""
        kept = own_environment()
        kept["PATH"] = f"{Path(program()).parent}{os.pathsep}{kept['PATH']}"
        kept["UV_COMPILE_BYTECODE"] = "0"  # three environments live for one check: they compile what they import
        done = subprocess.run(  # noqa: S603 - the commands of this file
            command, cwd=self.folder, env=kept, check=False, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        if (done.returncode != 0) is not fails:
            raise GateError(f"{' '.join(command)} ended with {done.returncode}:\n{said[-8000:]}")
        return said

    def python(self, *arguments: str, fails: bool = False) -> str:
        return self.run(str(self.folder / ".venv/bin/python"), *arguments, fails=fails)


@dataclass(frozen=True)
class Asked:
    """The service that is made."""

    name: str
    reads: str
    publishes: str


def main(
    name: Annotated[str, typer.Option(help="Of the service.")] = "shipping",
    reads: Annotated[str, typer.Option(help="The events that it reads.")] = "order.confirmed",
    publishes: Annotated[str, typer.Option(help="The events that it publishes.")] = "shipment.dispatched",
    *,
    short: Annotated[bool, typer.Option("--short", help="Its own gates and orders through it, alone.")] = False,
) -> None:
    """Exit with 1 where a gate isn't green, with what it said."""
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="new-service-") as folder:
            files = _checked(Path(folder), Asked(name.replace("-", "_"), reads, publishes), short=short)
    except GateError as error:
        print(f"new-service: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"new-service: {files} files, all gates green, {time.monotonic() - begun:.0f} s")


def _checked(folder: Path, asked: Asked, *, short: bool) -> int:
    clone = _step("a clone of what is committed", lambda: _cloned(folder))
    service = asked.name
    parts = [f"NAME={asked.name}", f"READS={asked.reads}", f"PUBLISHES={asked.publishes}"]
    made = _step("make new-service", lambda: clone.run("make", "new-service", *parts))
    files = int(re.findall(r"^new-service: (\d+) files", made, re.MULTILINE)[0])
    _step("what a person decides fails, each with its question", lambda: _questions(clone, service))
    _step("it is answered", lambda: _answer(clone, service))
    if not short:
        _step("make lint", lambda: clone.run("make", "lint"))
    _commit(clone, service)
    _step("make ci-alone", lambda: clone.run("make", "ci-alone", f"SERVICE={service}", "AGAINST=HEAD~1"))
    if not short:
        _step("all contracts", lambda: clone.python("-m", "pytest", "-q", "-m", "contract"))
        _step("the journeys of the shop, with it", lambda: clone.python("-m", "pytest", "-q", "-m", "journey"))
        _step(
            "the unit tests of harness and pages", lambda: clone.python("-m", "pytest", "-q", "tests/unit", "harness")
        )
        _step("make mutation-diff", lambda: clone.run("make", "mutation-diff", "AGAINST=HEAD~1"))
        _step("make demo", lambda: clone.run("make", "demo", "ARGS=--orders 30"))
    print(_step("orders through it", lambda: clone.python("-m", "tools.new_service_check.journey", service)).strip())
    clone.run("git", "reset", "--quiet", "--soft", "HEAD~1")
    _step("make remove-service", lambda: clone.run("make", "remove-service", f"NAME={service}"))
    clone.run("git", "reset", "--quiet")
    if left := clone.run("git", "status", "--porcelain"):
        raise GateError(f"git status is not clean after make remove-service:\n{left}{clone.run('git', 'diff')}")
    return files


def _cloned(folder: Path) -> Clone:
    folder.chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
    clone = Clone(folder / "shop")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone.folder)], check=True)  # noqa: S603, S607
    if (cache := ROOT / ".mypy_cache").exists():
        shutil.copytree(cache, clone.folder / ".mypy_cache")
    clone.run("make", ".venv")
    return clone


def _questions(clone: Clone, service: str) -> None:
    asked = _decisions(clone, service)
    said = clone.python("-m", "pytest", "-q", f"services/{service}/tests/unit/test_decisions.py", fails=True)
    for decision, parts in asked.items():
        if f"decisions.toml, {decision}: {parts['question']}" not in said:
            raise GateError(f"nobody is asked: {parts['question']}\n{said}")
    if not re.search(rf"^{len(asked)} failed", said, re.MULTILINE):
        raise GateError(f"{len(asked)} questions should fail, and nothing else:\n{said}")


def _answer(clone: Clone, service: str) -> None:
    path = clone.folder / "services" / service / "decisions.toml"
    text = path.read_text()
    for decision in _decisions(clone, service):
        answer = ANSWERS.get(decision, ANSWERS["event"])
        text = text.replace('answer = ""', f'answer = "{answer}"', 1)
    path.write_text(text)


def _decisions(clone: Clone, service: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((clone.folder / "services" / service / "decisions.toml").read_text())


def _commit(clone: Clone, service: str) -> None:
    clone.run("git", "add", "--all")
    person = ("-c", "user.name=check", "-c", "user.email=check@localhost")
    clone.run("git", *person, "commit", "--quiet", "--no-verify", "-m", f"{service} is a service")


def _step(what: str, do: Callable[[], T]) -> T:
    print(f"new-service: {what} ...", end=" ", flush=True)
    begun = time.monotonic()
    result = do()
    print(f"{time.monotonic() - begun:.0f} s", flush=True)
    return result


if __name__ == "__main__":
    typer.run(main)
