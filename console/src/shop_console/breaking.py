"""Break it: faults that begin from a page, and what could be seen of the system from then until it had recovered."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shop_console import flow
from shop_console.flow import State
from shop_console.teller import Teller

LOOK_EVERY = 0.25
UNNOTICED_AFTER = 15.0
"""Seconds without any trouble after which nobody noticed the fault."""
GIVEN_UP_AFTER = 180.0
WELL_LOOKS = 4
"""In a row, before it counts as recovered."""
OLD = 1.0
"""Seconds after which what waits is late."""
KEPT = 10
TIMES = 20
GATEWAY_FAULTS: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
    "decline-cards": (
        f"Decline the next {TIMES} charges",
        [{"operation": "charge", "action": "status", "status": 402, "times": TIMES}],
    ),
    "slow-gateway": (
        f"Answer the next {TIMES} charges after 3 s",
        [{"operation": "charge", "action": "delay", "seconds": 3, "times": TIMES}],
    ),
    "gateway-away": (
        f"Answer the next {TIMES} charges with 503",
        [{"operation": "charge", "action": "status", "status": 503, "times": TIMES}],
    ),
    "mend-gateway": ("End what was asked of the gateway", []),
}


class BreakError(Exception):
    """A fault can't begin; the message is for a person."""


@dataclass
class Watch:
    """One fault: `lines` are seconds since it began, with what changed then; `end` is None while it is watched."""

    name: str
    words: str
    by: str
    at: datetime
    lines: list[tuple[float, str]] = field(default_factory=list)
    end: str | None = None


@dataclass
class Breaker:
    """Begins faults where the system offers them, and watches. The latest watches are kept."""

    teller: Teller
    url: str
    secret: str = field(repr=False)
    watches: deque[Watch] = field(default_factory=lambda: deque(maxlen=KEPT))
    _watching: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, teller: Teller) -> Self | None:
        """By the settings; None where they name nothing that breaks the system."""
        settings = teller.settings
        if settings.breaking_url is None:
            return None
        return cls(teller, settings.breaking_url, settings.breaking_secret.get_secret_value())

    async def offered(self) -> Mapping[str, str]:
        """Faults with their words. Raises BreakError."""
        try:
            answer = (await self.teller.http.get(self.url, headers=self._headers)).raise_for_status()
        except httpx.HTTPError as error:
            raise BreakError(f"what breaks the system does not answer ({type(error).__name__})") from None
        own = {name: words for name, (words, _) in GATEWAY_FAULTS.items()} if self.teller.settings.gateway_url else {}
        poison = {f"poison-{topic}": f"Poison the topic {topic}" for topic in self.teller.catalogue.topics}
        return {**answer.json(), **own, **poison}

    async def begin(self, name: str, *, by: str) -> None:
        """Begin a fault and watch. Raises BreakError."""
        offered = await self.offered()
        if name not in offered:
            raise BreakError(f"nothing is called {name}")
        await self._begin(name)
        watch = Watch(name, offered[name], by, datetime.now(UTC))
        self.watches.appendleft(watch)
        task = asyncio.ensure_future(watched(watch, self._states))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def close(self) -> None:
        """Watch no longer."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def _states(self) -> Sequence[State]:
        return await flow.states(self.teller.http, self.teller.catalogue)

    async def _begin(self, name: str) -> None:
        try:
            if name in GATEWAY_FAULTS:
                _, faults = GATEWAY_FAULTS[name]
                url = f"{self.teller.settings.gateway_url}/_faults"
                (await self.teller.http.put(url, json={"faults": list(faults)})).raise_for_status()
            elif name.startswith("poison-"):
                await self._poison(name.removeprefix("poison-"))
            else:
                answer = await self.teller.http.post(f"{self.url}/{name}", headers=self._headers)
                if answer.status_code == httpx.codes.CONFLICT:
                    raise BreakError("it goes on already")
                answer.raise_for_status()
        except (httpx.HTTPError, KafkaError) as error:
            raise BreakError(f"it could not begin ({type(error).__name__})") from None

    async def _poison(self, topic: str) -> None:
        """Send what each reader of the topic knows by its type, and nobody can read."""
        kafka = self.teller.kafka
        types = {
            event for one in self.teller.catalogue.services.values() for event, at in one.reads.items() if at == topic
        }
        async with AIOKafkaProducer(**kafka.client_options()) as producer:
            for event in sorted(types):
                headers = [("ce_id", uuid4().hex), ("ce_type", event), ("ce_source", "/console")]
                raw = [(name, text.encode()) for name, text in headers]
                await producer.send_and_wait(kafka.topic(topic), b"poison", str(uuid4()).encode(), headers=raw)


async def watched(
    watch: Watch,
    states: Callable[[], Awaitable[Sequence[State]]],
    *,
    every: float = LOOK_EVERY,
    unnoticed_after: float = UNNOTICED_AFTER,
) -> None:
    """Note each change of what is wrong, until nothing has been for a while."""
    clock = asyncio.get_running_loop().time
    begun, seen, well, troubled = clock(), dict[str, str](), 0, False
    recovered = 0.0
    while True:
        now = {state.name: trouble_of(state) for state in await states()}
        seconds = clock() - begun
        for name, trouble in now.items():
            if trouble != seen.get(name, ""):
                watch.lines.append((seconds, f"{name} {trouble}" if trouble else f"{name} is well again"))
        seen = now
        if any(now.values()):
            troubled, well = True, 0
        else:
            recovered = seconds if well == 0 else recovered
            well += 1
        if troubled and well >= WELL_LOOKS:
            watch.end = f"recovered after {recovered:.1f} s"
        elif not troubled and seconds > unnoticed_after:
            watch.end = f"no service was in trouble within {unnoticed_after:g} s"
        elif seconds > GIVEN_UP_AFTER:
            watch.end = f"not recovered within {GIVEN_UP_AFTER:g} s; see Flow and Dead letters"
        if watch.end is not None:
            return
        await asyncio.sleep(every)


def trouble_of(state: State) -> str:
    """What is wrong with a service, in words that stay the same while it is; empty where nothing is."""
    if state.problem:
        return state.problem
    if state.kafka_lost and state.kafka_lost > OLD:
        return "does not reach Kafka"
    if state.outbox_oldest and state.outbox_oldest > OLD:
        return "has events that wait to be sent"
    if state.oldest_task and state.oldest_task > OLD:
        return "has tasks that are late"
    return ""
