"""A process that reads a topic as services do, and prints what it cost: records, the most bytes of one call, MiB."""

import asyncio
import gc
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from outboxed._compat.aiokafka import read_any_batch
from outboxed.consuming._kafka import MAX_RECORDS
from outboxed.process._roles import give_large_blocks_back


def mebibytes(name: str) -> int:
    """Of this process alone: what getrusage says begins with the peak of the process that started it."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) // 1024


async def read(bootstrap_servers: str, topic: str, wanted: int) -> tuple[int, int, int, int]:
    read_any_batch()
    give_large_blocks_back()
    found = most = 0
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest") as consumer:
        before = mebibytes("VmRSS")
        while found < wanted:
            for records in (await consumer.getmany(timeout_ms=100, max_records=MAX_RECORDS)).values():
                found += len(records)
                most = max(most, sum(len(one.value) for one in records))
        grown = mebibytes("VmHWM") - before
    gc.collect()
    return found, most, grown, mebibytes("VmRSS") - before


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, asyncio.run(read(sys.argv[1], sys.argv[2], int(sys.argv[3]))))))
