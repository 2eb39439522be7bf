"""Tests of what a service does with records from Kafka, on FastStream's test broker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from uuid import UUID, uuid4

from outboxed.consuming import BatchConsumer
from outboxed.testing.memory import InMemoryDatabase
from outboxed.testing.records import event_record, odd, poison
from outboxed.testing.suites._params import each_of

Consume = Callable[..., Awaitable[None]]
Spoil = Callable[[Any], Any]


def poisoned(**refused: Mapping[str, Any]) -> Any:
    """The fixture `spoil` of a ConsumerSuite: all that any reader refuses, and `refused`, as in records.poison."""

    def spoil(kind: str, good: Any) -> Any:
        return poison(good, **refused)[kind]

    kinds = list(poison(event_record("accounts", "account.credited.v1", {}, key="1"), **refused))
    return each_of(*(partial(spoil, kind) for kind in kinds), ids=kinds)


def _counted(consumer: BatchConsumer[Any], event_type: str) -> list[Any]:
    """The events that the handler of a type is called with from now on; a handler that is idempotent hides a copy."""
    calls: list[Any] = []
    route = consumer.routes[event_type]

    async def counted(event: Any, uow: Any) -> None:
        calls.append(event)
        await route.handle(event, uow)

    consumer.routes[event_type] = replace(route, handle=counted)
    return calls


class ConsumerSuite:
    """Records from Kafka. Needs the fixtures `database` (in memory), `consumer`, `consume` and `spoil`."""

    group: ClassVar[str]
    unread: ClassVar[Sequence[tuple[str, str]]]
    """Topics and types of events that the service doesn't read, though it reads the topics."""

    async def event(self, database: Any, subject: UUID) -> Any:
        """A record about a subject, such as an order, that changes what the service knows of it."""
        raise NotImplementedError

    def handled(self, database: Any) -> Sequence[UUID]:
        """The subjects whose event was handled."""
        raise NotImplementedError

    async def test_the_same_event_twice_is_handled_once(
        self, database: InMemoryDatabase[Any], consumer: BatchConsumer[Any], consume: Consume
    ) -> None:
        subject = uuid4()
        event = await self.event(database, subject)
        calls = _counted(consumer, dict(event.headers)["ce_type"].decode())

        await consume(event, event)
        await consume(event)

        assert list(self.handled(database)) == [subject]
        assert len(calls) == 1

    async def test_many_subjects_are_handled_in_one_batch(
        self, database: InMemoryDatabase[Any], consume: Consume
    ) -> None:
        subjects = [uuid4() for _ in range(20)]

        await consume(*[await self.event(database, subject) for subject in subjects])

        assert sorted(self.handled(database)) == sorted(subjects)

    async def test_poison_becomes_one_dead_letter_and_its_neighbours_are_handled(
        self, database: InMemoryDatabase[Any], consume: Consume, spoil: Spoil
    ) -> None:
        subject = uuid4()

        await consume(spoil(await self.event(database, uuid4())), await self.event(database, subject))

        [letter] = database.state.dead_letters.values()
        assert letter.reason
        assert letter.group == self.group
        assert list(self.handled(database)) == [subject]

    async def test_odd_records_that_are_no_poison_leave_no_dead_letter(
        self, database: InMemoryDatabase[Any], consume: Consume
    ) -> None:
        subject = uuid4()
        event, about = await self.event(database, subject), {"id": str(subject)}

        await consume(
            event_record(event.topic, "thing.exploded.v1", {}, key="any"),
            *(event_record(topic, event_type, about, key=str(subject)) for topic, event_type in self.unread),
            odd(event),
        )

        assert not database.state.dead_letters
        assert list(self.handled(database)) == [subject]


def expectations_of(*pacts: Any) -> Any:
    """The fixture `expectation` of a ConsumedPactsSuite: of each pact_faststream.MessagePact all expectations."""
    each = [(pact, description) for pact in pacts for description in pact.descriptions]
    return each_of(*each, ids=[description for _, description in each])


class ConsumedPactsSuite:
    """What a service expects of others. Needs the fixtures `database`, `subscriber` and `expectation`."""

    async def test_no_expectation_is_without_effect(
        self, expectation: tuple[Any, str], database: InMemoryDatabase[Any], subscriber: Any
    ) -> None:
        pact, description = expectation
        await pact.receive(description, subscriber, database.outcome)

    def test_each_expectation_asks_for_its_values(self, expectation: tuple[Any, str]) -> None:
        pact, description = expectation
        assert [each.another for each in pact.expectations if description in each.interactions] != [None], (
            f"{description!r} says only what the message looks like: give the expectation `another` example"
        )
