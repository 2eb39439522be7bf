"""Kinds of work that take turns, A B A B, so that a busy moment of the machine meets all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

from rich.table import Table


@dataclass(frozen=True)
class Turn:
    """So many items, the seconds that they took, and the CPU seconds of the process that handled them."""

    items: int
    seconds: float
    cpu: float

    @property
    def microseconds(self) -> float:
        """CPU an item."""
        return 1e6 * self.cpu / self.items

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.seconds


Turns = Mapping[str, Sequence[Turn]]


class Watch:
    """Measures this process from its making on."""

    def __init__(self) -> None:
        self._seconds, self._cpu = time.perf_counter(), time.process_time()

    def turn(self, items: int) -> Turn:
        """What so many items took until now."""
        return Turn(items, time.perf_counter() - self._seconds, time.process_time() - self._cpu)


def in_own_process(work: Callable[..., Turn], *arguments: object) -> Turn:
    """Run a function of a module in a new process: what it warms, sets or leaves behind is no other turn's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def in_turns(kinds: Mapping[str, Callable[[], Turn]], rounds: int) -> Turns:
    """Each kind once a round, and a line for each turn."""
    turns: dict[str, list[Turn]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, work in kinds.items():
            turn = work()
            turns[name].append(turn)
            print(f"{name}: {turn.microseconds:.0f} µs", flush=True)
    return turns


def ratio(turns: Turns, name: str, to: str) -> float:
    """CPU an item of one kind to another's, of the cheapest turn of each.

    What else the machine does makes the same work dearer, and never cheaper.
    """
    ours, theirs = (min(turn.microseconds for turn in turns[kind]) for kind in (name, to))
    return ours / theirs


def cost_table(turns: Turns, *, to: str, item: str, title: str) -> Table:
    """The medians of each kind, its cheapest turn, and the ratio of that to another kind's."""
    table = Table("", f"CPU, µs {item}", "least", "ratio", "items/s", title=title)
    for name, measures in turns.items():
        costs, rate = [turn.microseconds for turn in measures], median(turn.rate for turn in measures)
        table.add_row(
            name, f"{median(costs):.0f}", f"{min(costs):.0f}", f"{ratio(turns, name, to):.2f}", f"{rate:,.0f}"
        )
    table.caption = f"CPU of the process alone; ratio: of the least, to {to}"
    return table
