"""What a person sees: a live view while orders travel, then tables."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from shop_harness.evidence import Evidence

from shop_demo.summary import Summary


class LiveView:
    """A context manager: three bars; on a terminal they move, elsewhere a line says so much every few seconds."""

    def __init__(self, console: Console, lines: int, *, every: float = 5) -> None:
        self._console, self._every, self._told = console, every, time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._sent = self._progress.add_task("lines sent", total=lines)
        self._settled = self._progress.add_task("orders settled", total=None)
        self._mails = self._progress.add_task("e-mails received", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def line_sent(self) -> None:
        """One more line was answered."""
        self._progress.advance(self._sent)

    def show(self, evidence: Evidence) -> None:
        """Where the orders are now."""
        self._progress.update(self._settled, completed=evidence.settled, total=len(evidence.orders))
        expected = evidence.expected_mails.total()
        self._progress.update(self._mails, completed=len(evidence.mails), total=expected)
        if not self._console.is_terminal and time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            self._console.log(", ".join(self._figures()))

    def _figures(self) -> Iterator[str]:
        for task in self._progress.tasks:
            yield f"{task.completed:.0f} of {task.total or 0:.0f} {task.description}"


def print_summary(console: Console, summary: Summary) -> None:
    """The rejected lines, the figures, the rules that don't hold, and the one last line."""
    if summary.outcome.rejected:
        console.print(_rejected_table(summary))
    console.print(_figures_table(summary))
    for broken in summary.broken:
        console.print(Text.assemble(("broken:", "red"), " ", broken))
    console.print(summary.line, highlight=False, markup=False, soft_wrap=True)


def _rejected_table(summary: Summary) -> Table:
    table = Table("line", "status", "code", "because", title="Lines that the API refused")
    for rejected in sorted(summary.outcome.rejected, key=lambda one: one.number):
        # text, not markup: what the API says may have brackets
        table.add_row(str(rejected.number), str(rejected.status), Text(rejected.code), Text(rejected.message))
    return table


def _figures_table(summary: Summary) -> Table:
    figures = summary.figures
    kept = summary.evidence.kept
    kinds = summary.evidence.received_mails
    by_kind = {kind: sum(kinds[mail] for mail in kinds if mail.startswith(kind)) for kind in _KINDS}
    table = Table("what", "figure", "read from", title="What the ledgers say")
    called_off = sum(order.was_confirmed for order in summary.evidence.orders.values()) - figures.confirmed
    table.add_row("orders confirmed at the end", str(figures.confirmed), "orders' database")
    table.add_row("orders confirmed first, then cancelled by their customer", str(called_off), "same")
    table.add_row("orders cancelled, with these", str(figures.cancelled), "same")
    table.add_row("charges kept", str(len(kept)), "the gateway's ledger")
    table.add_row("money kept", f"{sum(charge.kept for charge in kept):.2f} EUR", "same")
    for kind, count in by_kind.items():
        table.add_row(f"{kind} e-mails", str(count), "the mail catcher")
    table.add_row("requests answered again from their key", str(summary.outcome.replayed), "the API")
    return table


_KINDS = ("confirmation", "cancellation", "refund")
