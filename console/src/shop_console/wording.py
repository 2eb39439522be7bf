"""How times and durations are written for a person."""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400


def duration(seconds: float | None) -> str:
    """`12 ms`, `3.4 s`, `5 min`, `2 h`, `3 d`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    raise AssertionError(seconds)


def clock(moment: datetime) -> str:
    """The time of day in UTC, with milliseconds."""
    return moment.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def day(moment: datetime) -> str:
    """The date and the time of day in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def printable(text: object) -> str:
    """As one line: anybody may have sent what a record holds, and a terminal obeys control characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))
