"""The same tasks as jobs of procrastinate, in an environment that has it.

What it doesn't promise: the job's record and its end are two transactions, so a crash in between does the job again;
and a worker that was taken for dead still writes.
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import procrastinate
import uvloop
from backing_services.postgres import asyncpg_url
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from tools.measuring.turns import Turn, Watch

CONCURRENCY = 8
"""As many as the kind of notifications has."""
IDS = "select id::text from order_notifications"
READ = "select email, notifications from order_notifications where id = %s"
RECORD = "update order_notifications set notifications = %s, version = version + 1 where id = %s"


async def work(url: str, tasks: int) -> Turn:
    """Defer a job for each order, and do them all."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=CONCURRENCY))
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(url, min_size=1, max_size=CONCURRENCY, open=False)

    @app.task(name="send_email")  # type: ignore[untyped-decorator]  # unknown to mypy: see pyproject.toml
    async def send_email(order_id: str) -> None:
        async with pool.connection() as connection:
            found = await (await connection.execute(READ, (order_id,))).fetchone()
            notifications = [{**each, "status": "sent"} for each in found[1]]
            await connection.execute(RECORD, (Jsonb(notifications), order_id))

    async with app.open_async(), pool:
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        async with pool.connection() as connection:
            ids = [row[0] for row in await (await connection.execute(IDS)).fetchall()]
        await send_email.batch_defer_async(*({"order_id": order_id} for order_id in ids))
        watch = Watch()
        await app.run_worker_async(concurrency=CONCURRENCY, wait=False, delete_jobs="successful")
        return watch.turn(tasks)


def main() -> None:
    """Print the turn as JSON; the arguments are the database's URL and the number of tasks."""
    print(json.dumps(asdict(uvloop.run(work(asyncpg_url(sys.argv[1]), int(sys.argv[2]))))))
