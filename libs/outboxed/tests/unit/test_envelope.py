"""CloudEvents in Kafka's binary mode: ours as others read it, others' as we read it, and what nobody should send."""

import json
from contextlib import nullcontext
from functools import reduce
from operator import and_, or_
from typing import Any
from uuid import RFC_4122, UUID, uuid4

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from outboxed.errors import EventTooLargeError, UndecodableRecordError
from outboxed.messages import (
    NOT_READ,
    Event,
    OutgoingRecord,
    Record,
    attributes_of,
    decode,
    encode,
    encode_versions,
    new_event_id,
)
from outboxed.messages._envelope import MAX_KEY_BYTES, MAX_VALUE_BYTES

from ..sample import NOW, AccountCredited, MoneyMoved, moved, raw

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEEDED = (("ce_type", b"money.moved.v1"), ("ce_id", b"1"))


class Renamed(Event, type="account.credited.v2", topic="accounts", key_field="account_id"):
    account_id: UUID


def encoded(event: Event, **changes: Any) -> OutgoingRecord:
    parts = {"source": "/accounts", "sequence": 3, "time": NOW, "traceparent": TRACEPARENT, **changes}
    return encode(event, **parts)


def record(headers: Any = NEEDED, **changes: Any) -> Record:
    account_id = uuid4()
    parts: dict[str, Any] = {
        "topic": "moves",
        "partition": 0,
        "offset": 0,
        "key": str(account_id).encode(),
        "value": json.dumps({"account_id": str(account_id), "amount": "1.00"}).encode(),
    }
    return Record(**{**parts, **changes}, headers=tuple(headers))


def test_an_event_is_sent_with_every_attribute_in_its_headers() -> None:
    event = AccountCredited(account_id=uuid4())

    outgoing = encoded(event)

    assert outgoing.headers == {
        "ce_specversion": "1.0",
        "ce_id": outgoing.headers["ce_id"],
        "ce_source": "/accounts",
        "ce_type": "account.credited.v1",
        "ce_time": "2026-01-15T12:00:00.000000Z",
        "ce_subject": str(event.account_id),
        "ce_sequence": "3",
        "content-type": "application/json",
        "traceparent": TRACEPARENT,
    }
    assert (outgoing.topic, outgoing.key) == ("accounts", str(event.account_id))


def test_every_event_has_an_id_of_its_own() -> None:
    event = AccountCredited(account_id=uuid4())

    assert encoded(event).headers["ce_id"] != encoded(event).headers["ce_id"]


def test_ids_of_events_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids: list[str] = []
    for seconds in (1, 1.001, 1_800_000_000, 253_402_300_799):
        monkeypatch.setattr("time.time_ns", lambda now=seconds: round(now * 1e9))
        ids.append(new_event_id())

    assert ids == sorted(ids)


