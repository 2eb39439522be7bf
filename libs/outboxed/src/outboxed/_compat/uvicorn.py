"""uvicorn: a server that leaves the process's signals alone. Bound: `uvicorn<0.55`.

Its own handling ends the process with 143, though all roles have stopped in order. There is no setting for it
(https://github.com/Kludex/uvicorn/issues/526), so `Server.capture_signals` is overridden.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class Server(uvicorn.Server):
    """Runs until its `should_exit` is set."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See the module's docstring."""
        yield
