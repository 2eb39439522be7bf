"""A copy in which mistakes are made: each edit is seen as a change, and is gone at the end."""

import time
from pathlib import Path

import pytest

from tools import scratch
from tools.scratch import Edit, Scratch, ScratchError


@pytest.fixture
def copy(tmp_path: Path) -> Scratch:
    (tmp_path / "Makefile").write_text("all:\n\ttrue\n")
    return Scratch(tmp_path)


def test_each_edit_has_a_second_of_its_own_and_none_is_to_come(copy: Scratch) -> None:
    file, seconds = copy.folder / "Makefile", []
    for _ in range(20):
        with copy.with_edits((Edit("Makefile", "true", "fail"),)):
            seconds.append(file.stat().st_mtime)
        seconds.append(file.stat().st_mtime)

    assert len(set(seconds)) == len(seconds), "Python and mypy would take what they know"
    assert max(seconds) < time.time(), "make warns of a time in the future, and a test would fail for the warning"


def test_an_edit_is_made_and_undone(copy: Scratch) -> None:
    file = copy.folder / "Makefile"

    with copy.with_edits((Edit("Makefile", "true", "fail"),)):
        assert file.read_text() == "all:\n\tfail\n"

    assert file.read_text() == "all:\n\ttrue\n"


def test_an_edit_that_changes_nothing_is_an_error_and_leaves_the_others_undone(copy: Scratch) -> None:
    edits = (Edit("Makefile", "true", "fail"), Edit("Makefile", "nowhere", ""))

    with pytest.raises(ScratchError, match="is nowhere in Makefile"), copy.with_edits(edits):
        pass

    assert (copy.folder / "Makefile").read_text() == "all:\n\ttrue\n"


def test_what_does_not_end_is_an_error_and_ended(copy: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "ENDS_WITHIN", 0.2)

    with pytest.raises(ScratchError, match=r"^`python -m timeit -n 1 while True: pass` did not end within 0\.2 s$"):
        copy.run(("timeit", "-n", "1", "while True: pass"))
