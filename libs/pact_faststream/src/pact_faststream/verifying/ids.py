"""The ids of events: two events never share one, because consumers take the second for a copy of the first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pact_faststream.metadata import texts_of
from pact_faststream.records import WireRecord


class RepeatedIdError(ValueError):
    """Two records have one id, so that a consumer drops the second."""


@dataclass
class Ids:
    """The ids of all records so far."""

    known: dict[str, list["_Identified"]] = field(default_factory=dict)
    writes: int = 0

    def add(self, written: Sequence[WireRecord]) -> None:
        """Add what one use case wrote. Raises RepeatedIdError."""
        self.writes += 1
        for record in written:
            new = _Identified(record.topic, record.key, next(iter(texts_of(record, "ce_type")), ""), self.writes)
            for ce_id in texts_of(record, "ce_id"):
                others = self.known.setdefault(ce_id, [])
                for other in others:
                    if not new.may_share_an_id_with(other):
                        raise RepeatedIdError(
                            f"the ce_id {ce_id!r} of {new.type} was that of another record, of {other.type}: consumers "
                            "drop the second one"
                        )
                others.append(new)


@dataclass(frozen=True)
class _Identified:
    """A record that has an id, and the number of the use case that wrote it."""

    topic: str
    key: bytes | None
    type: str
    write: int

    def may_share_an_id_with(self, other: "_Identified") -> bool:
        """Whether one is the other, asked for again, or both are versions of one fact: types that end in `.v2`."""
        if (self.topic, self.key) != (other.topic, other.key):
            return False
        if self.type == other.type:
            return self.write != other.write
        return self.write == other.write and _unversioned(self.type) == _unversioned(other.type)


def _unversioned(type_: str) -> str:
    return re.sub(r"[._-]?v[0-9]+$", "", type_)
