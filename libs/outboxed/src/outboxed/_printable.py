"""Dead letters for a terminal, where anybody may have sent what they hold; and what a person types to edit one."""

import base64
import sys
from collections.abc import Sequence
from pathlib import Path

from outboxed.storage import Content, DeadLetter, Edit


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


def lines_of(letter: DeadLetter) -> Sequence[tuple[str, object]]:
    """All of a letter, a name and a value a line; it may hold personal data."""
    lines: list[tuple[str, object]] = [
        ("id", letter.id),
        ("source", letter.source),
        ("status", letter.status),
        ("topic or task", letter.topic),
        ("position", position(letter)),
        ("failed at", letter.failed_at.isoformat()),
        ("reason", letter.reason),
    ]
    if letter.edited_at is None:
        return [*lines, *_content_lines(letter.original)]
    original = [(f"original {name}", value) for name, value in _content_lines(letter.original)]
    return [*lines, ("edited at", letter.edited_at.isoformat()), *_content_lines(letter.content), *original]


def object_of(letter: DeadLetter) -> dict[str, object]:
    """A letter for JSON, without what a record holds, which may be personal data."""
    return {
        "id": letter.id,
        "source": letter.source,
        "status": letter.status,
        "type": letter.type,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": text_of(letter.key),
        "failed_at": letter.failed_at.isoformat(),
        "edited_at": letter.edited_at and letter.edited_at.isoformat(),
        "reason": letter.reason,
    }


def edit_of(key: str | None, value: str | None, headers: Sequence[str], removed_headers: Sequence[str]) -> Edit:
    """What a person typed: `value` is a file or -, a header is NAME=VALUE. Raises ValueError with what is wrong."""
    if key is None and value is None and not headers and not removed_headers:
        raise ValueError("nothing to change: give --key, --value, --header or --remove-header")
    return Edit(
        key=None if key is None else key.encode(),
        value=None if value is None else _read(value),
        headers=dict(_parse_header(each) for each in headers),
        removed_headers=removed_headers,
    )


def _content_lines(content: Content) -> list[tuple[str, object]]:
    headers = [(f"header {name}", text_of(value)) for name, value in content.headers]
    return [("key", text_of(content.key)), *headers, ("value", text_of(content.value))]


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"can't read {path}: {error.strerror}") from None


def _parse_header(text: str) -> tuple[str, bytes]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ValueError(f"--header must be NAME=VALUE, not {text!r}")
    return name, value.encode()
