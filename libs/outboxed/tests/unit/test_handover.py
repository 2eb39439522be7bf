"""What a partition waits for that goes to another member of the group."""

import asyncio
from types import SimpleNamespace
from typing import Any

from outboxed.consuming._kafka import _Handover, _parser


async def test_a_partition_waits_from_the_moment_at_which_the_client_gave_its_records() -> None:
    handover, read = _Handover(), asyncio.Event()

    async def slow(_: Any) -> Any:
        await read.wait()
        return SimpleNamespace()

    parsing = asyncio.create_task(_parser(handover)((), slow))
    await asyncio.sleep(0)  # the parser has begun, and reads
    revoked = asyncio.create_task(handover.on_partitions_revoked({"orders 0"}))
    read.set()
    await parsing

    assert not revoked.done(), "the batch's records are read, and not handled"

    handover.batch_ended()
    await revoked


async def test_without_a_batch_a_partition_is_given_away_at_once() -> None:
    async with asyncio.timeout(0):
        await _Handover().on_partitions_revoked({"orders 0"})
