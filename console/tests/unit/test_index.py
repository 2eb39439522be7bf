"""The newest orders in memory: bounded, and found by what a person has."""

import asyncio

import pytest
from outboxed.messages import Record
from shop_console.index import RECORDS_OF_A_KEY, Index
from shop_console.seen import Seen

from ..factories import KEY, TRACE, at, seen, without_headers

OTHER = "b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5"


def index_of(*records: Seen, kept: int = 10) -> Index:
    index = Index(kept)
    for record in records:
        index.add(record)
    return index


def test_orders_are_newest_first_in_whatever_order_their_records_come() -> None:
    index = index_of(seen(key="b", recorded=20), seen(key="c", recorded=30), seen(key="a", recorded=10))

    assert [order.key for order in index.newest(most=10)] == ["c", "b", "a"]
    assert [order.key for order in index.newest(most=1, after=1)] == ["b"]
    assert list(index.newest(most=5, after=3)) == []


def test_a_record_from_before_the_first_one_makes_its_order_older() -> None:
    index = index_of(
        seen("order.confirmed.v1", key="a", recorded=30, sequence=2), seen(key="b", recorded=20), seen(key="a")
    )

    assert [order.key for order in index.newest(most=10)] == ["b", "a"]


def test_the_oldest_orders_give_way_and_are_counted() -> None:
    index = index_of(*(seen(key=str(number), recorded=number) for number in range(5)), kept=3)

    assert [order.key for order in index.newest(most=10)] == ["4", "3", "2"]
    assert (len(index), index.forgotten, index.get("0")) == (3, 2, None)
    assert index.oldest == at(2)


def test_an_order_is_found_by_id_address_and_trace() -> None:
    ada = seen(data={"customer": {"email": "Ada@example.com"}})
    index = index_of(ada, seen(key=OTHER, recorded=1, trace="0" * 31 + "1"))

    for text in (KEY, KEY[:8].upper(), "ada@EXAMPLE", TRACE, f" {TRACE} "):
        assert [order.key for order in index.search(text, most=10)] == [KEY], text
    assert list(index.search(TRACE[:8], most=10)) == []


@pytest.mark.parametrize("text", ["INV-7", "inv-7", "Inv"])
def test_a_key_of_any_case_is_found(text: str) -> None:
    index = index_of(seen(key="Inv-7"), seen(key=OTHER))

    assert [order.key for order in index.search(text, most=10)] == ["Inv-7"]


def test_the_state_is_that_of_the_newest_version_whatever_came_last() -> None:
    index = index_of(
        seen(),
        seen("order.cancelled.v1", sequence=3),
        seen("order.confirmed.v1", sequence=2),
        seen("payment.captured.v1"),
    )

    order = index.get(KEY)

    assert order is not None
    assert order.state == "CANCELLED"


@pytest.mark.parametrize("version", ["²", "१", "", "-1", "1.5", "last"])
def test_a_version_that_is_no_number_is_the_lowest(version: str) -> None:
    assert seen(sequence=version).sequence == 0


def test_a_record_that_is_no_event_has_no_state() -> None:
    order = index_of(without_headers(seen())).get(KEY)

    assert order is not None
    assert (order.state, order.thing) == ("UNKNOWN", "")


def test_an_order_that_comes_back_lacks_its_beginning() -> None:
    index = index_of(seen("order.cancelled.v1", sequence=3), seen("payment.refunded.v1"))
    whole = index_of(seen(), seen("order.cancelled.v1", sequence=3))

    for held, expected in ((index, False), (whole, True)):
        order = held.get(KEY)
        assert order is not None
        assert order.has_its_beginning is expected


def test_what_has_no_key_is_no_order() -> None:
    assert len(index_of(Seen(Record("orders", 0, 1, None, b"{}"), at(0)))) == 0


def test_one_key_can_not_fill_the_memory() -> None:
    index = index_of(*(seen(recorded=number) for number in range(RECORDS_OF_A_KEY + 5)))

    order = index.get(KEY)

    assert order is not None
    assert (len(order.records), order.changes) == (RECORDS_OF_A_KEY, RECORDS_OF_A_KEY + 5)


def test_rates_are_of_the_last_minute() -> None:
    index = index_of(seen(recorded=0), seen(recorded=30_000), seen("order.confirmed.v1", recorded=59_000))

    assert index.rates.per_minute(at(75_000)) == {"order.placed.v1": 1, "order.confirmed.v1": 1}


async def test_whoever_waits_for_a_change_is_woken_by_the_next_record() -> None:
    index = index_of(seen())
    waiting = asyncio.create_task(index.wait(index.version))
    await asyncio.sleep(0)

    index.add(seen(key=OTHER))

    assert await waiting == 2


def test_of_many_that_are_found_the_newest_are_told() -> None:
    index = index_of(*(seen(key=f"order-{number}", recorded=number) for number in range(5)))

    assert [order.key for order in index.search("order", most=2)] == ["order-4", "order-3"]
