import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from backing_services.processes import free_port
from outboxed.healthcheck import problem


class Answers(BaseHTTPRequestHandler):
    """The path names the status, such as /503."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.end_headers()
        self.wfile.write(b'{"reason": "the database does not answer"}')

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def healthcheck(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outboxed.healthcheck", url]
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command


@pytest.mark.parametrize("status", [200, 204])
def test_a_service_that_answers_is_healthy_and_nothing_is_said(server: str, status: int) -> None:
    done = healthcheck(f"{server}/{status}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("status", [302, 404, 503])
def test_any_other_answer_is_unhealthy_and_its_reason_is_passed_on(server: str, status: int) -> None:
    done = healthcheck(f"{server}/{status}")

    assert done.returncode == 1
    assert done.stderr == f'{status} {{"reason": "the database does not answer"}}\n'


def test_a_service_that_does_not_answer_is_unhealthy_in_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}/health/live"

    done = healthcheck(url)

    assert done.returncode == 1
    assert done.stderr == f"{url}: [Errno 111] Connection refused\n"


def test_a_service_that_hangs_is_unhealthy_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.healthcheck.TIMEOUT_SECONDS", 0.05)

    with ThreadPoolExecutor() as pool, socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/health/live"
        told = pool.submit(problem, url).result(timeout=20)

    assert told == f"{url}: timed out"
