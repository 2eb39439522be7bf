"""The ids of our events."""

import secrets
import time
from uuid import UUID

_FIXED = 0xF << 76 | 0b11 << 62
_VERSION_7 = 7 << 76 | 0b10 << 62


def new_event_id() -> str:
    """A UUID that begins with the time in milliseconds, so that an index of ids grows at one end.

    Random ids are spread over a whole index: each new one then touches a page that nobody has read for long.

    Source: RFC 9562, section 5.7, version 7, with 74 random bits. Python has it as `uuid.uuid7` from 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    bits = milliseconds << 80 | secrets.randbits(80)
    return str(UUID(int=bits & ~_FIXED | _VERSION_7))
