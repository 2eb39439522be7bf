"""A FastStream handler behind an inbox: what it is given, and that it isn't called for what it has handled."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, get_type_hints

from sqlalchemy.ext.asyncio import async_scoped_session
from sqlalchemy.orm import scoped_session

from outboxed._logs import get_logger

log = get_logger()

MESSAGE = "outboxed_message"
"""The parameter by which FastStream gives a handler's message to the inbox."""

Sessions = Callable[[], Any]
"""A sessionmaker, an async_sessionmaker, or a generator that yields a session, as FastAPI's dependencies are."""
H = TypeVar("H", bound=Callable[..., Any])


class _Inbox(Protocol):
    async def new(self, session: Any, records: Sequence[Any], name: str) -> list[int]: ...
    def new_sync(self, session: Any, records: Sequence[Any], name: str) -> list[int]: ...


def records_of(message: Any) -> Sequence[Any]:
    """The records of a message of FastStream, of one record of aiokafka, or of a plain id."""
    raw = getattr(message, "raw_message", message)
    return raw if isinstance(raw, tuple | list) else (raw,)  # TestKafkaBroker has a batch as a list


def once(inbox: _Inbox, handler: H, *, sessions: Sessions | None, parameter: str, name: str | None) -> H:
    """See Inbox.once."""
    if not inspect.isfunction(handler):
        raise TypeError(f"put @inbox.once directly above the function, not above {type(handler).__name__}")
    if parameter not in inspect.signature(handler).parameters:
        raise TypeError(
            f"{handler.__qualname__} has no parameter {parameter!r}: what it writes must be in the inbox's transaction"
        )
    called = _Called(handler, parameter, gives_session=sessions is not None, has_message=_has_message(handler))
    inbox_name = name or f"{handler.__module__}.{handler.__qualname__}"
    wrap = _asynchronous if inspect.iscoroutinefunction(handler) else _synchronous
    wrapped: Any = functools.wraps(handler)(wrap(inbox, called, sessions, inbox_name))
    wrapped.__signature__ = called.signature()
    return wrapped  # type: ignore[no-any-return]  # a function with the handler's own parameters


def _asynchronous(inbox: _Inbox, called: "_Called", sessions: Sessions | None, name: str) -> Callable[..., Any]:
    open_session = None if sessions is None else opener_of(sessions)

    async def handle_once(*args: Any, **named: Any) -> Any:
        arguments, message = called.bound(args, named)
        records = records_of(message)
        if open_session is None:
            new = await inbox.new(_own(arguments[called.session]), records, name)
            return await called.handler(**called.of(arguments, new, records)) if new else None
        async with open_session() as session:
            new = await inbox.new(session, records, name)
            if not new:
                return None
            returned = await called.handler(**called.of({**arguments, called.session: session}, new, records))
            await session.commit()
            return returned

    return handle_once


def _synchronous(inbox: _Inbox, called: "_Called", sessions: Sessions | None, name: str) -> Callable[..., Any]:
    open_session = None if sessions is None else opener_of(sessions)

    def handle_once(*args: Any, **named: Any) -> Any:
        arguments, message = called.bound(args, named)
        records = records_of(message)
        if open_session is None:
            new = inbox.new_sync(_own(arguments[called.session]), records, name)
            return called.handler(**called.of(arguments, new, records)) if new else None
        with open_session() as session:
            new = inbox.new_sync(session, records, name)
            if not new:
                return None
            returned = called.handler(**called.of({**arguments, called.session: session}, new, records))
            session.commit()
            return returned

    return handle_once


def opener_of(sessions: Sessions) -> Callable[[], Any]:
    if inspect.isasyncgenfunction(sessions):
        return asynccontextmanager(sessions)
    if inspect.isgeneratorfunction(sessions):
        return contextmanager(sessions)
    return sessions


def _own(session: Any) -> Any:
    return session() if isinstance(session, async_scoped_session | scoped_session) else session


@dataclass
class _Called:
    """A handler, and how it is called."""

    handler: Callable[..., Any]
    session: str
    gives_session: bool
    has_message: bool
    warned: bool = False

    def signature(self) -> inspect.Signature:
        """What FastStream sees: without the session if the inbox gives it, with the message."""
        own = inspect.signature(self.handler)
        kept = [each for each in own.parameters.values() if not (self.gives_session and each.name == self.session)]
        if not self.has_message:
            from faststream import Context  # noqa: PLC0415 - the outbox is also for projects without FastStream

            annotation = Annotated[Any, Context("message")]
            message = inspect.Parameter(MESSAGE, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            at = next((at for at, each in enumerate(kept) if each.kind is inspect.Parameter.VAR_KEYWORD), len(kept))
            kept.insert(at, message)
        return own.replace(parameters=kept)

    def bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The handler's arguments by name, and FastStream's message."""
        arguments = dict(self.signature().bind(*args, **named).arguments)
        message = arguments.pop(MESSAGE, None)
        if message is None:
            message = next((each for each in arguments.values() if hasattr(each, "raw_message")), None)
        if message is None:
            raise TypeError(f"{self.handler.__qualname__} was called without a message of FastStream")
        self._warn_if_lost(message)
        return arguments, message

    def of(self, arguments: dict[str, Any], new: Sequence[int], records: Sequence[Any]) -> dict[str, Any]:
        """The arguments with what is new alone."""
        if len(new) == len(records):
            return arguments
        chosen = {
            name: [value[place] for place in new]
            for name, value in arguments.items()
            if isinstance(value, list | tuple) and len(value) == len(records)
        }
        if not chosen:
            raise TypeError(f"{self.handler.__qualname__} gets a batch: it needs a list of its events as a parameter")
        return arguments | chosen

    def _warn_if_lost(self, message: Any) -> None:
        if getattr(message, "committed", None) and not self.warned:
            self.warned = True
            log.warning(
                "inbox_offsets_are_committed_first",
                handler=self.handler.__qualname__,
                remedy="a crash loses the message: give the subscriber ack_policy=AckPolicy.NACK_ON_ERROR",
            )


def _has_message(handler: Callable[..., Any]) -> bool:
    try:
        kinds = get_type_hints(handler).values()
    except NameError:  # a name that exists while types are checked alone
        return False
    return any(inspect.isclass(kind) and hasattr(kind, "ack") and hasattr(kind, "nack") for kind in kinds)
