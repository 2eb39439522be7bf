"""The database as the service sees it: reached, writable, at this code's schema; and what waits in its tables."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.process import _counts
from outboxed.process._doctor._findings import LOOK_SECONDS, Finding, looked_at
from outboxed.process._service import Service
from outboxed.storage import SESSION_SETTINGS, reason_of, refusal_of, schema_problem, tables

CLOCKS_APART = 1.0
"""Seconds by which a host's clock may differ from the database's before somebody should set it."""
UNSENT_SECONDS, OVERDUE_SECONDS = 30.0, 60.0
"""Older than after any restart of a relay or a worker, and than any pause between two attempts of a task."""
_SHOWN = [name for name in SESSION_SETTINGS if name.endswith("_timeout") and not name.startswith("tcp_")]
_ASKED = sa.select(
    sa.func.current_setting("server_version"),
    sa.func.current_setting("transaction_read_only"),
    *(sa.func.current_setting(name) for name in _SHOWN),
)


async def database_findings(service: Service[Any]) -> list[Finding]:
    """What can be seen; without a database, or on another schema, what stands on it isn't looked at."""
    try:
        async with asyncio.timeout(LOOK_SECONDS), service.transactions.engine.connect() as connection:
            findings = [await _server(service, connection), await _clock(connection)]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return [_unreachable(service, error)]
    schema = await _schema(service)
    if schema.verdict == "failed":
        return [*findings, schema]
    return [*findings, schema, *[await each for each in _waiting(service)]]


def _unreachable(service: Service[Any], error: Exception) -> Finding:
    variable, address = service.settings.variable("database_url"), service.settings.database_url.address
    refusal = refusal_of(error)
    do = f"put {variable} right" if refusal else f"start the database, or put {variable} right; is its host reachable?"
    return Finding("database", "failed", f"{address}: {refusal or reason_of(error)}", do)


async def _server(service: Service[Any], connection: AsyncConnection) -> Finding:
    version, read_only, *values = (await connection.execute(_ASKED)).one()
    where = f"PostgreSQL {version.split()[0]} at {service.settings.database_url.address}"
    if read_only == "on":
        do = "name the primary; with several hosts in the URL, target_session_attrs=read-write finds it"
        return Finding("database", "failed", f"{where} takes no writes", do)
    limits = ", ".join(f"{name} {value}" for name, value in zip(_SHOWN, values, strict=True))
    through = " through a pooler" if service.settings.database_url.pooler else ""
    return Finding("database", "ok", f"{where}{through}; {limits}")


async def _clock(connection: AsyncConnection) -> Finding:
    begun = datetime.now(UTC)
    there = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    ended = datetime.now(UTC)
    # the database's time is of some moment in between
    apart = max((begun - there).total_seconds(), (there - ended).total_seconds(), 0.0)
    if apart <= CLOCKS_APART:
        return Finding("clock", "ok", f"this host and the database differ by {apart:.3f} s or less")
    which = "ahead of" if begun > there else "behind"
    do = "set this host's clock, best by NTP: tokens expire by it, and Kafka's records get their times from it"
    return Finding("clock", "warning", f"this host is {apart:.1f} s {which} the database", do)


async def _schema(service: Service[Any]) -> Finding:
    async def look() -> Finding:
        problem = await schema_problem(service.transactions.engine, service.name)
        if problem:
            found, _, do = problem.partition(": ")
            return Finding("schema", "failed", found, do)
        return Finding("schema", "ok", "is new enough for this code")

    return await looked_at("schema", look, do="let the role read alembic_version, or put the URL's database right")


def _waiting(service: Service[Any]) -> Sequence[Awaitable[Finding]]:
    looks = {"outbox": _outbox, "tasks": _tasks, "dead letters": _dead_letters}
    do = "let the service's role read and write its tables"
    return [looked_at(about, partial(_connected, service, look), do=do) for about, look in looks.items()]


Look = Callable[[Service[Any], AsyncConnection, Any], Awaitable[Finding]]


async def _connected(service: Service[Any], look: Look) -> Finding:
    now = sa.func.clock_timestamp() + service.transactions.clock.offset
    async with asyncio.timeout(LOOK_SECONDS), service.transactions.engine.connect() as connection:
        return await look(service, connection, now)


async def _outbox(service: Service[Any], connection: AsyncConnection, now: Any) -> Finding:
    waiting = await _counts.outbox(connection, now)
    if waiting.free and waiting.oldest > UNSENT_SECONDS:
        found = f"{waiting.free} events wait to be sent, the oldest for {waiting.oldest:.0f} s"
        do = "see that a process with the role relay runs; its log says why it can't send (relay_failed)"
        return Finding("outbox", "failed", found, do)
    if waiting.held:
        found = f"{waiting.held} events are held: Kafka refused them, or an earlier event of their key"
        do = f"python -m {service.name} dead-letters list --source outbox; then replay or discard what is there"
        return Finding("outbox", "warning", found, do)
    return Finding("outbox", "ok", f"{waiting.free} events wait to be sent, none is held")


async def _tasks(service: Service[Any], connection: AsyncConnection, now: Any) -> Finding:
    due = await _counts.due_tasks(connection, now)
    late = {kind: each for kind, each in due.items() if each.oldest > OVERDUE_SECONDS}
    if not late:
        return Finding("tasks", "ok", f"{sum(each.rows for each in due.values())} are due, none for long")
    errors = await _last_errors(connection, list(late))
    each = [f"{kind}: {one.rows} due, the oldest for {one.oldest:.0f} s{errors[kind]}" for kind, one in late.items()]
    known = {kind.name for kind in service.worker.kinds}
    if not known.issuperset(late):
        do = "run a worker of the release that made these kinds, or make this one newer"
    else:
        do = "see that a process with the role worker runs, and mend what the last error names: each comes again"
    return Finding("tasks", "failed", "; ".join(each), do)


async def _last_errors(connection: AsyncConnection, kinds: Sequence[str]) -> Mapping[str, str]:
    """Of each kind, of the task that was due first."""
    table, said = tables.tasks, {}
    for kind in kinds:
        query = sa.select(table.c.last_error).where(table.c.kind == kind).order_by(table.c.first_due_at).limit(1)
        error = (await connection.execute(query)).scalar()
        said[kind] = f" ({error})" if error else ""
    return said


async def _dead_letters(service: Service[Any], connection: AsyncConnection, _: Any) -> Finding:
    letters = await _counts.open_letters(connection)
    if not letters:
        return Finding("dead letters", "ok", "none is open")
    found = ", ".join(f"{rows} of source {source}" for source, rows in sorted(letters.items()))
    do = f"python -m {service.name} dead-letters list; then show, and edit, replay or discard"
    return Finding("dead letters", "warning", f"{found} are open", do)
