"""Print how many breaking changes of schemas the gate and other tools refuse, and how many harmless ones they pass."""

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import typer
from asyncapi_gate import breaking_changes

from tools.gate_matrix.changes import Change, Form, changes, families
from tools.gate_matrix.others import Verdict, ask_others, at_components
from tools.gate_matrix.truth import Truth, truth_of, unread

SHORT = 12
"""The number of differences that are shown without being asked for."""
DOCUMENT: Mapping[str, Any] = {
    "info": {"title": "warehouse"},
    "channels": {"parcels": {"address": "parcels", "messages": {"shipped": {"$ref": "#/components/messages/shipped"}}}},
    "operations": {"send": {"action": "send", "channel": {"$ref": "#/channels/parcels"}}},
}


@dataclass(frozen=True)
class Score:
    """What one tool said about all changes."""

    caught: int
    breaking: int
    passed: int
    harmless: int
    unanswered: int

    @classmethod
    def of(cls, verdicts: Sequence[Verdict], truth: Sequence[bool]) -> "Score":
        pairs = list(zip(verdicts, truth, strict=True))
        return cls(
            caught=pairs.count((True, True)),
            breaking=truth.count(True),
            passed=pairs.count((False, False)),
            harmless=truth.count(False),
            unanswered=sum(verdict is None for verdict in verdicts),
        )

    def __str__(self) -> str:
        counts = f"breaking {self.caught}/{self.breaking} caught, harmless {self.passed}/{self.harmless} passed"
        return f"{counts}, no answer {self.unanswered}" if self.unanswered else counts


def main(
    *, verbose: Annotated[bool, typer.Option(help="Show every change on which the gate is wrong.")] = False
) -> None:
    """Exit with 1 if the gate passes a breaking change, or refuses more harmless ones than a tool that passes none."""
    asked = changes()
    with ThreadPoolExecutor() as pool:  # the others work in processes of their own
        answer = pool.submit(ask_others, asked)
        truths = [truth_of(change) for change in asked]
        useless = [problem for form in _forms() if (problem := unread(form))]
        others = answer.result()
    if useless:
        sys.exit("\n".join(useless))
    truth = [each.is_breaking for each in truths]
    in_models = sum(each.breaks_a_model for each in truths)
    print(f"{len(asked)} changes of {len(families())} kinds, {truth.count(True)} of them breaking; "
          f"{in_models} of those also for a pydantic model of the earlier form")  # fmt: skip
    scores = {name: Score.of(verdicts, truth) for name, verdicts in others.verdicts.items()}
    for name, score in scores.items():
        print(f"{name}: {score}")
    for name, why in others.missing.items():
        print(f"{name}: not asked: {why}")
    verdicts = [refused(change) for change in asked]
    _show(asked, verdicts, truths, verbose=verbose)
    ours = Score.of(verdicts, truth)
    print(f"gate-matrix: {ours}")
    if others.missing and "node" in os.environ.get("REQUIRE", ""):
        sys.exit(f"gate-matrix: REQUIRE={os.environ['REQUIRE']}, but some tools were not asked")
    rivals = [score.passed for score in scores.values() if score.caught == score.breaking]
    sys.exit(0 if ours.caught == ours.breaking and ours.passed >= max(rivals, default=0) else 1)


def refused(change: Change) -> bool:
    """Whether the gate refuses a change."""
    return bool(breaking_changes(_document(change.before), _document(change.after)))


def _forms() -> list[Form]:
    return [form for forms in families().values() for form in forms]


@cache
def _message() -> Mapping[str, Any]:
    return {"name": "parcel.shipped.v1", "headers": {}, "bindings": {"kafka": {"key": {"x-key-field": "it"}}}}


def _document(form: Form) -> Mapping[str, Any]:
    message = {**_message(), "payload": at_components(form.schema)}
    defined = at_components(form.schema.get("$defs", {}))
    return {**DOCUMENT, "components": {"messages": {"shipped": message}, "schemas": defined}}


def _show(asked: Sequence[Change], verdicts: Sequence[bool], truths: Sequence[Truth], *, verbose: bool) -> None:
    wrong = [
        f"passed, though {truth.witness} breaks readers: {change}"
        if truth.is_breaking
        else f"refused though harmless: {change}"
        for change, verdict, truth in zip(asked, verdicts, truths, strict=True)
        if verdict != truth.is_breaking
    ]
    wrong.sort()
    shown = wrong if verbose else wrong[:SHORT]
    for line in shown:
        print(f"  {line}")
    if len(shown) < len(wrong):
        print(f'  and {len(wrong) - len(shown)} more: ARGS="--verbose" shows all')


if __name__ == "__main__":
    typer.run(main)
