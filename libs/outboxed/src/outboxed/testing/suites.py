"""What the tests of every service say alike: each subclasses these suites and gives them its own names and objects."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import anyio
import httpx
import jwt
import pytest
import sqlalchemy as sa
import trustme
from backing_services.waiting import eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner, Result

from outboxed.consuming import ConsumerRole
from outboxed.errors import ConfigurationError
from outboxed.settings import ServiceSettings, load
from outboxed.storage import ConcurrentInsertError, SqlTransactions, StaleAggregateError
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend, failed_transaction
from outboxed.testing.histories import ON_A_DATABASE, Histories, History
from outboxed.testing.memory import InMemoryDatabase
from outboxed.testing.records import event_record, odd, poison
from outboxed.testing.services import running
from outboxed.testing.tokens import KeyPair
from outboxed.testing.topics import Topics

Consume = Callable[..., Awaitable[None]]
MakeConsumer = Callable[..., ConsumerRole]
LEGIBLE = 4
"""Characters: fewer may stand in a message by chance."""


def signing_keys(*, issuer: str, audience: str, role: str) -> Any:
    """The fixture `keys`: what tokens are signed and verified with; `role` is a token's default role."""

    @pytest.fixture(scope="session")
    def keys() -> KeyPair:
        return KeyPair.generate(issuer=issuer, audience=audience, role=role)

    return keys


@pytest.fixture
def new_id() -> UUID:
    """The id of something that nobody has heard of; import it under the name of what it is."""
    return uuid4()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, signed by an authority that is in the same file; and its key."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for pem in (*issued.cert_chain_pems, authority.cert_pem):
        pem.write_to_path(folder / "certificate.pem", append=True)
    return folder / "certificate.pem", folder / "key.pem"


def each_of(*params: Any, ids: Any = None) -> Any:
    """A fixture of a suite's subclass, under the name that it is given there: a test runs for each of `params`."""

    @pytest.fixture(params=params, ids=ids)
    def one(_: object, request: pytest.FixtureRequest) -> Any:
        return request.param

    return one


def wrong_settings(*pairs: tuple[str, str]) -> Any:
    """The fixture `wrong` of a SettingsSuite: variables without their prefix, each with a value to be refused."""
    return each_of(*pairs, ids=" ".join)


class SettingsSuite:
    """Needs the fixture `wrong`; variables are without their prefix."""

    settings: ClassVar[type[ServiceSettings]]
    key: ClassVar[tuple[str, str]] = (
        "JWT_PUBLIC_KEYS",
        '["-----BEGIN PUBLIC KEY-----\\nours\\n-----END PUBLIC KEY-----"]',
    )
    """The variable of the key that production needs, and one that will do."""

    @pytest.fixture
    def in_production(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServiceSettings]:
        """Loads settings that production starts with, changed as given; None leaves a variable out."""

        def load_with(**changes: str | None) -> ServiceSettings:
            ready = {
                "ENVIRONMENT": "production",
                "DATABASE_URL": "postgresql+asyncpg://service:secret@db/service",
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                self.key[0]: self.key[1],
            }
            for name, value in {**ready, **changes}.items():
                if value is not None:
                    monkeypatch.setenv(self.variable(name), value)
            return load(self.settings)

        return load_with

    def variable(self, name: str) -> str:
        return f"{self.settings.model_config['env_prefix']}{name}"

    def test_a_wrong_setting_is_named_in_one_line_without_its_value(
        self, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, str]
    ) -> None:
        name, value = wrong
        monkeypatch.setenv(self.variable(name), value)

        with pytest.raises(ConfigurationError, match=f"^{self.variable(name)}") as refused:
            load(self.settings)

        assert "\n" not in str(refused.value)
        assert len(value) < LEGIBLE or value not in str(refused.value)

    def test_production_starts_with_secrets_of_its_own(self, in_production: Callable[..., ServiceSettings]) -> None:
        assert in_production().environment == "production"

    @pytest.mark.parametrize("missing", ["DATABASE_URL", "KAFKA_SECURITY_PROTOCOL"])
    def test_production_refuses_a_default_that_everybody_knows(
        self, in_production: Callable[..., ServiceSettings], missing: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=self.variable(missing)):
            in_production(**{missing: None})

    def test_production_refuses_the_key_of_development(self, in_production: Callable[..., ServiceSettings]) -> None:
        with pytest.raises(ConfigurationError, match=self.variable(self.key[0])):
            in_production(**{self.key[0]: None})


