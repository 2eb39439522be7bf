"""The page of field reports: what it says is shown is shown by a test, and beside the test stands who reported it."""

import ast
import re
from collections.abc import Iterator

import confluent_kafka
import pytest
from backing_services.kafka.apache import VERSION as KAFKA
from shop_harness.services import ROOT

from tools.pythons.interpreters import SUPPORTED

PAGE = (ROOT / "docs/reference/where-it-was-tried.md").read_text()
TEST = re.compile(r"`([^`]+\.py)::(test_\w+)`")
REPORT = re.compile(r"[\w./-]+#\d+")


def _rows(heading: str) -> Iterator[dict[str, str]]:
    """The rows of the table that begins with this column."""
    _, found, after = PAGE.partition(f"\n| {heading} |")
    assert found, heading
    head, _, *lines = (found + after).strip().splitlines()
    names = [name.strip() for name in head.strip("|").split("|")]
    for line in lines:
        if not line.startswith("|"):
            return
        yield dict(zip(names, (cell.strip() for cell in line.strip("|").split(" | ")), strict=True))


REPORTED, HELD = list(_rows("symptom")), list(_rows("situation"))


def _with_comment(file: str, name: str) -> str:
    """A test's text, with the comment above it. Raises StopIteration where there is none of this name."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    test = next(node for node in nodes if node.name == name)
    start = min([test.lineno, *(each.lineno for each in test.decorator_list)]) - 1
    while lines[start - 1].startswith("#"):
        start -= 1
    return "\n".join(lines[start : test.end_lineno])


@pytest.mark.parametrize("row", [*REPORTED, *HELD], ids=lambda row: next(iter(row.values())))
def test_each_row_is_shown_by_tests_that_name_who_reported_it(row: dict[str, str]) -> None:
    shown = TEST.findall(row["shown by"])
    assert re.sub(r"`[^`]+`", "", row["shown by"]).strip(", ") == "", "a row is shown by ids of tests alone"
    assert shown

    texts = [_with_comment(file, name) for file, name in shown]

    for report in REPORT.findall(row.get("reported of", "")):
        assert any(re.search(rf"(?<![\w/-]){re.escape(report)}\b", text) for text in texts), report


def test_each_report_is_named_as_others_name_it_or_was_found_here() -> None:
    for row in REPORTED:
        reported = row["reported of"]
        assert reported == "found here" or all(REPORT.fullmatch(each) for each in reported.split(", ")), reported


def test_the_versions_are_those_that_tests_take() -> None:
    tried = {row["what"]: row["tried with"] for row in _rows("what")}

    assert [".".join(each.split(".")[:2]) for each in re.findall(r"\d\.\d+\.\d+", tried["Python"])] == [*SUPPORTED]
    assert re.findall(r"(?:Kafka|librdkafka) (\d[\d.]*\d)", tried["Kafka"]) == [KAFKA, confluent_kafka.libversion()[0]]
