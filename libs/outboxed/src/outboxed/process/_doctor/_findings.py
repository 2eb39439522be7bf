"""What a look at one part found."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from outboxed.storage import reason_of

Verdict = Literal["ok", "warning", "failed"]
LOOK_SECONDS = 20.0
"""For one part as a whole; whatever takes longer doesn't answer."""


@dataclass(frozen=True)
class Finding:
    """`about` is the part, `do` what a person does about it; nothing for one that is ok."""

    about: str
    verdict: Verdict
    found: str
    do: str = ""


async def looked_at(about: str, look: Callable[[], Awaitable[Finding]], *, do: str) -> Finding:
    """What `look` finds; if it raises, that is the finding, with what to `do`."""
    try:
        return await look()
    except Exception as error:  # noqa: BLE001 - whatever keeps us from looking is what the person wants to know
        return Finding(about, "failed", reason_of(error), do)
