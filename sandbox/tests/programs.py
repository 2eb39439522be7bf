"""The programs as processes of their own, on free ports."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

PATIENCE = 15
"""Seconds: long for what happens at once even on a busy machine, short for what would wait half a minute or ever."""
ANY_PORT = {"GATEWAY_PORT": "0", "MAILBOX_SMTP_PORT": "0", "MAILBOX_HTTP_PORT": "0", "PARTNER_PORT": "0"}


@dataclass(frozen=True)
class Program:
    """`ports` are those of its first log line, in its order."""

    process: asyncio.subprocess.Process
    ports: tuple[int, ...]

    async def stop(self) -> int:
        """SIGTERM it; the exit status. Raises TimeoutError after PATIENCE seconds."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


async def start(module: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env={**os.environ, **ANY_PORT, **environment}, stderr=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def running(module: str, **environment: str) -> AsyncIterator[Program]:
    process = await start(module, environment)
    try:
        assert process.stderr
        line = (await process.stderr.readline()).decode()
        yield Program(process, tuple(map(int, re.findall(r"//[\d.]+:(\d+)", line))))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(module: str, **environment: str) -> tuple[int | None, str]:
    """Run one that can't start; its exit status and what it said on stderr."""
    process = await start(module, environment)
    _, said = await process.communicate()
    return process.returncode, said.decode()
