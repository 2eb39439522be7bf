"""What these tests use of aiokafka beside its public interface: a client that dies, and a header that no client sends.

aiokafka can only be stopped in order, and writes headers in UTF-8. A test that fails for a name here tells so itself;
the bound of aiokafka in outboxed's pyproject.toml goes with them.
"""
# ruff: noqa: SLF001  # see above

import asyncio
import struct
from typing import Any

from aiokafka.record.util import calc_crc32c

CRC_AT, CHECKED_FROM = 17, 21
"""Bytes of a batch, by Kafka's protocol."""


def leave_without_a_word(client: Any) -> None:
    """Have a consumer's group not be told when it goes."""
    if client._coordinator is not None:  # it is while the client is still looking for Kafka
        client._coordinator._maybe_leave_group = _say_nothing


def has_begun(client: Any) -> bool:
    """Whether a consumer has its metadata: one that is cancelled before leaves its first connection open."""
    return client is not None and client._client._sync_task is not None


async def bury(client: Any) -> None:
    """What a client leaves behind that is cut off in the middle of a rebalance, a process takes with it."""
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
    left = [task for name in names if (task := getattr(client._coordinator, name, None)) is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if client._fetcher is not None:
        await client._fetcher.close()
    await client._client.close()


async def _say_nothing() -> None:
    pass


def with_bytes_changed(batch: Any, old: bytes, new: bytes) -> Any:
    """A batch for `send_batch` whose bytes are changed after they were built."""
    build = batch._build

    def rebuild() -> bytes:
        buffer = bytearray(bytes(build()).replace(old, new))
        struct.pack_into(">I", buffer, CRC_AT, calc_crc32c(bytes(buffer[CHECKED_FROM:])))
        return bytes(buffer)

    batch._build = rebuild
    return batch
