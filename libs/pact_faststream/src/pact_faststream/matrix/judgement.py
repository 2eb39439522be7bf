"""How good a contract is: whether Pact passes those mutants of a real message that the consumer can handle."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pact import Pact, Verifier

from pact_faststream._compat.pact import found_by, message_asked
from pact_faststream.callbacks import MESSAGE, Reply, message, served
from pact_faststream.matrix.mutants import Mutant, mutants_of
from pact_faststream.metadata import metadata_of, texts_of
from pact_faststream.records import OutboxRecord, WireRecord, wire

Handle = Callable[[WireRecord], Awaitable[object]]
"""Gives a record to the consumer's real subscriber with a fresh state, and returns the state afterwards."""


@dataclass(frozen=True)
class Style:
    """One way to write a contract of a message, as an interaction (a part of a pact file)."""

    name: str
    interaction: Mapping[str, Any]

    @classmethod
    def checked_in(cls, name: str, pact_file: Path, description: str) -> "Style":
        """The interaction `description` of a pact file."""
        interactions = json.loads(pact_file.read_text())["interactions"]
        [found] = [each for each in interactions if each["description"] == description]
        return cls(name, found)

    @classmethod
    def written(cls, name: str, body: Any, metadata: Mapping[str, str]) -> "Style":
        """An interaction that is written by hand, with Pact's matchers in the body."""
        with tempfile.TemporaryDirectory() as folder:
            pact = Pact("consumer", "provider").with_specification("V4")
            pact.upon_receiving("a message", "Async").with_body(body, "application/json").with_metadata(dict(metadata))
            pact.write_file(folder)
            [path] = Path(folder).glob("*.json")
            [interaction] = json.loads(path.read_text())["interactions"]
        return cls(name, interaction)


@dataclass(frozen=True)
class Subject:
    """One message between two services: the message as sent, how it is handled, and the contracts to judge."""

    consumer: str
    provider: str
    sent: OutboxRecord
    handle: Handle
    styles: Sequence[Style]
    enums: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The subject's name, for a person."""
        return f"{self.consumer} <- {self.provider} {texts_of(wire(self.sent), 'ce_type')[0]}"


@dataclass(frozen=True)
class Verdict:
    """One mutant: whether it breaks the consumer, and which styles pass it."""

    mutant: str
    breaking: bool
    passes: Mapping[str, bool]


@dataclass(frozen=True)
class Score:
    """The counts of one style over some verdicts."""

    caught: int
    breaking: int
    passed: int
    compatible: int

    @classmethod
    def of(cls, style: str, verdicts: Sequence[Verdict]) -> "Score":
        """Count."""
        breaking = [verdict for verdict in verdicts if verdict.breaking]
        compatible = [verdict for verdict in verdicts if not verdict.breaking]
        return cls(
            sum(not verdict.passes[style] for verdict in breaking),
            len(breaking),
            sum(verdict.passes[style] for verdict in compatible),
            len(compatible),
        )

    def __str__(self) -> str:
        return f"breaking {self.caught}/{self.breaking} caught, compatible {self.passed}/{self.compatible} passed"


async def judge(subject: Subject) -> Sequence[Verdict]:
    """Judge every mutant of the subject's message. Raises AssertionError if the unchanged message fails."""
    original = Mutant("the message itself", wire(subject.sent))
    mutants = mutants_of(subject.sent, enums=subject.enums)
    expected = await subject.handle(original.record)
    for style in subject.styles:
        if await asyncio.to_thread(_passes, style, [original]) == [False]:
            raise AssertionError(f"{subject.name}: the style {style.name!r} fails the message itself")
    passes = {style.name: await asyncio.to_thread(_passes, style, mutants) for style in subject.styles}
    return [
        Verdict(
            mutant.name,
            breaking=not await _does_its_job(subject, mutant, expected),
            passes={name: passed[number] for name, passed in passes.items()},
        )
        for number, mutant in enumerate(mutants)
    ]


async def _does_its_job(subject: Subject, mutant: Mutant, expected: object) -> bool:
    try:
        return await subject.handle(mutant.record) == expected
    except Exception:  # noqa: BLE001 - after any error the job isn't done
        return False


def _passes(style: Style, mutants: Sequence[Mutant]) -> Sequence[bool]:
    """One verification for all mutants: the pact has the interaction once for each of them."""
    interactions = [_numbered(style.interaction, number) for number in range(len(mutants))]
    document = {
        "consumer": {"name": "c"},
        "provider": {"name": "p"},
        "interactions": interactions,
        "metadata": SPECIFIED,
    }

    def answer(request: Mapping[str, Any]) -> Reply:
        description, _ = message_asked(request)
        return _sent(mutants[int(description)].record)

    with tempfile.TemporaryDirectory() as folder, served({MESSAGE: answer}) as port:
        path = Path(folder) / "pact.json"
        path.write_text(json.dumps(document))
        verifier = Verifier("p", host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        with suppress(RuntimeError):  # some mutants are meant to fail
            verifier.add_source(path).verify()
        ok = {int(found.description): not found.mismatches for found in found_by(verifier)}
    return [ok[number] for number in range(len(mutants))]


SPECIFIED = {"pactSpecification": {"version": "4.0"}}


def _numbered(interaction: Mapping[str, Any], number: int) -> dict[str, Any]:
    copied = deepcopy(dict(interaction))
    copied.pop("key", None)
    return {**copied, "description": str(number)}


def _sent(record: WireRecord) -> Reply:
    """A record as most readers take it: without unreadable headers, and with the first of two.

    A pact alone is judged here; verify_provider refuses a contracted header that is there twice before Pact sees it.
    """
    headers: dict[str, str] = {}
    for name, raw in record.headers:
        with suppress(UnicodeDecodeError):
            if raw is not None:
                headers.setdefault(name, raw.decode())
    key, value = (record.key or b"").decode(errors="replace"), record.value or b""
    return message(value, {**headers, **metadata_of(record.topic, key, value, headers)})
