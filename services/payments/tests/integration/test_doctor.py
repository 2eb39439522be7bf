"""`python -m payments doctor`: each thing that can be wrong, made wrong, is found and told with what to do."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from backing_services.faults import FaultError, skewed
from backing_services.kafka import KafkaCluster, MockKafka
from backing_services.kafka.apache import why_unavailable
from backing_services.kafka.secured import SecuredKafka
from backing_services.plugin import not_available
from backing_services.postgres import DatabaseIsolation, PgBouncer, PostgresServer, connected
from backing_services.processes import free_port
from outboxed.messages import Record
from outboxed.ports import EventDeadLetter
from outboxed.process import Finding, bind, examine, http_role
from outboxed.storage import SqlTransactions
from outboxed.testing.services import running
from outboxed.testing.suites.commands import Commands
from outboxed.testing.topics import Topics
from payments.__main__ import command_line
from payments.app import NAME, build
from payments.settings import Settings
from payments.storage import SqlPaymentsUnitOfWork
from sqlalchemy import make_url

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]
Examine = Callable[..., Awaitable[dict[str, Finding]]]
EVERYTHING = {
    *("settings", "database", "clock", "schema", "outbox", "tasks", "dead letters"),
    *("Kafka", "topics", "consumer group"),
}
HELD = """
insert into outbox (topic, key, value, headers, retry_at) values ('payments', 'k', 'v', '{}', 'infinity')
"""
UNSENT = """
insert into outbox (topic, key, value, headers, created_at)
values ('payments', 'k', 'v', '{}', now() - interval '5 minutes')
"""
OVERDUE = """
insert into tasks (kind, key, payload, due_at, first_due_at, attempts, last_error)
values ('charge', 'k', '{}', now() + interval '1 minute', now() - interval '5 minutes', 9, '503 from the gateway')
"""


def settings_of(topics: Topics, database_url: str, **others: Any) -> Settings:
    kafka = topics.kafka
    own = {
        "kafka_bootstrap_servers": kafka.bootstrap_servers,
        "kafka_topic_prefix": kafka.topic_prefix,
        "database_url": database_url,
        "http_port": 0,
    }
    return Settings(**{**own, **others})


async def examined(settings: Settings) -> dict[str, Finding]:
    service = build(settings)
    try:
        findings = await examine(service)
    finally:
        await service.close()
    return {finding.about: finding for finding in findings}


@pytest.fixture
def look(topics: Topics, isolation: DatabaseIsolation, transactions: Transactions) -> Examine:  # noqa: ARG001 - which empties the database
    """Examine the service on the test's database and topics, or with other settings."""

    async def look(**others: Any) -> dict[str, Finding]:
        return await examined(settings_of(topics, others.pop("database_url", isolation.url), **others))

    return look


async def execute(transactions: Transactions, statement: str) -> None:
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.text(statement))


def told(finding: Finding) -> tuple[str, str]:
    return finding.verdict, f"{finding.found} | {finding.do}"


@pytest.fixture
async def embedded(own_kafka: MockKafka, transactions: Transactions) -> Topics:  # noqa: ARG001 - which empties the database
    """Topics of a Kafka that never tells who is in a group."""
    return await Topics.create(own_kafka, ("orders", "payments"))


# --- all is well ---


# a real Kafka tells, too, that nobody reads: test_apache_kafka_tells_the_limit_of_a_record_and_who_reads
async def test_where_all_is_well_each_part_is_ok(embedded: Topics, isolation: DatabaseIsolation) -> None:
    found = await examined(settings_of(embedded, isolation.url))

    assert {about: finding.verdict for about, finding in found.items()} == dict.fromkeys(EVERYTHING, "ok")
    assert "statement_timeout 15s" in found["database"].found


@pytest.mark.real_kafka
async def test_apache_kafka_tells_the_limit_of_a_record_and_who_reads(
    real_kafka_cluster: KafkaCluster, isolation: DatabaseIsolation
) -> None:
    topics = await Topics.create(real_kafka_cluster, ("orders", "payments"))

    found = await examined(settings_of(topics, isolation.url))

    assert "4 partitions, 1048588 bytes" in found["topics"].found
    assert found["consumer group"].verdict == "warning"
    assert "0 records wait, and nobody reads" in found["consumer group"].found


