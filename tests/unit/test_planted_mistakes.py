"""The drills' mistakes can still be made: the code that each of them changes is there."""

import re

import pytest

from tools.drill.mistakes import MISTAKES
from tools.drill.scratch import ROOT, Edit
from tools.faults_drill.planted import PLANTED

EDITS = [(one.title, edit) for one in (*MISTAKES, *PLANTED) for edit in one.edits]


@pytest.mark.parametrize(("title", "edit"), EDITS, ids=[title for title, _ in EDITS])
def test_every_edit_of_every_planted_mistake_finds_its_code(title: str, edit: Edit) -> None:
    texts = [path.read_text() for path in ROOT.glob(edit.files)]

    assert any(re.sub(edit.old, edit.new, text, flags=re.MULTILINE | re.DOTALL) != text for text in texts), title
