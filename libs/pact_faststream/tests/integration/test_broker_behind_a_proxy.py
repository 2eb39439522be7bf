"""A broker as it stands in a company: below a path, behind a proxy, with a certificate of the company's own."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.broker_stand_in import create_app

from ..broker_commands import run
from ..broker_in_memory import InMemoryBroker, as_build, deployed, pact, published, verified

BELOW = "/pact-broker"


@dataclass
class Proxy:
    """Serves the broker below a path, and sends the path without its slash to that with it, as nginx does."""

    app: ASGIApp
    strips: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, raw = scope["path"], scope["raw_path"]
        if path == BELOW:
            await RedirectResponse(f"{BELOW}/", 301)(scope, receive, send)
        elif not path.startswith(f"{BELOW}/"):
            await HTMLResponse("<h1>Not found</h1>", 404)(scope, receive, send)
        elif self.strips:
            stripped = {"path": path.removeprefix(BELOW), "raw_path": raw.removeprefix(BELOW.encode())}
            await self.app({**scope, **stripped}, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass
class Picky:
    """Answers an address with an encoded slash itself, as Apache does without `AllowEncodedSlashes NoDecode`."""

    app: ASGIApp
    refused: bytes = b"%2F"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = HTMLResponse("<h1>Not Found</h1>", 404)
        await (page if self.refused in scope["raw_path"] else self.app)(scope, receive, send)


def broker_that_knows_its_path() -> ASGIApp:
    """Its links begin with the path, as with the broker's own PACT_BROKER_BASE_URL."""
    return Proxy(Starlette(routes=[Mount(BELOW, app=create_app())]), strips=False)


def broker_that_links_to_the_root() -> ASGIApp:
    return Proxy(create_app(), strips=True)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("make", [broker_that_knows_its_path, broker_that_links_to_the_root])
def test_a_broker_below_a_path_is_used_like_any_other(
    broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch, make: Callable[[], ASGIApp], slash: str
) -> None:
    broker.app = make()
    monkeypatch.setenv("PACT_BROKER_BASE_URL", f"{broker.url}{BELOW}{slash}")

    published(pact("payments", "orders"))
    verified("orders")
    deployed("orders")

    assert run("can-i-deploy", "payments").status == 0


@dataclass
class Elsewhere:
    """The broker under its name inside the company, to which its links lead; nobody outside knows that."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        inside = [*headers, (b"host", b"pact-broker.invalid:9292")]
        await self.app({**scope, "headers": inside}, receive, send)


def test_a_broker_whose_links_lead_elsewhere_is_asked_where_it_was_configured(broker: InMemoryBroker) -> None:
    """And so are the credentials sent."""
    broker.app = Elsewhere(broker.app)

    published(pact("payments", "orders"))
    verified("orders")
    deployed("orders")

    assert run("can-i-deploy", "payments").status == 0


def test_names_and_branches_may_have_spaces_slashes_and_other_signs(broker: InMemoryBroker) -> None:
    consumer, provider, branch = "web shop", "stock room+1", "feat/a b%c"
    published(pact(consumer, provider), branch=branch)
    verified(provider, branch=branch)
    deployed(provider)
    published(pact(consumer, provider), branch=branch)

    assert run("can-i-deploy", consumer).status == 0
    assert run("delete-branch", consumer, branch).out == f"deleted the branch {branch} of {consumer}\n"
    assert broker.writes[-1].startswith("DELETE /pacticipants/web shop/branches/")


def test_a_proxy_that_refuses_an_address_does_not_make_the_broker_know_nothing(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"), branch="feat/x")
    broker.app = Picky(broker.app)

    done = run("delete-branch", "payments", "feat/x")

    assert (done.status, done.out) == (1, "")
    assert done.err == (
        f"contracts: the Pact Broker at {broker.url} answered 404 Not Found to "
        "/pacticipants/payments/branches/feat%2Fx, but not as a Pact Broker does (it sent text/html; charset=utf-8): "
        "does a proxy before it refuse this address?\n"
    )


def test_nothing_to_verify_is_what_the_broker_says_and_nobody_else(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    broker.app = Picky(broker.app, refused=b"for-verification")

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "answered 404 Not Found to /pacts/provider/orders/for-verification, but not as" in done.err


def test_what_a_proxy_refuses_is_not_unknown_to_the_broker(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    as_build("1.0.0")
    run("create-environment", "production")
    broker.app = Picky(broker.app, refused=b"/versions/")

    done = run("can-i-deploy", "payments")

    assert "answered 404 Not Found to /pacticipants/payments/versions/1.0.0, but not as" in done.err


# --- a certificate of the company's own ---


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure_address(authority: trustme.CA) -> Iterator[str]:
    """Answers 503 over TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody reads it."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("broker")
def test_an_authority_that_nobody_trusts_is_told_with_the_way_to_trust_it(
    secure_address: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pact_faststream.broker.client.TRY_AGAIN_AFTER", ())
    monkeypatch.setenv("PACT_BROKER_BASE_URL", secure_address)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))

    untrusted = run("can-i-merge", "payments")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    trusted = run("can-i-merge", "payments")

    assert "can't be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in untrusted.err
    assert untrusted.err.endswith("; SSL_CERT_FILE names the authorities to trust\n")
    assert trusted.err.endswith("answered 503 Service Unavailable\n")
