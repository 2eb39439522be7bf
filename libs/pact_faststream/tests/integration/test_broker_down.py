"""A broker that is down or isn't one: one clear line, at once, and nothing is begun."""

import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from pact_faststream.broker.client import TRY_AGAIN_AFTER

from ..broker_commands import run, set_only
from ..recorded_broker import SILENCE, Exchange, RecordedBroker, Request, recorded, recorded_broker

COMMANDS = [
    ("publish", "payments"),
    ("verify", "payments"),
    ("register-version", "payments"),
    ("can-i-merge", "payments"),
    ("can-i-deploy", "payments"),
    ("record-deployment", "payments"),
    ("record-undeployment", "payments"),
    ("record-release", "payments"),
    ("record-support-ended", "payments"),
    ("delete-branch", "payments", "feat/x"),
    ("create-environment", "test"),
    ("create-webhook", "payments"),
]
INDEX = Request("GET", "/")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a pact, and the environment of a build."""
    build = {"PACT_VERSION": "1.0.0", "PACT_BRANCH": "main", "WEBHOOK_URL": "https://ci.example"}
    set_only(monkeypatch, dict(os.environ), **build)
    monkeypatch.chdir(tmp_path)
    pact = tmp_path / "contracts/pacts/payments-orders.json"
    pact.parent.mkdir(parents=True)
    pact.write_text('{"consumer": {"name": "payments"}, "provider": {"name": "orders"}, "interactions": []}')
    monkeypatch.setattr("pact_faststream.broker.client.TRY_AGAIN_AFTER", (0,) * len(TRY_AGAIN_AFTER))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedBroker]:
    with recorded_broker() as broker:
        monkeypatch.setenv("PACT_BROKER_BASE_URL", broker.url)
        yield broker


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dribbling_address() -> Iterator[str]:
    """Begins an answer that never ends, one byte after the other."""
    ended = Event()

    def dribble(server: socket.socket) -> None:
        with suppress(OSError):  # the test ends, and nobody has come
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not ended.wait(0.02):
                    connection.send(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=dribble, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def refusing_address() -> Iterator[str]:
    """Bound, so that nobody else gets it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def process(*arguments: str, url: str) -> "subprocess.CompletedProcess[str]":
    """A real one; its limit leaves room for a busy machine, and none for the 64 s of the command line's own retries."""
    command = [sys.executable, "-m", "pact_faststream.broker", *arguments]
    environment = {**os.environ, "PACT_BROKER_BASE_URL": url, "PACT_BROKER_TIMEOUT": "0.5"}
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=20)  # noqa: S603


def test_a_silent_broker_is_told_at_once(silent_address: str) -> None:
    done = process("can-i-deploy", "payments", url=silent_address)

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"contracts: the Pact Broker at {silent_address} did not answer within 0.5 s (PACT_BROKER_TIMEOUT)\n"
    )


def test_a_broker_that_is_down_is_told_at_once(refusing_address: str) -> None:
    done = process("publish", "payments", url=refusing_address)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"contracts: the Pact Broker at {refusing_address} can't be reached: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["http://", "http://[", f"http://{'a' * 80}"], ids=["empty", "broken", "too long"])
