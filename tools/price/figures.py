"""What an order costs a service's database, counted from the transactions that went by."""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields

from tools.measuring.hops import hop, is_control, writes
from tools.measuring.wire import Statement, Transaction

Shape = tuple[Statement, ...]
"""What a transaction asked and what came of it."""


@dataclass(frozen=True)
class Counts:
    """Of one order; `hops` are statements by what they are.

    `commits` are transactions that wrote, which PostgreSQL makes durable. One that only looked costs its round trips.
    """

    commits: float
    statements: float
    round_trips: float
    wal_bytes: float
    hops: Mapping[str, float]

    @classmethod
    def of(cls, work: Mapping[Transaction, int], *, wal_bytes: float, orders: int) -> "Counts":
        """The share of one of so many orders."""
        hops: Counter[str] = Counter()
        for transaction, times in work.items():
            for statement in transaction.statements:
                if not is_control(statement.text):
                    hops[hop(statement.text)] += times
        return cls(
            commits=sum(times for transaction, times in work.items() if _is_durable(transaction)) / orders,
            statements=hops.total() / orders,
            round_trips=sum(transaction.round_trips * times for transaction, times in work.items()) / orders,
            wal_bytes=wal_bytes / orders,
            hops={name: times / orders for name, times in hops.most_common()},
        )

    @classmethod
    def sum_of(cls, counts: Iterable["Counts"]) -> "Counts":
        """Of all services together; the hops stay theirs."""
        every = list(counts)
        return cls(**{figure: sum(getattr(one, figure) for one in every) for figure in FIGURES}, hops={})


FIGURES = tuple(field.name for field in fields(Counts) if field.name != "hops")


def shapes_of(transactions: Mapping[Transaction, int]) -> AbstractSet[Shape]:
    """The shapes of what a service asks at rest: to look whether there is anything to do."""
    return {transaction.statements for transaction in transactions if transaction.statements}


def apart(
    transactions: Mapping[Transaction, int], at_rest: AbstractSet[Shape]
) -> tuple[Counter[Transaction], Counter[Transaction]]:
    """Split what went by into work, and looks for nothing: those have the same shapes at rest, or wrote no row.

    The second are such as the deletion of old rows, which comes too seldom to be seen at rest. A question that was
    answered by no row is work: nobody asks at rest.
    """
    work, looks = Counter[Transaction](), Counter[Transaction]()
    for transaction, times in transactions.items():
        is_look = transaction.statements in at_rest or _wrote_no_row(transaction)
        (looks if is_look else work)[transaction] += times
    return work, looks


def _is_durable(transaction: Transaction) -> bool:
    return transaction.committed and any(writes(one.text) for one in transaction.statements)


def _wrote_no_row(transaction: Transaction) -> bool:
    asked = [one for one in transaction.statements if not is_control(one.text)]
    return any(writes(one.text) for one in asked) and all(one.outcome.endswith(" 0") for one in asked)
