"""Records that come again are no harm; an older one that appears for the first time after a newer one is."""

from itertools import count

from outboxed.messages import Record
from outboxed.testing.topic_log import Position, header, out_of_order, position

_offsets = count()


def record(event_id: str, sequence: int | str, *, key: bytes = b"order-1", topic: str = "orders") -> Record:
    headers = (("ce_id", event_id.encode()), ("ce_sequence", str(sequence).encode()))
    return Record(topic, 0, next(_offsets), key, b"{}", headers)


def test_a_key_that_goes_forward_is_in_order() -> None:
    assert not list(out_of_order([record("a", 1), record("b", 2), record("c", 2), record("d", 5)]))


def test_a_copy_may_come_at_any_time() -> None:
    assert not list(out_of_order([record("a", 1), record("b", 2), record("a", 1), record("c", 3), record("b", 2)]))


def test_an_older_one_after_a_newer_one_is_told() -> None:
    assert list(out_of_order([record("b", 2), record("a", 1)])) == ["orders order-1: 1 comes after 2"]


def test_keys_and_topics_are_apart() -> None:
    assert not list(out_of_order([record("a", 2), record("b", 1, key=b"order-2"), record("c", 1, topic="payments")]))


def test_an_event_that_is_in_two_topics_is_in_order_in_each() -> None:
    """One fact may have a version in each of two topics, under one id."""
    both = [record("a", 2), record("a", 2, topic="payments"), record("b", 1, topic="payments")]

    assert list(out_of_order(both)) == ["payments order-1: 1 comes after 2"]


def test_what_a_test_made_up_does_not_count() -> None:
    made_up = record("x", 1)

    assert not list(out_of_order([record("b", 2), made_up], without={position(made_up)}))


def test_a_sequence_that_is_no_number_does_not_count() -> None:
    assert not list(out_of_order([record("b", 2), record("a", "first")]))


def test_an_unreadable_header_is_empty() -> None:
    odd = Record("orders", 0, 7, None, None, (("ce_id", b"\xff"), ("ce_type", None)))

    assert (header(odd, "ce_id"), header(odd, "ce_type"), header(odd, "ce_source")) == ("", "", "")
    assert position(odd) == Position("orders", 0, 7)
