"""Does a statement read a large table to its end? PostgreSQL's plan for it says so, before the table is large.

`Plans` is a database like the test's own, in which the planner takes every table for one of a million rows, all of them
different, and reads one from end to end only where no index serves. It hears what the tests' engine executes, and asks
for the plan of each statement.
"""

import json
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from backing_services.postgres.isolation import DatabaseIsolation
from backing_services.postgres.server import connected, quoted

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncEngine

    from backing_services.postgres.server import Connection

ROWS = 1_000_000
MAY_BE_NULL = "update pg_attribute set attnotnull = false where attrelid = $1 and attnum = $2"
"""Also in a primary key, where `alter table` refuses it."""
MAY_PRETEND = "select rolsuper from pg_roles where rolname = current_user"
HEARD = """
set lc_messages = 'C';
set log_statement = 'all'; set log_parameter_max_length = -1; set client_min_messages = 'log'
"""
"""What has the server send each statement back to the connection, with its values, in English."""
EXECUTED = re.compile(
    r"(?:statement|execute [^:]*): ((?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|insert|update|delete|merge)\b.*)",
    re.DOTALL | re.IGNORECASE,
)
VALUE = re.compile(r"\$\d+ = (NULL|'(?:[^']|'')*')")
CONDITION = re.compile(r"\b(?:where|join|on conflict|merge)\b", re.IGNORECASE)
OWN = "nspname not in ('pg_catalog', 'information_schema') and nspname !~ '^pg_(toast|temp)'"
A_TABLE = "relkind = 'r' and not relispartition"
CONSTRAINTS = f"""
select nspname, relname, conname from pg_constraint
join pg_class on pg_class.oid = conrelid join pg_namespace on pg_namespace.oid = relnamespace
where contype in ('c', 'f') and conparentid = 0 and coninhcount = 0 and {OWN}
"""  # noqa: S608 - our own text
DOMAINS = f"""
select nspname, typname, conname from pg_type join pg_namespace on pg_namespace.oid = typnamespace
left join pg_constraint on contypid = pg_type.oid and contype = 'c'
where typtype = 'd' and {OWN}
"""  # noqa: S608 - our own text
COLUMNS = f"""
select nspname, relname, attname, attrelid, attnum, typname, typcategory::text,
  attnotnull and not atthasdef and attidentity = '' and attgenerated = '' as needed
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
join pg_attribute on attrelid = pg_class.oid join pg_type on pg_type.oid = atttypid
where {A_TABLE} and attnum > 0 and not attisdropped and {OWN}
"""  # noqa: S608 - our own text
PRETEND = f"""
update pg_class set reltuples = {ROWS}, relpages = 1 from pg_namespace
where pg_namespace.oid = relnamespace and relkind in ('r', 'i') and {OWN}
"""  # noqa: S608 - our own text
LARGE = f"""
select relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace where {A_TABLE} and {OWN}
"""  # noqa: S608 - our own text
PARTIAL = "select relname from pg_index join pg_class on pg_class.oid = indexrelid where indpred is not null"
A_VALUE: Mapping[str, str] = {
    "uuid": "gen_random_uuid()",
    "json": "'{}'",
    "jsonb": "'{}'",
    "bytea": "''",
    "S": "''",
    "N": "0",
    "D": "now()",
    "B": "false",
    "A": "'{}'",
    "T": "'0'",
}
"""Of a type, by its name or its category in pg_type."""
READS_ALL_FIRST = {"Sort", "Incremental Sort", "Aggregate", "Group", "WindowAgg", "Hash", "ModifyTable", "Materialize"}
"""Nodes that read all that is below them before they give a row: a limit above them saves nothing."""


ADVICE = (
    "Add an index, or change the condition: one with a function like clock_timestamp() is tried on each row, unless it "
    "is a query of its own, (select clock_timestamp())."
)


class WholeReadError(AssertionError):
    """A statement with a condition would read a large table to its end."""


