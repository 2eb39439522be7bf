"""`orders.jsonl`: a line is an order, with a few words for the demo around it; a bad line is sent as it is.

`customer` names who orders (created at need), `member` makes that customer a member, `cancel` is "at_once" or
"when_confirmed", `idempotency_key` is the request's (else one of the line's own). All else is the request's body.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Cancel = Literal["at_once", "when_confirmed"]
GUEST = "guest"


@dataclass(frozen=True)
class OrderLine:
    """`body` is what POST /orders gets."""

    number: int
    body: bytes
    customer: str = GUEST
    is_member: bool = False
    idempotency_key: str | None = None
    cancel: Cancel | None = None

    def key(self, round_: int) -> str:
        """The Idempotency-Key; another one each time that the file is repeated."""
        name = self.idempotency_key or f"line-{self.number}"
        return name if round_ == 0 else f"{name}-{round_}"


def read_lines(path: Path) -> Sequence[OrderLine]:
    """Every line that isn't blank. Raises OSError; no line is refused here, that's the API's job."""
    lines = path.read_bytes().splitlines()
    return [_line(number, raw) for number, raw in enumerate(lines, start=1) if raw.strip()]


def repeated(lines: Sequence[OrderLine]) -> Iterator[tuple[int, OrderLine]]:
    """The lines over and over, with the number of the round."""
    round_ = 0
    while lines:
        yield from ((round_, line) for line in lines)
        round_ += 1


def _line(number: int, raw: bytes) -> OrderLine:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return OrderLine(number, raw)
    if not isinstance(content, dict):
        return OrderLine(number, raw)
    customer, key, cancel = (content.pop(name, None) for name in ("customer", "idempotency_key", "cancel"))
    return OrderLine(
        number=number,
        is_member=content.pop("member", None) is True,
        body=json.dumps(content).encode(),
        customer=_text(customer) or GUEST,
        idempotency_key=_text(key),
        cancel=cancel if cancel in ("at_once", "when_confirmed") else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() else None
