"""Commits that changed source and tests together, and what it changes to take their source part back."""

import ast
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.scratch import ROOT

SOURCE = re.compile(r"((?:libs|services)/[^/]+|sandbox|harness|console|demo)/src/[^/]+/.*\.py")
TEST = re.compile(r"(?:[^/]+/)*tests/(?:[^/]+/)*test_[^/]+\.py")


@dataclass(frozen=True)
class Change:
    """A commit, and the files of source and of tests that it changed."""

    commit: str
    subject: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def folders(self) -> Sequence[str]:
        """The projects whose source it changed."""
        return sorted({match[1] for path in self.sources if (match := SOURCE.fullmatch(path))})


def changes(root: Path = ROOT) -> Iterator[Change]:
    """Every commit that changed source, newest first; the first of all is no change, and can't be taken back."""
    log = _git(root, "log", "--no-merges", "--min-parents=1", "--no-renames", "--name-only", "--format=%x00%h %s")
    for entry in log.split("\0")[1:]:
        title, *names = filter(None, entry.splitlines())
        commit, _, subject = title.partition(" ")
        sources = tuple(name for name in names if SOURCE.fullmatch(name))
        if sources:
            yield Change(commit, subject, sources, tuple(name for name in names if TEST.fullmatch(name)))


class MovedOnError(Exception):
    """The code has changed so much since that the commit can't be taken out of it."""


def take_back(change: Change, folder: Path, root: Path = ROOT) -> bool:
    """Take the source part of a commit out of a copy of the tree; returns whether the code does anything else then.

    Raises MovedOnError. `restore` puts everything back.
    """
    patch = _git(root, "diff", "--binary", change.commit, f"{change.commit}~1", "--", *change.sources)
    applied = subprocess.run(
        ["git", "apply", "--3way", "--whitespace=nowarn", "-"],  # noqa: S607 - the PATH's
        cwd=folder,
        input=patch,
        text=True,
        capture_output=True,
        check=False,
    )
    if applied.returncode != 0:
        raise MovedOnError
    differing = ("diff", "--no-renames", "--name-only", "HEAD")
    if _git(folder, *differing, "--diff-filter=AD"):
        return True  # a file more, or one less
    touched = _git(folder, *differing).split()
    return any(_code((folder / name).read_text()) != _code(_git(folder, "show", f"HEAD:{name}")) for name in touched)


def restore(folder: Path) -> None:
    """Put back what `take_back` changed, and take away contracts that the tests wrote meanwhile."""
    _git(folder, "reset", "--hard", "--quiet")
    _git(folder, "clean", "--force", "-d", "--quiet", "--", "contracts")


def make_copy_know(folder: Path, root: Path = ROOT) -> None:
    """Commit a copy of the tree, and have it find the history's files."""
    objects = Path(_git(root, "rev-parse", "--path-format=absolute", "--git-path", "objects").strip())
    (folder / ".git/objects/info/alternates").write_text(f"{objects}\n")
    _git(folder, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--message=as it is")


def _code(source: str) -> str:
    """What a file does, without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant()), *_]:
                    del node.body[0]
    return ast.dump(tree)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607 - the PATH's
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
