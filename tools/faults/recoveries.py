"""How soon the system works again after a fault, on the cores that it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from shop_harness.percentiles import percentile

LIMITS = {"service kill": 15.0, "PostgreSQL": 3.0, "Kafka": 10.0}
"""Seconds after a fault within which 95 of 100 new orders have to be confirmed, on CORES cores."""
CORES = 2
FEWEST = 0.5
"""With fewer cores than this a recovery is judged as if it had so many: a limit is at most four times as long."""


@dataclass(frozen=True)
class Recovery:
    """Seconds until a new order was confirmed by e-mail, and the mean number of cores that nobody else used.

    Six processes start or connect again at once then, and Kafka or PostgreSQL, too. So most of a recovery is work for
    the cores, and with half of them it takes twice as long.
    """

    seconds: float
    cores: float

    @property
    def on_two_cores(self) -> float:
        """The seconds that it would have taken on CORES cores; more than those make no recovery faster."""
        return self.seconds * min(1.0, max(FEWEST, self.cores) / CORES)


def table_of(recoveries: Mapping[str, Sequence[Recovery]]) -> Table:
    """A row for each kind of fault."""
    columns = ("after", "times", "median", "slowest", "fewest cores", f"p95 on {CORES} cores", "limit")
    table = Table(*columns, title="until a new order is confirmed by e-mail")
    slow = too_slow(recoveries)
    for kind, limit in LIMITS.items():
        if found := recoveries.get(kind):
            seconds = sorted(one.seconds for one in found)
            table.add_row(
                kind,
                str(len(found)),
                f"{percentile(seconds, 50):.1f} s",
                f"{seconds[-1]:.1f} s",
                f"{min(one.cores for one in found):.1f}",
                f"{_p95(found):.1f} s",
                f"{limit:g} s",
                style="red" if kind in slow else None,
            )
    return table


def too_slow(recoveries: Mapping[str, Sequence[Recovery]]) -> Sequence[str]:
    """The kinds of fault whose recoveries are over their limit."""
    return [kind for kind, limit in LIMITS.items() if recoveries.get(kind) and _p95(recoveries[kind]) > limit]


def _p95(recoveries: Sequence[Recovery]) -> float:
    return percentile(sorted(one.on_two_cores for one in recoveries), 95)
