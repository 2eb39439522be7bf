"""What a client and PostgreSQL say to each other, read from the bytes between them: statements, transactions, turns.

Source: PostgreSQL's documentation, "Message Formats" of its frontend/backend protocol 3.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
ASKS_FOR_ENCRYPTION = {SSL_REQUEST, GSS_REQUEST}
HEADER = 5
SUSPENDED = "suspended"
ENDS_IN_A_ROLLBACK = "ROLLBACK"
NO_TRANSACTION = b"I"


@dataclass(frozen=True)
class Statement:
    """Its text, and the server's word for what it did, such as `SELECT 1` or `UPDATE 0`."""

    text: str
    outcome: str


@dataclass(frozen=True)
class Transaction:
    """Its statements, BEGIN and COMMIT among them, and how often the client waited for an answer.

    Without statements it is a statement that was only prepared.
    """

    statements: tuple[Statement, ...]
    round_trips: int
    committed: bool


class Messages:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def take(self) -> Iterator[tuple[int, bytes]]:
        """The messages that are whole: their types and contents."""
        buffer, at = self.buffer, 0
        while len(buffer) - at >= HEADER:
            end = at + 1 + int.from_bytes(buffer[at + 1 : at + HEADER])
            if len(buffer) < end:
                break
            yield buffer[at], bytes(buffer[at + HEADER : end])
            at = end
        del buffer[:at]

    def take_startup(self) -> int | None:
        """The code of a message without a type, once it is whole."""
        length = int.from_bytes(self.buffer[:4])
        if len(self.buffer) < max(length, 8):
            return None
        code = int.from_bytes(self.buffer[4:8])
        del self.buffer[:length]
        return code


class Conversation:
    """One connection. `ended(transaction)` hears of each transaction when the server says that it is over."""

    def __init__(self, ended: Callable[[Transaction], None]) -> None:
        self._ended = ended
        self._client, self._server = Messages(), Messages()
        self._has_started = self._is_ready = False
        self._awaits_encryption = False
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._running: deque[str | None] = deque()
        """The texts of statements whose outcome is to come; None is where the client waits for the server."""
        self._statements: list[Statement] = []
        self._round_trips = 0
        self._has_failed = False

    def client_sent(self, data: bytes) -> None:
        """Read what the client sent."""
        self._client.buffer += data
        while not self._has_started:
            code = self._client.take_startup()
            if code is None:
                return
            self._awaits_encryption = code in ASKS_FOR_ENCRYPTION
            self._has_started = not self._awaits_encryption
        for kind, content in self._client.take():
            self._read_request(kind, content)

    def server_sent(self, data: bytes) -> None:
        """Read what the server sent."""
        if self._awaits_encryption:  # one byte that says no; the connections of a measurement aren't encrypted
            self._awaits_encryption, data = False, data[1:]
        self._server.buffer += data
        for kind, content in self._server.take():
            self._read_answer(kind, content)

    def _read_request(self, kind: int, content: bytes) -> None:
        match chr(kind):
            case "P":
                name, text, _ = content.split(b"\0", 2)
                self._prepared[name] = text.decode()
            case "B":
                portal, name, _ = content.split(b"\0", 2)
                self._portals[portal] = self._prepared.get(name, "")
            case "E":
                self._running.append(self._portals.get(content.partition(b"\0")[0], ""))
            case "Q":
                self._running.extend(part for part in content[:-1].decode().split(";") if part.strip())
                self._running.append(None)
                self._round_trips += 1
            case "S":
                self._running.append(None)
                self._round_trips += 1
            case "H":
                self._round_trips += 1

    def _read_answer(self, kind: int, content: bytes) -> None:
        match chr(kind):
            case "C":
                self._finish(content[:-1].decode())
            case "s":
                self._finish(SUSPENDED)
            case "I":
                self._finish("")
            case "E":
                self._has_failed = True
            case "Z":
                self._skip_what_had_no_outcome()
                if content == NO_TRANSACTION:
                    self._end_transaction()

    def _finish(self, outcome: str) -> None:
        text = self._running.popleft() if self._running and self._running[0] is not None else None
        self._statements.append(Statement(text or "", outcome))

    def _skip_what_had_no_outcome(self) -> None:
        """After an error the server skips statements; and a semicolon in a text needn't end a statement."""
        while self._running and self._running.popleft() is not None:
            pass

    def _end_transaction(self) -> None:
        statements, round_trips, failed = tuple(self._statements), self._round_trips, self._has_failed
        self._statements, self._round_trips, self._has_failed = [], 0, False
        if not self._is_ready:
            self._is_ready = True  # the start of the connection is no transaction
            return
        rolled_back = failed or bool(statements and statements[-1].outcome == ENDS_IN_A_ROLLBACK)
        self._ended(Transaction(statements, round_trips, committed=bool(statements) and not rolled_back))
