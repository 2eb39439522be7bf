"""Which commits count as mended mistakes, what is left of a tree without them, and when a test has seen it."""

import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tools.history_check import __main__ as history_check
from tools.history_check.__main__ import fails_again
from tools.history_check.fixes import MovedOnError, changes, make_copy_know, restore, take_back
from tools.mistakes.levels import NotCollectedError, Stop, caught
from tools.mistakes.mistake import Mistake, Project
from tools.scratch import Scratch, ScratchError

SOURCE, TEST = "libs/bank/src/bank/money.py", "libs/bank/tests/unit/test_money.py"
FIRST = '''"""Money."""


def fee(amount):
    return amount


def total(amount):
    return amount + fee(amount)
'''
DOUBLED = FIRST.replace("return amount\n", "return amount * 2\n")


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607


@pytest.fixture
def history(tmp_path: Path) -> Path:
    root = tmp_path / "history"
    root.mkdir()
    git(root, "init", "--quiet")
    commit(root, "The first", **{SOURCE: FIRST, "README.md": "read"})
    return root


def commit(root: Path, subject: str, **files: str) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", subject)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def copied(root: Path, copy: Path) -> Path:
    git(root.parent, "clone", "--quiet", "--no-hardlinks", str(root), str(copy))
    git(copy, "checkout", "--quiet", "--orphan", "alone")
    make_copy_know(copy, root)
    return copy


def test_changes_are_commits_that_changed_source_and_name_the_tests_that_came_with_it(history: Path) -> None:
    commit(
        history,
        "Fees are two percent",
        **{SOURCE: DOUBLED, TEST: "assert fee"},
    )
    commit(history, "A page", **{"README.md": "read again"})
    commit(history, "A test", **{TEST: "assert total"})

    found = [(change.subject, change.tests, change.sources, change.folders) for change in changes(history)]

    assert found == [("Fees are two percent", (TEST,), (SOURCE,), ["libs/bank"])]


def test_a_run_that_was_stopped_goes_on_behind_its_last_change(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for percent in "123":
        commit(history, percent, **{SOURCE: FIRST.replace("return amount\n", f"return {percent} * amount\n")})
    monkeypatch.setattr(history_check, "changes", partial(changes, history))
    _, second, _ = changes(history)

    assert [one.subject for one in history_check._older_than(second.commit[:5])] == ["1"]  # noqa: SLF001 - as above
    assert [one.subject for one in history_check._older_than("")] == ["3", "2", "1"]  # noqa: SLF001
    with pytest.raises(ScratchError, match=r"^no change of source begins with 'x'$"):
        history_check._older_than("x")  # noqa: SLF001


def test_a_change_is_taken_back_though_other_lines_have_changed_since(history: Path, copy: Path) -> None:
    commit(history, "Fees", **{SOURCE: DOUBLED, TEST: "assert fee"})
    commit(history, "More", **{SOURCE: DOUBLED + "\n\ndef more():\n    pass\n"})
    folder = copied(history, copy)
    [_, change] = changes(history)

    assert take_back(change, folder, history)
    assert (folder / SOURCE).read_text() == FIRST + "\n\ndef more():\n    pass\n"
    assert (folder / TEST).read_text() == "assert fee"

    restore(folder)
    assert (folder / SOURCE).read_text() == DOUBLED + "\n\ndef more():\n    pass\n"


def test_a_change_that_the_code_has_left_behind_is_told(history: Path, copy: Path) -> None:
    commit(history, "Fees", **{SOURCE: DOUBLED, TEST: "assert fee"})
    commit(history, "Other fees", **{SOURCE: FIRST.replace("return amount\n", "return 3 * amount\n")})
    folder = copied(history, copy)
    [_, change] = changes(history)

    with pytest.raises(MovedOnError):
        take_back(change, folder, history)

    restore(folder)
    assert "3 * amount" in (folder / SOURCE).read_text()


def test_words_are_no_code(history: Path, copy: Path) -> None:
    words = FIRST.replace("Money.", "Money, and its fees.").replace("def fee", "# of a bank\ndef fee")
    commit(history, "Words", **{SOURCE: words, TEST: "assert fee"})
    folder = copied(history, copy)
    [change] = changes(history)

    assert not take_back(change, folder, history)


def test_what_a_person_has_read_and_no_test_could_see_is_set_aside(
    history: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(history, "Fees", **{SOURCE: DOUBLED, TEST: "assert fee"})
    folder = copied(history, copy)
    [change] = changes(history)
    monkeypatch.setattr(history_check, "take_back", partial(take_back, root=history))
    monkeypatch.setattr(history_check, "NO_FIXES", {change.commit[:5]: "doubled by another word"})

    assert history_check._outcome(change, Scratch(folder)).set_aside == history_check.NO_FIX  # noqa: SLF001 - the command copies the whole tree


def test_a_file_that_was_moved_goes_back_to_its_old_place(history: Path, copy: Path) -> None:
    moved = "libs/bank/src/bank/fees.py"
    git(history, "mv", SOURCE, moved)
    commit(history, "Fees have a file of their own", **{moved: DOUBLED, TEST: "assert fee"})
    folder = copied(history, copy)
    [change] = changes(history)

    assert take_back(change, folder, history)
    assert ((folder / SOURCE).read_text(), (folder / moved).exists()) == (FIRST, False)

    restore(folder)
    assert ((folder / SOURCE).exists(), (folder / moved).read_text()) == (False, DOUBLED)


def test_a_contract_that_tests_wrote_is_gone_before_the_next_change(history: Path, copy: Path) -> None:
    commit(history, "Fees", **{SOURCE: DOUBLED, "contracts/bank.json": "{}"})
    folder = copied(history, copy)
    (folder / "contracts/other.json").write_text("{}")

    restore(folder)

    assert [path.name for path in (folder / "contracts").iterdir()] == ["bank.json"]


# --- when a test has seen it ---

Run = subprocess.CompletedProcess[str]


class Pytest(Scratch):
    """A copy in which pytest ends as it's told, and knows `a_test` alone."""

    a_test = "bank/tests/unit/test_fees.py::test_it"

    def __init__(self, folder: Path, code: int, stdout: str = "", stderr: str = "") -> None:
        super().__init__(folder)
        self._done = Run([], code, stdout, stderr)

    def run(self, command: Sequence[str], **_: str) -> Run:
        known = command[-1] == self.a_test or not command[-1].startswith(self.a_test)
        return self._done if known else Run(command, 4, "", "ERROR: not found")


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, True)])
@pytest.mark.parametrize("parameters", ["", "[a b]", "[a very long..."])
def test_a_test_that_falls_once_is_asked_again_whatever_its_parameters_are_called(
    tmp_path: Path, parameters: str, code: int, *, again: bool
) -> None:
    stop = Stop("unit", 1.0, (f"FAILED {Pytest.a_test}{parameters}",))

    assert fails_again(stop, Pytest(tmp_path, code)) is again


@pytest.mark.parametrize(
    ("code", "stdout", "stderr"),
    [(2, "Interrupted: 1 error during collection", ""), (4, "", "ImportError while loading conftest 'conftest.py'.")],
)
def test_what_tests_cannot_even_import_is_caught_by_none(tmp_path: Path, code: int, stdout: str, stderr: str) -> None:
    (tmp_path / "bank/tests/unit").mkdir(parents=True)
    (tmp_path / "bank/tests/unit/test_fees.py").touch()
    mistake = Mistake("no fees", "", Project("bank", ()), ())

    with pytest.raises(NotCollectedError, match=r"collection|conftest"):
        caught(mistake, Pytest(tmp_path, code, stdout, stderr))
