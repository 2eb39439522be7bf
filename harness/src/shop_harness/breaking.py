"""Breaks a running system on demand, for who wants to watch it recover: each fault ends by itself."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from types import TracebackType
from typing import Any, Self

import anyio
from backing_services.kafka import ApacheKafka, MockKafka
from fastapi import FastAPI, HTTPException, Request
from outboxed.process import bind, http_role

from shop_harness.services import SERVICES
from shop_harness.system import LOOPBACK, System

FROZEN, KAFKA_AWAY, POSTGRES_AWAY = 10.0, 8.0, 5.0
"""Seconds."""
SANDBOX = ("payment gateway", "mail catcher")
Break = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """Something that can be broken: `words` are for a person."""

    words: str
    begin: Break


class Breaking:
    """An async context manager: while it is open, whoever has the secret can break the system over HTTP, on loopback.

    `settings` are what the console needs for that. `GET /` lists the faults by name, `POST /{name}` begins one, and
    409 says that it goes on already.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._secret = token_urlsafe(32)
        self._listener = bind(LOOPBACK, 0)
        self._stop = anyio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self.faults = _faults(system)

    @property
    def settings(self) -> Mapping[str, str]:
        """The console's."""
        port = self._listener.getsockname()[1]
        return {"BREAKING_URL": f"http://{LOOPBACK}:{port}", "BREAKING_SECRET": self._secret}

    async def __aenter__(self) -> Self:
        self._serving = asyncio.ensure_future(http_role(self._app(), self._listener).run(self._stop))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), self._serving, return_exceptions=True)

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.get("/")
        async def listed(request: Request) -> dict[str, str]:
            self._check(request)
            return {name: fault.words for name, fault in self.faults.items()}

        @app.post("/{name}", status_code=202)
        async def begin(name: str, request: Request) -> dict[str, str]:
            self._check(request)
            self._begin(name)
            return {"begun": name}

        return app

    def _check(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._secret}".encode()):
            raise HTTPException(401, "the secret is needed")

    def _begin(self, name: str) -> None:
        if name not in self.faults:
            raise HTTPException(404, f"nothing is called {name}")
        if name in self._running and not self._running[name].done():
            raise HTTPException(409, f"{name} goes on already")
        self._running[name] = asyncio.ensure_future(self.faults[name].begin())


def _faults(system: System) -> Mapping[str, Fault]:
    """What can be broken here: a Kafka in a container isn't ours to take away."""
    faults: dict[str, Fault] = {}
    for process in (*SERVICES, *SANDBOX):
        name = process.replace(" ", "-")
        faults[f"kill-{name}"] = Fault(f"Kill {process}", _killing(system, process))
        faults[f"freeze-{name}"] = Fault(f"Freeze {process} for {FROZEN:g} s", _freezing(system, process))
    if isinstance(system.kafka, MockKafka | ApacheKafka):
        faults["kafka-away"] = Fault(f"Take Kafka away for {KAFKA_AWAY:g} s", lambda: _kafka_away(system.kafka))
    faults["postgresql-away"] = Fault(
        f"Crash PostgreSQL, and start it after {POSTGRES_AWAY:g} s", lambda: _postgresql_away(system)
    )
    return faults


def _killing(system: System, process: str) -> Break:
    async def kill() -> None:
        system.supervisor.process(process).kill()

    return kill


def _freezing(system: System, process: str) -> Break:
    async def freeze() -> None:
        frozen = system.supervisor.process(process)
        frozen.pause()
        try:
            await asyncio.sleep(FROZEN)
        finally:
            frozen.resume()

    return freeze


async def _kafka_away(kafka: Any) -> None:
    if isinstance(kafka, MockKafka):
        kafka.set_down()
        try:
            await asyncio.sleep(KAFKA_AWAY)
        finally:
            kafka.set_up()
        return
    await asyncio.to_thread(kafka.kill)
    try:
        await asyncio.sleep(KAFKA_AWAY)
    finally:
        kafka.spawn()  # in this thread, with which it has to end


async def _postgresql_away(system: System) -> None:
    await asyncio.to_thread(system.postgres.stop_immediate)
    try:
        await asyncio.sleep(POSTGRES_AWAY)
    finally:
        system.postgres.start()
