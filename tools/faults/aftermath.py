"""What a person does after the faults: replay dead letters, return extra charges, restore a backup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from backing_services.postgres import connected
from backing_services.waiting import eventually
from outboxed.testing.topic_log import Position, rewind
from shop_harness.evidence import Evidence
from shop_harness.ledgers import Ledgers
from shop_harness.services import topics_of
from shop_harness.system import run_command

from tools.faults import topics
from tools.faults.customers import Customers
from tools.faults.evidence import Injected
from tools.faults.system import ProxiedSystem

REPLAYED = 5
REPAIRED = 3
LETTER_AT = 'select id from dead_letters where topic = $1 and partition = $2 and "offset" = $3'
EXTRA_CHARGES = 4
ARRIVES_WITHIN = 30.0
BACKUP = "payments_backup"
RESTORED_WITHIN = 120.0


@dataclass(frozen=True)
class Aftermath:
    """The system after the orders and the faults. Each function below takes it, and returns what is wrong."""

    system: ProxiedSystem
    ledgers: Ledgers
    evidence: Evidence
    injected: Injected
    customers: Customers
    backed_up_at: datetime


async def back_up_payments(system: ProxiedSystem) -> datetime:
    """Copy payments' database, like a backup; returns when."""
    async with system.without("payments"):
        await system.postgres.clone("payments", BACKUP)
    return datetime.now(UTC)


async def restore_payments(after: Aftermath) -> Sequence[str]:
    """Follow docs/how-to/restore-a-database.md: restore the backup, rewind the group to before it, start, reconcile."""
    system = after.system
    async with Ledgers(system) as before_it:
        before = await before_it.read()
    async with system.without("payments"):
        await system.postgres.drop_database("payments")
        await system.postgres.rename_database(BACKUP, "payments")
        begin = after.backed_up_at - timedelta(minutes=1)
        await rewind(system.kafka.bootstrap_servers, "payments", topics_of("payments"), to=begin)
    async with Ledgers(system) as restored:

        async def is_as_before() -> bool:
            now = await restored.read()
            return _money(now) == _money(before) and now.open_work == 0

        problems = []
        try:
            await eventually(is_as_before, within=RESTORED_WITHIN, every=0.5)
        except AssertionError:
            now = await restored.read()
            differ = dict(_money(before).items() ^ _money(now).items())
            problems.append(f"{len(differ)} payments are not as they were, {now.open_work} pieces of work are left")
            problems += [f"{id_} was {before.payments.get(id_)}, is {now.payments.get(id_)}" for id_ in [*differ][:5]]
        now = await restored.read()
        if now.kept != before.kept:
            problems.append(f"the gateway had {len(before.kept)} charges and has {len(now.kept)}")
        if now.received_mails != before.received_mails:
            problems.append(f"{len(now.mails) - len(before.mails)} e-mails more, or others, than before")
    reconciled = await run_command("payments", "reconcile", environment=system.environment("payments"))
    if not reconciled.strip().startswith("0 charges"):
        problems.append(f"reconcile should find nothing: {reconciled.strip()}")
    return problems


def _money(evidence: Evidence) -> dict[str, tuple[str, str | None]]:
    """What each payment says of money; a declined payment may be void instead, if its order was cancelled before."""
    return {
        order_id: ("NONE" if payment.status in {"DECLINED", "VOIDED"} else payment.status, payment.charge_id)
        for order_id, payment in evidence.payments.items()
    }


async def replay_refused_mails(after: Aftermath) -> Sequence[str]:
    """Each replayed e-mail arrives, because the mailboxes exist now."""
    system = after.system
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.put(f"{system.ports.url('mail_catcher')}/_faults", json={"faults": []})).raise_for_status()
    environment = system.environment("notifications")
    async with connected(system.database_url("notifications")) as connection:
        query = "select id, key from dead_letters where status = 'open' and source = 'task' order by id limit $1"
        letters = {row["id"]: row["key"].decode() for row in await connection.fetch(query, REPLAYED)}
    if not letters:
        return ["no refused e-mail is there to replay"]
    before = after.evidence.received_mails
    for letter_id in letters:
        await run_command("notifications", "dead-letters", "replay", str(letter_id), environment=environment)

    async def have_arrived() -> bool:
        received = (await after.ledgers.read()).received_mails
        return all(received[name] == before[name] + 1 for name in letters.values())

    try:
        await eventually(have_arrived, within=ARRIVES_WITHIN, every=0.5)
    except AssertionError:
        return [f"not all of {len(letters)} replayed e-mails arrived: {', '.join(letters.values())}"]
    return []


