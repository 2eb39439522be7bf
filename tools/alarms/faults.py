"""What is broken, one at a time, which alarms must ring for it, and which others may."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from backing_services.postgres import connected
from outboxed.relay import LOCK_ID
from shop_harness.services import SERVICES

from tools.alarms.load import CARD, Load
from tools.alarms.shop import Shop
from tools.alarms.watching import Ringing

Break = Callable[[Shop, Load], AbstractAsyncContextManager[None]]
LATE = frozenset({"OrdersSlow"})
"""Orders that waited for the end of an outage were late: the error budget counts them, whatever the cause was. At the
scale those are late, too, that come all at once, because their customers had asked again and again.
"""
WAITED = frozenset({"TasksOverdue", "ConsumerBehind"})
"""What waited through an outage is done within some seconds after it, which are minutes at the scale."""
RESTART = frozenset({"ServiceDown"})
"""A restart of two seconds is a minute at the scale."""
REFUSES_ALL = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'a bug'; end $$;
create trigger refuse before insert or update on order_notifications for each row execute function refuse()
"""
SLEEPS = """
create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(1.5); return new; end $$;
create trigger dawdle before insert on orders for each row execute function dawdle()
"""
CRAWLS = """
create function crawl() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return new; end $$;
create trigger crawl before insert on order_notifications for each row execute function crawl()
"""
UNSENDABLE = "insert into outbox (topic, key, value, headers) values ('payments', 'k', 'v', '{\"ce_id\": 1}')"
LOST_DEADLINE = """
update orders set status = 'PENDING', pay_before = clock_timestamp() - interval '1 hour'
where id = (select id from orders where status = 'CONFIRMED' order by placed_at limit 1)
"""
FOUND_DEADLINE = "update orders set status = 'CONFIRMED' where status = 'PENDING' and pay_before < clock_timestamp()"


@dataclass(frozen=True)
class Fault:
    """While `broken` runs its block, the alarms of `rings` ring and no others, but those of `may`."""

    name: str
    broken: Break
    rings: Collection[Ringing]
    may: Collection[str] = field(default=frozenset())


@asynccontextmanager
async def _stopped(process: str, shop: Shop, _: Load) -> AsyncIterator[None]:
    spec = shop.supervisor.process(process).spec
    await shop.supervisor.stop(process)
    try:
        yield
    finally:
        await shop.supervisor.start(spec)


@asynccontextmanager
async def _frozen(process: str, shop: Shop, _: Load) -> AsyncIterator[None]:
    shop.supervisor.process(process).pause()
    try:
        yield
    finally:
        shop.supervisor.process(process).resume()


