"""Who records spans: the provider that this process has set, whoever set it. Without one a span is only its ids."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from outboxed._conventions import ERROR_TYPE, SCHEMA_URL
from outboxed._extras import loaded
from outboxed.messages import reason_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

_in_a_block: list["TracerProvider"] = []
_known: tuple[object, "Tracer | None"] = (None, None)


def tracer() -> "Tracer | None":
    """What makes spans that are recorded; None while nobody has set a provider that does.

    Nobody can have set one without having imported OpenTelemetry, and none is made here.
    """
    global _known  # noqa: PLW0603 - a provider makes its tracer in ten times the time of a look
    api: Any = loaded("opentelemetry.trace")
    if api is None:
        return None
    provider = _in_a_block[-1] if _in_a_block else api.get_tracer_provider()
    if _known[0] is not provider:
        _known = provider, _of(api, provider)
    return _known[1]


def _of(api: Any, provider: Any) -> "Tracer | None":
    if isinstance(provider, api.ProxyTracerProvider):
        return None
    found = provider.get_tracer("outboxed", metadata.version("outboxed"), SCHEMA_URL)
    return None if isinstance(found, api.NoOpTracer) else found


def fail(span: "Span", error: BaseException | str, description: str | None = None) -> None:
    """Say on a span that it failed: by an error, or with a code. The description is the error's reason unless given."""
    if not span.is_recording():
        return
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - a span that records has imported it

    if isinstance(error, BaseException):
        of = type(error)
        description = description or reason_of(error)
        error = of.__qualname__ if of.__module__ == "builtins" else f"{of.__module__}.{of.__qualname__}"
    if description is not None:  # half a character, as JSON may have, can't be sent: all spans beside it would be lost
        description = description.encode(errors="replace").decode()
    span.set_attribute(ERROR_TYPE, error)
    span.set_status(Status(StatusCode.ERROR, description))


@contextmanager
def recorded_by(provider: "TracerProvider") -> Iterator[None]:
    """For tests: this provider records in the block, and not the process's, which can be set only once."""
    _in_a_block.append(provider)
    try:
        yield
    finally:
        _in_a_block.remove(provider)
