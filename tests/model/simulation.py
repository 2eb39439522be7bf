"""The three services at once, in memory, where everything may happen in any order; each step adds a line to a story.

Their real handlers run through outboxed's real BatchConsumer and Worker. Kafka is a queue for each consumer group,
in the order of each key unless a message is held back; time stands still unless a step moves it.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import notifications.tasks
import orders.tasks
import payments.tasks
from notifications.domain import Kind
from notifications.handlers import SEND_EMAIL
from notifications.mailer import SmtpMailer
from orders.domain import Order, OrderStatus
from outboxed.consuming import BatchConsumer
from outboxed.messages import OutgoingRecord, Record
from outboxed.tasks import Task, TaskKind, Worker
from outboxed.telemetry import Exemplar
from outboxed.testing.memory import InMemoryTaskQueue, StoppedClock

from .outside import CALLER, NOON, Call, CallsInFlight, Gateway, MailServer
from .services import ROUTES, Services

T = TypeVar("T")
RETRY = timedelta(minutes=2)  # longer than any back-off, and than any lease
MAY_BE_LOST = {
    ("payments", "order.placed.v1"),
    ("orders", "payment.captured.v1"),
    ("orders", "payment.declined.v1"),
}
"""What the deadline makes up for."""


class NoMetrics:
    def event_ignored(self, topic: str) -> None:
        raise AssertionError(f"a record of {topic} came to a group that doesn't consume it")

    def event_handled(self, event_type: str, age: float | None, exemplar: Exemplar) -> None:
        pass

    def event_dead_lettered(self, topic: str) -> None:
        pass

    def batch_ended(self, seconds: float, *, failed: bool) -> None:
        pass


@dataclass(frozen=True)
class Message:
    """A record on its way to one consumer group."""

    group: str
    record: Record
    type: str
    order_id: UUID


@dataclass(frozen=True, eq=False)
class Run:
    """One attempt at a task, by one worker, from its claim to its record."""

    service: str
    kind: TaskKind[Any]
    task: Task
    running: asyncio.Task[None]


class Simulation:
    """What is committed, what is on its way, what runs; and the story so far."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.story: list[str] = []
        self.orders: list[UUID] = []
        self.queues: dict[str, list[Message]] = {"orders": [], "payments": [], "notifications": []}
        self.late: list[Message] = []
        self.handled: list[Message] = []
        self.sent: list[OutgoingRecord] = []
        self.runs: list[Run] = []
        self.strays: list[tuple[UUID, Call]] = []
        self.interruptions: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.calls = CallsInFlight()
        self.gateway = Gateway(self.calls)
        self.mail_server = MailServer(self.calls)
        mailer = SmtpMailer(self.mail_server, sender="Shop <orders@shop.example>", domain="shop.example")
        self.clock = StoppedClock(NOON)  # so that a slow machine changes no story
        self.services = Services(self.clock)
        self.databases = self.services.databases
        self._loop = loop
        self._offsets = count()
        self._consumers = {
            group: BatchConsumer(group, list(routes), self.databases[group], NoMetrics())
            for group, routes in ROUTES.items()
        }
        charges = payments.tasks.task_kinds(self.gateway, gateway_timeout=2)
        emails = notifications.tasks.task_kinds(mailer, smtp_timeout=5)
        self._workers = {
            "orders": self._worker("orders", orders.tasks.task_kinds()),
            "payments": self._worker("payments", charges),
            "notifications": self._worker("notifications", emails),
        }
        self._do(self.services.open())

    # --- what customers do ---

    def place(self, *, card_is_accepted: bool) -> None:
        order = self._do(self.services.place())
        self.orders.append(order.id)
        self.gateway.accepts[order.id] = card_is_accepted
        card = "good" if card_is_accepted else "bad"
        self.tell(f"the customer places {self.name(order.id)} with a {card} card")

    def cancel(self, order_id: UUID) -> None:
        self._do(self.services.cancel(order_id))
        self.tell(f"the customer cancels {self.name(order_id)}")

    # --- what Kafka does ---

    def next_messages(self) -> list[Message]:
        """Of each group the oldest of each key and topic."""
        heads: dict[tuple[str, str, UUID], Message] = {}
        for message in self._queued():
            heads.setdefault((message.group, message.record.topic, message.order_id), message)
        return list(heads.values())

    def deliver(self, messages: Sequence[Message], reads: str) -> None:
        """One batch for one group."""
        group = messages[0].group
        self.tell(f"{group} {reads} {', '.join(map(self.describe, messages))}")
        self._do(self._consumers[group].handle([message.record for message in messages]))
        for message in messages:
            self._forget(message)
            self.handled.append(message)

    def hold_back(self, message: Message) -> None:
        self.tell(f"{self.describe(message)} is late for {message.group}")
        self._forget(message)
        self.late.append(message)

    def lose(self, message: Message) -> None:
        self.tell(f"{self.describe(message)} is lost for {message.group}, for ever")
        self._forget(message)

    def republish(self, record: OutgoingRecord) -> None:
        """As a relay does that died before it deleted the row."""
        self.tell(f"{_short(record.headers['ce_type'])} of {self.name(UUID(record.key))} is sent once more")
        self._enqueue(record)

    def replay(self, group: str) -> str | None:
        """Everything that a group has handled comes again, to an inbox that is empty; says what that changed."""
        database = self.databases[group]
        before = database.outcome()
        again = [message.record for message in self.handled if message.group == group]
        self.tell(f"{group} loses its inbox and reads everything again")
        database.state.inbox.clear()
        self._do(self._consumers[group].handle(again))
        return None if database.outcome() == before else f"a replay changes nothing, but {group} did something"

    # --- what workers do, and what becomes of them ---

    def work(self, first: int) -> bool:
        """A worker claims one due task and makes its call; the kinds take turns, from `first` on."""
        kinds = [(service, kind) for service, worker in self._workers.items() for kind in worker.kinds]
        return any(self._claim(*kinds[(first + turn) % len(kinds)]) for turn in range(len(kinds)))

    def overrun(self, run: Run) -> None:
        """A run's lease ends while it still waits for its answer, and another worker takes the task."""
        self.wait(run.kind.lease + timedelta(seconds=1), f"the lease of {self._named(run)} ends")
        self._claim(run.service, run.kind)

    def arrive(self, run: Run) -> None:
        call = self.call_of(run)
        self.tell(f"{call.to} is asked {call.asks} for {self._named(run)}; its answer is on the way")
        call.arrive()

    def answer(self, run: Run) -> None:
        call = self.call_of(run)
        call.be_answered()
        self.tell(f"{call.to} answers {self._named(run)} ({self._reply(call)})")
        self._go_on(run, call)

    def fail(self, run: Run, fault: str) -> None:
        call = self.call_of(run)
        self.tell(f"{call.to} {fault}{' after it did as asked' if call.arrived else ''}: {self._named(run)}")
        if call.arrived:
            self._count_interruption(run)
        if fault == "refuses for good":
            self.refused.add(run.task.key)
        call.fail(fault)
        self._go_on(run, call)

    def die(self, run: Run, *, request_is_lost: bool) -> None:
        call = self.call_of(run)
        when = "after its request arrived" if call.arrived else "and its request with it"
        if not call.arrived and not request_is_lost and call.to == "the gateway":
            self.strays.append((UUID(run.task.key), call))
            when = "and its request is still on its way"
        self.tell(f"the worker dies that was busy with {self._named(run)}, {when}")
        if call.arrived:
            self._count_interruption(run)
        run.running.cancel()
        self._do(_ended(run.running))
        self.runs.remove(run)

    def stray_arrives(self, number: int) -> None:
        order_id, call = self.strays.pop(number)
        self.tell(f"the gateway is asked {call.asks} for {self.name(order_id)} by a worker that is long dead")
        call.arrive()

    def wait(self, span: timedelta, reason: str = "") -> None:
        self.clock.advance(span)
        self.tell(f"{span.total_seconds():g} s pass{': ' * bool(reason)}{reason}")

    # --- the end ---

    def drain(self) -> None:
        """Let everything come to rest; nothing goes wrong any more."""
        self.tell("from here on everything goes well")
        for _ in range(100):
            if not (self._finish_runs() | self._deliver_all() | self.work(0)):
                if not self._waits_for_time():
                    return
                self.wait(RETRY)
        self.tell("and still something moves")

    def close(self) -> None:
        for run in self.runs:
            run.running.cancel()
        self._do(_ended(*(run.running for run in self.runs)))

    # --- a look at it ---

    def order(self, order_id: UUID) -> Order:
        order: Order = self.databases["orders"].state.table("orders")[order_id]
        return order

    def unread(self) -> list[Message]:
        """What is on its way."""
        return [*self._queued(), *self.late]

    def heard(self, group: str, order_id: UUID) -> list[str]:
        """The types of an order's events that a group has handled, in the order in which it did."""
        return [message.type for message in self.handled if (message.group, message.order_id) == (group, order_id)]

    def cancellable(self) -> list[UUID]:
        return [order_id for order_id in self.orders if self.order(order_id).status is not OrderStatus.CANCELLED]

    def call_of(self, run: Run) -> Call:
        return self.calls.by_caller[run.task.token]

    def tell(self, line: str) -> None:
        self.story.append(line)

    def name(self, order_id: UUID) -> str:
        return f"order {self.orders.index(order_id) + 1}" if order_id in self.orders else "an order"

    def describe(self, message: Message) -> str:
        return f"{_short(message.type)} of {self.name(message.order_id)}"

    # --- how it is done ---

    def _worker(self, service: str, kinds: Sequence[TaskKind[Any]]) -> Worker[Any]:
        database = self.databases[service]
        return Worker(kinds, InMemoryTaskQueue(database), database, database.tasks_scheduled)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one step of the services, and send what it left in an outbox."""
        done = self._loop.run_until_complete(work)
        for database in self.databases.values():
            for record in database.state.outbox.values():
                self.sent.append(record)
                self._enqueue(record)
            database.state.outbox.clear()
        return done

    def _enqueue(self, record: OutgoingRecord) -> None:
        for group, consumer in self._consumers.items():
            if record.headers["ce_type"] in consumer.routes:
                sent = record.producer_record()
                raw = Record(sent.topic, 0, next(self._offsets), sent.key, sent.value, tuple(sent.headers))
                self.queues[group].append(Message(group, raw, record.headers["ce_type"], UUID(record.key)))

    def _queued(self) -> Iterator[Message]:
        for queue in self.queues.values():
            yield from queue

    def _forget(self, message: Message) -> None:
        for messages in (self.queues[message.group], self.late):
            if message in messages:
                messages.remove(message)

    def _claim(self, service: str, kind: TaskKind[Any]) -> bool:
        if not any(row.new.kind == kind.name for row in self.databases[service].state.tasks.values()):
            return False  # the same as a claim that finds nothing, and faster
        worker = self._workers[service]
        queue = InMemoryTaskQueue(self.databases[service])
        for task in self._do(queue.claim(kind.name, limit=1, lease=kind.lease)):
            for earlier in [run for run in self.runs if run.task.id == task.id and run.service == service]:
                self._count_interruption(earlier)
            run = Run(service, kind, task, self._loop.create_task(_performed(worker, kind, task)))
            self.runs.append(run)
            attempt = "" if task.attempts == 1 else f", attempt {task.attempts}"
            self.tell(f"a worker of {service} takes {self._named(run)}{attempt}")
            self._go_on(run, None)
            return True
        return False

    def _go_on(self, run: Run, answered: Call | None) -> None:
        """Let a run go on until it makes its next call or ends."""

        async def go_on() -> None:
            # a turn of the loop at a time: no event tells of a task that ends or calls, whichever is first
            while not run.running.done() and self.calls.by_caller.get(run.task.token) in {None, answered}:  # noqa: ASYNC110
                await asyncio.sleep(0)

        self._do(go_on())
        if run.running.done():
            self.runs.remove(run)
            run.running.result()

    def _count_interruption(self, run: Run) -> None:
        if run.kind.name == SEND_EMAIL:
            self.interruptions[run.task.key] += 1

    def _finish_runs(self) -> bool:
        busy = bool(self.runs or self.strays)
        while self.runs:
            self.answer(self.runs[0])
        while self.strays:
            self.stray_arrives(0)
        return busy

    def _deliver_all(self) -> bool:
        busy = False
        for group in self.queues:
            while waiting := [*self.queues[group], *(message for message in self.late if message.group == group)]:
                self.deliver(waiting, "reads")
                busy = True
        return busy

    def _waits_for_time(self) -> bool:
        return any(database.state.tasks for database in self.databases.values())

    def _named(self, run: Run) -> str:
        about = _email_of(run.task)[0] if run.kind.name == SEND_EMAIL else UUID(run.task.key)
        what = f"the {_email_of(run.task)[1]} e-mail" if run.kind.name == SEND_EMAIL else f"the {run.kind.name}"
        return f"{what} of {self.name(about)}".replace("_", " ")

    def _reply(self, call: Call) -> str:
        if call.to != "the gateway":
            return "taken"
        if isinstance(call.reply, Exception):
            return str(call.reply)
        if call.asks == "for earlier charges":
            return ", ".join(charge.status for charge in call.reply) or "none"
        return "done" if call.reply else "nothing to return"


def _email_of(task: Task) -> tuple[UUID, Kind]:
    return UUID(task.payload["order_id"]), Kind(task.payload["kind"])


def _short(type_: str) -> str:
    return type_.removesuffix(".v1")


async def _ended(*running: "asyncio.Task[None]") -> None:
    await asyncio.gather(*running, return_exceptions=True)


async def _performed(worker: Worker[Any], kind: TaskKind[Any], task: Task) -> None:
    CALLER.set(task.token)
    await worker.perform(kind, task)
