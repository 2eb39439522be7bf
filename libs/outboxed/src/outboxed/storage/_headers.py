"""Raw headers in a column."""

import base64
import json
from collections.abc import Sequence

RawHeaders = Sequence[tuple[str, bytes | None]]


def dump_headers(headers: RawHeaders) -> bytes:
    """Raw headers as JSON: names and values may hold any bytes, even those that a text column refuses."""
    encoded = [[name, None if raw is None else base64.b64encode(raw).decode()] for name, raw in headers]
    return json.dumps(encoded).encode()


def load_headers(dumped: bytes) -> tuple[tuple[str, bytes | None], ...]:
    """The reverse of dump_headers."""
    return tuple((name, None if raw is None else base64.b64decode(raw)) for name, raw in json.loads(dumped))