def _another_pair(keys: KeyPair) -> KeyPair:
    return KeyPair.generate(issuer=keys.issuer, audience=keys.audience, role=keys.role)


INTRUDERS: Mapping[str, Callable[[KeyPair], Mapping[str, str]]] = {
    "no token": lambda _: {},
    "another scheme": lambda _: {"Authorization": "Basic YTpi"},
    "no JWT": lambda _: {"Authorization": "Bearer nonsense"},
    "another key": lambda keys: _another_pair(keys).bearer(),
    "expired": lambda keys: keys.bearer(exp=datetime.now(UTC) - timedelta(seconds=1)),
    "another audience": lambda keys: keys.bearer(aud="warehouse"),
    "another issuer": lambda keys: keys.bearer(iss="somebody-else"),
    "an unknown role": lambda keys: keys.bearer("root"),
    "no user": lambda keys: keys.bearer(sub="me"),
    "alg none": lambda keys: {"Authorization": f"Bearer {_unsigned(keys)}"},
}


def _unsigned(keys: KeyPair) -> str:
    claims: dict[str, Any] = jwt.decode(keys.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", "none")


@dataclass(frozen=True)
class Commands:
    """`python -m SERVICE ...` in this process; `environment` is that of each command."""

    typer: Typer
    environment: Mapping[str, str]

    async def __call__(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> Result:
        """In a thread, because each has an event loop of its own."""
        invoke = partial(CliRunner().invoke, input=stdin, env={**self.environment, **environment})
        with pytest.MonkeyPatch.context() as patch:
            # the test run's own logging stays as it is
            patch.setattr("outboxed.process._cli.configure_logs", lambda **_: None)
            return await asyncio.to_thread(invoke, self.typer, list(arguments))

    async def refused(self, *arguments: str, **environment: str) -> str:
        """The one line that a person is told."""
        result = await self(*arguments, stdin=None, **environment)
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        return line


class OperatorsPageSuite:
    """A list that operators look at by the id of what it is about. Needs the fixtures `client` and `keys`."""

    path: ClassVar[str]
    """Up to the id, such as `/payments?order_id=`."""

    async def test_an_unknown_id_has_an_empty_list(self, client: httpx.AsyncClient, keys: KeyPair) -> None:
        response = await self.look(client, keys.bearer())

        assert (response.status_code, response.json()) == (200, {"items": []})

    @pytest.mark.parametrize("given", [None, "no-uuid", "7"])
    async def test_the_id_has_to_be_given(self, client: httpx.AsyncClient, keys: KeyPair, given: str | None) -> None:
        path, _, parameter = self.path.partition("?")

        response = await client.get(self.path + given if given else path, headers=keys.bearer())

        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (422, "VALIDATION_ERROR")
        assert error["details"][0]["field"] == f"query.{parameter.rstrip('=')}"

    async def test_a_customer_may_not_look(self, client: httpx.AsyncClient, keys: KeyPair) -> None:
        response = await self.look(client, keys.bearer("customer"))

        assert (response.status_code, response.json()["error"]["code"]) == (403, "FORBIDDEN")

    @pytest.mark.parametrize("intruder", INTRUDERS)
    async def test_nobody_looks_without_a_token_of_the_issuer(
        self, client: httpx.AsyncClient, keys: KeyPair, intruder: str
    ) -> None:
        response = await self.look(client, INTRUDERS[intruder](keys))

        assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHENTICATED")

    async def look(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
        return await client.get(f"{self.path}{uuid4()}", headers=headers)


Spoil = Callable[[Any], Any]


def poisoned(**refused: Mapping[str, Any]) -> Any:
    """The fixture `spoil` of a ConsumerSuite: all that any reader refuses, and `refused`, as in records.poison."""

    def spoil(kind: str, good: Any) -> Any:
        return poison(good, **refused)[kind]

    kinds = list(poison(event_record("accounts", "account.credited.v1", {}, key="1"), **refused))
    return each_of(*(partial(spoil, kind) for kind in kinds), ids=kinds)


class ConsumerSuite:
    """Records from Kafka. Needs the fixtures `database` (in memory), `consume` and `spoil`."""

    group: ClassVar[str]
    unread: ClassVar[Sequence[tuple[str, str]]]
    """Topics and types of events that the service doesn't read, though it reads the topics."""

    async def event(self, database: Any, subject: UUID) -> Any:
        """A record about a subject, such as an order, that changes what the service knows of it."""
        raise NotImplementedError

    def handled(self, database: Any) -> Sequence[UUID]:
        """The subjects whose event was handled, once for each time."""
        raise NotImplementedError

    async def test_the_same_event_twice_is_handled_once(
        self, database: InMemoryDatabase[Any], consume: Consume
    ) -> None:
        subject = uuid4()
        event = await self.event(database, subject)

        await consume(event, event)
        await consume(event)

        assert list(self.handled(database)) == [subject]
        assert len(database.state.inbox) == 1

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
    each = [(pact, expectation.description) for pact in pacts for expectation in pact.expectations]
    return each_of(*each, ids=[description for _, description in each])


class ConsumedPactsSuite:
    """What a service expects of others. Needs the fixtures `database`, `subscriber` and `expectation`."""

    async def test_no_expectation_is_without_effect(
        self, expectation: tuple[Any, str], database: InMemoryDatabase[Any], subscriber: Any
    ) -> None:
        pact, description = expectation
        await pact.receive(description, subscriber, database.outcome)


class RepositorySuite:
    """Aggregates of a service, in memory and on PostgreSQL. Needs the fixtures `backend` and `transactions`."""

    table: ClassVar[sa.Table]
    repository: ClassVar[str]
    """Its name in a unit of work."""
    key_field: ClassVar[str] = "id"

    def versions(self) -> Sequence[Any]:
        """A new aggregate, and what two changes one after the other make of it."""
        raise NotImplementedError

    def repository_of(self, uow: Any) -> Any:
        return getattr(uow, self.repository)

    async def add(self, backend: Backend, *aggregates: Any) -> None:
        async with backend.database() as uow:
            for aggregate in aggregates:
                self.repository_of(uow).add(aggregate)

    async def save(self, backend: Backend, *aggregates: Any) -> None:
        async with backend.database() as uow:
            for aggregate in aggregates:
                self.repository_of(uow).save(aggregate)

    async def found(self, backend: Backend, key: UUID) -> Any:
        async with backend.database() as uow:
            return await self.repository_of(uow).find(key)

    async def is_found_whole(self, backend: Backend, aggregate: Any) -> bool:
        """Stores it, and says whether it comes back as it was."""
        await self.add(backend, aggregate)
        async with backend.database() as uow:
            locked = await self.repository_of(uow).get(aggregate.id)
        return [locked, await self.found(backend, aggregate.id)] == [aggregate, aggregate]

    async def test_what_was_never_added_is_not_found(self, backend: Backend) -> None:
        async with backend.database() as uow:
            assert await self.repository_of(uow).get(uuid4()) is None
            assert await self.repository_of(uow).find(uuid4()) is None

    @pytest.mark.parametrize("stored_before", [False, True])
    async def test_a_transaction_gets_what_it_added_and_saved_itself(
        self, backend: Backend, stored_before: bool
    ) -> None:
        aggregate, changed, _ = self.versions()
        if stored_before:
            await self.add(backend, aggregate)

        async with backend.database() as uow:
            repository = self.repository_of(uow)
            if not stored_before:
                repository.add(aggregate)
            assert await repository.get(aggregate.id) == aggregate
            repository.save(changed)
            assert await repository.get(aggregate.id) == changed

        assert await self.found(backend, aggregate.id) == changed

    async def test_an_aggregate_may_change_twice_in_one_transaction(self, backend: Backend) -> None:
        aggregate, changed, changed_again = self.versions()
        await self.add(backend, aggregate)

        await self.save(backend, changed, changed_again)

        assert await self.found(backend, aggregate.id) == changed_again

    async def test_two_of_one_id_are_refused_and_the_first_stays(self, backend: Backend) -> None:
        first, twin, _ = self.versions()
        await self.add(backend, first)

        with pytest.raises(ConcurrentInsertError):
            await self.add(backend, twin, self.versions()[0])

        assert await self.found(backend, first.id) == first

    @pytest.mark.parametrize("versions_back", [0, 1])
    async def test_a_version_that_is_not_newer_is_refused_with_its_whole_transaction(
        self, backend: Backend, versions_back: int
    ) -> None:
        _, stored, changed_again = self.versions()
        innocent, innocently_changed, _ = self.versions()
        await self.add(backend, stored, innocent)
        stale = replace(changed_again, version=stored.version - versions_back)

        with pytest.raises(StaleAggregateError):
            await self.save(backend, innocently_changed, stale)

        assert await self.found(backend, stored.id) == stored
        assert await self.found(backend, innocent.id) == innocent

    async def test_what_was_never_added_cannot_be_saved(self, backend: Backend) -> None:
        with pytest.raises(StaleAggregateError):
            await self.save(backend, self.versions()[1])

    async def test_a_change_is_gone_when_its_transaction_fails(self, backend: Backend) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(backend, aggregate)

        async with failed_transaction(backend.database) as uow:
            self.repository_of(uow).save(changed)

        assert await self.found(backend, aggregate.id) == aggregate

    async def test_batches_that_lock_the_same_keys_in_other_orders_do_not_block_each_other(
        self, backend: Backend
    ) -> None:
        new = [self.versions()[0] for _ in range(10)]
        aggregates = {str(getattr(aggregate, self.key_field)): aggregate for aggregate in new}
        await self.add(backend, *aggregates.values())
        keys = list(aggregates)

        async def touch(batch: Sequence[str]) -> None:
            async with backend.database() as uow:
                await uow.lock(batch)
                for key in batch:
                    assert await self.repository_of(uow).get(aggregates[key].id) is not None

        await asyncio.gather(*(touch(batch) for batch in [keys, keys[::-1], keys[5:] + keys[:5]] * 3))

    async def test_a_row_that_was_changed_behind_its_lock_is_not_overwritten(
        self, transactions: SqlTransactions[Any]
    ) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(SqlBackend(transactions), aggregate)

        async def save_what_moved_on() -> None:
            async with transactions() as uow:
                await uow.connection.execute(sa.update(self.table).values(version=5))
                self.repository_of(uow).save(changed)

        with pytest.raises(StaleAggregateError):
            await save_what_moved_on()

    async def test_looking_does_not_wait_for_who_changes(self, transactions: SqlTransactions[Any]) -> None:
        aggregate, changed, _ = self.versions()
        await self.add(SqlBackend(transactions), aggregate)

        async with transactions() as writing, transactions() as reading:
            await self.repository_of(writing).get(aggregate.id)
            self.repository_of(writing).save(changed)
            seen = await asyncio.wait_for(self.repository_of(reading).find(aggregate.id), 2)

        assert seen == aggregate


class DeliverySuite:
    """Events from Kafka to PostgreSQL. Needs the fixtures `transactions`, `topics` and `consumer_role`."""

    topic: ClassVar[str]

    async def event(self, transactions: Any) -> Any:
        """A record of the topic, that changes something."""
        raise NotImplementedError

    async def is_handled(self, transactions: Any, event: Any) -> bool:
        """Whether what it changes has changed."""
        raise NotImplementedError

    async def effects(self, backend: SqlBackend) -> int:
        """The tasks or events that came of all events."""
        return len(await backend.tasks())

    async def test_an_event_that_is_sent_twice_is_handled_once(
        self, transactions: SqlTransactions[Any], consumer_role: MakeConsumer, topics: Topics
    ) -> None:
        event, marker = [await self.event(transactions) for _ in range(2)]

        async with running(consumer_role().run):
            await topics.send(event)
            await eventually(lambda: self.is_handled(transactions, event))
            await topics.send(event, event, marker)
            await eventually(lambda: self.is_handled(transactions, marker))
            await eventually(lambda: self._are_committed(topics, 4))

        backend = SqlBackend(transactions)
        handled = {dict(record.headers)["ce_id"].decode() for record in (event, marker)}
        assert await backend.inbox() == handled
        assert await self.effects(backend) == len(handled)

    async def test_offsets_are_committed_after_the_transaction_so_what_a_dead_process_had_in_hand_comes_again(
        self, transactions: SqlTransactions[Any], consumer_role: MakeConsumer, topics: Topics
    ) -> None:
        event = await self.event(transactions)
        await topics.send(event)
        in_hand = asyncio.Event()

        @asynccontextmanager
        async def never_commits() -> AsyncIterator[Any]:
            async with transactions() as uow:
                yield uow
                in_hand.set()
                await anyio.sleep_forever()

        role = asyncio.ensure_future(consumer_role(never_commits).run(anyio.Event()))
        await eventually(in_hand.is_set)
        role.cancel()
        await asyncio.wait({role})
        assert await topics.committed(self.topic) == 0
        assert not await self.is_handled(transactions, event)

        async with running(consumer_role().run):
            await eventually(lambda: self.is_handled(transactions, event), within=8)
            await eventually(lambda: self._are_committed(topics, 1))

    async def _are_committed(self, topics: Topics, count: int) -> bool:
        return await topics.committed(self.topic) == count


class HistoriesSuite:
    """Whatever happens to a few subjects, in whatever sequence. Needs the fixtures `in_memory` and `transactions`."""

    histories: ClassVar[Histories]

    async def begin(self, database: Any, subjects: Sequence[UUID]) -> None:
        """What has to be there before; nothing, unless a service says otherwise."""

    async def outcome(self, backend: Backend, numbers: Mapping[str, int]) -> Any:
        """What came of the subjects, which are given by id with a number each, without ids and times."""
        raise NotImplementedError

    @settings(
        ON_A_DATABASE,
        suppress_health_check=[*ON_A_DATABASE.suppress_health_check, HealthCheck.differing_executors],
    )
    @given(data=st.data())
    async def test_every_history_ends_alike_in_memory_and_on_postgresql(
        self, in_memory: InMemoryBackend, transactions: SqlTransactions[Any], data: st.DataObject
    ) -> None:
        history = data.draw(self.histories.made_up())

        outcomes = [await self._play(history, backend) for backend in (in_memory, SqlBackend(transactions))]

        assert outcomes[0] == outcomes[1]

    async def _play(self, history: History, backend: Backend) -> Any:
        """With subjects that nobody has heard of."""
        subjects = [uuid4() for _ in range(self.histories.subjects)]
        await self.begin(backend.database, subjects)
        await self.histories.play(history, backend.database, subjects)
        return await self.outcome(backend, {str(subject): number for number, subject in enumerate(subjects)})
