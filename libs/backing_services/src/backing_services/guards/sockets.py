"""No network in unit tests: an audit hook sees every connect, bind, datagram and look-up of Python's own socket module.

The hook costs nothing per test, unlike replacing `socket.socket`, and an early import can't bypass it. The hook doesn't
see code in C with sockets of its own (uvloop, librdkafka). `socketpair`, which asyncio needs, stays possible.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EVENTS = frozenset(
    f"socket.{use}"
    for use in ("connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")
)


class SocketBlockedError(RuntimeError):
    """A unit test was about to use the network. Not an OSError: code that retries those must not hide it."""


class _Guard:
    def __init__(self) -> None:
        self.installed = False
        self.blocking = False
        self.attempts: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        # without an address `sendmsg` goes where its socket is connected to: another use, or a socketpair
        if self.blocking and event in EVENTS and arguments[-1] is not None:
            attempt = f"{event} {arguments[-1] if event != 'socket.getaddrinfo' else arguments[:2]}"
            self.attempts.append(attempt)
            raise SocketBlockedError(message(attempt))


_guard = _Guard()


def message(attempt: str) -> str:
    return f"a unit test may open no socket ({attempt}): put a double at the boundary, or move it to tests/integration"


@contextmanager
def no_sockets() -> Iterator[list[str]]:
    """Raise SocketBlockedError at every use of the network inside; yields the attempts, swallowed ones too."""
    if not _guard.installed:
        sys.addaudithook(_guard)  # for the rest of the process: an audit hook can't be removed
        _guard.installed = True
    outer = _guard.blocking, _guard.attempts
    _guard.blocking, _guard.attempts = True, []
    try:
        yield _guard.attempts
    finally:
        _guard.blocking, _guard.attempts = outer


@contextmanager
def sockets_again() -> Iterator[None]:
    """Lift the guard inside, for fixtures that end after the last unit test but don't belong to it."""
    blocking, _guard.blocking = _guard.blocking, False
    try:
        yield
    finally:
        _guard.blocking = blocking
