"""CPU time (user and system) of processes with all their children, from /proc."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PARENT = 1
USER, SYSTEM, CHILDRENS_USER, CHILDRENS_SYSTEM = 11, 12, 13, 14
"""Fields of /proc/PID/stat after the name, from 0. Source: proc_pid_stat(5)."""


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    seconds: float
    """With what its dead children took: the kernel adds that to whoever waited for them."""


def process_of(stat: str) -> Process:
    """Read a line of /proc/PID/stat; the name in it may have blanks and parentheses."""
    pid, _, rest = stat.partition(" ")
    fields = rest.rpartition(")")[2].split()
    ticks = sum(int(fields[field]) for field in (USER, SYSTEM, CHILDRENS_USER, CHILDRENS_SYSTEM))
    return Process(int(pid), int(fields[PARENT]), ticks / TICKS)


def seconds_by_name(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far, by name, of the process of each name and everything that it started."""
    processes = _running()
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for process in processes:
        children[process.parent].append(process)
    by_pid = {process.pid: process for process in processes}
    return {name: _with_children(by_pid[pid], children) for name, pid in roots.items()}


def _with_children(process: Process, children: Mapping[int, Sequence[Process]]) -> float:
    return process.seconds + sum(_with_children(child, children) for child in children.get(process.pid, ()))


def _running() -> Sequence[Process]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(process_of(path.read_text()))
        except OSError:  # it has ended since
            continue
    return found
