"""CPU time (user and system) of processes with all their children."""

from collections.abc import Mapping
from contextlib import suppress

import psutil


def seconds_by_name(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far, by name, of the process of each name and everything that it started."""
    return {name: _with_children(psutil.Process(pid)) for name, pid in roots.items()}


def _with_children(process: psutil.Process) -> float:
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended since, and its parent has its time
            seconds += sum(each.cpu_times()[:4])  # user, system, and both of its dead children
    return seconds
