"""alembic: one migration at a time. Nothing breaks where that is no longer needed: no bound but the next major version.

While a command runs, what it works on is in variables of the module `alembic.context`, which two commands would
take from each other. Its documentation shows the module, and doesn't say that a process has only one.
"""

import asyncio
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def one_at_a_time() -> asyncio.Lock:
    """Held while this event loop runs a command; threads may not run commands at once."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
