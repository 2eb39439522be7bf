"""alembic: one migration at a time. Bound: the next major version, since the lock does no harm when it isn't needed.

A command keeps its state in variables of the module `alembic.context`, so two commands at once would mix their states.
alembic's documentation shows the module, but doesn't say that a process has only one such state.
"""

import asyncio
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def one_at_a_time() -> asyncio.Lock:
    """The lock to hold while a command runs on this event loop; commands must not run in several threads at once."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