@given(st.integers(0, 2**48 - 1))
def test_an_id_of_an_event_is_a_uuid_of_version_7(milliseconds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time_ns", lambda: milliseconds * 1_000_000 + 999_999)
        ids = {UUID(new_event_id()) for _ in range(100)}

    assert len(ids) == 100
    assert {(event_id.version, event_id.variant) for event_id in ids} == {(7, RFC_4122)}
    assert {event_id.int >> 80 for event_id in ids} == {milliseconds}
    assert reduce(or_, (event_id.int for event_id in ids)) % 2**80 == 0x7FFF_BFFF_FFFF_FFFF_FFFF, "a bit is never set"
    assert reduce(and_, (event_id.int for event_id in ids)) % 2**80 == 0x7000_8000_0000_0000_0000, "a bit is always set"


def test_an_event_outside_any_trace_has_no_traceparent() -> None:
    assert "traceparent" not in encoded(AccountCredited(account_id=uuid4()), traceparent=None).headers


def test_the_cloudevents_sdk_reads_our_events() -> None:
    event = AccountCredited(account_id=uuid4())
    outgoing = encoded(event)
    message = KafkaMessage(dict(outgoing.raw_headers()), outgoing.key.encode(), outgoing.value)

    read = from_binary_event(message)

    assert (read.get_id(), read.get_type()) == (outgoing.headers["ce_id"], "account.credited.v1")
    assert (read.get_source(), read.get_subject(), read.get_time()) == ("/accounts", str(event.account_id), NOW)
    assert read.get_data() == event.model_dump(mode="json")
    assert read.get_extension("sequence") == "3"


def test_we_read_the_cloudevents_sdks_events(account_id: UUID) -> None:
    attributes = {"type": "money.moved.v1", "source": "/bank", "id": "id-7", "specversion": "1.0", "sequence": "12"}
    theirs: Any = CloudEvent(attributes, {"account_id": str(account_id), "amount": "2.50"})
    message = to_binary_event(theirs, JSONFormat(), key_mapper=lambda _: str(account_id))
    key = message.key.encode() if isinstance(message.key, str) else message.key
    received = Record("moves", 0, 0, key, message.value, tuple(message.headers.items()))

    attributes_read = attributes_of(received)
    event = decode(received, attributes_read, MoneyMoved).event

    assert (attributes_read.id, attributes_read.type) == ("id-7", "money.moved.v1")
    assert (event.account_id, str(event.amount)) == (account_id, "2.50")


def test_an_event_of_512_kib_can_be_sent_and_a_larger_one_is_refused_when_it_is_appended() -> None:
    event = AccountCredited(account_id=uuid4(), owner="")
    room = MAX_VALUE_BYTES - len(encoded(event).value)

    assert len(encoded(event.model_copy(update={"owner": "a" * room})).value) == 512 * 1024
    with pytest.raises(EventTooLargeError, match="524289 bytes"):
        encoded(event.model_copy(update={"owner": "a" * (room + 1)}))


def test_a_key_that_no_index_takes_is_refused_when_its_event_is_appended() -> None:
    class FileStored(Event, type="file.stored.v1", topic="files", key_field="path"):
        path: str

    assert len(encoded(FileStored(path="x" * MAX_KEY_BYTES)).key) == MAX_KEY_BYTES
    with pytest.raises(EventTooLargeError, match=r"^file\.stored\.v1 has a key of 2050 bytes, the limit is 2048"):
        encoded(FileStored(path="ü" * (MAX_KEY_BYTES // 2 + 1)))


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with pytest.raises(EventTooLargeError):
        encoded(AccountCredited(account_id=uuid4(), owner="ü" * (MAX_VALUE_BYTES // 2)))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "ce_type"),
        ([("ce_id", b"1")], "ce_type"),
        ([("ce_type", b"x")], "ce_id"),
        ([("ce_type", None), ("ce_id", b"1")], "ce_type"),
        ([("ce_type", b"\xff"), ("ce_id", b"1")], "ce_type"),
        ([("ce_type", b"x"), ("ce_id", b"")], "ce_id"),
        ([("ce_type", b"x"), ("ce_id", b"\xc3\x28")], "ce_id"),
        ([("ce_type", b"x"), ("ce_id", b"a" * 256)], "ce_id"),
        ([("ce_type", b"x"), ("ce_id", b"a\0b")], "ce_id"),
        ([("ce_type", b"x"), ("ce_id", b"a\x1fb")], "ce_id"),
        ([("ce_type", b"x"), ("ce_id", "a\x85b".encode())], "ce_id"),
        ([*NEEDED, ("ce_source", b"a" * 256)], "ce_source"),
        ([*NEEDED, ("ce_source", b"/a\x1fb")], "ce_source"),
    ],
)
def test_a_record_whose_identity_and_type_cannot_be_read_is_undecodable(
    headers: list[tuple[str, bytes | None]], reason: str
) -> None:
    with pytest.raises(UndecodableRecordError, match=reason):
        attributes_of(record(headers))


def test_odd_headers_that_nobody_needs_count_as_absent() -> None:
    odd = [("traceparent", None), ("ce_sequence", b"\xff"), ("x", b"\xff\xfe"), ("", b""), ("ce_time", None)]

    attributes = attributes_of(record([*NEEDED, *odd]))

    assert (attributes.id, attributes.traceparent) == ("1", None)


@pytest.mark.parametrize("sequence", [b"-1", b"", b"NaN", b"9" * 5000])
def test_an_odd_sequence_is_no_poison(sequence: bytes) -> None:
    assert attributes_of(record([*NEEDED, ("ce_sequence", sequence)])).id == "1"


def test_a_source_that_is_no_text_is_still_a_source() -> None:
    sources = {attributes_of(record([*NEEDED, ("ce_source", raw)])).source for raw in (b"/\xff", b"/\xfe", b"/")}

    assert sources == {r"/\xff", r"/\xfe", "/"}


@pytest.mark.parametrize("headers", [[], [("ce_source", None)], [("ce_source", b"")]])
def test_a_source_that_is_not_given_is_an_empty_one(headers: list[tuple[str, bytes | None]]) -> None:
    assert attributes_of(record([*NEEDED, *headers])).identity == ("", "1")


def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    assert attributes_of(record([*NEEDED, ("ce_id", b"2")])).id == "1"


@pytest.mark.parametrize("key", [None, b"", b"other", b"\xff"])
def test_a_key_other_than_the_events_own_is_undecodable(key: bytes | None) -> None:
    odd = record(key=key)

    with pytest.raises(UndecodableRecordError, match="key"):
        decode(odd, attributes_of(odd), MoneyMoved)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 10_000, b'{"account_id": "canary", "amount": "1"}']
)
def test_data_of_another_shape_is_undecodable_and_not_repeated(value: bytes) -> None:
    odd = record(value=value)

    with pytest.raises(UndecodableRecordError, match=r"^money\.moved\.v1: ") as refused:
        decode(odd, attributes_of(odd), MoneyMoved)

    assert "canary" not in str(refused.value)


def test_all_that_is_wrong_is_counted() -> None:
    odd = record(value=b"{}")

    with pytest.raises(UndecodableRecordError, match=r"account_id: .* \(and 1 more\)"):
        decode(odd, attributes_of(odd), MoneyMoved)


@pytest.mark.parametrize(
    "unread",
    [
        r'"\ud800"',
        r'{"\udc00": 1}',
        r'"\u0000"',
        '"NaN and Infinity"',
        "1" * 5000,
        f"-{'1' * 5000}.5e9999",
        "[" * 300 + "]" * 300,
        '{"a": ' * 300 + "1" + "}" * 300,
    ],
    ids=["surrogate", "surrogate key", "NUL", "words", "digits", "float", "lists", "objects"],
)
def test_what_a_field_holds_that_we_do_not_use_does_not_matter(unread: str) -> None:
    known = raw(moved())
    assert known.value is not None
    odd = record(value=known.value.replace(b"{", f'{{"new": [{unread}], '.encode(), 1), key=known.key)

    assert decode(odd, attributes_of(odd), MoneyMoved).event.key.encode() == known.key


@pytest.mark.parametrize(
    ("unread", "reason"),
    [
        (b"NaN", "NaN is no JSON"),
        (b"-Infinity", "-Infinity is no JSON"),
        (b'"\x01"', "Invalid control character"),
        (b'"\xff"', "is no UTF-8"),
        (b'"\xed\xa0\x80"', "is no UTF-8"),
        (b"01", "Expecting ',' delimiter"),
        (b"[" * 500_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_wherever_it_is(unread: bytes, reason: str) -> None:
    known = raw(moved())
    assert known.value is not None
    odd = record(value=known.value.replace(b"{", b'{"new": ' + unread + b", ", 1), key=known.key)

    with pytest.raises(UndecodableRecordError, match=rf"money\.moved\.v1: the value is no JSON: .*{reason}"):
        decode(odd, attributes_of(odd), MoneyMoved)


def test_a_record_that_was_not_read_whole_is_undecodable_and_says_why() -> None:
    known = raw(moved())
    cut = record([*NEEDED, (NOT_READ, b"it has 9 bytes")], value=known.value, key=known.key)
    unnamed = record([(NOT_READ, b"it has 9 bytes")], value=known.value)

    with pytest.raises(UndecodableRecordError, match=r": it has 9 bytes$"):
        decode(cut, attributes_of(cut), MoneyMoved)
    with pytest.raises(UndecodableRecordError, match=r"^it has 9 bytes$"):
        attributes_of(unnamed)


def test_fields_that_we_do_not_use_are_ignored() -> None:
    known = raw(moved())
    more = record(value=known.value.replace(b"{", b'{"new": [1], ', 1) if known.value else None, key=known.key)

    assert decode(more, attributes_of(more), MoneyMoved).event.key.encode() == known.key


names = st.sampled_from(["ce_type", "ce_id", "ce_sequence", "traceparent"]) | st.text("ce_\0é", max_size=5)
values = st.sampled_from([b"money.moved.v1", b"1", None]) | st.binary(max_size=20) | st.none()
keys = st.none() | st.binary(max_size=40)


@settings(max_examples=60)
@given(value=st.none() | st.binary(max_size=60), key=keys, headers=st.lists(st.tuples(names, values), max_size=6))
def test_whatever_the_bytes_are_a_record_is_read_or_undecodable(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    odd = record(headers, value=value, key=key)

    try:
        decode(odd, attributes_of(odd), MoneyMoved)
    except UndecodableRecordError as error:
        assert str(error)  # noqa: PT017 - any other error is the failure


def versions_of(*events: Event) -> list[OutgoingRecord]:
    return encode_versions(events, source="/accounts", sequence=3, time=NOW, traceparent=TRACEPARENT)


def test_all_versions_of_a_fact_have_one_id_and_one_trace_and_the_next_fact_another_id() -> None:
    event = AccountCredited(account_id=uuid4())

    first = versions_of(event, Renamed(account_id=event.account_id))
    [second] = versions_of(event)

    [event_id] = {record.headers["ce_id"] for record in first}
    assert UUID(event_id) != UUID(second.headers["ce_id"])
    assert {record.headers["traceparent"] for record in first} == {TRACEPARENT}


def test_two_events_of_one_type_are_not_one_fact() -> None:
    event = AccountCredited(account_id=uuid4())

    with pytest.raises(ValueError, match=r"not \['account.credited.v1', 'account.credited.v1'\]"):
        versions_of(event, event)


def test_the_attributes_are_read_behind_headers_that_are_null_or_unreadable() -> None:
    attributes = attributes_of(record([("x", None), ("y", b"\xff"), *NEEDED, ("traceparent", TRACEPARENT.encode())]))

    assert (attributes.id, attributes.type, attributes.traceparent) == ("1", "money.moved.v1", TRACEPARENT)


@pytest.mark.parametrize(("length", "is_read"), [(255, True), (256, False)])
def test_an_id_has_255_characters_at_most(length: int, is_read: bool) -> None:
    headers = [("ce_type", b"money.moved.v1"), ("ce_id", b"x" * length)]

    with nullcontext() if is_read else pytest.raises(UndecodableRecordError, match="longer than 255 characters"):
        assert len(attributes_of(record(headers)).id) == length


def test_a_null_value_is_told_as_such() -> None:
    with pytest.raises(UndecodableRecordError, match=r"^the value is null$"):
        attributes_of(record(value=None))
