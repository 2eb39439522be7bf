"""What is broken, and what is noted of it, from its beginning until everything is well again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import httpx
import pytest
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from shop_console import breaking
from shop_console.breaking import WELL_LOOKS, Breaker, Watch, trouble_of, watched
from shop_console.flow import State
from shop_console.settings import Settings
from shop_console.teller import Teller

from ..factories import CATALOGUE

WELL, AWAY = State("payments", ""), State("payments", "does not answer (ConnectError)")


def looks(*states: State) -> Callable[[], Awaitable[Sequence[State]]]:
    """One state a look; the last one stays."""
    left = list(states)

    async def look() -> Sequence[State]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    return look


def a_watch() -> Watch:
    return Watch("kill-payments", "Kill payments", "op@example.com", datetime.now(UTC))


async def test_each_change_is_noted_until_everything_is_well_again() -> None:
    watch = a_watch()

    await watched(watch, looks(WELL, AWAY, AWAY, WELL), every=0)

    assert [line for _, line in watch.lines] == [
        "payments does not answer (ConnectError)",
        "payments is well again",
    ]
    assert watch.end == f"recovered after {watch.lines[-1][0]:.1f} s"


async def test_a_short_glimpse_of_health_is_no_recovery() -> None:
    watch = a_watch()
    seen = [AWAY, *[WELL] * (WELL_LOOKS - 1), AWAY, *[WELL] * WELL_LOOKS]
    left = list(seen)

    async def look() -> Sequence[State]:
        return [left.pop(0)]

    await watched(watch, look, every=0)

    assert left == []
    assert [line for _, line in watch.lines].count("payments is well again") == 2


async def test_a_fault_that_nobody_notices_is_said_so() -> None:
    watch = a_watch()

    await watched(watch, looks(WELL), every=0.001, unnoticed_after=0.01)

    assert watch.end == "no service was in trouble within 0.01 s"


async def test_a_fault_from_which_nobody_recovers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaking, "GIVEN_UP_AFTER", 0.01)
    watch = a_watch()

    async with asyncio.timeout(10):
        await watched(watch, looks(AWAY), every=0.001)

    assert watch.end == "not recovered within 0.01 s; see Flow and Dead letters"


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        (State("orders", ""), ""),
        (State("orders", "the database does not answer"), "the database does not answer"),
        (State("orders", "", kafka_lost=2.0), "does not reach Kafka"),
        (State("orders", "", outbox_oldest=2.0), "has events that wait to be sent"),
        (State("orders", "", oldest_task=2.0), "has tasks that are late"),
        (State("orders", "", kafka_lost=0.5, outbox_oldest=0.5, oldest_task=0.5), ""),
    ],
)
def test_trouble_is_what_a_person_would_call_so(state: State, trouble: str) -> None:
    assert trouble_of(state) == trouble


class Producer:
    """It only notes what it is given."""

    sent: list[tuple[str, bytes, dict[str, bytes]]]

    def __init__(self, **_: object) -> None: ...
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...
    async def send_and_wait(self, topic: str, value: bytes, _: bytes, *, headers: Sequence[tuple[str, bytes]]) -> None:
        self.sent.append((topic, value, dict(headers)))


async def test_poison_goes_to_the_shops_own_topic_of_a_shared_cluster_for_each_event_that_is_read_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Producer.sent = []
    shared = KafkaSettings(parse_bootstrap_servers("127.0.0.1:1"), topic_prefix="shop-")
    monkeypatch.setattr(breaking, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(Teller, "kafka", shared)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={}))) as http:
        teller = Teller.of(Settings(services={"orders": "http://orders"}), http)
        teller.catalogue = CATALOGUE
        breaker = Breaker(teller, "http://breaking", "secret")
        await breaker.begin("poison-orders", by="op@example.com")
        await breaker.close()

    told: list[Any] = [(topic, value, headers["ce_type"]) for topic, value, headers in Producer.sent]
    assert told == [
        ("shop-orders", b"poison", b"order.confirmed.v1"),
        ("shop-orders", b"poison", b"order.placed.v1"),
    ]
