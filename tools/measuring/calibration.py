"""A piece of work of the kind that a service does: how dear is CPU on this machine?"""

import json
from time import process_time

from backing_services.postgres import EmbeddedPostgres, connected

CHUNKS = 100
ROUND_TRIPS = 25
"""Of a chunk: short, so that many chunks are disturbed by nobody."""
ORDER = {
    "id": "0f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10",
    "customer": {"email": "ada@example.com", "name": "Ada"},
    "items": [{"sku": f"SKU-{number}", "quantity": number, "unit_price": "19.90"} for number in range(1, 6)],
    "history": [{"status": "PENDING", "at": "2026-01-01T00:00:00Z"}],
}


async def calibrated(postgres: EmbeddedPostgres) -> float:
    """Milliseconds of this process's CPU for a thousand round trips to PostgreSQL with an order there and back.

    The least of many short tries: what else the machine does makes the same work dearer, and never cheaper.
    """
    tries = []
    async with connected(postgres.url(postgres.maintenance_database)) as connection:
        statement = await connection.prepare("select $1::text")
        for _ in range(CHUNKS):
            begun = process_time()
            for _ in range(ROUND_TRIPS):
                json.loads(await statement.fetchval(json.dumps(ORDER)))
            tries.append(process_time() - begun)
    return min(tries) * 1e6 / ROUND_TRIPS
