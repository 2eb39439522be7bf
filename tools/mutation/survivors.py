"""Mutants that no test can kill, or that none should, each with its reason."""

from dataclasses import dataclass

from tools.mutation.workspace import Mutant


@dataclass(frozen=True)
class Explained:
    """The mutants of `module` whose changed line contains `after`."""

    module: str
    after: str
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        return mutant.module == self.module and self.after in mutant.after


EXPLAINED = (
    Explained(
        "outboxed/messages/_reasons.py",
        "problems: list[Any] = error.errors(",
        "only place and message are read; what is left out is left out to save the time",
    ),
    Explained("outboxed/_backoff.py", "min(attempts - 1, 11)", "both are past every cap"),
    Explained(
        "outboxed/messages/_envelope.py", 'record.value or b"XXXX"', "a null value was refused before, by attributes_of"
    ),
    Explained(
        "outboxed/consuming/_batch.py", "_Batch(None, batch.undecodable)", "no events and none are handled alike"
    ),
    Explained("outboxed/consuming/_batch.py", '(raw or b"XXXX")', "neither text is a time"),
    Explained(
        "outboxed/tasks/_worker.py", "if (free) or True else []", "to claim none is to ask the queue for nothing"
    ),
    Explained("payments/domain.py", "raise ValueError(None)", "the words are for who takes a beginning from the table"),
    Explained("payments/handlers.py", 'reason: str = "XXXX"', "only a declined payment tells a reason, and it has one"),
    Explained("payments/reconciliation.py", "limit=None", "all on one page are the same payments; pages save memory"),
    Explained("orders/pricing.py", "prec=max(29,", "more digits than are needed"),
    Explained("orders/pricing.py", "subtotal.adjusted() + 29", "more digits than are needed"),
    Explained("orders/handlers.py", "passwords.hash(None)", "that a hash takes its time is what counts, not of what"),
    Explained("outboxed/web/_authentication.py", 'key = ""', "what is no key is refused alike"),
)


def reason_for(mutant: Mutant) -> str | None:
    """Why a mutant may live; None if no reason is given."""
    return next((one.reason for one in EXPLAINED if one.covers(mutant)), None)
