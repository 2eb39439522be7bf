"""What `make mistakes` makes of pytest's words, and of a mistake that it can't judge."""

import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.mistakes import __main__ as command
from tools.mistakes import last_time, levels
from tools.mistakes.levels import Stop, caught, caught_again, unsound
from tools.mistakes.mistake import OUTBOXED, SHOP, Mistake, Project, swap
from tools.scratch import ROOT, Scratch, ScratchError

TEST = "libs/outboxed/tests/unit/test_worker.py::test_nothing"
SAID = f"""
E   AssertionError: assert 1 == 0
------------------------------ Captured log call -------------------------------
ERROR    faststream:logger_proxy.py:112 CancelledError:
=========================== short test summary info ============================
FAILED {TEST} - assert 1 == 0
"""
CONTRACT = "services/orders/tests/contract/test_provides.py"
MISTAKE = Mistake("nothing is right", "All is wrong.", OUTBOXED, ())


def copy_where_pytest_says(output: str, code: int = 1) -> Any:
    def run(words: Sequence[str], **_: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, code, output, "")

    return SimpleNamespace(folder=ROOT, run=run)


def copy_where_fails(file: str) -> tuple[Any, list[Sequence[str]]]:
    """And what is run in it."""
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str], **_: str) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        return subprocess.CompletedProcess(words, 1, SAID.replace(TEST.partition("::")[0], file), "")

    return SimpleNamespace(folder=ROOT, run=run), ran


def copy_where_all_passes() -> tuple[Any, list[Sequence[str]]]:
    """And what is run in it."""
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str], **_: str) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")

    return SimpleNamespace(folder=ROOT, run=run), ran


def test_the_test_that_fell_is_named_and_no_line_of_a_log_that_begins_like_it() -> None:
    stop = caught(MISTAKE, copy_where_pytest_says(SAID))

    assert stop is not None
    assert (stop.level, stop.message) == ("unit", (f"FAILED {TEST}", "AssertionError: assert 1 == 0"))


def test_a_fall_without_a_test_is_no_catch() -> None:
    with pytest.raises(ScratchError, match="without naming a test"):
        caught(MISTAKE, copy_where_pytest_says(SAID.partition("=====")[0]))


def test_what_can_not_be_judged_is_said_at_the_end_and_the_others_are_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("Services that talk over Kafka.")
    possible, impossible = (
        Mistake(title, "", OUTBOXED, (swap("README.md", old, "other"),))
        for title, old in (("possible", "Kafka"), ("impossible", "a word that is nowhere"))
    )
    monkeypatch.setattr(command, "BY_PART", {"both": [impossible, possible]})
    monkeypatch.setattr(command, "scratches", lambda _: nullcontext([Scratch(tmp_path)]))
    monkeypatch.setattr(command, "caught", lambda mistake, *_: caught(mistake, copy_where_pytest_says(SAID)))

    with pytest.raises(SystemExit) as ended:
        command.main(only="", part="", at_once=1, sound=False, remember=False, again=False)

    told = capsys.readouterr()
    assert ended.value.code == 2
    assert "NOT JUDGED: impossible" in told.out
    assert "mistakes: 1/2 caught, by level: unit 1" in told.out
    assert told.err == "mistakes: 1 could not be judged\n"


