"""The durable, append-only ledger: the only memory that the gateway has. Nothing in it is ever changed or removed."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4


class Operation(StrEnum):
    CHARGE = "charge"
    REFUND = "refund"


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    UNAVAILABLE = "unavailable"
    KEY_REFUNDED = "key_refunded"
    KEY_REUSED = "key_reused"
    REFUNDED = "refunded"
    NOTHING_TO_REFUND = "nothing_to_refund"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. A refund of nothing has no reference, amount and currency; no refund has a payment method."""

    operation: Operation
    idempotency_key: str
    outcome: Outcome
    reference: str | None = None
    amount: str | None = None
    currency: str | None = None
    payment_method: str | None = None
    id: str = field(default_factory=lambda: uuid4().hex)
    at: str = field(default_factory=_now)


_COLUMNS = ", ".join(column.name for column in fields(Entry))
_SELECT = f"SELECT {_COLUMNS} FROM entries"  # noqa: S608 - the names are the dataclass's own
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES ({', '.join('?' * len(fields(Entry)))})"  # noqa: S608 - the same
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reference TEXT,
    amount TEXT,
    currency TEXT,
    payment_method TEXT,
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_key ON entries (idempotency_key);
CREATE INDEX IF NOT EXISTS entries_by_reference ON entries (reference);
CREATE TRIGGER IF NOT EXISTS entries_are_never_changed BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_never_removed BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


class Ledger:
    """Entries in an SQLite file, or in memory for `:memory:`; a new process on the same file goes on where it ended.

    In WAL mode a commit survives the kill of the process without an fsync a charge; only a power cut may lose the last.
    """

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Check and append as one step, alone in the file: there is no await inside, and a second process waits."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def append(self, entry: Entry) -> Entry:
        self._connection.execute(_INSERT, astuple(entry))
        return entry

    def entries(self) -> list[Entry]:
        """All of them, in the order in which they were decided."""
        return self._entries(f"{_SELECT} ORDER BY sequence")

    def of_key(self, idempotency_key: str) -> list[Entry]:
        return self._entries(f"{_SELECT} WHERE idempotency_key = ? ORDER BY sequence", idempotency_key)

    def of_reference(self, reference: str) -> list[Entry]:
        return self._entries(f"{_SELECT} WHERE reference = ? ORDER BY sequence", reference)

    def _entries(self, query: str, *parameters: str) -> list[Entry]:
        return [
            Entry(Operation(operation), key, Outcome(outcome), *rest)
            for operation, key, outcome, *rest in self._connection.execute(query, parameters)
        ]
