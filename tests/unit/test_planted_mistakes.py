"""Every mistake of the catalogue can still be made: the code that each of them changes is there."""

import re
from operator import attrgetter
from pathlib import Path

import pytest

from tools.mistakes import levels
from tools.mistakes.catalogue import BY_PART
from tools.mistakes.levels import OF_THE_CATALOGUE
from tools.mistakes.mistake import Mistake, Project
from tools.scratch import ROOT

MISTAKES = [mistake for mistakes in BY_PART.values() for mistake in mistakes]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_every_edit_of_every_mistake_finds_its_code(mistake: Mistake) -> None:
    for edit in mistake.edits:
        texts = [path.read_text() for path in ROOT.glob(edit.files)]
        changed = [re.sub(edit.old, edit.new, text, flags=re.MULTILINE | re.DOTALL) for text in texts]

        assert changed != texts, edit


def test_no_two_mistakes_have_one_title() -> None:
    titles = [mistake.title for mistake in MISTAKES]

    assert sorted(set(titles)) == sorted(titles)


def test_every_mistake_says_whom_it_harms() -> None:
    assert [mistake.title for mistake in MISTAKES if not mistake.harm.endswith(".")] == []


@pytest.mark.parametrize(
    "project", sorted({mistake.project for mistake in MISTAKES}, key=attrgetter("folder")), ids=attrgetter("folder")
)
def test_a_project_is_judged_by_all_of_its_tests(project: Project) -> None:
    """A folder that nobody looks into would let mistakes pass."""
    levels_of_it = ("unit", "parity", "integration")
    judging = {file for level in levels_of_it for file in levels.files_of(project, level, ROOT)}
    judging |= {file for files in levels._contract_files(project, ROOT).values() for file in files}  # noqa: SLF001 - as below
    its = {file.relative_to(ROOT).as_posix() for file in (ROOT / project.tests).rglob("test_*.py")}
    elsewhere = {file for file in its if file.split("/")[-2] in {"model", "journey", "e2e"} or file == OF_THE_CATALOGUE}

    assert its - judging - elsewhere == set()


def test_this_file_judges_no_mistake() -> None:
    assert Path(__file__).relative_to(ROOT).as_posix() == OF_THE_CATALOGUE
    assert OF_THE_CATALOGUE not in levels._files(ROOT, "tests/unit/*.py")  # noqa: SLF001 - what the shop's level is