def test_what_fails_without_a_mistake_ends_it_before_any_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The levels of a project are asked once, however many mistakes there are, and each check alone."""
    check = levels.tests("tests/unit/test_canvas.py")
    asked: list[tuple[str, tuple[str, ...]]] = []

    def unsound(project: Project, check: tuple[str, ...], _: Scratch) -> Stop | None:
        asked.append((project.folder, check))
        return Stop("unit", 1.0, (f"FAILED {TEST}",)) if check else None

    two = [Mistake("one", "", OUTBOXED, ()), Mistake("other", "", OUTBOXED, (), check=check)]
    monkeypatch.setattr(command, "BY_PART", {"both": two})
    monkeypatch.setattr(command, "scratches", lambda _: nullcontext([Scratch(tmp_path)]))
    monkeypatch.setattr(command, "unsound", unsound)

    with pytest.raises(SystemExit) as ended:
        command.main(only="", part="", at_once=1, sound=True, remember=False, again=False)

    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(f"mistakes: without any mistake, {' '.join(check)}: unit, 1.0 s\n")
    assert asked == [(OUTBOXED.folder, ()), (OUTBOXED.folder, check)]


def test_a_check_is_asked_without_the_levels_before_it() -> None:
    copy, ran = copy_where_all_passes()

    assert unsound(OUTBOXED, (check := levels.tests("tests/unit/test_canvas.py")), copy) is None
    assert ran == [check]


def test_the_tests_that_name_a_changed_file_come_first() -> None:
    copy, ran = copy_where_all_passes()

    assert caught(Mistake("", "", SHOP, (swap("actions/Makefile", "", ""),)), copy) is None

    names_it = ["Makefile" in (ROOT / word).read_text() for word in ran[0] if word.endswith(".py")]
    assert names_it == sorted(names_it, reverse=True)
    assert 0 < sum(names_it) < len(names_it)


def test_what_caught_a_mistake_last_time_comes_before_all_others_of_its_level() -> None:
    copy, ran = copy_where_all_passes()
    last = levels.files_of(SHOP, "unit", ROOT)[-1]

    assert caught(Mistake("", "", SHOP, (swap("actions/Makefile", "", ""),)), copy, last) is None

    first, *others = [word for word in ran[0] if word.endswith(".py")]
    assert first == last
    assert {first, *others} == set(levels.files_of(SHOP, "unit", ROOT))


@pytest.mark.parametrize(
    ("file", "level"),
    [
        ("libs/outboxed/tests/unit/test_worker.py", "unit"),
        ("services/orders/tests/integration/test_migrations.py", "integration"),
        ("tests/unit/test_canvas.py", "shop"),
    ],
)
def test_again_asks_what_caught_it_last_time_alone(file: str, level: str) -> None:
    copy, ran = copy_where_fails(file)

    stop = caught_again(MISTAKE, copy, file)

    assert (stop and stop.level, ran) == (level, [(*levels.PYTEST, file)])


def test_of_several_files_all_are_asked_at_once_and_the_one_that_fails_says_the_level() -> None:
    unit, integration = "libs/outboxed/tests/unit/test_worker.py", "libs/outboxed/tests/integration/test_relay.py"
    copy, ran = copy_where_fails(integration)

    stop = caught_again(MISTAKE, copy, unit, "tests/unit/test_gone.py", integration)

    assert (stop and stop.level, ran) == ("integration", [(*levels.PYTEST, unit, integration)])


@pytest.mark.parametrize("file", ["libs/outboxed/tests/unit/test_worker.py", "tests/unit/test_gone.py", CONTRACT, ""])
def test_where_that_passes_or_can_not_be_asked_all_levels_are(file: str) -> None:
    """A contract has to be made again first."""
    (copy, ran), (another, ran_by_all) = copy_where_all_passes(), copy_where_all_passes()

    assert caught_again(MISTAKE, copy, file) is None
    assert caught(MISTAKE, another, file) is None

    assert ran == [*([(*levels.PYTEST, file)] if "worker" in file else []), *ran_by_all]


@pytest.mark.parametrize("again", [False, True])
def test_the_levels_are_asked_as_the_command_was_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, again: bool
) -> None:
    asked: list[str] = []

    def noted(name: str) -> Any:
        def stopped(*_: object) -> Stop:
            asked.append(name)
            return Stop("unit", 1.0, (f"FAILED {TEST}",))

        return stopped

    monkeypatch.setattr(command, "BY_PART", {"one": [MISTAKE]})
    monkeypatch.setattr(command, "scratches", lambda _: nullcontext([Scratch(tmp_path)]))
    monkeypatch.setattr(command, "caught", noted("all"))
    monkeypatch.setattr(command, "caught_again", noted("last time's"))

    with pytest.raises(SystemExit) as ended:
        command.main(only="", part="", at_once=1, sound=False, remember=False, again=again)

    assert (ended.value.code, asked) == (0, ["last time's" if again else "all"])


def test_a_parameter_with_a_slash_is_no_part_of_a_files_name() -> None:
    stop = Stop("unit", 1.0, ("FAILED tests/unit/test_documentation.py::test_pages[docs/how-to/run.md]",))

    assert stop.file == "tests/unit/test_documentation.py"


def test_what_caught_each_is_remembered_and_what_is_no_mistake_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(last_time, "FILE", tmp_path / "last_time.json")
    last_time.FILE.write_text('{"kept": "a.py", "caught elsewhere now": "b.py", "gone": "c.py"}')
    titles = ("kept", "caught elsewhere now", "new")

    last_time.remember({"caught elsewhere now": "d.py"}, titles)
    last_time.remember({"new": "e.py"}, titles)

    assert last_time.remembered() == {"kept": "a.py", "caught elsewhere now": "d.py", "new": "e.py"}


def test_a_mistake_that_a_test_caught_is_remembered_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(last_time, "FILE", tmp_path / "last_time.json")
    last_time.FILE.write_text("{}")
    monkeypatch.setattr(command, "BY_PART", {"one": [MISTAKE]})
    monkeypatch.setattr(command, "scratches", lambda _: nullcontext([Scratch(tmp_path)]))
    monkeypatch.setattr(command, "caught", lambda mistake, *_: caught(mistake, copy_where_pytest_says(SAID)))

    for remember in (False, True):
        before = last_time.remembered()
        with pytest.raises(SystemExit):
            command.main(only="", part="", at_once=1, sound=False, remember=remember, again=False)

    assert (before, last_time.remembered()) == ({}, {MISTAKE.title: TEST.partition("::")[0]})
