"""TCP ports on loopback."""

import socket


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that was free a moment ago. Another process may take it first: bind it soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Say whether nobody listens on this TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger don't count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