def test_an_address_that_can_not_be_one_is_told_likewise(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PACT_BROKER_BASE_URL", url)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "can't be reached: " in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "socks"),
        ({"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,[::1]"}, "port"),
        ({"SSL_CERT_FILE": "/no/such"}, "No such file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_environment_that_leads_nowhere_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], reason: str
) -> None:
    for name, value in {"PACT_BROKER_BASE_URL": "https://broker.example", **variables}.items():
        monkeypatch.setenv(name, value)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "the environment says how to reach a server (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY" in done.err
    assert reason in done.err
    assert len(done.err.splitlines()) == 1


def test_an_answer_that_never_ends_is_silence_too(monkeypatch: pytest.MonkeyPatch, dribbling_address: str) -> None:
    monkeypatch.setenv("PACT_BROKER_TIMEOUT", "0.2")
    monkeypatch.setenv("PACT_BROKER_BASE_URL", dribbling_address)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "did not answer within 0.2 s" in done.err


def test_a_question_that_the_broker_never_answers_is_ended(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACT_BROKER_TIMEOUT", "0.2")
    broker.answer(Exchange(Request("GET", "/environments"), SILENCE))

    done = run("can-i-deploy", "payments")

    assert (done.status, done.out) == (1, "")
    assert done.err == f"contracts: the Pact Broker at {broker.url} stopped answering within 0.2 s\n"


def test_a_publication_that_the_broker_never_answers_is_unknown_rather_than_done(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACT_BROKER_TIMEOUT", "0.2")
    pact = Path("contracts/pacts/payments-orders.json")
    [exchange] = recorded("publish")
    [contract] = exchange.request.body["contracts"]
    pact.write_bytes(base64.b64decode(contract["content"]))
    [unknown] = recorded("record-unknown-version")
    broker.answer(replace(unknown, request=Request("GET", "/pacticipants/payments/versions/1.0.0")))
    broker.answer(Exchange(exchange.request, SILENCE))

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "stopped answering within 0.2 s; whether it heard is unknown, but doing it again does no harm" in done.err
    assert len(broker.writes) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_command_begins_with_a_broker_that_is_down(
    monkeypatch: pytest.MonkeyPatch, refusing_address: str, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PACT_BROKER_BASE_URL", refusing_address)

    done = run(*command)

    assert (done.status, done.out) == (1, "")
    assert "can't be reached" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_read_is_tried_again_and_a_write_is_not(broker: RecordedBroker) -> None:
    broker.answer(Exchange(INDEX, 503), Exchange(INDEX, 429), recorded("index")[0])
    environments = Request("GET", "/environments")
    broker.answer(Exchange(environments, 500), *recorded("no-environments"))
    [made] = recorded("create-test")
    broker.answer(replace(made, status=500, response=""))

    done = run("create-environment", "test")

    assert (done.status, done.out) == (1, "")
    assert "answered 500 Internal Server Error" in done.err
    assert [each.request.method for each in broker.received] == ["GET"] * 5 + ["POST", "GET"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_command_begins_with_a_broker_that_is_unavailable(broker: RecordedBroker, command: tuple[str, ...]) -> None:
    broker.replay("unavailable")

    done = run(*command)

    assert (done.status, done.out) == (1, "")
    assert done.err == f"contracts: the Pact Broker at {broker.url} answered 503 Service Unavailable\n"
    assert len(broker.received) == 1 + len(TRY_AGAIN_AFTER)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            Exchange(INDEX, 200, {"content-type": "text/html"}, "<h1>Welcome</h1>"),
            "is no Pact Broker (it sent text/html)",
        ),
        (Exchange(INDEX, 200, {"content-type": "application/json"}, "[]"), "is no Pact Broker"),
        (Exchange(INDEX, 200, {}, '{"_links": null}'), "is no Pact Broker"),
        (Exchange(INDEX, 200, {}, '{"_links": {"pb:environments": "/x"}}'), "is no Pact Broker"),
        (Exchange(INDEX, 200, {}, '{"_links": {}}'), "names no pb:environments"),
        (Exchange(INDEX, 200, {}, ""), "is no Pact Broker"),
        (Exchange(INDEX, 302, {"location": "/login?to=x"}), "sends elsewhere (302 Found, to /login): is there a login"),
        (Exchange(INDEX, 304), "answered 304 Not Modified"),
        (Exchange(INDEX, 404, {"content-type": "text/html"}, "<h1>"), "is no Pact Broker (404 Not Found, it sent text"),
        (Exchange(INDEX, 404, {}, '{"message": "no route"}'), "is no Pact Broker (404 Not Found, it sent no content"),
        (Exchange(INDEX, 500, {}, "<html>\n" * 100), "answered 500 Internal Server Error"),
    ],
    ids=[
        "html",
        "a list",
        "null",
        "a text",
        "no links",
        "empty",
        "login page",
        "nowhere",
        "no page",
        "no route",
        "error page",
    ],
)
def test_nonsense_is_told_in_one_line(broker: RecordedBroker, answer: Exchange, problem: str) -> None:
    broker.answer(answer)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert problem in done.err
    assert len(done.err.splitlines()) == 1
    assert not broker.writes


@pytest.mark.parametrize("nonsense", ["", "<html>", "[]", '{"_embedded": {"environments": [1]}}', "{}"])
def test_nonsense_after_a_good_index_is_told_in_one_line_too(broker: RecordedBroker, nonsense: str) -> None:
    broker.answer(Exchange(Request("GET", "/environments"), 200, {}, nonsense))

    done = run("can-i-deploy", "payments")

    assert (done.status, done.out) == (1, "")
    assert "answered nonsense, not a Environments" in done.err
    assert len(done.err.splitlines()) == 1


def test_several_lines_of_the_broker_become_one(broker: RecordedBroker) -> None:
    broker.answer(Exchange(Request("GET", "/environments"), 400, {}, '{"errors": ["this\\nand", "that"]}'))

    done = run("can-i-deploy", "payments")

    assert done.err == f"contracts: the Pact Broker at {broker.url} answered 400 Bad Request: this and; that\n"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            {"errors": {"name": ["is short", "is odd"], "url": ["is no address"]}},
            "name is short; name is odd; url is no",
        ),
        ({"errors": {"request": {"url": ["is no address"]}}}, "request.url is no address"),
        ({"errors": {"name": "is short"}}, "name is short"),
        ({"errors": ["Pacticipant x not found", "Pacticipant x not found"]}, "Pacticipant x not found\n"),
        ({"error": "Error parsing JSON"}, "Error parsing JSON"),
        (
            {"error": {"message": "It failed. The reference is abc", "reference": "abc"}},
            "It failed. The reference is abc\n",
        ),
        ({"title": "Server error", "status": 400, "detail": "It failed"}, "It failed\n"),
        (
            {"title": "Validation errors", "errors": [{"title": "Invalid", "detail": "name is short"}]},
            "name is short\n",
        ),
        ({"title": "Server error"}, "Server error\n"),
    ],
    ids=["fields", "nested", "one text", "list", "error", "failure", "problem", "problems", "title"],
)
def test_each_form_of_a_refusal_is_read(broker: RecordedBroker, refusal: object, told: str) -> None:
    broker.answer(Exchange(Request("GET", "/environments"), 400, {}, refusal))

    done = run("can-i-deploy", "payments")

    assert (done.status, done.out) == (1, "")
    assert f"answered 400 Bad Request: {told}" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("refusal", ["", "[]", '{"errors": null}', '{"errors": 1}', '{"error": {}}'])
