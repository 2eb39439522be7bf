"""Contracts over HTTP: the consumer's real client against Pact's mock server, and any ASGI app as the provider."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pact import Pact, Verifier
from pydantic import BaseModel

from pact_faststream._compat.pact import state_asked
from pact_faststream._extras import extra
from pact_faststream.callbacks import STATE, Reply, served
from pact_faststream.expectations import refuse_twice
from pact_faststream.files import PactFile
from pact_faststream.rules import Rule, body_rules
from pact_faststream.sources import PactSource, Result
from pact_faststream.values.expected import value_rules
from pact_faststream.verification import raise_for, verified

with extra("http", of="pact_faststream.http"):
    import uvicorn

    from pact_faststream._compat.uvicorn import Server

Arrange = Callable[..., Awaitable[None]]
"""Brings the provider into a state; called with the state's parameters by name."""


@dataclass(frozen=True)
class Request:
    """What the client sends, exactly."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Response:
    """What the client needs of an answer: the status, and its view of the body, with all fields set that it reads.

    Matching rules are derived from the body's model; `rules`, by JSON path, replace single ones. `asked` names the JSON
    paths, such as `$.items[*].amount`, of values that the request or the provider state's parameters ask for: they have
    to come back as they are.
    """

    status: int
    body: BaseModel
    rules: Mapping[str, Rule] = field(default_factory=dict)
    asked: Collection[str] = ()

    @property
    def matching_rules(self) -> Mapping[str, Rule]:
        """For the body. Raises LookupError for a path in `asked` that the body doesn't have."""
        values = {re.sub(r"\[\d+\]", "[*]", path): rule for path, rule in value_rules(self.body).items()}
        if missing := [path for path in self.asked if path not in values]:
            raise LookupError(f"the body has no {', '.join(missing)}, only {', '.join(values)}")
        return {**body_rules(type(self.body)), **{path: values[path] for path in self.asked}, **self.rules}


@dataclass(frozen=True)
class HttpExpectation:
    """One exchange; `given` names the provider's state, `parameters` its parameters."""

    description: str
    request: Request
    response: Response
    given: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpPact:
    """All that one client expects of one server. Raises ExpectationError if two have one description."""

    consumer: str
    provider: str
    expectations: tuple[HttpExpectation, ...]

    def __post_init__(self) -> None:
        refuse_twice((each.description for each in self.expectations), self.consumer, self.provider)

    @contextmanager
    def served(self, description: str) -> Iterator[str]:
        """Answer one expected request while the block runs; yields the base URL.

        Raises LookupError for an unknown description. Raises Pact's error at the end of the block if no request or
        another one came.
        """
        with self._pact([self._expectation(description)]).serve() as server:
            yield str(server.url)

    def file(self, folder: Path) -> PactFile:
        """The checked-in pact file, to check or to write."""
        return PactFile(folder, self.consumer, self.provider, lambda: self._pact(list(self.expectations)))

    def _expectation(self, description: str) -> HttpExpectation:
        for expectation in self.expectations:
            if expectation.description == description:
                return expectation
        raise LookupError(f"{self.consumer} has no expectation {description!r} of {self.provider}")

    def _pact(self, expectations: list[HttpExpectation]) -> Pact:
        pact = Pact(self.consumer, self.provider).with_specification("V4")
        for expectation in expectations:
            request, response = expectation.request, expectation.response
            interaction = pact.upon_receiving(expectation.description, "HTTP")
            interaction.given(expectation.given, dict(expectation.parameters))
            interaction.with_request(request.method, request.path)
            interaction.with_headers(dict(request.headers), "Request")
            interaction.with_query_parameters(dict(request.query))
            if request.body is not None:
                interaction.with_body(json.dumps(request.body), "application/json", "Request")
            interaction.will_respond_with(response.status)
            interaction.with_body(response.body.model_dump_json(exclude_unset=True), "application/json", "Response")
            interaction.with_matching_rules({"body": dict(response.matching_rules)}, "Response")
        return pact


async def verify_http_provider(
    provider: str, source: PactSource, app: Any, states: Mapping[str, Arrange]
) -> Sequence[Result]:
    """Verify everything that the source's consumers expect of an ASGI app, served on loopback.

    `states` has an async function for each provider state. Returns one result for each interaction. Raises
    ProviderVerificationError if an interaction that is not pending fails, NoPactsError if there is nothing to verify.
    """
    arranger = _Arranger(states, asyncio.get_running_loop())
    results: list[Result] = []
    async with _running(app) as url:
        with served({STATE: arranger.answer}) as port:
            for pact in source.pacts(provider):
                arranger.failed.clear()
                verifier = Verifier(provider, host="127.0.0.1").add_transport(url=url)
                verifier.state_handler(f"http://127.0.0.1:{port}{STATE}", body=True)
                found = await asyncio.to_thread(verified, verifier, pact)
                found = [replace(each, mismatches=each.mismatches + arranger.problems(each)) for each in found]
                source.keep(pact, found)
                results += found
    raise_for(provider, results)
    return results


@dataclass
class _Arranger:
    """Keeps errors and answers without one, because Pact would retry for two minutes."""

    states: Mapping[str, Arrange]
    loop: asyncio.AbstractEventLoop
    failed: dict[str, str] = field(default_factory=dict)

    def answer(self, request: Mapping[str, Any]) -> Reply:
        name, parameters = state_asked(request)
        if name not in self.states:
            self.failed[name] = f"nobody arranges the provider state {name!r}: add it, there are {sorted(self.states)}"
            return Reply()
        try:
            arranged = _awaited(self.states[name](**parameters))
            asyncio.run_coroutine_threadsafe(arranged, self.loop).result()
        except Exception as error:  # noqa: BLE001 - the result has the error
            self.failed[name] = f"{name!r}: {type(error).__name__}: {error}"
        return Reply()

    def problems(self, result: Result) -> tuple[str, ...]:
        return tuple(self.failed[state] for state in result.interaction.states if state in self.failed)


@asynccontextmanager
async def _running(app: Any) -> AsyncIterator[str]:
    server = Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


async def _awaited(arranged: Awaitable[None]) -> None:
    await arranged
