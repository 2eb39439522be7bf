"""All that is known of a run when it is over: what was answered, what was injected, and what the ledgers hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from outboxed.messages import Record
from outboxed.testing.topic_log import Position
from shop_harness.ledgers import Snapshot

from tools.faults.customers import Placed

Letter = tuple[str, str, object]
"""Of a record: group, "event" and its position. Of a task: service, "task" and its key."""


@dataclass(frozen=True)
class Cut:
    """A moment at which an e-mail may have been under way and not yet recorded."""

    begun: datetime
    ended: datetime


@dataclass
class Injected:
    """What the faults did that the ledgers have to show, or must not."""

    letters: set[Letter] = field(default_factory=set)
    made_up: set[Position] = field(default_factory=set)
    """Records that no service sent: poison and odd ones. Copies are not among them."""
    repairs: dict[Letter, bytes] = field(default_factory=dict)
    """What the value of a letter's record would have to be."""
    cuts: list[Cut] = field(default_factory=list)
    kills: int = 0
    died_alone: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Evidence:
    """At rest. ``charges`` are all that the gateway ever made, as (id, order), refunded since or not."""

    placed: Mapping[str, Placed]
    answers_broken: Sequence[str]
    repeated: int
    injected: Injected
    refused: Sequence[str]
    snapshot: Snapshot
    charges: Sequence[tuple[str, str]]
    records: Sequence[Record]
    letters: Sequence[Letter]
    inboxes: Mapping[str, set[str]]
    outbox: int
    lag: Mapping[str, int]


def charges_of(ledger: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every charge in the gateway's ledger that succeeded."""
    return [
        (entry["id"], entry["reference"])
        for entry in ledger["entries"]
        if entry["operation"] == "charge" and entry["outcome"] == "succeeded"
    ]