def test_a_refusal_without_a_reason_is_a_status(broker: RecordedBroker, refusal: str) -> None:
    broker.answer(Exchange(Request("GET", "/environments"), 400, {}, refusal))

    assert run("can-i-deploy", "payments").err.endswith("answered 400 Bad Request\n")


def test_a_right_that_is_missing_is_no_wrong_password(broker: RecordedBroker) -> None:
    broker.answer(Exchange(Request("GET", "/environments"), 403, {}, {"error": "Only administrators may"}))

    done = run("can-i-deploy", "payments")

    assert done.err == (
        f"contracts: the Pact Broker at {broker.url} forbids this (403 Forbidden): Only administrators may: "
        "do the credentials give the right to do it?\n"
    )


def test_a_yes_is_nothing_but_true(broker: RecordedBroker) -> None:
    broker.replay("environments")
    [known, _] = recorded("record-deployment-again")
    broker.answer(replace(known, request=Request("GET", "/pacticipants/payments/versions/1.0.0")))
    [exchange] = recorded("can-i-deploy-yes")
    broker.answer(Exchange(exchange.request, 200, exchange.headers, '{"summary": {"deployable": "true"}}'))

    done = run("can-i-deploy", "payments")

    assert (done.status, done.out) == (1, "")
    assert "answered nonsense, not a Matrix" in done.err


def test_a_login_that_is_missing_is_told(broker: RecordedBroker) -> None:
    broker.replay("no-login")

    done = run("can-i-merge", "payments")

    assert done.status == 1
    assert "refuses the credentials (401 Unauthorized): check PACT_BROKER_TOKEN, or PACT_BROKER_USERNAME" in done.err


def test_a_token_at_a_broker_that_takes_none_is_told_and_not_shown(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.replay("token-at-basic-auth")
    monkeypatch.setenv("PACT_BROKER_TOKEN", "hush")

    done = run("can-i-merge", "payments")

    assert done.status == 1
    assert "refuses the token (400 Bad Request)" in done.err
    assert "hush" not in done.err


def test_the_line_is_the_same_without_settings() -> None:
    done = run("publish", "payments")

    assert (done.status, done.out) == (2, "")
    assert done.err == "contracts: PACT_BROKER_BASE_URL is not set: where is the Pact Broker?\n"
