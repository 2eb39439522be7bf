"""The levels that a change has to pass, cheapest first, as a team's pipeline has them; then the whole shop's."""

import re
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mistakes.mistake import SHOP, Mistake, Project
from tools.nearest import nearest_first
from tools.scratch import Scratch, ScratchError

TESTS_FAILED = 1
NOT_COLLECTED = {2: "during collection", 4: "while loading conftest"}
"""pytest's codes where a test or a conftest can't be imported, and what it says then: the codes mean more than that."""
SHOWN_LINES, SHOWN_CHARACTERS = 4, 160
HANGS = 120
"""Seconds: a mistake often makes a test wait for ever. If a sound test is slower, the check without one says so."""
QUIET = ("pytest", "-q", "-p", "no:cacheprovider", f"--timeout={HANGS}")
PYTEST = (*QUIET, "-x", "--tb=short", "--no-header")
WRITE = (*QUIET, "--write-contracts")
LEVELS = (
    "unit",
    "types",
    "contract consumer",
    "contract provider",
    "AsyncAPI gate",
    "parity",
    "integration",
    "shop",
    "model",
    "journey",
    "crash points",
    "faults",
)
OF_THE_CATALOGUE = "tests/unit/test_planted_mistakes.py"
"""It sees that each edit finds its code, so it fails for every mistake, and would seem to catch them all."""
OF_A_PROVIDER = {"test_provides.py", "test_asyncapi.py"}
"""Among contract tests: all others are a consumer's, or a library's own."""
OF_A_TEST = re.compile(r"(?:FAILED|ERROR) ([^:\s]*/[^:\s]*)")
"""A line of pytest's summary. Lines of a log, which it prints as well, may begin with the same word."""
TELLING = ("FELL: ", "VIOLATION ", "FAILED ", "ERROR ", "E   ")


def tests(*paths: str) -> tuple[str, ...]:
    """A mistake's own check: tests of the usual levels, elsewhere than in its project."""
    return (*PYTEST, *paths)


class NotCollectedError(ScratchError):
    """The tests can't even be imported."""


@dataclass(frozen=True)
class Stop:
    """The level that caught a mistake, the seconds until then, and what the author reads."""

    level: str
    seconds: float
    message: tuple[str, ...]

    @property
    def file(self) -> str | None:
        """The file of the test that failed, if it was one."""
        return _file_of(self.message)


def caught(mistake: Mistake, scratch: Scratch, first: str = "") -> Stop | None:
    """Go through the levels until one fails; in its level the test file `first` is the first one.

    Raises ScratchError, and NotCollectedError.
    """
    return _first(_failures(mistake.project, mistake.check, scratch, [edit.files for edit in mistake.edits], first))


def caught_again(mistake: Mistake, scratch: Scratch, *files: str) -> Stop | None:
    """Ask the test files that should see it, and the levels only where none of them is there, or sees it any more.

    A contract isn't asked by itself, since it has to be made again before. Raises as `caught` does.
    """
    asked: dict[str, list[str]] = {}
    for file in files:
        level = _level_of_file(file, mistake.project)
        if level in LEVELS and (scratch.folder / file).exists():
            asked.setdefault(level, []).append(file)
    return _first(_failed_tests(asked, scratch)) or caught(mistake, scratch, *files[:1])


def unsound(project: Project, check: Sequence[str], scratch: Scratch) -> Stop | None:
    """What fails without a mistake: of the project's levels, or of a check alone. Raises as `caught` does."""
    return _first(_failed_check(check, scratch) if check else _failures(project, (), scratch))


def _first(failures: Iterator[tuple[str, tuple[str, ...]]]) -> Stop | None:
    """What comes after it isn't run."""
    started = time.monotonic()
    for level, message in failures:
        return Stop(level, time.monotonic() - started, message)
    return None