async def test_the_command_prints_a_line_for_each_part_and_ends_with_0(
    embedded: Topics, isolation: DatabaseIsolation
) -> None:
    command = command_of(embedded, isolation.url)

    result = await command("doctor")
    document = json.loads((await command("doctor", "--json")).stdout)

    assert result.exit_code == 0
    assert {line[:8].strip() for line in result.stdout.splitlines()} == {"ok"}
    assert (document["service"], document["verdict"]) == (NAME, "ok")
    assert {finding["about"] for finding in document["findings"]} == EVERYTHING


def command_of(topics: Topics, database_url: str) -> Commands:
    environment = {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": ",".join(topics.kafka.bootstrap_servers),
        "PAYMENTS_KAFKA_TOPIC_PREFIX": topics.kafka.topic_prefix,
        "PAYMENTS_HTTP_PORT": "0",
    }
    return Commands(command_line.typer, environment)


# --- settings ---


async def test_a_wrong_setting_is_named_and_nothing_else_is_asked(topics: Topics, isolation: DatabaseIsolation) -> None:
    command = command_of(topics, isolation.url)

    result = await command("doctor", PAYMENTS_GATEWAY_URL="gateway")

    assert result.exit_code == 1
    first, do = result.stdout.splitlines()
    assert first.startswith("failed   settings        PAYMENTS_GATEWAY_URL: must be a URL")
    assert do.strip() == "put the variable right: nothing else can be asked"


# --- the database ---


async def test_a_database_that_is_down(look: Examine) -> None:
    found = await look(database_url=f"postgresql+asyncpg://payments:secret@127.0.0.1:{free_port()}/payments")

    verdict, text = told(found["database"])
    assert (verdict, found.keys() & {"schema", "outbox", "tasks", "dead letters"}) == ("failed", set())
    assert "start the database, or put PAYMENTS_DATABASE_URL right" in text
    assert "secret" not in text
    assert found["Kafka"].verdict == "ok"


async def test_a_database_that_is_not_there(look: Examine, postgres_server: PostgresServer) -> None:
    verdict, text = told((await look(database_url=postgres_server.url("nowhere")))["database"])

    assert verdict == "failed"
    assert 'database "nowhere" does not exist | put PAYMENTS_DATABASE_URL right' in text


async def test_a_pooler_that_nobody_mentioned(
    look: Examine,
    isolation: DatabaseIsolation,
    postgres_server: PostgresServer,
    start_pgbouncer: Callable[..., PgBouncer],
) -> None:
    ignored = "idle_in_transaction_session_timeout,lock_timeout,statement_timeout,tcp_keepalives_idle,tcp_user_timeout"
    pooler = start_pgbouncer(postgres_server, ignore_startup_parameters=ignored)
    url = pooler.url(str(make_url(isolation.url).database))

    unmentioned, mentioned = await look(database_url=url), await look(database_url=f"{url}?pooler=transaction")

    verdict, text = told(unmentioned["database"])
    assert (verdict, "add pooler=transaction to the URL" in text) == ("failed", True)
    assert mentioned["database"].verdict == "ok"
    assert "through a pooler; idle_in_transaction_session_timeout 10s" in mentioned["database"].found


@pytest.fixture
async def spoiled(topics: Topics, isolation: DatabaseIsolation) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Examine the service on a database of the test's own, after a statement on it."""
    async with isolation.private() as url:

        async def after(statement: str, *, user: str | None = None) -> dict[str, Finding]:
            async with connected(url) as connection:
                await connection.execute(statement.format(database=make_url(url).database))
            mine = make_url(url).set(username=user) if user else make_url(url)
            return await examined(settings_of(topics, mine.render_as_string(hide_password=False)))

        yield after


async def test_a_database_that_takes_no_writes(spoiled: Examine) -> None:
    found = await spoiled("alter database {database} set default_transaction_read_only = on")

    verdict, text = told(found["database"])
    assert (verdict, "takes no writes | name the primary" in text) == ("failed", True)


