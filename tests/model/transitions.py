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

import notifications.consumers
import orders.consumers
import payments.consumers
from notifications import handlers as notifications_handlers
from notifications.domain import Kind
from orders import handlers as orders_handlers
from orders.domain import OrderStatus, Product, User
from orders.handlers import OrderPolicy, PlaceOrder
from orders.pricing import PricingService
from outboxed.consuming import Route
from outboxed.messages import OutgoingRecord
from outboxed.storage import Clock
from outboxed.testing.memory import InMemoryDatabase, State
from outboxed.testing.records import sent_record
from payments import handlers as payments_handlers
from payments.domain import Charge
from payments.ports import GatewayCharge, PaymentDeclinedError

from services.notifications.tests.fakes import RecordingMailer, in_memory_notifications
from services.orders.tests.factories import UserFactory
from services.orders.tests.fakes import in_memory_orders
from services.payments.tests.fakes import in_memory_payments

from .state import Gateway, World

DEADLINE = timedelta(minutes=15)
ROUTES: dict[str, dict[str, Route[Any]]] = {
    group: {route.model.type: route for route in module.ROUTES}
    for group, module in (
        ("orders", orders.consumers),
        ("payments", payments.consumers),
        ("notifications", notifications.consumers),
    )
}
TOPICS = {group: sorted({route.model.topic for route in routes.values()}) for group, routes in ROUTES.items()}


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
        self.state = replace(self.state, charged=1)
        return "charge-1"

    async def refund(self, *, idempotency_key: str) -> str | None:
        assert UUID(idempotency_key)
        self.state = replace(self.state, refunded=True)
        return "charge-1" if self.state.charged else None

    async def charges(self, *, reference: UUID) -> list[GatewayCharge]:
        assert reference
        status = "refunded" if self.state.refunded else "succeeded"
        return [GatewayCharge("charge-1", "key", Decimal(1), "EUR", status)] * self.state.charged


