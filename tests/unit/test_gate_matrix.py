"""The matrix that measures the gate finds the truth by reading, and counts it."""

import json
from typing import Any

import pytest
from shop_harness.services import ROOT

from tools.gate_matrix.__main__ import Score, refused
from tools.gate_matrix.changes import Change, Form, families
from tools.gate_matrix.truth import truth_of, unread

INTEGER = {"type": "integer"}
OBJECT = {"type": "object", "properties": {"a": INTEGER}}


def form(schema: Any) -> Form:
    return Form("a form", {"type": "object", "properties": {"it": schema}, "required": ["it"]})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INTEGER, {"type": "number"}),
        ({**INTEGER, "minimum": 1}, {**INTEGER, "minimum": 0}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 10}),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}),
        ({**OBJECT, "required": ["a"]}, OBJECT),
        ({"type": "array", "items": INTEGER}, {"type": "array"}),
    ],
)
def test_a_change_breaks_in_one_direction_by_an_instance_and_in_the_other_by_none(before: Any, after: Any) -> None:
    loosened = truth_of(Change("a family", form(before), form(after)))

    assert loosened.witness is not None
    assert not truth_of(Change("a family", form(after), form(before))).is_breaking


def test_a_reader_ignores_fields_that_it_does_not_know() -> None:
    closed = form({**OBJECT, "additionalProperties": False})

    assert not truth_of(Change("a family", closed, form(OBJECT))).is_breaking


def test_a_model_of_pydantics_reads_too() -> None:
    whole, fraction = families()["type"][:2]

    assert truth_of(Change("type", whole, fraction)).breaks_a_model
    assert not truth_of(Change("type", fraction, whole)).breaks_a_model


def test_a_form_without_an_instance_is_no_form() -> None:
    assert unread(form(INTEGER)) is None
    assert "no instance is known" in str(unread(form({**INTEGER, "minimum": 5, "maximum": 4})))


def test_the_gate_is_asked_about_the_change_itself() -> None:
    assert refused(Change("a family", form(INTEGER), form({"type": "string"})))
    assert not refused(Change("a family", form(INTEGER), form(INTEGER)))


def test_a_score_counts_what_was_not_answered_as_neither_caught_nor_passed() -> None:
    score = Score.of([True, None, True, False, None], [True, True, False, False, False])

    assert str(score) == "breaking 1/2 caught, harmless 1/3 passed, no answer 2"


def test_the_other_tools_are_pinned_and_nothing_of_them_runs_when_they_are_installed() -> None:
    folder = ROOT / "tools" / "gate_matrix" / "node"

    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]

    assert not [name for name, package in packages.items() if "resolved" in package]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert "ignore-scripts=true" in (folder / ".npmrc").read_text().splitlines()