class Plans:
    """See the module, and `of`."""

    def __init__(self, connection: "Connection | None", large: Collection[str], partial: Collection[str]) -> None:
        self._connection = connection
        self._large = large
        self._partial = partial
        self._heard: dict[tuple[str, str], Sequence[str]] = {}
        self._judged: set[tuple[str, str]] = set()

    @classmethod
    @asynccontextmanager
    async def of(cls, isolation: DatabaseIsolation, *, small: Collection[str] = ()) -> AsyncIterator[Self]:
        """A database like the isolation's, dropped afterwards; the tables `small` may be read whole.

        Only a superuser may pretend rows. With another role nothing is heard, and nothing refused.
        """
        async with isolation.private() as url, connected(url) as connection:
            if not await connection.fetchval(MAY_PRETEND):
                yield cls(None, (), ())
                return
            await _pretend(connection)
            large = {table for [table] in await connection.fetch(LARGE)} - set(small)
            yield cls(connection, large, {index for [index] in await connection.fetch(PARTIAL)})

    def hear(self, engine: "AsyncEngine") -> None:
        """Have the server say what the new connections of an asyncpg engine execute. Raises TypeError for another."""
        import sqlalchemy as sa  # noqa: PLC0415 - this module is loaded where no SQLAlchemy is used

        if engine.dialect.driver != "asyncpg":
            raise TypeError(f"an engine of {engine.dialect.driver} can't be heard, only one of asyncpg")
        if self._connection:
            sa.event.listen(engine.sync_engine, "connect", lambda raw, _: raw.run_async(self._listen_to))

    async def refuse_whole_reads(self, let_through: Collection[str] = ()) -> None:
        """Raises WholeReadError for all that was heard since the last call; a part of a statement lets it through.

        What has neither a condition nor a join asks for the whole table, and is let through, too. So is what the
        database can't plan, because it has no such table or setting: a temporary table, or one that a test made.
        """
        refused = []
        for path, statement in [one for one in self._heard if one not in self._judged]:
            self._judged.add((path, statement))
            text = " ".join(statement.split())
            if not CONDITION.search(text) or any(part in text for part in let_through):
                continue
            if whole := await self._read_whole_if_known(statement, self._heard[path, statement], path):
                refused.append(f"with {ROWS:,} rows in each table, this reads {' and '.join(whole)} to the end: {text}")
        if refused:
            raise WholeReadError("\n".join([*refused, ADVICE]))

    async def _read_whole_if_known(self, statement: str, values: Sequence[str], path: str) -> Sequence[str]:
        import asyncpg  # noqa: PLC0415 - see backing_services.postgres.server.connected

        if self._connection:
            await self._connection.execute("select set_config('search_path', $1, false)", path)
        try:
            return await self.read_whole(statement, values)
        except asyncpg.SyntaxOrAccessError:
            return ()

    async def read_whole(self, statement: str, values: Sequence[str] = ()) -> Sequence[str]:
        """The large tables that are read to their end, with how; `values` are SQL's literals for $1, $2 and so on."""
        if not self._connection:
            return ()
        await self._connection.execute(f"prepare looked_at as {statement}")
        try:
            how = f"execute looked_at({', '.join(values)})" if values else "execute looked_at"
            found = await self._connection.fetchval(f"explain (format json) {how}")
        finally:
            await self._connection.execute("deallocate looked_at")
        return sorted(set(self._whole(json.loads(found)[0]["Plan"], limited=False)))

    async def _listen_to(self, connection: "Connection") -> None:
        path = str(await connection.fetchval("select current_setting('search_path')"))
        connection.add_log_listener(lambda _, message: self._told(path, message))
        await connection.execute(HEARD)

    def _told(self, path: str, message: "asyncpg.PostgresLogMessage") -> None:
        if executed := EXECUTED.fullmatch(str(message.message)):
            self._heard.setdefault((path, executed[1]), VALUE.findall(str(message.detail or "")))

    def _whole(self, plan: Mapping[str, Any], *, limited: bool) -> Iterator[str]:
        """Below a limit, and in a query for one value, a scan without a filter ends soon; a CTE is no such query.

        A partial index without another condition is read for what it is there for.
        """
        kind, table = plan["Node Type"], plan.get("Relation Name")
        by_index = kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in plan
        found_by_it = by_index and plan["Index Name"] in self._partial and "Filter" not in plan
        ends_soon = limited and "Filter" not in plan
        if (kind == "Seq Scan" or by_index) and table in self._large and not (found_by_it or ends_soon):
            yield f"{table} ({kind}{', ' + plan['Filter'] if 'Filter' in plan else ''})"
        for below in plan.get("Plans", ()):
            goes_on = limited and kind not in READS_ALL_FIRST
            one = below.get("Parent Relationship") == "InitPlan" and not below["Subplan Name"].startswith("CTE ")
            yield from self._whole(below, limited=kind == "Limit" or one or goes_on)


async def _pretend(connection: "Connection") -> None:
    """A row in each table, which the planner then takes for one of ROWS, all of them different.

    Without a page on the disk a table has no row for the planner. Without `analyze` many rows meet each condition.
    """
    await connection.execute("set session_replication_role = replica")  # no triggers
    for schema, table, constraint in await connection.fetch(CONSTRAINTS):
        await connection.execute(f"alter table {quoted(schema)}.{quoted(table)} drop constraint {quoted(constraint)}")
    for schema, domain, constraint in await connection.fetch(DOMAINS):
        await connection.execute(f"alter domain {quoted(schema)}.{quoted(domain)} drop not null")
        if constraint:
            await connection.execute(
                f"alter domain {quoted(schema)}.{quoted(domain)} drop constraint {quoted(constraint)}"
            )
    needed: dict[str, dict[str, str]] = {}
    for schema, table, column, oid, number, kind, category, needs in await connection.fetch(COLUMNS):
        values = needed.setdefault(f"{quoted(schema)}.{quoted(table)}", {})
        if needs and (value := A_VALUE.get(kind) or A_VALUE.get(category)):
            values[quoted(column)] = value
        elif needs:
            await connection.execute(MAY_BE_NULL, oid, number)
    if needed:
        # what migrations wrote isn't all different
        await connection.execute(f"truncate {', '.join(needed)} cascade")
    for table, values in needed.items():
        row = f"({', '.join(values)}) values ({', '.join(values.values())})" if values else "default values"
        await connection.execute(f"insert into {table} {row}")
    await connection.execute("analyze")
    await connection.execute(PRETEND)
    # of a range the planner guesses that a third is right, and below a limit it then needs no index
    await connection.execute("set enable_seqscan = off")
