"""A piece of work of the kind that a service does, beside the work that is measured: how dear is CPU at that moment?

Measured alone, the same work says little: where cores are busy, share a cache or slow down, all work becomes dearer.
`python -m tools.measuring.calibration` does a little of it again and again until its input ends, and prints what each
piece cost.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import process_time

TURNS = 25
"""Of a piece: one to two milliseconds of CPU."""
REST_SECONDS = 0.05
"""Between two pieces, so that they take a few per cent of a core from what is measured."""
WARM_UP = 5
"""Pieces that don't count."""
ORDER = {
    "id": "0f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10",
    "customer": {"email": "ada@example.com", "name": "Ada"},
    "items": [{"sku": f"SKU-{number}", "quantity": number, "unit_price": "19.90"} for number in range(1, 6)],
    "history": [{"status": "PENDING", "at": "2026-01-01T00:00:00Z"}],
}


@asynccontextmanager
async def calibrating() -> AsyncIterator[Sequence[float]]:
    """Do the work in a process of its own until the end of the block.

    Milliseconds of CPU for a thousand turns, once for each piece: they become more while the work goes on.
    """
    command = (sys.executable, "-m", __spec__.name)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pieces: list[float] = []

    async def listen(lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            pieces.append(float(line))

    listening = asyncio.create_task(listen(process.stdout))
    try:
        yield pieces
    finally:
        process.stdin.close()
        await listening
        await process.wait()


async def _work() -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(sys.stdin, told.set)
    near, far = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]
    done = 0
    while not told.is_set():
        begun = process_time()
        for _ in range(TURNS):
            near[1].write(json.dumps(ORDER).encode() + b"\n")
            json.loads(await far[0].readline())
        milliseconds = 1e6 * (process_time() - begun) / TURNS
        done += 1
        if done > WARM_UP:
            print(milliseconds, flush=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                await told.wait()


if __name__ == "__main__":
    asyncio.run(_work())
