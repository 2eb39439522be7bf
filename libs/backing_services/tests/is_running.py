import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from backing_services.waiting import eventually


def is_running(pid: int | None) -> bool:
    """Say whether the process exists and is more than a zombie that nobody reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def assert_ends_with_its_parent(code: str, *arguments: str) -> None:
    """Run a program that starts a process and prints its id; kill the program, and see the process end."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, stdin=PIPE, stdout=PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)

    parent.kill()
    await parent.communicate()

    await eventually(lambda: not is_running(pid), describe=f"process {pid} ends")