def _failures(
    project: Project, check: Sequence[str], scratch: Scratch, changed: Collection[str] = (), first: str = ""
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The level and the words of each stage that fails."""
    folder = scratch.folder

    def of(whose: Project, level: str) -> Sequence[str]:
        return sorted(nearest_first(files_of(whose, level, folder), changed, folder), key=first.__ne__)

    def own(*levels: str) -> Mapping[str, Sequence[str]]:
        return {level: of(project, level) for level in levels}

    contract = _contract_files(project, folder)
    yield from _failed_tests(own("unit"), scratch)
    yield from _failed_types(project, scratch)
    if contract:
        scratch.run(
            (*WRITE, *_files(folder, f"{project.contracts}/*.py"))
        )  # as an author does; what it refuses, they find
        yield from _failed_tests(contract, scratch)
    if check:
        yield from _failed_check(check, scratch)
        return
    yield from _failed_tests(own("parity", "integration"), scratch)
    if project is SHOP:
        return  # what is static runs nowhere else
    yield from _failed_tests({"shop": of(SHOP, "unit")}, scratch)
    yield from _failed_tests({level: _files(folder, f"tests/{level}/*.py") for level in ("model", "journey")}, scratch)


def _failed_types(project: Project, scratch: Scratch) -> Iterator[tuple[str, tuple[str, ...]]]:
    packages = [part for package in project.packages for part in ("-p", package)]
    for command in (("mypy", *packages), ("mypy", project.tests)) if packages else ():
        if not _passes(done := scratch.run(command)):
            yield "types", _message(done.stdout)


def _failed_tests(levels: Mapping[str, Sequence[str]], scratch: Scratch) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One process for all: it takes the files in this order and stops at the first failure."""
    files = [file for level in levels.values() for file in level]
    if files and not _passes(done := scratch.run((*PYTEST, *files))):
        message = _message(done.stdout)
        yield _level_of(message, levels), message


def _failed_check(check: Sequence[str], scratch: Scratch) -> Iterator[tuple[str, tuple[str, ...]]]:
    (scratch.folder / "tmp").mkdir(mode=0o755, exist_ok=True)  # leftovers of a failed run are removed with the copy
    done = scratch.run(check, TMPDIR=str(scratch.folder / "tmp"))
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith(TELLING)]
    if done.returncode != TESTS_FAILED or not lines:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise ScratchError(f"`python -m {' '.join(check)}` ended with {done.returncode} and named nothing:\n{end}")
    yield _level_of_check(check), tuple(_short(line) for line in lines[:SHOWN_LINES])


def _level_of_check(check: Sequence[str]) -> str:
    match check[0]:
        case "tools.crash_points":
            return "crash points"
        case "tools.faults":
            return "faults"
    return next(level for level in LEVELS if f"/{level}" in check[-1])


def _level_of_file(file: str, project: Project) -> str:
    """The folder in which a test file's level is; the shop's own unit tests are a level of all other projects."""
    _, _, inner = file.rpartition("tests/")
    level = inner.partition("/")[0]
    return "shop" if level == "unit" and file.startswith("tests/") and project is not SHOP else level


def _contract_files(project: Project, root: Path) -> Mapping[str, Sequence[str]]:
    """The contract tests by what they hold; this project's pacts reach its providers by the broker, or as files."""
    contracts = project.contracts
    if not _files(root, f"{contracts}/*.py"):
        return {}
    own = [file for file in files_of(project, "contract", root) if Path(file).name not in OF_A_PROVIDER]
    return {
        "contract consumer": list(dict.fromkeys([*own, *_files(root, f"{contracts}/test_consumes_*.py")])),
        "contract provider": [
            *_files(root, "services/*/tests/contract/test_provides.py"),
            *_files(root, "sandbox/tests/contract/*.py"),
        ],
        "AsyncAPI gate": _files(root, f"{contracts}/test_asyncapi.py"),
    }


def _level_of(message: Sequence[str], levels: Mapping[str, Sequence[str]]) -> str:
    """The level of the first test that pytest names. Raises ScratchError."""
    failed = _file_of(message)
    for level, files in levels.items():
        if failed in files:
            return level
    if failed and len(levels) == 1:  # a conftest that can't be imported
        return next(iter(levels))
    raise ScratchError(f"pytest failed without naming a test of a level: {' '.join(message)}")


def _file_of(message: Sequence[str]) -> str | None:
    """The file of the test that pytest names first, if it names one."""
    failed = OF_A_TEST.match(message[0] if message else "")
    return failed[1] if failed else None


def _passes(done: subprocess.CompletedProcess[str]) -> bool:
    if (words := NOT_COLLECTED.get(done.returncode)) and words in (said := done.stdout + done.stderr):
        raise NotCollectedError(said)
    if done.returncode not in {0, TESTS_FAILED}:
        raise ScratchError(f"{' '.join(map(str, done.args))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def files_of(project: Project, level: str, root: Path) -> list[str]:
    """The files of a project's tests of a level, in whatever folders they are."""
    return _files(root, f"{project.tests}/{level}/**/*.py")


def _files(root: Path, pattern: str) -> list[str]:
    """The test files that a glob matches, without those of the catalogue itself."""
    found = (str(path.relative_to(root)) for path in root.glob(pattern) if path.name.startswith("test_"))
    return sorted(file for file in found if file != OF_THE_CATALOGUE)


def _message(output: str) -> tuple[str, ...]:
    """The first error of mypy, or the first failed test with what pytest says of it."""
    lines = output.splitlines()
    failed = [line.split(" - ")[0] for line in lines if OF_A_TEST.match(line)][:1]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ") or ": error: " in line]
    return tuple(_short(line) for line in (*failed, *said[:SHOWN_LINES]) if line)


def _short(line: str) -> str:
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
