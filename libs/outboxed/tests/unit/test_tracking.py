"""The tracked session in memory: two small services, a till that sells and a kitchen that cooks and reports."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from outboxed.consuming import Route
from outboxed.messages import ConsumedEvent, Event, OutgoingRecord
from outboxed.ports import NewTask
from outboxed.settings import KafkaSettings
from outboxed.tasks import TaskKind
from outboxed.telemetry import http_call
from outboxed.testing.memory import InMemoryDatabase, InMemoryUnitOfWork, SteadyClock
from outboxed.testing.records import sent_record
from outboxed.testing.tracking import (
    Bus,
    InMemoryParticipant,
    NotAtRestError,
    RunningParticipant,
    Session,
    StuckRecordError,
    tracked,
)
from outboxed.testing.tracking.participants import PendingWork
from outboxed.testing.tracking.spans import Spans, logged_steps
from outboxed.testing.tracking.story import Activity, Story, tell


class Sold(Event, type="dish.sold.v1", topic="till", key_field="table"):
    table: str


class SoldToCook(ConsumedEvent, type="dish.sold.v1", topic="till", key_field="table"):
    table: str


class Cooked(Event, type="dish.cooked.v1", topic="kitchen", key_field="table"):
    table: str


class CookedToServe(ConsumedEvent, type="dish.cooked.v1", topic="kitchen", key_field="table"):
    table: str


class Diner:
    """The two services; `refuses` is raised by the kitchen's handler, `oven` by its task."""

    def __init__(self) -> None:
        clock = SteadyClock()
        self.refuses: Exception | None = None
        self.oven: list[Exception] = []
        self.orders_out = False
        self.again = False
        self.served: list[str] = []
        self.till = InMemoryDatabase(InMemoryUnitOfWork, source="/till", clock=clock)
        self.kitchen = InMemoryDatabase(InMemoryUnitOfWork, source="/kitchen", clock=clock)
        cook = TaskKind("cook", call=self._bake, record=self._report)
        tip = TaskKind("ask_for_tip", call=self._nothing, record=self._nothing_to_record)
        self.parts = [
            InMemoryParticipant("till", self.till, [Route(CookedToServe, self._serve)], [tip]),
            InMemoryParticipant("kitchen", self.kitchen, [Route(SoldToCook, self._cook)], [cook]),
        ]

    async def sell(self, table: str = "7", *, tip: bool = False) -> None:
        async with self.till() as uow:
            uow.events.append(Sold(table=table), sequence=1)
            if tip:
                uow.tasks.schedule(NewTask("ask_for_tip", table, delay=timedelta(minutes=20)))

    async def _cook(self, event: Any, uow: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        uow.tasks.schedule(NewTask("cook", event.table))

    async def _bake(self, task: Any) -> str:
        if self.oven:
            raise self.oven.pop()
        if self.orders_out:
            with http_call("bakery across", "POST", "http://bakery.test/loaves", template="/loaves") as call:
                call.answered(201)
        return str(task.key)

    async def _report(self, task: Any, table: Any, uow: Any) -> None:
        del task
        uow.events.append(Cooked(table=table), sequence=1)

    async def _serve(self, event: Any, uow: Any) -> None:
        self.served.append(event.table)
        if self.again:
            uow.events.append(Sold(table=event.table), sequence=1)

    async def _nothing(self, task: Any) -> None: ...
    async def _nothing_to_record(self, task: Any, outcome: Any, uow: Any) -> None: ...


@pytest.fixture
def diner() -> Diner:
    return Diner()


@pytest.fixture
async def sold(diner: Diner) -> Session:
    """What came of a dish that was sold."""
    async with tracked(*diner.parts) as session:
        await diner.sell()
    return session


async def test_the_block_ends_when_everything_that_it_set_off_has_happened(diner: Diner, sold: Session) -> None:
    assert diner.served == ["7"]
    assert sold.sequence.names == ["dish.sold.v1", "cook", "dish.cooked.v1"]
    assert sold.sequence.chain("dish.cooked.v1") == "dish.sold.v1 -> cook -> dish.cooked.v1"
    assert sold.published(Cooked).single() == Cooked(table="7")
    assert sold.published("dish.sold.v1").single() == {"table": "7"}
    sold.nothing_else()


async def test_the_story_has_a_line_for_each_happening_below_its_cause_with_its_service(sold: Session) -> None:
    lines = [line.split(" s  ", 1)[1] for line in str(sold.sequence).splitlines()]
    assert lines == [
        "till           dish.sold.v1, handled by kitchen",
        "kitchen          cook",
        "kitchen            dish.cooked.v1, handled by till",
    ]


async def test_the_story_is_a_sequence_diagram(sold: Session) -> None:
    assert sold.sequence.mermaid().splitlines() == [
        "sequenceDiagram",
        "    actor client",
        "    till-)kitchen: dish.sold.v1",
        "    kitchen->>kitchen: cook",
        "    kitchen-)till: dish.cooked.v1",
    ]


async def test_a_call_to_the_outside_is_drawn_from_who_made_it_to_who_was_called(diner: Diner) -> None:
    diner.orders_out = True

    async with tracked(*diner.parts) as session:
        await diner.sell()

    assert session.sequence.mermaid().splitlines()[3:] == [
        "    kitchen->>kitchen: cook",
        "    kitchen->>bakery across: POST /loaves (201)",
        "    kitchen-)till: dish.cooked.v1",
    ]


async def test_an_event_that_nobody_asked_for_fails_with_the_story(sold: Session) -> None:
    sold.published(Sold).single()

    with pytest.raises(AssertionError, match=r"dish\.cooked\.v1 was published, too.*\n.*till +dish\.sold\.v1"):
        sold.nothing_else()


async def test_a_missing_or_second_event_fails_with_the_story(diner: Diner) -> None:
    async with tracked(*diner.parts) as session:
        await diner.sell("7")
        await diner.sell("8")

    with pytest.raises(AssertionError, match=r"one dish\.sold\.v1, not 2, was expected"):
        session.published(Sold).single()
    with pytest.raises(AssertionError, match=r"no dish\.sold\.v1, not 2, was expected"):
        session.published(Sold).none()
    with pytest.raises(AssertionError, match=r"there was no refund\. What happened:\n"):
        session.sequence.chain("refund")
    assert len(session.published("no.such.v1")) == 0


def test_a_system_that_never_rests_fails_with_the_story_and_with_what_is_left(
    diner: Diner, monkeypatch: pytest.MonkeyPatch
) -> None:
    diner.again = True

    async def sold_again_and_again() -> None:
        loop = asyncio.get_running_loop()  # its own: on the tests' one, others would sleep for the hour
        right = loop.time
        monkeypatch.setattr(loop, "time", lambda: right() + (3600 if diner.served else 0))
        async with tracked(*diner.parts, within=600):
            await diner.sell()

    with pytest.raises(NotAtRestError, match=r"(?s)not at rest within 600 s\..*dish\.sold\.v1.*Left to do:") as caught:
        asyncio.run(sold_again_and_again())

    assert "dish.cooked.v1" in str(caught.value)


def test_a_story_of_any_depth_is_told_by_its_two_ends() -> None:
    first = last = Activity("event", "first", "till", 0.0)
    for number in range(3000):
        following = Activity("event", f"step {number}", "kitchen", number / 1000)
        last.caused.append(following)
        last = following
    story = Story([first])

    told = str(story).splitlines()

    assert (len(story.names), len(told)) == (3001, 201)
    assert [told[0].split()[-1], *told[150].split(), told[-1].split()[-1]] == ["first", "...", "2801", "more", "2999"]
    assert story.chain("step 1") == "first -> step 0 -> step 1"
    assert len(story.mermaid().splitlines()) == 2  # nobody handled any of them


async def test_a_task_whose_time_has_not_come_waits_until_the_clock_is_moved(diner: Diner) -> None:
    async with tracked(*diner.parts) as session:
        await diner.sell(tip=True)
        await session.settle()
        assert session.waiting == ["ask_for_tip 7"]
        assert "ask_for_tip" not in session.sequence.names

        await session.advance(minutes=30)

    assert session.waiting == []
    assert session.sequence.chain("ask_for_tip") == "ask_for_tip"


async def test_a_call_that_fails_is_told_with_its_reason_and_retried_once_the_clock_is_moved(diner: Diner) -> None:
    diner.oven = [ConnectionError("the oven is cold")]

    async with tracked(*diner.parts) as session:
        await diner.sell()
        await session.settle()
        assert diner.served == []
        await session.advance(seconds=2)

    assert diner.served == ["7"]
    assert session.sequence.names == ["dish.sold.v1", "cook", "cook", "dish.cooked.v1"]
    assert "cook (postponed: ConnectionError" in str(session.sequence)


async def test_a_refused_event_is_a_dead_letter_which_nothing_else_reports(diner: Diner) -> None:
    diner.refuses = ValueError("no such dish")

    async with tracked(*diner.parts) as session:
        await diner.sell()

    session.published(Sold).single()
    with pytest.raises(AssertionError, match="a dead letter, kitchen: till: ValueError"):
        session.nothing_else()


async def test_a_dead_letter_from_before_the_session_is_not_part_of_it(diner: Diner) -> None:
    diner.refuses = ValueError("no such dish")
    async with tracked(*diner.parts):
        await diner.sell("7")

    diner.refuses = None
    async with tracked(*diner.parts) as session:
        await diner.sell("8")

    for event in ("dish.sold.v1", "dish.cooked.v1"):
        session.published(event).single()
    session.nothing_else()


async def test_a_dead_letter_of_the_session_is_told_though_one_before_it_has_the_same_reason(diner: Diner) -> None:
    diner.refuses = ValueError("no such dish")
    async with tracked(*diner.parts):
        await diner.sell("7")

    async with tracked(*diner.parts) as session:
        await diner.sell("8")

    session.published(Sold).single()
    with pytest.raises(AssertionError, match="a dead letter, kitchen: till: ValueError"):
        session.nothing_else()


async def test_services_that_share_a_clock_move_it_once(diner: Diner) -> None:
    async with tracked(*diner.parts) as session:
        await session.advance(minutes=10)
        await session.advance(minutes=5)

    assert diner.till.clock.offset == timedelta(minutes=15)


async def test_what_a_log_had_before_the_session_is_not_part_of_it(diner: Diner, tmp_path: Path) -> None:
    """Its trace may be the same: a session within another one's story, or a test that repeats one."""
    log, later = tmp_path / "kitchen.log", datetime.now(UTC) + timedelta(minutes=1)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    def line(task: str) -> str:
        place = {
            "trace_id": trace,
            "timestamp": later.isoformat(),
            "span_id": task[:1] * 16,
            "parent_span_id": "0" * 16,
        }
        return json.dumps(place | {"event": "task_done", "service": "kitchen", "task": task}) + "\n"

    log.write_text(line("before"))
    async with tracked(*diner.parts, logs=[log]) as session:
        with log.open("a") as more:
            more.write(line("cook"))

    assert [step.name for step in logged_steps(log.read_text().splitlines())] == ["before", "cook"]
    assert "before" not in str([*session._logged()])  # noqa: SLF001 - a story tells what an event led to
    assert "cook" in str([*session._logged()])  # noqa: SLF001 - as above


async def test_an_event_that_would_come_again_for_ever_fails_at_once(diner: Diner) -> None:
    diner.refuses = ConnectionResetError()

    with pytest.raises(StuckRecordError, match=r"kitchen can't handle dish\.sold\.v1 of 7"):
        async with tracked(*diner.parts):
            await diner.sell()


async def test_an_error_in_the_block_gets_the_story_as_a_note(diner: Diner) -> None:
    async def mistaken() -> None:
        async with tracked(*diner.parts) as session:
            await diner.sell()
            await session.settle()
            session.published("no.such.v1").single()

    with pytest.raises(AssertionError) as caught:
        await mistaken()

    assert "dish.cooked.v1, handled by till" in caught.value.__notes__[0]


async def test_what_happened_before_the_session_is_not_part_of_it(diner: Diner) -> None:
    async with tracked(*diner.parts):
        await diner.sell("7")

    async with tracked(*diner.parts) as session:
        await diner.sell("8")

    assert diner.served == ["7", "8"]
    assert session.published(Sold).single().table == "8"
    assert len(session.sequence.names) == 3


@pytest.mark.parametrize("seed", range(5))
async def test_in_any_order_that_kafka_allows_and_with_copies_each_is_handled_once(diner: Diner, seed: int) -> None:
    tables = [str(number) for number in range(6)]

    async with tracked(*diner.parts, bus=Bus(seed=seed, copies=2)) as session:
        for table in tables:
            await diner.sell(table)
        await session.settle()
        session.bus.redeliver()

    assert sorted(diner.served) == tables
    assert len(session.published(Cooked)) == len(tables)


@given(st.integers(), st.lists(st.sampled_from("abc"), max_size=12), st.integers(0, 2))
def test_the_bus_mixes_keys_but_keeps_each_in_order(seed: int, keys: list[str], copies: int) -> None:
    bus = Bus(seed=seed, copies=copies)
    bus.subscribe("kitchen", [("till", "dish.sold.v1")])
    for number, key in enumerate(keys):
        bus.send(_outgoing(key, number))

    taken: list[tuple[bytes | None, int]] = []
    while batch := bus.take("kitchen"):
        taken += [(record.key, int(record.value or b"")) for record in batch]

    assert len(taken) == len(keys) * (copies + 1)
    for one in {key for key, _ in taken}:
        firsts = list(dict.fromkeys(number for each, number in taken if each == one))
        assert firsts == sorted(firsts)


def _outgoing(key: str, number: int) -> OutgoingRecord:
    return OutgoingRecord("till", key, str(number).encode(), {"ce_type": "dish.sold.v1", "ce_id": str(number)})


async def test_parts_in_memory_and_running_ones_cannot_be_mixed(diner: Diner) -> None:
    running = RunningParticipant("till", "postgresql://", KafkaSettings(("127.0.0.1:9",)), ["kitchen"])

    with pytest.raises(ValueError, match="track either"):
        async with tracked(*diner.parts, running):
            pass


class Watched:
    """A participant that does nothing by itself; each look at it is counted, and finds what is given."""

    name = "till"
    clock = None
    services: Mapping[str, str] = {}

    def __init__(self, *found: PendingWork) -> None:
        self.looks = 0
        self.seen = asyncio.Event()
        self._found = [*found]

    async def begin(self, bus: Any, reader: Any) -> None: ...
    async def end(self) -> None: ...

    async def move(self) -> bool:
        return False

    async def pending(self) -> PendingWork:
        self.looks += 1
        if self.looks == 4:
            self.seen.set()
        return self._found.pop(0) if self._found else PendingWork()


class NothingToRead:
    async def read(self) -> Sequence[Any]:
        return ()


BUSY = PendingWork(["dish.sold.v1 7 in the outbox"], progress=1)


@pytest.mark.parametrize(
    "found",
    [
        [PendingWork(progress=1), BUSY, PendingWork(progress=1), PendingWork(progress=1)],
        [PendingWork(progress=1), PendingWork(progress=2), PendingWork(progress=2)],
    ],
    ids=["work came after it", "work came and went after it"],
)
async def test_running_services_are_at_rest_when_two_looks_on_end_agree(
    found: Sequence[PendingWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event on its way from one service to the next may be in neither when each is looked at."""
    monkeypatch.setattr("outboxed.testing.tracking.session.LOOK_EVERY", 0)
    watched, reader = Watched(*found), NothingToRead()
    parts: dict[str, Any] = {"participants": [watched], "bus": Bus(), "reader": reader, "spans": Spans(), "logs": []}

    await Session(**parts, within=30, dead_before={}).settle()

    assert watched.looks == len(found)


async def test_a_step_that_still_runs_is_no_rest() -> None:
    watched, begun = Watched(), asyncio.Event()

    async def ask() -> None:
        with http_call("bakery across", "POST", "http://bakery.test/loaves", template="/loaves") as call:
            begun.set()
            await watched.seen.wait()
            call.answered(201)

    async with tracked(watched) as session:
        asking = asyncio.create_task(ask())
        await begun.wait()
    has_ended = asking.done()
    watched.seen.set()
    await asking

    assert has_ended
    assert session.sequence.names == ["POST /loaves"]


QUESTIONS = 6
"""Of a participant at PostgreSQL and Kafka, for one look."""


class Moving:
    """A database and a Kafka: after so many questions the relay sends the one row of the outbox."""

    def __init__(self, sent_after: int) -> None:
        self.questions = 0
        self._sent_after = sent_after

    def _is_sent(self) -> bool:
        self.questions += 1
        return self.questions > self._sent_after

    async def fetchrow(self, query: str) -> Any:
        del query
        self._is_sent()
        return (1, 0, 0, 0)

    async def fetch(self, query: str, *values: Any) -> Any:
        del values
        is_sent = self._is_sent()
        return [{"name": "dish.sold.v1", "key": "7"}] if "from outbox" in query and not is_sent else []

    async def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        is_sent = self._is_sent()
        return {TopicPartition(topic, 0): int(is_sent) for topic in topics}

    async def committed(self, partition: TopicPartition) -> int | None:
        del partition
        self._is_sent()
        return None


@pytest.mark.parametrize("sent_after", range(QUESTIONS + 1))
async def test_a_record_that_leaves_the_outbox_during_a_look_is_seen(sent_after: int) -> None:
    part: Any = RunningParticipant("kitchen", "postgresql://", KafkaSettings(("127.0.0.1:9",)), ["till"])
    system = Moving(sent_after)
    part._connection = part._reader = part._offsets = system  # noqa: SLF001 - `begin` would connect

    left = await part.pending()

    assert left.now
    assert system.questions == QUESTIONS


def test_the_log_of_another_process_tells_its_part_of_the_story() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    place = {"trace_id": trace, "timestamp": datetime.fromtimestamp(100, UTC).isoformat()}
    lines = [
        "Traceback (most recent call last):",
        json.dumps({"event": "consuming", "service": "kitchen"}),
        json.dumps(
            place
            | {"event": "event_handled", "service": "kitchen", "type": "dish.sold.v1", "event_id": "1"}
            | {"span_id": "b" * 16, "parent_span_id": "a" * 16}
        ),
        json.dumps(
            place
            | {"event": "task_postponed", "service": "kitchen", "task": "cook", "reason": "cold"}
            | {"span_id": "c" * 16, "parent_span_id": "b" * 16}
        ),
    ]
    sold = sent_record(_outgoing("7", 1))

    story = tell(logged_steps(lines), [sold], {}, since=100)

    assert story.names == ["dish.sold.v1", "cook"]
    assert "cook (postponed: cold)" in str(story)
