"""What a crowd at the door costs in memory; docker-compose.yml gives the service 256 MiB."""

import subprocess
import sys

CROWD = """
import asyncio
from pathlib import Path
from orders.passwords import Argon2Hasher
from outboxed.web import ApiError

def peak() -> int:
    # of this process alone: what getrusage says begins with the peak of the process that started it
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024

async def main() -> None:
    before, hasher = peak(), Argon2Hasher()
    found = await asyncio.gather(*(hasher.hash("horse") for _ in range(200)), return_exceptions=True)
    busy = sum(isinstance(one, ApiError) and one.status == 503 for one in found)
    print(peak() - before, busy, sum(isinstance(one, str) for one in found))

asyncio.run(main())
"""


def test_two_hundred_passwords_at_once_cost_the_memory_of_one() -> None:
    done = subprocess.run([sys.executable, "-c", CROWD], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603

    megabytes, busy, hashed = map(int, done.stdout.split())
    assert megabytes < 64 + 16
    assert busy + hashed == 200
    assert hashed
