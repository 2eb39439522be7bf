"""What a plain FastStream publisher, or a plain function, sends: an outbox for verify_provider, where there is none."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from faststream import BaseMiddleware
from pydantic_core import to_json

from pact_faststream.records import SentRecord


class Sent:
    """The records that were sent so far, oldest first; give it to verify_provider as `outbox`."""

    def __init__(self) -> None:
        self._records: list[SentRecord] = []

    async def __call__(self) -> Sequence[SentRecord]:
        """All of them."""
        return tuple(self._records)

    @contextmanager
    def by(self, broker: Any) -> Iterator[None]:
        """Keep what a FastStream broker for Kafka, or one of its publishers, publishes inside the block.

        The broker is under TestKafkaBroker, or connected; its own publishing goes on. Values are encoded as FastStream
        encodes them by default: bytes as they are, text in UTF-8, all else as JSON.
        """
        kept = self._records
        is_open = True

        class Keeping(BaseMiddleware[Any, Any]):
            async def publish_scope(self, call_next: Callable[[Any], Awaitable[Any]], cmd: Any) -> Any:
                if is_open:
                    bodies = getattr(cmd, "batch_bodies", (cmd.body,))
                    kept.extend(_record(body, cmd.destination, cmd.key, cmd.headers or {}) for body in bodies)
                return await call_next(cmd)

        broker.add_middleware(Keeping)
        try:
            yield
        finally:
            is_open = False

    def returned(
        self,
        function: Callable[..., Any],
        *,
        topic: str,
        key: Callable[[Any], object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Callable[..., Awaitable[None]]:
        """A use case of a function that returns its message: for `asked`, or as a variant.

        `key` gives a message's key. The rest of the record is what you give here: it shows nothing of the code that
        sends, so use `by` where there is such code.
        """

        @wraps(function)
        async def use_case(*args: Any, **named: Any) -> None:
            made = function(*args, **named)
            message = await made if inspect.isawaitable(made) else made
            self._records.append(_record(message, topic, key(message) if key else None, headers or {}))

        return use_case


def _record(body: Any, topic: str, key: object, headers: Mapping[str, Any]) -> SentRecord:
    value, content_type = _encoded(body)
    told = {"content-type": content_type, **{name: str(text or "") for name, text in headers.items()}}
    raw_key = key if isinstance(key, bytes) or key is None else str(key).encode()
    return SentRecord(topic, raw_key, value, [(name, text.encode()) for name, text in told.items()])


def _encoded(body: Any) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, ""
    if isinstance(body, str):
        return body.encode(), "text/plain"
    return to_json(body), "application/json"