@asynccontextmanager
async def _no_postgres(shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.stop_postgres()
    try:
        yield
    finally:
        await shop.start_postgres()


@asynccontextmanager
async def _no_kafka(shop: Shop, _: Load) -> AsyncIterator[None]:
    shop.kafka.set_down()
    try:
        yield
    finally:
        shop.kafka.set_up()


@asynccontextmanager
async def _gateway(faults: Sequence[dict[str, Any]], shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.gateway(*faults)
    try:
        yield
    finally:
        await shop.gateway()


@asynccontextmanager
async def _refunds(shop: Shop, load: Load) -> AsyncIterator[None]:
    await shop.gateway({"operation": "refund", "action": "status", "status": 503})
    await load.cancel(load.placed[-5])
    try:
        yield
    finally:
        await shop.gateway()


@asynccontextmanager
async def _mail(fault: dict[str, Any], shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.mail(fault)
    try:
        yield
    finally:
        await shop.mail()
        await shop.discard_dead_letters()


@asynccontextmanager
async def _declining(_: Shop, load: Load) -> AsyncIterator[None]:
    load.card = "pm_card_declined"
    try:
        yield
    finally:
        load.card = CARD


@asynccontextmanager
async def _poison(topic: str, shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.send(topic, b"{")
    try:
        yield
    finally:
        await shop.discard_dead_letters()


@asynccontextmanager
async def _halted(shop: Shop, load: Load) -> AsyncIterator[None]:
    await shop.sql("notifications", REFUSES_ALL)
    try:
        yield
    finally:
        await shop.sql("notifications", "drop function refuse cascade")
        async with _stopped("notifications", shop, load):
            await shop.discard_dead_letters()


@asynccontextmanager
async def _statements(service: str, breaks: str, mends: str, shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.sql(service, breaks)
    try:
        yield
    finally:
        await shop.sql(service, mends)


@asynccontextmanager
async def _unsendable(shop: Shop, _: Load) -> AsyncIterator[None]:
    await shop.sql("payments", UNSENDABLE)
    try:
        yield
    finally:
        await shop.discard_dead_letters()


@asynccontextmanager
async def _relay_locked_out(service: str, shop: Shop, _: Load) -> AsyncIterator[None]:
    async with connected(shop.database_url(service)) as connection:
        await connection.execute("select pg_advisory_lock($1)", LOCK_ID)
        yield


def _of(alarm: str, *jobs: str) -> set[Ringing]:
    return {Ringing(alarm, job) for job in jobs}


def _both(**fault: Any) -> Sequence[dict[str, Any]]:
    """Of charges, and of the list of charges, in which payments would find what a lost answer did."""
    return [{"operation": operation, **fault} for operation in ("charge", "list")]


def _hidden(table: str) -> tuple[str, str]:
    return f"alter table {table} rename to {table}_away", f"alter table {table}_away rename to {table}"


_CHARGE = {"operation": "charge", "action": "status", "status": 500}
FAULTS: Sequence[Fault] = (
    Fault("orders is stopped", partial(_stopped, "orders"), _of("ServiceDown", "orders"), LATE),
    Fault("payments is stopped", partial(_stopped, "payments"), _of("ServiceDown", "payments"), LATE),
    Fault("notifications is stopped", partial(_stopped, "notifications"), _of("ServiceDown", "notifications")),
    Fault("orders is frozen", partial(_frozen, "orders"), _of("ServiceDown", "orders"), LATE),
    Fault("payments is frozen", partial(_frozen, "payments"), _of("ServiceDown", "payments"), LATE),
    Fault("notifications is frozen", partial(_frozen, "notifications"), _of("ServiceDown", "notifications")),
    Fault("PostgreSQL is stopped", _no_postgres, _of("DatabaseDown", *SERVICES), LATE | WAITED),
    Fault("Kafka doesn't answer", _no_kafka, _of("KafkaLost", *SERVICES), LATE),
    Fault("the gateway answers 500", partial(_gateway, [_CHARGE]), _of("TasksOverdue", "payments"), LATE),
    Fault("the gateway is stopped", partial(_stopped, "payment gateway"), _of("TasksOverdue", "payments"), LATE),
    Fault(
        "the gateway answers rubbish",
        partial(_gateway, _both(action="garbage")),
        _of("TasksOverdue", "payments"),
        LATE,
    ),
    Fault(
        "the gateway answers too late",
        partial(_gateway, _both(action="delay", seconds=5)),
        _of("TasksOverdue", "payments"),
        LATE,
    ),
    Fault(
        "the gateway is slow",
        partial(_gateway, [{"operation": "charge", "action": "delay", "seconds": 1.6}]),
        _of("OrdersSlow", ""),
    ),
    Fault("no refund is made", _refunds, _of("MoneyNotReturned", "payments")),
    Fault("all cards are declined", _declining, _of("DeclinesUnusual", "")),
    Fault(
        "the mail server says: later",
        partial(_mail, {"action": "status", "status": 451}),
        _of("TasksOverdue", "notifications"),
    ),
    Fault("the mail server hangs", partial(_mail, {"action": "hang"}), _of("TasksOverdue", "notifications")),
    Fault("the mail server is stopped", partial(_stopped, "mail catcher"), _of("TasksOverdue", "notifications")),
    Fault(
        "the mail server says: never",
        partial(_mail, {"action": "status", "status": 550}),
        _of("DeadLetters", "notifications"),
    ),
    Fault("poison in the topic orders", partial(_poison, "orders"), _of("DeadLetters", "payments")),
    Fault("poison in the topic payments", partial(_poison, "payments"), _of("DeadLetters", "orders")),
    Fault(
        "a release refuses every event",
        _halted,
        _of("ConsumerHalted", "notifications") | _of("DeadLetters", "notifications"),
        WAITED | RESTART,
    ),
    Fault(
        "a table is missing",
        partial(_statements, "notifications", *_hidden("order_notifications")),
        _of("ConsumerFailing", "notifications"),
        {"TasksOverdue"},
    ),
    Fault(
        "a consumer is too slow",
        partial(_statements, "notifications", CRAWLS, "drop function crawl cascade"),
        _of("ConsumerBehind", "notifications"),
    ),
    Fault("an event that can't be sent", _unsendable, _of("EventRefused", "payments")),
    Fault(
        "somebody holds the relay's lock in payments",
        partial(_relay_locked_out, "payments"),
        _of("OutboxStuck", "payments"),
        LATE,
    ),
    Fault(
        "somebody holds the relay's lock in orders",
        partial(_relay_locked_out, "orders"),
        _of("OutboxStuck", "orders"),
        LATE,
    ),
    Fault(
        "an order's deadline is lost",
        partial(_statements, "orders", LOST_DEADLINE, FOUND_DEADLINE),
        _of("OrdersOverdue", "orders"),
    ),
    Fault(
        "the catalogue can't be read",
        partial(_statements, "orders", *_hidden("products")),
        _of("ApiErrors", "orders"),
        LATE,
    ),
    Fault(
        "writing an order is slow",
        partial(_statements, "orders", SLEEPS, "drop function dawdle cascade"),
        _of("ApiSlow", "orders"),
        LATE
        | {"ApiErrors"},  # five a second are written; at a higher rate callers wait for a connection, and some in vain
    ),
)
