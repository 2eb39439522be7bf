"""The stand-in of the Pact Broker, with faults, and with what other teams did before."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import Revision
from pact_faststream.broker.settings import load_settings
from pact_faststream.broker.source import chosen_pacts, publish_results
from pact_faststream.sources import Interaction, Result
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.broker_stand_in import create_app

from .broker_commands import Run, run

STATE = "an order is placed"


@dataclass
class InMemoryBroker:
    """An ASGI app. `faults` has the statuses that are answered, one after the other, to a path that ends so."""

    url: str = ""
    app: ASGIApp = field(default_factory=create_app)
    faults: dict[str, list[int]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def empty(self, *, may_write: bool = True) -> None:
        self.app, self.faults = create_app(may_write=may_write), {}
        self.writes.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if method != "GET" and not path.endswith("for-verification"):
            self.writes.append(f"{method} {path}")
        for end, statuses in self.faults.items():
            if path.endswith(end) and statuses:
                await Response(status_code=statuses.pop(0))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}").raise_for_status().json()


def as_build(version: str, branch: str = "main") -> None:
    """Whose commands follow. The fixture `broker` restores both."""
    os.environ.update(PACT_VERSION=version, PACT_BRANCH=branch)


def pact(consumer: str, provider: str, *fields: str) -> Mapping[str, Any]:
    """A consumer that reads some fields of one message."""
    content = dict.fromkeys(fields or ("order_id",), "x")
    interaction = {
        "type": "Asynchronous/Messages",
        "description": "an order was placed",
        "providerStates": [{"name": STATE}],
        "contents": {"content": content, "contentType": "application/json", "encoded": False},
        "metadata": {"contentType": "application/json"},
        "matchingRules": {
            "body": {f"$.{name}": {"combine": "AND", "matchers": [{"match": "type"}]} for name in content}
        },
    }
    return {
        "consumer": {"name": consumer},
        "provider": {"name": provider},
        "interactions": [interaction],
        "metadata": {"pactSpecification": {"version": "4.0"}},
    }


def write_pacts(*pacts: Mapping[str, Any]) -> None:
    """These and no others; in a test's own folder only."""
    assert not Path(".git").exists()
    folder = Path("contracts/pacts")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for each in pacts:
        (folder / f"{each['consumer']['name']}-{each['provider']['name']}.json").write_text(json.dumps(each))


def published(*pacts: Mapping[str, Any], version: str = "1.0.0", branch: str = "main") -> None:
    """A consumer's build has published these."""
    as_build(version, branch)
    write_pacts(*pacts)
    assert run("publish", pacts[0]["consumer"]["name"]).status == 0


def verified(provider: str, version: str = "1.0.0", branch: str = "main", breaks: Sequence[str] = ()) -> None:
    """A provider's build has verified what there was; `breaks` has the names of pacts, such as "payments 1.0.0"."""
    as_build(version, branch)
    settings, revision = load_settings(), Revision(version, branch)
    broker = Broker.connect(settings)
    results = []
    for each in chosen_pacts(broker, provider, revision, None):
        mismatches = ("$: something is missing",) if each.name in breaks else ()
        result = Result(each.published.consumer.name, Interaction("an order was placed", (STATE,)), mismatches)
        results.append((each, [result]))
    publish_results(broker, provider, revision, results)


def deployed(service: str, version: str = "1.0.0", *options: str) -> Run:
    """A team has deployed it to production, and recorded it."""
    run("create-environment", "production", "--production")
    as_build(version)
    done = run("record-deployment", service, *options)
    assert done.status == 0, done.err
    return done
