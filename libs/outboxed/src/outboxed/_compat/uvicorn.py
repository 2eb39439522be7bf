"""uvicorn: a server that leaves the process's signals alone. Bound: `uvicorn<0.55`.

uvicorn's handler ends the process with status 143, although all roles have stopped in order. No setting turns the
handler off (https://github.com/Kludex/uvicorn/issues/526), so `Server.capture_signals` is overridden.
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
