"""One task after the other, written by hand: a claim under a lease, what is read for the call, the record of it.

The record and the task's end share a transaction, and a lease that was lost writes nothing: the same that outboxed
promises. It has no retries, no groups, no dead letters, no log, and one call at a time.
"""

import json

import uvloop
from backing_services.postgres import connected

from tools.measuring.turns import Turn, Watch

CLAIM = """
update tasks set attempts = attempts + 1, lease_token = gen_random_uuid(),
                 leased_until = clock_timestamp() + interval '15 s'
where id = (
    select id from tasks
    where kind = 'send_email' and due_at <= now() and (leased_until is null or leased_until <= now())
    order by due_at limit 1 for update skip locked
)
returning id, payload, lease_token
"""
READ = "select email, notifications from order_notifications where id = $1"
END = "delete from tasks where id = $1 and lease_token = $2 returning id"
RECORD = "update order_notifications set notifications = $2, version = version + 1 where id = $1"


def work(url: str, tasks: int) -> Turn:
    """Do what the table has, in a new process."""
    return uvloop.run(_done(url, tasks))


async def _done(url: str, tasks: int) -> Turn:
    async with connected(url) as connection:
        watch = Watch()
        claim, read, end, record = [await connection.prepare(text) for text in (CLAIM, READ, END, RECORD)]
        while task := await claim.fetchrow():
            order_id = json.loads(task["payload"])["order_id"]
            order = await read.fetchrow(order_id)
            assert order is not None
            notifications = [{**each, "status": "sent"} for each in json.loads(order["notifications"])]
            async with connection.transaction():
                if await end.fetchval(task["id"], task["lease_token"]) is not None:
                    await record.fetch(order_id, json.dumps(notifications))
        return watch.turn(tasks)
