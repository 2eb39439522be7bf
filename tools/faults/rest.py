"""Wait until nothing moves any more, then read every ledger."""

import asyncio
from contextlib import suppress

import httpx
from backing_services.postgres import connected
from backing_services.waiting import StillWaitingError, eventually
from outboxed.testing.topic_log import Position, lag, read_topics
from shop_harness.ledgers import WORK, Ledgers, Snapshot
from shop_harness.system import SERVICES, TOPICS

from tools.faults.customers import Customers
from tools.faults.evidence import Evidence, Injected, Letter, charges_of
from tools.faults.poison import READERS
from tools.faults.system import System

LOOK_EVERY = 1.0
QUIET_LOOKS = 4
"""An e-mail too many would come last."""
CALM_LAG = CALM_WORK = 20
CALM_SECONDS = 8.0
CALM_WITHIN = 90.0
"""Longer than the longest back-off of a task."""

LETTERS = """
select coalesce(consumer_group, '') as consumer_group, source, topic, partition, "offset", key
from dead_letters where status = 'open'
"""


async def at_rest(
    system: System, ledgers: Ledgers, customers: Customers, injected: Injected, *, stuck_after: float
) -> Evidence:
    """The evidence once nothing moves; or as it is, where nothing has moved for so many seconds and work is left."""
    clock = asyncio.get_running_loop().time
    seen: object = None
    same, changed_at = 0, clock()
    while True:
        snapshot = await ledgers.read()
        lags = await _lags(system)
        state = (snapshot.settled, len(snapshot.mails), snapshot.open_work, snapshot.dead_letters, *lags.values())
        same = same + 1 if state == seen else 0
        if state != seen:
            changed_at = clock()
        seen = state
        quiet = snapshot.open_work == 0 and snapshot.settled == len(snapshot.orders) and not any(lags.values())
        if (quiet and same >= QUIET_LOOKS) or clock() - changed_at > stuck_after:
            return await _read(system, customers, injected, snapshot, lags)
        await asyncio.sleep(LOOK_EVERY)


async def calm(system: System) -> None:
    """Wait until what piled up is worked off and the groups have settled; but no longer than CALM_WITHIN."""

    async def is_worked_off() -> bool:
        return max((await _lags(system)).values()) <= CALM_LAG and await _open_work(system) <= CALM_WORK

    with suppress(StillWaitingError):
        await eventually(is_worked_off, within=CALM_WITHIN, every=LOOK_EVERY)
    await asyncio.sleep(CALM_SECONDS)


async def _open_work(system: System) -> int:
    """Rows in outboxes and tasks: those of the storm run into what is measured after it."""
    count = 0
    for service in SERVICES:
        async with connected(system.database_url(service)) as connection:
            count += sum(row["open"] for row in await connection.fetch(WORK))
    return count


async def _read(
    system: System, customers: Customers, injected: Injected, snapshot: Snapshot, lags: dict[str, int]
) -> Evidence:
    for name in snapshot.expected_mails:
        if snapshot.orders[name.partition(".")[2]].email in customers.refused:
            injected.letters.add(("notifications", "task", name))
    letters: list[Letter] = []
    inboxes: dict[str, set[str]] = {}
    outbox = 0
    for service in SERVICES:
        async with connected(system.database_url(service)) as connection:
            for row in await connection.fetch(LETTERS):
                at = Position(row["topic"], row["partition"], row["offset"]) if row["source"] == "event" else None
                letters.append((row["consumer_group"] or service, row["source"], at or row["key"].decode()))
            inboxes[service] = {row["event_id"] for row in await connection.fetch("select event_id from inbox")}
            outbox += await connection.fetchval("select count(*) from outbox")
    async with httpx.AsyncClient(timeout=30) as http:
        ledger = (await http.get(f"{system.ports.url('gateway')}/_ledger")).raise_for_status().json()
    return Evidence(
        placed=customers.placed,
        answers_broken=customers.broken,
        repeated=customers.repeated,
        injected=injected,
        refused=customers.refused,
        snapshot=snapshot,
        charges=charges_of(ledger),
        records=await read_topics(system.kafka.bootstrap_servers, TOPICS),
        letters=letters,
        inboxes=inboxes,
        outbox=outbox,
        lag=lags,
    )


async def _lags(system: System) -> dict[str, int]:
    return {
        group: await lag(system.kafka.bootstrap_servers, group, {topic: TOPICS[topic] for topic in set(types.values())})
        for group, types in READERS.items()
    }
