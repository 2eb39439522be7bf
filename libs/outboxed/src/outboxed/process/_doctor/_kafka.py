"""Kafka as the service sees it: reached, let in, its topics, its consumer group."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code

from outboxed.process._doctor._findings import LOOK_SECONDS, Finding, looked_at
from outboxed.process._service import Service
from outboxed.relay import WINDOW
from outboxed.settings import ServiceSettings
from outboxed.storage import reason_of

REQUEST_MS = 5_000
STUCK_SECONDS = 1.0
"""Records that wait are looked at again so much later."""
COORDINATOR_SECONDS = 15.0
"""A new cluster makes its topic of offsets when the first group asks for it."""
NOT_TOLD = "this Kafka doesn't tell"
"""librdkafka's mock cluster has no such requests."""
READ_BY_NOBODY = frozenset({"Dead", "Empty"})
RECORD_LIMIT = "max.message.bytes"


async def kafka_findings(service: Service[Any]) -> list[Finding]:
    """What can be seen; without Kafka, its topics and the group aren't looked at."""
    options = service.settings.kafka.client_options()
    client = AIOKafkaAdminClient(**options, request_timeout_ms=REQUEST_MS)
    try:
        with _heard() as said:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await client.start()
                    cluster = await client.describe_cluster()
            except (KafkaError, OSError) as error:
                return [await _shut_out(service.settings, [*said, reason_of(error)][0])]
            found = f"{', '.join(options['bootstrap_servers'])} lets us in; brokers: {len(cluster['brokers'])}"
            topics = await _topics_found(service, client)
            return [Finding("Kafka", "ok", found), topics, await _group_found(service, client, topics)]
    finally:
        await client.close()


async def _shut_out(settings: ServiceSettings, reason: str) -> Finding:
    """Where somebody listens, the way in is wrong, and not the address."""
    names = [settings.variable(f"kafka_{name}") for name in ("bootstrap_servers", "security_protocol", "sasl_username")]
    if any([await _listens(server) for server in settings.kafka.bootstrap_servers]):
        do = f"put {names[1]}, {names[2]} and what belongs to them right: somebody listens, but doesn't let us in"
    else:
        do = f"start Kafka, or put {names[0]} right; is its host reachable from here?"
    return Finding("Kafka", "failed", reason, do)