async def test_a_schema_that_is_too_old(spoiled: Examine) -> None:
    found = await spoiled("delete from alembic_version")

    assert told(found["schema"]) == ("failed", "the schema is at nothing | run `python -m payments migrate`")
    assert "outbox" not in found


async def test_a_role_without_rights(spoiled: Examine) -> None:
    name = f"doctor_{uuid4().hex[:8]}"
    found = await spoiled(f"create role {name} login; grant select on alembic_version to {name}", user=name)

    verdict, text = told(found["outbox"])
    assert (found["schema"].verdict, verdict) == ("ok", "failed")
    assert "permission denied" in text
    await spoiled(f"drop owned by {name}; drop role {name}")


async def test_a_host_whose_clock_is_wrong(topics: Topics, isolation: DatabaseIsolation) -> None:
    try:
        wrong = skewed(90)
    except FaultError as error:
        not_available("faults", str(error))
    environment = {**os.environ, **command_of(topics, isolation.url).environment, **wrong}

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", NAME, "doctor", "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )

    [clock] = [each for each in json.loads(done.stdout)["findings"] if each["about"] == "clock"]
    assert clock["verdict"] == "warning"
    assert "s ahead of the database" in clock["found"]


# --- what waits in the database ---


async def test_events_that_are_held(look: Examine, transactions: Transactions) -> None:
    await execute(transactions, HELD)

    verdict, text = told((await look())["outbox"])

    assert (verdict, text.startswith("1 events are held")) == ("warning", True)
    assert "dead-letters list --source outbox" in text


async def test_events_that_nobody_sends(look: Examine, transactions: Transactions) -> None:
    await execute(transactions, UNSENT)

    verdict, text = told((await look())["outbox"])

    assert (verdict, "1 events wait to be sent, the oldest for 300 s" in text) == ("failed", True)


async def test_a_task_that_fails_again_and_again_with_its_last_error(look: Examine, transactions: Transactions) -> None:
    await execute(transactions, OVERDUE)

    verdict, text = told((await look())["tasks"])

    assert verdict == "failed"
    assert text.startswith("charge: 1 due, the oldest for 300 s (503 from the gateway) | see that a process")


async def test_a_task_of_a_kind_that_this_release_does_not_know(look: Examine, transactions: Transactions) -> None:
    await execute(transactions, OVERDUE.replace("charge", "teleport"))

    _, text = told((await look())["tasks"])

    assert "run a worker of the release that made these kinds" in text


async def test_dead_letters(look: Examine, transactions: Transactions, order_id: UUID) -> None:
    async with transactions() as uow:
        record = Record("orders", 0, 0, str(order_id).encode(), b"{", ())
        uow.dead_letters.add(EventDeadLetter(NAME, record, "a bug"))

    verdict, text = told((await look())["dead letters"])

    assert (verdict, text.startswith("1 of source event are open")) == ("warning", True)


# --- Kafka ---


@pytest.fixture
def own_kafka() -> Iterator[MockKafka]:
    with MockKafka() as kafka:
        yield kafka