async def repair_and_replay(after: Aftermath) -> Sequence[str]:
    """A record with a repaired value is handled like any other."""
    system, problems = after.system, []
    if not after.injected.repairs:
        return ["no record is there to repair"]
    for letter, value in list(after.injected.repairs.items())[:REPAIRED]:
        group, at = letter.service, letter.of
        assert isinstance(at, Position)
        environment = system.environment(group)
        async with connected(system.database_url(group)) as connection:
            letter_id = await connection.fetchval(LETTER_AT, at.topic, at.partition, at.offset)
            repaired = system.folder / "repaired.json"
            repaired.write_bytes(value)
            edit = ("dead-letters", "edit", str(letter_id), "--value", str(repaired))
            await run_command(group, *edit, environment=environment)
            await run_command(group, "dead-letters", "replay", str(letter_id), environment=environment)
            status = await connection.fetchval("select status from dead_letters where id = $1", letter_id)
            if status != "replayed":
                problems.append(f"dead letter {letter_id} of {group} is {status}, though it was repaired and replayed")
    return problems


async def return_extra_charges(after: Aftermath) -> Sequence[str]:
    """Reconcile finds and returns each extra charge of a gateway that ignores idempotency keys."""
    extra = await _charged_again(after)
    environment = after.system.environment("payments")
    found = await run_command("payments", "reconcile", "--fix", environment=environment)
    problems = [f"reconcile did not return {charge_id}" for charge_id in extra if f"charge {charge_id} of" not in found]
    if f"{len(extra)} charges that no payment claims" not in found:
        problems.append(f"reconcile should find {len(extra)} charges: {found.strip()}")
    again = await run_command("payments", "reconcile", environment=environment)
    if not again.strip().startswith("0 charges"):
        problems.append(f"reconcile should find nothing the second time: {again.strip()}")
    return problems


async def _charged_again(after: Aftermath) -> Sequence[str]:
    """Repeat requests, as a network may, at a gateway that ignores their keys; returns the new charges' ids."""
    extra = []
    async with httpx.AsyncClient(base_url=after.system.ports.url("gateway"), trust_env=False) as http:
        entries = (await http.get("/_ledger")).raise_for_status().json()["entries"]
        kept = {charge.id for charge in after.evidence.kept}
        chosen = [entry for entry in entries if entry["id"] in kept][:EXTRA_CHARGES]
        fault = {"operation": "charge", "action": "ignore_key", "times": len(chosen)}
        (await http.put("/_faults", json={"faults": [fault]})).raise_for_status()
        for entry in chosen:
            body = {name: entry[name] for name in ("amount", "currency", "reference")}
            body["payment_method"] = after.customers.placed[entry["reference"]].payment_method
            headers = {"Idempotency-Key": entry["idempotency_key"]}
            answer = (await http.post("/v1/charges", json=body, headers=headers)).raise_for_status()
            extra.append(answer.json()["id"])
    return extra


async def send_repaired_row(after: Aftermath) -> Sequence[str]:
    """See topics.send_repaired_row."""
    if not after.injected.refused_rows:
        return ["no refused row is there to repair"]
    return await topics.send_repaired_row(after.system, after.injected.refused_rows[-1])


async def make_topic_again(after: Aftermath) -> Sequence[str]:
    """See topics.make_again."""
    letters = [one for one in after.injected.letters if isinstance(one.of, Position) and one.of.topic == topics.AGAIN]
    if not letters:
        return [f"no dead letter of {topics.AGAIN} is there"]
    return await topics.make_again(after.system, after.customers, letters)


AFTERMATH = {
    "repaired records are handled when they are replayed": repair_and_replay,
    "refused e-mails arrive when they are replayed": replay_refused_mails,
    "extra charges are found and returned": return_extra_charges,
    "a row that Kafka refused is sent in its place when it is replayed": send_repaired_row,
    "a topic that is made again loses no dead letter": make_topic_again,
    "payments catches up after the restore of a backup": restore_payments,
}