async def _listens(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(REQUEST_MS / 1000):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    return True


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What aiokafka logs as an error, which its exceptions don't repeat; nobody else hears it meanwhile."""
    said: list[str] = []
    logger, handler = logging.getLogger("aiokafka"), _Listener(said)
    propagated = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(" ".join(record.getMessage().split()))


# --- topics ---


async def _topics_found(service: Service[Any], client: AIOKafkaAdminClient) -> Finding:
    wanted = [service.settings.kafka.topic(name) for name in _topics_of(service)]

    async def look() -> Finding:
        async with asyncio.timeout(LOOK_SECONDS):
            # of all topics, as a question about one that isn't there may make it
            topics = {each["topic"]: each for each in await client.describe_topics() if each["topic"] in wanted}
            limits = await _limits(client, sorted(topics))
        if bad := _unusable(wanted, topics):
            return Finding("topics", "failed", "; ".join(bad), "create what is missing, or let this user see it")
        if small := [f"{name} takes {limit} bytes" for name, limit in limits.items() if limit < WINDOW]:
            do = f"raise {RECORD_LIMIT} to {WINDOW} or more: a larger event becomes a dead letter"
            return Finding("topics", "warning", "; ".join(small), do)
        each = [f"{name} ({_told(topics[name], limits.get(name))})" for name in wanted]
        return Finding("topics", "ok", ", ".join(each) or "it needs none")

    return await looked_at("topics", look, do="let this user describe the topics")


def _topics_of(service: Service[Any]) -> Sequence[str]:
    return sorted({*service.consumer.topics, *(event.topic for event in service.published)})


def _unusable(wanted: Sequence[str], topics: Mapping[str, Any]) -> list[str]:
    bad = [f"{name} isn't there" for name in wanted if name not in topics]
    for name, topic in topics.items():
        if topic["error_code"]:
            bad.append(f"{name}: {for_code(topic['error_code']).__name__}")
        elif led_by_nobody := [each["partition"] for each in topic["partitions"] if each["leader"] < 0]:
            bad.append(f"{name} has no leader for its partitions {', '.join(map(str, sorted(led_by_nobody)))}")
    return bad


async def _limits(client: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """The longest batch that a topic takes, in bytes; nothing where Kafka doesn't tell."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {RECORD_LIMIT: None}) for name in topics]
    try:
        answers = await client.describe_configs(asked) if asked else []
    except IncompatibleBrokerVersion:
        return {}
    resources = [resource for answer in answers for resource in answer.resources]
    return {resource[3]: int(entry[1]) for resource in resources for entry in resource[4] if entry[0] == RECORD_LIMIT}


def _told(topic: Mapping[str, Any], limit: int | None) -> str:
    return (
        f"{len(topic['partitions'])} partitions, {f'{limit} bytes' if limit else f'{NOT_TOLD} the limit of a record'}"
    )


# --- the consumer group ---


@dataclass(frozen=True)
class _State:
    """Of a group; `name` is None where Kafka doesn't tell."""

    name: str | None
    members: int = 0

    def __str__(self) -> str:
        return f"{self.members} members, {self.name}" if self.name else f"{NOT_TOLD} its members"


async def _group_found(service: Service[Any], client: AIOKafkaAdminClient, topics: Finding) -> Finding:
    group = service.consumer.group
    about = "consumer group"
    if not service.consumer.topics:
        return Finding(about, "ok", "it reads no events")
    if topics.verdict == "failed":
        return Finding(about, "failed", f"{group}: not looked at", "mend the topics first")
    names = {service.settings.kafka.topic(name) for name in service.consumer.topics}

    async def look() -> Finding:
        async with asyncio.timeout(LOOK_SECONDS):
            partitions = [
                TopicPartition(topic["topic"], each["partition"])
                for topic in await client.describe_topics()
                if topic["topic"] in names
                for each in topic["partitions"]
            ]
            state = await _state(client, group)
            before = await _unread(service, group, partitions)
            if not before or state.name in READ_BY_NOBODY:
                return _judged(service, state, before, is_stuck=False)
            await asyncio.sleep(STUCK_SECONDS)
            after = await _unread(service, group, partitions)
            return _judged(service, state, after, is_stuck=after >= before)

    return await looked_at(about, look, do=f"let this user read the topics and be of the group {group}")


def _judged(service: Service[Any], state: _State, unread: int, *, is_stuck: bool) -> Finding:
    about, found = "consumer group", f"{service.consumer.group}: {state}; {unread} records wait"
    if state.name in READ_BY_NOBODY:
        do = (
            "start a process with the role consumer; if one runs, it has halted or can't join: its log says why, and "
            f"`python -m {service.name} dead-letters list` what it refused"
        )
        return Finding(about, "failed" if unread else "warning", f"{found}, and nobody reads", do)
    if is_stuck:
        do = "its log says what it tries again and again (batch_comes_again), or that it has halted (consumer_halted)"
        return Finding(about, "warning", f"{found}, and within {STUCK_SECONDS:g} s they didn't become fewer", do)
    return Finding(about, "ok", found)


async def _state(client: AIOKafkaAdminClient, group: str) -> _State:
    end = asyncio.get_running_loop().time() + COORDINATOR_SECONDS
    while True:
        try:
            [answer] = await client.describe_consumer_groups([group])
            error, _, state, _, _, members, *_ = answer.groups[0]
            if error:
                raise for_code(error)(f"of the group {group}")
            return _State(state, len(members))
        except IncompatibleBrokerVersion:
            return _State(None)
        except KafkaError as error:  # a Kafka that has just begun looks for the group's coordinator first
            if not error.retriable or asyncio.get_running_loop().time() > end:
                raise
        await asyncio.sleep(0.1)


async def _unread(service: Service[Any], group: str, partitions: Sequence[TopicPartition]) -> int:
    """Records that the group hasn't committed. It doesn't join: nobody's partitions move."""
    options = service.settings.kafka.client_options()
    consumer = AIOKafkaConsumer(**options, group_id=group, enable_auto_commit=False, request_timeout_ms=REQUEST_MS)
    await consumer.start()
    try:
        begin, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        committed = {each: await consumer.committed(each) for each in partitions}
        return sum(
            max(0, end[each] - (begin[each] if committed[each] is None else committed[each])) for each in partitions
        )
    finally:
        await consumer.stop()