class Stage:
    """Runs steps: puts a world's states into the real services' databases and takes them out again."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.databases: dict[str, InMemoryDatabase[Any]] = {
            "orders": in_memory_orders(self.clock),
            "payments": in_memory_payments(self.clock),
            "notifications": in_memory_notifications(self.clock),
        }
        self.gateway = GatewayPort(Gateway(accepts=True))
        self.mailer = RecordingMailer()
        self._harmless_replays: set[Hashable] = set()

    async def place(self, *, card_accepted: bool) -> World:
        """A world with one order that was just placed."""
        world = World({name: State() for name in self.databases}, Gateway(card_accepted))
        customer: User = UserFactory.create()
        policy = OrderPolicy(PricingService(), DEADLINE)

        async def place() -> None:
            async with self.databases["orders"]() as uow:
                await uow.users.register(customer)
                await uow.products.put([Product("ABC", "Blue mug", Decimal(25))])
            async with self.databases["orders"]() as uow:
                await orders_handlers.place_order(PlaceOrder(customer.id, {"ABC": 4}, "pm_card"), uow, policy)

        return await self._step(world, "POST /orders", place)

    async def next_worlds(self, world: World) -> list[World]:
        """Everything that the world itself may do next; none when it is at rest."""
        worlds = [await self._deliver(world, group, topic) for group, topic in self._undelivered(world)]
        for service, kind in self._claimable(world):
            worlds.append(await self._call(world, service, kind))
        worlds += [await self._record(world, name) for name in world.calls]
        if not world.deadline_passed and world.order.status is OrderStatus.PENDING:
            worlds.append(replace(world, deadline_passed=True, story=(*world.story, "the deadline passes")))
        return worlds

    async def disturbed_worlds(self, world: World) -> list[World]:
        """What its customer and one death of a worker may do to it at any time."""
        worlds = [await self._cancel(world)] if world.order.status is not OrderStatus.CANCELLED else []
        for name in () if world.died else world.calls:
            remaining = {other: outcome for other, outcome in world.calls.items() if other != name}
            story = (*world.story, f"the worker dies before it records {name}")
            worlds.append(replace(world, calls=remaining, died=name, story=story))
        return worlds

    async def broken_by_replay(self, world: World) -> list[World]:
        """Each event that was handled already comes again, to an inbox that has forgotten it: nothing may change.

        What an event does depends on its own service's state alone, so each is tried once on each of those.
        """
        changed = []
        for (group, topic), position in world.positions.items():
            for record in world.logs[topic][:position]:
                tried = (group, record.headers["ce_type"], world.key_of(group))
                if tried not in self._harmless_replays:
                    replayed = await self._handle(world, group, record, f"{group} reads {tried[1]} again")
                    if replayed.key() == world.key():
                        self._harmless_replays.add(tried)
                    else:
                        changed.append(replayed)
        return changed

    def _undelivered(self, world: World) -> list[tuple[str, str]]:
        return [
            (group, topic)
            for group, topics in TOPICS.items()
            for topic in topics
            if world.positions.get((group, topic), 0) < len(world.logs[topic])
        ]

    async def _deliver(self, world: World, group: str, topic: str) -> World:
        position = world.positions.get((group, topic), 0)
        record = world.logs[topic][position]
        moved = replace(world, positions={**world.positions, (group, topic): position + 1})
        return await self._handle(moved, group, record, f"{group} handles {record.headers['ce_type']}")

    async def _handle(self, world: World, group: str, record: OutgoingRecord, story: str) -> World:
        route = ROUTES[group].get(record.headers["ce_type"])
        if route is None:
            return replace(world, story=(*world.story, story))

        async def handle() -> None:
            event = route.model.model_validate_json(sent_record(record).value)
            async with self.databases[group]() as uow:
                await route.handle(event, uow)

        return await self._step(world, story, handle)

    async def _cancel(self, world: World) -> World:
        async def cancel() -> None:
            async with self.databases["orders"]() as uow:
                await orders_handlers.cancel_order(world.order.id, uow, user_id=world.order.customer.id)

        return await self._step(world, "POST /orders/{id}/cancel", cancel)

    def _claimable(self, world: World) -> list[tuple[str, str]]:
        """Of a group only its oldest task, and a deadline only once it has passed."""
        claimable = []
        for service, state in world.states.items():
            groups: set[str | None] = set()
            for task in sorted(state.tasks.values(), key=lambda task: task.id):
                name, group = f"{task.new.kind} {task.new.key}", task.new.group
                due = task.new.kind != orders_handlers.PAYMENT_DEADLINE or world.deadline_passed
                if due and name not in world.calls and group not in groups:
                    claimable.append((service, name))
                groups |= {group} - {None}
        return claimable

    async def _call(self, world: World, service: str, name: str) -> World:
        attempts = 2 if name == world.died else 1
        order_id = world.order.id
        database = self.databases[service]
        outcome: Any = None

        async def call() -> None:
            nonlocal outcome
            match _task_kind(name):
                case payments_handlers.CHARGE:
                    outcome = await payments_handlers.charge_payment(order_id, attempts, database, self.gateway)
                case payments_handlers.REFUND:
                    outcome = await payments_handlers.refund_payment(order_id, database, self.gateway)
                case notifications_handlers.SEND_EMAIL:
                    outcome = await notifications_handlers.send_email(order_id, _kind(name), database, self.mailer)

        called = await self._step(world, f"{service} calls {_task_kind(name)}", call)
        return replace(called, calls={**called.calls, name: (service, outcome)})

    async def _record(self, world: World, name: str) -> World:
        service, outcome = world.calls[name]
        order_id = world.order.id

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

        remaining = {other: call for other, call in world.calls.items() if other != name}
        return await self._step(replace(world, calls=remaining), f"{service} records {_task_kind(name)}", record)

    async def _step(self, world: World, story: str, act: Callable[[], Awaitable[None]]) -> World:
        self.clock.offset = DEADLINE + timedelta(seconds=1) if world.deadline_passed else timedelta(0)
        for name, database in self.databases.items():
            database.state = world.states[name]
        self.gateway.state = world.gateway
        self.mailer.sent.clear()
        await act()
        return self._observed(world, story)

    def _observed(self, world: World, story: str) -> World:
        logs, states = dict(world.logs), {}
        for name, database in self.databases.items():
            state = database.state
            if state.outbox:
                state = state.copy()
                for record in state.outbox.values():
                    logs[record.topic] = (*logs[record.topic], record)
                state.outbox.clear()
            states[name] = state
        mails = (*world.mails, *(sent.kind.value for sent in self.mailer.sent))
        return replace(
            world,
            states=states,
            logs=logs,
            gateway=self.gateway.state,
            mails=mails,
            story=(*world.story, story),
        )


def _task_kind(name: str) -> str:
    return name.partition(" ")[0]


def _kind(name: str) -> Kind:
    return Kind(name.partition(" ")[2].partition(".")[0])
