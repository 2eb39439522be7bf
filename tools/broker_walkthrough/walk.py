"""One step after the other: a command as a team gives it, what it printed, and whether the page says so."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path

from tools.scratch import Edit, Scratch, copied_tree

GIT = ("git", "-c", "user.name=team", "-c", "user.email=team@example.com", "-c", "commit.gpgsign=false")


class UnexpectedAnswerError(Exception):
    """A command didn't end, or didn't say, as the page says."""


@dataclass
class Walk:
    """Teams that work in one copy of the tree, as a git repository of its own."""

    copy: Scratch
    broker_url: str
    steps: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    """Commits by the name that the story gives them."""

    def scene(self, title: str, why: str) -> None:
        """Print what comes next."""
        print(f"\n--- {title}\n    {why}", flush=True)

    def commit(self, name: str, *edits: Edit, branch: str = "main", rewrites: str = "") -> None:
        """Commit edits under a name; `rewrites` is the consumer whose pacts are made again before."""
        self._git("checkout", "--quiet", *([] if branch in self._branches() else ["-b"]), branch)
        for edit in edits:
            self.copy.edit(edit)
        if rewrites:
            tests = f"services/{rewrites}/tests/contract"
            self._checked(["pytest", "-q", "--write-contracts", tests])
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", name)
        self.versions[name] = self._git("rev-parse", "HEAD").strip()
        print(f"\n    commit {self.versions[name][:8]} on {branch}: {name}", flush=True)

    def broker(self, command: str, service: str, *options: str, status: int = 0, says: str = "", at: str = "") -> None:
        """One command of the broker's, at a commit of the story or at the newest.

        Raises UnexpectedAnswerError unless it ends with `status` and prints what the regular expression `says`.
        """
        self.steps += 1
        of = f"PACT_VERSION={self.versions[at][:8]} " if at else ""
        print(f"\n{self.steps}. {of}broker {shlex.join([command, service, *options])}", flush=True)
        version = {"PACT_VERSION": self.versions[at]} if at else {}
        done = self.copy.run(
            ["pact_faststream.broker", command, service, *options], PACT_BROKER_BASE_URL=self.broker_url, **version
        )
        told = _without_pytest(command, done.stdout) + done.stderr.splitlines()
        print("\n".join(f"     {line}" for line in told), flush=True)
        if done.returncode != status:
            raise UnexpectedAnswerError(
                f"step {self.steps} ended with {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
            )
        if not re.search(says, "\n".join(told), re.DOTALL):
            raise UnexpectedAnswerError(f"step {self.steps} doesn't say {says!r}")

    def _branches(self) -> set[str]:
        return set(self._git("branch", "--format", "%(refname:short)").split())

    def _checked(self, command: list[str]) -> None:
        done = self.copy.run(command)
        if done.returncode != 0:
            raise UnexpectedAnswerError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")

    def _git(self, *arguments: str) -> str:
        return _git(self.copy.folder, *arguments)


def _without_pytest(command: str, printed: str) -> list[str]:
    """What a command printed; `verify` has pytest speak first."""
    lines = printed.splitlines()
    if command != "verify":
        return lines
    return list(dropwhile(lambda line: not line.startswith(("verified ", "nothing to verify")), lines))


@contextmanager
def walk(broker_url: str) -> Iterator[Walk]:
    """Begin with the tree as it is, on main."""
    with copied_tree("walkthrough-") as folder:
        _git(folder, "init", "--quiet", "--initial-branch", "main")
        yield Walk(Scratch(folder), broker_url)


def _git(folder: Path, *arguments: str) -> str:
    own = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run([*GIT, *arguments], cwd=folder, env=own, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout
