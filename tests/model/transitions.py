"""Every step that can come next: the services' real handlers on in-memory ports.

Kafka is a log a topic and a position a consumer; a relay that sends late is a position that stays behind. A task is
called and recorded in two steps, so that everything else may come between, or its process may die there.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from notifications import handlers as notifications_handlers
from notifications.domain import Kind
from orders import handlers as orders_handlers
from orders.domain import OrderStatus
from outboxed.messages import OutgoingRecord
from outboxed.testing.memory import State, SteadyClock
from outboxed.testing.records import sent_record
from payments import handlers as payments_handlers
from payments.domain import Charge, payment_id_of
from payments.ports import GatewayCharge, PaymentDeclinedError

from services.notifications.tests.fakes import RecordingMailer

from .services import DEADLINE, ROUTES, Services
from .state import Gateway, SagaState

BY_TYPE = {group: {route.model.type: route for route in routes} for group, routes in ROUTES.items()}
TOPICS = {group: sorted({route.model.topic for route in routes}) for group, routes in ROUTES.items()}


@dataclass
class GatewayPort:
    """See payments.ports.PaymentGateway."""

    state: Gateway

    async def charge(self, charge: Charge, *, idempotency_key: UUID, reference: UUID) -> str:
        assert isinstance(charge.amount, Decimal)
        assert idempotency_key != reference
        if self.state.refunded:
            raise PaymentDeclinedError("key_refunded")
        if not self.state.accepts:
            raise PaymentDeclinedError("card_declined")
        key = str(idempotency_key)
        if key not in dict(self.state.charged):
            self.state = replace(self.state, charged=(*self.state.charged, (key, charge.amount)))
        return "charge-1"

    async def refund(self, *, idempotency_key: str) -> str | None:
        assert UUID(idempotency_key)
        self.state = replace(self.state, refunded=True)
        return "charge-1" if self.state.charged else None

    async def charges(self, *, reference: UUID) -> list[GatewayCharge]:
        assert reference
        status = "refunded" if self.state.refunded else "succeeded"
        return [GatewayCharge("charge-1", key, amount, "EUR", status) for key, amount in self.state.charged]


class Transitions:
    """Runs steps: puts a state into the real services' databases, and takes the next one out of them."""

    def __init__(self) -> None:
        self.clock = SteadyClock()
        self.services = Services(self.clock)
        self.databases = self.services.databases
        self.gateway = GatewayPort(Gateway(accepts=True))
        self.mailer = RecordingMailer()
        self._harmless_replays: set[Hashable] = set()

    async def place(self, *, card_accepted: bool) -> SagaState:
        """A state with one order that was just placed."""
        state = SagaState({name: State() for name in self.databases}, Gateway(card_accepted))

        async def place() -> None:
            await self.services.open()
            await self.services.place()

        return await self._step(state, "POST /orders", place)

    async def next_states(self, state: SagaState) -> list[SagaState]:
        """Everything that may come next by itself; nothing does at rest."""
        states = [await self._deliver(state, group, topic) for group, topic in self._undelivered(state)]
        for service, kind in self._claimable(state):
            states.append(await self._call(state, service, kind))
        states += [await self._record(state, name) for name in state.calls]
        if not state.deadline_passed and state.order.status is OrderStatus.PENDING:
            states.append(replace(state, deadline_passed=True, story=(*state.story, "the deadline passes")))
        return states

    async def disturbed_states(self, state: SagaState) -> list[SagaState]:
        """What the customer, and one death of a worker, may add at any time."""
        states = [await self._cancel(state)] if state.order.status is not OrderStatus.CANCELLED else []
        for name in () if state.died else state.calls:
            remaining = {other: outcome for other, outcome in state.calls.items() if other != name}
            story = (*state.story, f"the worker dies before it records {name}")
            states.append(replace(state, calls=remaining, died=name, story=story))
        return states

    async def broken_by_replay(self, state: SagaState) -> list[SagaState]:
        """Each event that was handled already comes again, to an inbox that has forgotten it: nothing may change.

        What an event does depends on its own service's state alone, so each is tried once on each of those.
        """
        changed = []
        for (group, topic), position in state.positions.items():
            for record in state.logs[topic][:position]:
                tried = (group, record.headers["ce_type"], state.key_of(group))
                if tried not in self._harmless_replays:
                    replayed = await self._handle(state, group, record, f"{group} reads {tried[1]} again")
                    if replayed.key() == state.key():
                        self._harmless_replays.add(tried)
                    else:
                        changed.append(replayed)
        return changed

    def _undelivered(self, state: SagaState) -> list[tuple[str, str]]:
        return [
            (group, topic)
            for group, topics in TOPICS.items()
            for topic in topics
            if state.positions.get((group, topic), 0) < len(state.logs[topic])
        ]

    async def _deliver(self, state: SagaState, group: str, topic: str) -> SagaState:
        position = state.positions.get((group, topic), 0)
        record = state.logs[topic][position]
        moved = replace(state, positions={**state.positions, (group, topic): position + 1})
        return await self._handle(moved, group, record, f"{group} handles {record.headers['ce_type']}")

    async def _handle(self, state: SagaState, group: str, record: OutgoingRecord, story: str) -> SagaState:
        route = BY_TYPE[group].get(record.headers["ce_type"])
        if route is None:
            return replace(state, story=(*state.story, story))

        async def handle() -> None:
            event = route.model.model_validate_json(sent_record(record).value)
            async with self.databases[group]() as uow:
                await route.handle(event, uow)

        return await self._step(state, story, handle)

    async def _cancel(self, state: SagaState) -> SagaState:
        async def cancel() -> None:
            await self.services.cancel(state.order.id)

        return await self._step(state, "POST /orders/{id}/cancel", cancel)

    def _claimable(self, state: SagaState) -> list[tuple[str, str]]:
        """Of a group only its oldest task, and a deadline only once it has passed."""
        claimable = []
        for service, database in state.databases.items():
            groups: set[str | None] = set()
            for task in sorted(database.tasks.values(), key=lambda task: task.id):
                name, group = f"{task.new.kind} {task.new.key}", task.new.group
                due = task.new.kind != orders_handlers.PAYMENT_DEADLINE or state.deadline_passed
                if due and name not in state.calls and group not in groups:
                    claimable.append((service, name))
                groups |= {group} - {None}
        return claimable

    async def _call(self, state: SagaState, service: str, name: str) -> SagaState:
        attempts = 2 if name == state.died else 1
        order_id = state.order.id
        database = self.databases[service]
        outcome: Any = None

        async def payment() -> Any:
            async with database() as uow:
                return await uow.payments.find(payment_id_of(order_id))

        async def call() -> None:
            nonlocal outcome
            match _task_kind(name):
                case payments_handlers.CHARGE:
                    now = database.clock.now()
                    outcome = await payments_handlers.charge_payment(await payment(), attempts, now, self.gateway)
                case payments_handlers.REFUND:
                    outcome = await payments_handlers.refund_payment(await payment(), self.gateway)
                case notifications_handlers.SEND_EMAIL:
                    async with database() as uow:
                        order = await uow.notifications.find(order_id)
                    outcome = await notifications_handlers.send_email(order, _kind(name), self.mailer)

        called = await self._step(state, f"{service} calls {_task_kind(name)}", call)
        return replace(called, calls={**called.calls, name: (service, outcome)})

    async def _record(self, state: SagaState, name: str) -> SagaState:
        service, outcome = state.calls[name]
        order_id = state.order.id

        async def record() -> None:
            async with self.databases[service]() as uow:
                del uow.state.tasks[tuple(name.split(" "))]
                match _task_kind(name):
                    case payments_handlers.CHARGE:
                        await payments_handlers.record_charge(order_id, outcome, uow)
                    case payments_handlers.REFUND:
                        await payments_handlers.record_refund(order_id, outcome, uow)
                    case notifications_handlers.SEND_EMAIL:
                        await notifications_handlers.record_sent(order_id, _kind(name), outcome, uow)
                    case orders_handlers.PAYMENT_DEADLINE:
                        await orders_handlers.expire_order(order_id, uow)

        remaining = {other: call for other, call in state.calls.items() if other != name}
        return await self._step(replace(state, calls=remaining), f"{service} records {_task_kind(name)}", record)

    async def _step(self, state: SagaState, story: str, act: Callable[[], Awaitable[None]]) -> SagaState:
        self.clock.offset = DEADLINE + timedelta(seconds=1) if state.deadline_passed else timedelta(0)
        for name, database in self.databases.items():
            database.state = state.databases[name]
        self.gateway.state = state.gateway
        self.mailer.sent.clear()
        await act()
        return self._observed(state, story)

    def _observed(self, state: SagaState, step: str) -> SagaState:
        logs, databases = dict(state.logs), {}
        for name, database in self.databases.items():
            committed = database.state
            if committed.outbox:
                committed = committed.copy()
                for record in committed.outbox.values():
                    logs[record.topic] = (*logs[record.topic], record)
                committed.outbox.clear()
            databases[name] = committed
        return replace(
            state,
            databases=databases,
            logs=logs,
            gateway=self.gateway.state,
            mails=(*state.mails, *self.mailer.sent),
            story=(*state.story, step),
        )


def _task_kind(name: str) -> str:
    return name.partition(" ")[0]


def _kind(name: str) -> Kind:
    return Kind(name.partition(" ")[2].partition(".")[0])
