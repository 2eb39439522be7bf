"""What anybody may have sent, as text for a terminal."""

import base64

from outboxed.consuming import DeadLetter


def printable(value: object) -> str:
    """As one line: anybody may have sent what a record holds, and a terminal obeys control characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))


def text_of(raw: bytes | None) -> str:
    """Bytes as text, or in base64."""
    if raw is None:
        return "null"
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"base64 {base64.b64encode(raw).decode()}"


def position(letter: DeadLetter) -> str:
    """Where a record was, a row's id, or a task's key."""
    if letter.source == "event":
        return f"{letter.partition}/{letter.offset}"
    return f"row {letter.offset}" if letter.source == "outbox" else text_of(letter.key)
