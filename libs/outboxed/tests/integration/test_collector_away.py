"""A collector that doesn't answer keeps no process from its work or its end."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from outboxed._exporting import LAST_SPANS_SECONDS

CODE = """
import time
from outboxed._exporting import exported_spans
from outboxed.telemetry import continued_trace
with exported_spans("bank"):
    begun = time.monotonic()
    for _ in range(5000):  # more than the queue has room for
        with continued_trace("x", None):
            pass
    worked = time.monotonic()
print(time.monotonic() - worked)
"""
MORE = 1.0
"""Seconds that a busy machine may add."""


@pytest.fixture(params=["refuses", "is silent"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "refuses":
            server.close()
        yield f"http://127.0.0.1:{port}"


def test_a_process_ends_soon_after_its_work(endpoint: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", CODE],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert float(done.stdout) < LAST_SPANS_SECONDS + MORE
