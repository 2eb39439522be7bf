"""A copy of the tree in which an edit can be made and undone."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

ROOT = Path(__file__).parents[1]
MEMBERS: Sequence[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
"""Where the projects of the workspace are: globs."""
LONG_AGO = 10_000_000
"""Seconds before now at which the times of edits begin: none is in the future, however fast they come."""
ENDS_WITHIN = 1800.0
"""Seconds: what takes longer has ended its tests, or was never to end, and waits for something that doesn't come."""

T = TypeVar("T")
R = TypeVar("R")


def projects() -> list[Path]:
    """The folders of the workspace's projects."""
    return [file.parent for member in MEMBERS for file in sorted(ROOT.glob(f"{member}/pyproject.toml"))]


class ScratchError(Exception):
    """The tool is at fault: an edit changes nothing in the code as it is now, or a check could not run."""


@dataclass(frozen=True)
class Edit:
    """In every file that `files` (a glob) matches, `old` (a regular expression) becomes `new`."""

    files: str
    old: str
    new: str


@dataclass
class Scratch:
    """A copy of all files that git tracks or would add, with its own caches."""

    folder: Path
    _before: dict[Path, str] = field(default_factory=dict)
    # Python and mypy tell a changed file by its size and the second of its last change; make warns of seconds to come
    _seconds: Iterator[int] = field(default_factory=lambda: count(int(time.time()) - LONG_AGO))

    @property
    def environment(self) -> Mapping[str, str]:
        """The copy's packages come before those that are installed."""
        sources = [self.folder / path for path in _sources()]
        # no REQUIRE: what programs a developer has is not the question
        kept = {name: value for name, value in os.environ.items() if name not in {"REQUIRE", "PYTHONPATH"}}
        return {**kept, "PYTHONPATH": os.pathsep.join(map(str, sources)), "COLUMNS": "200"}

    def run(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module with its arguments in the copy. Raises ScratchError if it doesn't end."""
        try:
            return subprocess.run(  # noqa: S603
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env={**self.environment, **environment},
                check=False,
                capture_output=True,
                text=True,
                timeout=ENDS_WITHIN,
            )
        except subprocess.TimeoutExpired:
            raise ScratchError(f"`python -m {' '.join(command)}` did not end within {ENDS_WITHIN:g} s") from None

    @contextmanager
    def with_edits(self, edits: tuple[Edit, ...]) -> Iterator[None]:
        """Make the edits, and restore every file at the end, also contracts that were made again.

        Raises ScratchError if one of them changes nothing.
        """
        contracts = {path: path.read_text() for path in self._contracts()}
        try:
            for edit in edits:
                self.edit(edit)
            yield
        finally:
            for path in set(self._contracts()) - contracts.keys():
                path.unlink()
            for path, text in {**contracts, **self._before}.items():
                if path.read_text() != text:
                    self._write(path, text)
            self._before.clear()

    def _contracts(self) -> Iterator[Path]:
        return (self.folder / "contracts").rglob("*.json")

    def edit(self, edit: Edit) -> None:
        """Make an edit that stays. Raises ScratchError if it changes nothing."""
        changed = False
        for path in sorted(self.folder.glob(edit.files)):
            before = path.read_text()
            after = re.sub(edit.old, edit.new, before, flags=re.MULTILINE | re.DOTALL)
            if after != before:
                changed = True
                self._before.setdefault(path, before)
                self._write(path, after)
        if not changed:
            raise ScratchError(f"{edit.old!r} is nowhere in {edit.files}: adapt the edit to the code")

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        second = next(self._seconds)
        os.utime(path, (second, second))


@contextmanager
def copied_tree(prefix: str) -> Iterator[Path]:
    """All files that git tracks or would add, with uncommitted changes, in a temporary folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    with tempfile.TemporaryDirectory(prefix=prefix) as made:
        folder = Path(made)
        folder.chmod(0o755)  # as root the embedded PostgreSQL runs as nobody
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        yield folder


def make_known_to_git(folder: Path) -> None:
    """Tests ask git which pages there are."""
    for command in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607 - the PATH's


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A copy of the tree, with mypy's cache and with what was installed: make has nothing to install there."""
    with copied_tree("mistakes-") as folder:
        make_known_to_git(folder)
        if (cache := ROOT / ".mypy_cache").exists():
            shutil.copytree(cache, folder / ".mypy_cache")
        if (tools := ROOT / ".tools").exists():
            (folder / ".tools").symlink_to(tools)  # ignored by git, and only read
        if (installed := ROOT / ".venv").exists():
            # its own: where a mistake has make install something, that doesn't end in the developer's environment
            shutil.copytree(installed, folder / ".venv", symlinks=True, copy_function=_linked)
        yield Scratch(folder)


def _linked(source: str, target: str) -> None:
    """A copy that takes no time and no room; what installs replaces files, and writes into none."""
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


@contextmanager
def scratches(number: int) -> Iterator[Sequence[Scratch]]:
    """So many copies of the tree."""
    with ExitStack() as stack:
        yield [stack.enter_context(scratch()) for _ in range(number)]


def in_copies(items: Sequence[T], copies: Sequence[Scratch], do: Callable[[T, Scratch], R]) -> Iterator[tuple[T, R]]:
    """Do something with each item in a copy that is free; yields each with its result, as they end.

    Raises what `do` raises. Items that have not begun by then don't begin.
    """
    free: SimpleQueue[Scratch] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def done(item: T) -> R:
        copy = free.get()
        try:
            return do(item, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as threads:
        running = {threads.submit(done, item): item for item in items}
        try:
            for ended in as_completed(running):
                yield running[ended], ended.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _sources() -> list[Path]:
    return [(folder / "src").relative_to(ROOT) for folder in projects()]
