"""A process whose clock is wrong: libfaketime in front of the C library's."""

import sys
from collections.abc import Mapping
from pathlib import Path

from backing_services.faults.unavailable import FaultError

PLACES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib*/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/*.so.1",
)


def skewed(seconds: float) -> Mapping[str, str]:
    """The environment of a process whose clock is so many seconds ahead, or behind if negative.

    Only the time of day is wrong; the monotonic clock is left alone, as NTP leaves a host's. Raises FaultError.
    """
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME": f"{seconds:+g}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _library() -> Path:
    if sys.platform != "linux":
        raise FaultError("a clock is set wrong by libfaketime, on Linux only")
    found = [path for place in PLACES for path in sorted(Path("/").glob(place.removeprefix("/")))]
    if not found:
        raise FaultError("no libfaketime here: install it (apt-get install libfaketime)")
    return found[0]
