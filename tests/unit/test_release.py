"""What a library must have to be released, and what the workflow that publishes it may do."""

import shutil
from pathlib import Path

import pytest
import yaml

from tools.packaged import Library, libraries
from tools.release_check.documents import problems_of
from tools.release_check.tagged import tagged
from tools.uv import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
RELEASED = ("outboxed", "pytest-backing-services", "pact-faststream", "asyncapi-gate")
PUBLISH = WORKFLOW["jobs"]["publish"]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A copy of one that has everything."""
    copy = tmp_path / "asyncapi_gate"
    shutil.copytree(ROOT / "libs" / "asyncapi_gate", copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return Library(copy)


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.distribution)
def test_each_library_has_what_a_release_needs(library: Library) -> None:
    assert list(problems_of(library)) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("CHANGELOG.md", "## [0.0.9]", "asyncapi-gate: CHANGELOG.md says nothing of 0.1.0"),
        ("LICENSE", "another", "asyncapi-gate: LICENSE isn't that of the repository"),
    ],
)
def test_a_document_that_is_wrong_is_named(library: Library, name: str, text: str, problem: str) -> None:
    (library.folder / name).write_text(text)

    assert list(problems_of(library)) == [problem]


def test_a_library_without_types_is_named(library: Library) -> None:
    (library.folder / "src/asyncapi_gate/py.typed").unlink()

    [problem] = problems_of(library)
    assert "there is no py.typed" in problem


def test_a_tag_names_a_library_and_its_version() -> None:
    assert tagged("pact-faststream-v0.1.0").package == "pact_faststream"


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("", "is no tag of a library, such as outboxed-v0.1.0"),
        ("v0.1.0", "is no tag of a library"),
        ("outboxed-v0.1", "is no tag of a library"),
        ("orders-v0.1.0", "there is no library orders; there are asyncapi-gate, outboxed,"),
        ("outboxed-v9.9.9", "the tag says 9.9.9, and the pyproject.toml of outboxed 0.1.0"),
    ],
)
def test_a_wrong_tag_is_one_line(tag: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        tagged(tag)


def test_each_library_has_a_tag_that_starts_the_workflow() -> None:
    triggers = WORKFLOW[True]  # YAML reads `on` as a boolean

    assert triggers == {"push": {"tags": [f"{each}-v*" for each in RELEASED]}}
    assert set(RELEASED) == {library.distribution for library in libraries()}


def test_nothing_is_published_before_it_was_checked_switched_on_and_approved() -> None:
    assert PUBLISH["needs"] == "build"
    assert PUBLISH["if"] == "vars.PYPI_PUBLISHING == 'on'"
    assert PUBLISH["environment"] == "pypi"
    runs = [step["run"] for step in WORKFLOW["jobs"]["build"]["steps"] if "run" in step]
    assert runs == ["make release-check", 'make release-build TAG="$TAG"']


def test_who_publishes_has_no_token_no_code_and_no_other_right() -> None:
    assert PUBLISH["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in PUBLISH["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