async def test_kafka_that_is_down(look: Examine) -> None:
    found = await look(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")

    verdict, text = told(found["Kafka"])
    assert (verdict, found.keys() & {"topics", "consumer group"}) == ("failed", set())
    assert "start Kafka, or put PAYMENTS_KAFKA_BOOTSTRAP_SERVERS right" in text
    assert found["database"].verdict == "ok"


@pytest.mark.real_kafka
async def test_kafka_that_lets_nobody_in(look: Examine) -> None:
    if reason := why_unavailable():
        not_available("kafka", f"a Kafka that demands SASL_SSL runs as a process only, and here is {reason}")
    with SecuredKafka() as kafka:
        secured: dict[str, Any] = {
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_username": kafka.username,
            "kafka_ssl_ca_file": str(kafka.ca_file),
        }

        refused = await look(**secured, kafka_sasl_password="guessed")
        let_in = await look(**secured, kafka_sasl_password=kafka.password)

    verdict, text = told(refused["Kafka"])
    assert (verdict, "guessed" in text) == ("failed", False)
    assert "Authentication failed" in text
    assert "put PAYMENTS_KAFKA_SECURITY_PROTOCOL, PAYMENTS_KAFKA_SASL_USERNAME" in text
    assert let_in["Kafka"].verdict == "ok"


async def test_a_topic_that_is_not_there(own_kafka: MockKafka, isolation: DatabaseIsolation) -> None:
    topics = await Topics.create(own_kafka, ("orders",))

    found = await examined(settings_of(topics, isolation.url))

    missing = topics.kafka.topic("payments")
    assert told(found["topics"]) == (
        "failed",
        f"{missing} isn't there | create what is missing, or let this user see it",
    )
    assert found["consumer group"].verdict == "failed"


async def test_a_partition_without_a_leader(own_kafka: MockKafka, isolation: DatabaseIsolation) -> None:
    topics = await Topics.create(own_kafka, ("orders", "payments"))
    own_kafka.take_leader(topics.kafka.topic("orders"), 2)

    verdict, text = told((await examined(settings_of(topics, isolation.url)))["topics"])

    assert (verdict, "has no leader for its partitions 2" in text) == ("failed", True)


@pytest.mark.real_kafka
async def test_a_topic_that_takes_small_records_only(
    real_kafka_cluster: KafkaCluster, isolation: DatabaseIsolation
) -> None:
    topics = await Topics.create(real_kafka_cluster, ("orders",))
    client = AIOKafkaAdminClient(**topics.kafka.client_options())
    await client.start()
    small = NewTopic(topics.kafka.topic("payments"), 4, 1, topic_configs={"max.message.bytes": "1000"})
    await client.create_topics([small])
    await client.close()
    await real_kafka_cluster.create_topics({small.name: small.num_partitions})  # which waits for its leaders

    verdict, text = told((await examined(settings_of(topics, isolation.url)))["topics"])

    assert (verdict, "payments takes 1000 bytes | raise max.message.bytes" in text) == ("warning", True)


# --- who reads ---


def record_of(topic: str) -> Record:
    return Record(topic, 0, 0, b"k", b"{}", (("ce_type", b"order.shipped.v1"),))


async def test_records_that_nobody_handles(embedded: Topics, isolation: DatabaseIsolation) -> None:
    await embedded.send(record_of("orders"), record_of("orders"))

    verdict, text = told((await examined(settings_of(embedded, isolation.url)))["consumer group"])

    assert (verdict, "2 records wait, and within 1 s they didn't become fewer" in text) == ("warning", True)


@pytest.mark.parametrize(("later", "expected"), [(1, "ok"), (2, "warning"), (3, "warning")])
async def test_records_that_become_fewer_while_it_looks_are_no_finding(
    embedded: Topics, isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch, later: int, expected: str
) -> None:
    counted = iter([2, later])  # how far a real consumer comes within a second, no test can say

    async def unread(*_: object) -> int:
        return next(counted)

    monkeypatch.setattr("outboxed.process._doctor._kafka._unread", unread)

    verdict, text = told((await examined(settings_of(embedded, isolation.url)))["consumer group"])

    assert (verdict, f"{later} records wait" in text) == (expected, True)


@pytest.mark.real_kafka
async def test_records_that_wait_for_a_group_without_members(
    real_kafka_cluster: KafkaCluster, isolation: DatabaseIsolation
) -> None:
    topics = await Topics.create(real_kafka_cluster, ("orders", "payments"))
    await topics.send(record_of("orders"))

    verdict, text = told((await examined(settings_of(topics, isolation.url)))["consumer group"])

    assert (verdict, "1 records wait, and nobody reads | start a process with the role consumer" in text) == (
        "failed",
        True,
    )


# --- the process ---


async def test_a_process_that_is_not_ready(look: Examine, topics: Topics) -> None:
    nowhere = f"postgresql+asyncpg://payments:payments@127.0.0.1:{free_port()}/payments"
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    service = build(settings_of(topics, nowhere))

    async with running(http_role(service.create_app(), listener).run):
        found = await look(http_port=port)
    await service.close()

    verdict, text = told(found["process"])
    assert (verdict, "the database does not answer" in text) == ("failed", True)


async def test_a_port_where_no_process_listens(look: Examine) -> None:
    verdict, text = told((await look(http_port=free_port()))["process"])

    assert (verdict, "name its port in PAYMENTS_HTTP_PORT" in text) == ("warning", True)
