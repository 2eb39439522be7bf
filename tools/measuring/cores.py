"""How many cores this process and all that it started could use for a while: the more others ran, the fewer."""

import os
import time
from dataclasses import dataclass
from typing import Self

import psutil

from tools.measuring.processor_time import seconds_by_name


@dataclass(frozen=True)
class Reading:
    """Seconds of wall-clock time; seconds that the usable cores spent on anybody, and on us; all since some moment.

    Time that a virtual machine was denied (steal) counts as spent on others.
    """

    at: float
    spent: float
    ours: float
    cores: int

    @classmethod
    def now(cls) -> Self:
        """A reading of this machine."""
        usable = os.sched_getaffinity(0)
        times = psutil.cpu_times(percpu=True)
        spent = sum(sum(times[core]) - times[core].idle - times[core].iowait for core in usable)
        return cls(time.monotonic(), spent, seconds_by_name({"": os.getpid()})[""], len(usable))

    def cores_since(self, before: "Reading") -> float:
        """The mean number of cores that nobody else used, from 0 to all that are usable."""
        others = max(0.0, (self.spent - before.spent) - (self.ours - before.ours))
        return max(0.0, self.cores - others / (self.at - before.at))
