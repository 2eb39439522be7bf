"""`make pythons`: which Pythons it tries, and what it says of one that can't be had."""

import tomllib
from pathlib import Path

import pytest
import yaml

from tools.pythons.interpreters import SUPPORTED, MissingPythonError, interpreter
from tools.upgrade_check.environment import PYPROJECTS, files_of_tree
from tools.uv import ROOT


def test_the_oldest_is_the_one_that_every_project_asks_for() -> None:
    asked = {tomllib.loads(path.read_text())["project"]["requires-python"] for path in files_of_tree(PYPROJECTS)}

    assert asked == {f">={SUPPORTED[0]}"}


def test_ci_has_a_job_for_the_oldest_and_one_for_the_newest() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["pythons"]

    assert job["strategy"]["matrix"]["python"] == [SUPPORTED[0], SUPPORTED[-1]]


def test_a_python_that_can_not_be_had_is_one_line(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "UV_PYTHON_INSTALL_DIR": str(tmp_path), "UV_PYTHON_DOWNLOADS": "never"}

    with pytest.raises(MissingPythonError) as missing:
        interpreter(SUPPORTED[-1], **nothing)

    assert str(missing.value).startswith("Python downloads are not allowed")
    assert "\n" not in str(missing.value)
