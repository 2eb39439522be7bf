"""Each option that a project gives is used: one that is taken and not passed on is a knob that does nothing."""

import argparse
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import outboxed.__main__ as command
import pytest
from outboxed import Inbox, Outbox, Tasks
from outboxed.relay._producer import BatchProducer
from outboxed.relay._relay import ACK_SECONDS
from outboxed.settings import KafkaSettings
from outboxed.tasks import Task, TaskKind

URL = "postgresql+asyncpg://nobody@127.0.0.1:1/nowhere"


async def nothing(*_: Any) -> None:
    pass


def kind_of(tasks: Tasks) -> TaskKind[Any]:
    [kind] = tasks._kinds.values()  # noqa: SLF001 - a worker is given them
    return kind


def options_of(function: Callable[..., Any]) -> set[str]:
    return {name for name, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY}


async def test_each_option_of_a_call_is_one_of_its_kind() -> None:
    tasks = Tasks()
    done: list[tuple[Any, ...]] = []

    async def record(task: Task, outcome: Any, session: Any) -> None:
        done.append(("record", task, outcome, session))

    async def abandon(task: Task, session: Any) -> None:
        done.append(("abandon", task, session))

    def gives_up(error: Exception, attempts: int) -> bool:
        return attempts > 1 and isinstance(error, ValueError)

    options: dict[str, Any] = {"limit": timedelta(seconds=7), "concurrency": 3, "gives_up": gives_up}
    tasks.call("mail", record=record, abandon=abandon, **options)(nothing)

    kind, task, joined = kind_of(tasks), object(), argparse.Namespace(connection="session")
    assert options_of(tasks.call) == {*options, "record", "abandon"}
    assert {name: getattr(kind, name) for name in options} == options
    await kind.record(task, "sent", joined)  # type: ignore[arg-type]  # none is read
    assert kind.abandon is not None
    await kind.abandon(task, joined)  # type: ignore[arg-type]  # as above
    assert done == [("record", task, "sent", "session"), ("abandon", task, "session")]


def test_each_option_of_a_deadline_is_one_of_its_kind() -> None:
    tasks = Tasks()

    tasks.deadline("expire", concurrency=3)(nothing)

    assert options_of(tasks.deadline) == {"concurrency"}
    assert kind_of(tasks).concurrency == 3


class Recorder:
    """In place of a part that runs beside an app."""

    given: ClassVar[list[tuple[tuple[Any, ...], dict[str, Any]]]] = []
    grace = 1.0

    def __init__(self, *args: Any, **named: Any) -> None:
        self.given.append((args, named))

    async def check(self) -> None:
        """Its options are looked at by themselves."""

    async def run(self, stop: Any) -> None:
        await stop.wait()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "given", [])
    return Recorder


async def test_the_options_of_a_relay_reach_its_client_and_the_tables_are_the_outboxs_own(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.joining._outbox.Relay", recorder)
    outbox = Outbox(prefix="shop_")

    async with outbox.relay(URL, "a:9092,b:9092", security_protocol="SSL"):
        pass

    [((_, kafka, _), named)] = recorder.given
    assert kafka.client_options() == {"bootstrap_servers": ["a:9092", "b:9092"], "security_protocol": "SSL"}
    assert named == {"outbox": outbox.table, "letters": outbox.dead_letters}


async def test_an_inbox_forgets_after_the_time_that_it_is_given(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.joining._inbox.Pruner", recorder)
    inbox = Inbox()

    async with inbox.pruned(URL, keep=timedelta(days=30)):
        pass

    [(_, named)] = recorder.given
    [retention] = named["own"]
    assert (retention.table, retention.keep) == (inbox.table, timedelta(days=30))


class Queue:
    """The dead letters of a project; remembers what was sought."""

    def __init__(self) -> None:
        self.sought: dict[str, Any] = {}

    async def list(self, **sought: Any) -> list[Any]:
        self.sought = sought
        return []


async def test_each_option_of_a_list_of_letters_narrows_it() -> None:
    parser = argparse.ArgumentParser()
    command._add_letter_commands(parser)  # noqa: SLF001 - the whole command needs a database
    words = "list --status discarded --source task --key k --type mail --limit 7"
    queue: Any = Queue()

    arguments = parser.parse_args(words.split())
    await arguments.do(queue, arguments)

    wanted = {name: value for name, value in vars(arguments).items() if name not in {"do", "json"}}
    assert queue.sought == wanted
    assert queue.sought == {"status": "discarded", "source": "task", "key": "k", "type_": "mail", "limit": 7}


async def test_an_event_counts_as_sent_when_every_replica_in_sync_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer answers than that a broker that is lost takes events along whose rows are gone.

    An outage must end a question sooner than it ends a pass of the relay.
    """
    asked: dict[str, Any] = {}
    monkeypatch.setattr("outboxed.relay._producer.AIOKafkaProducer", lambda **options: asked.update(options))

    BatchProducer(KafkaSettings(("kafka:9092",)))._made()  # noqa: SLF001 - as each pass makes it

    assert (asked["bootstrap_servers"], asked["acks"]) == (["kafka:9092"], "all")
    assert asked["request_timeout_ms"] <= 1000 * ACK_SECONDS
