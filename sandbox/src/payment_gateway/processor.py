"""The rules of charging and refunding under an idempotency key, decided from the ledger alone."""

from dataclasses import asdict, dataclass
from itertools import count

from payment_gateway.cards import card
from payment_gateway.ledger import Entry, Ledger, Operation, Outcome

_REFUNDS = {Outcome.REFUNDED, Outcome.NOTHING_TO_REFUND}
_FINAL = {Outcome.SUCCEEDED, Outcome.DECLINED}


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is to be charged; two calls under one key must agree in all of it."""

    reference: str
    amount: str
    currency: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The entry that answers a call, and whether it is this call that charged the key."""

    entry: Entry
    is_first_charge: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    entry: Entry
    refunded: bool


class Processor:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def charge(self, key: str, purchase: Purchase, *, ignore_key: bool = False) -> Decision:
        """Charge once a key; with `ignore_key` once more, under a key of its own, though the key has charged."""
        with self._ledger.transaction():
            history = self._ledger.of_key(key)
            if any(entry.outcome in _REFUNDS for entry in history):
                return Decision(self._file(key, purchase, Outcome.KEY_REFUNDED))
            if history and _purchase(history[0]) != purchase:
                return Decision(self._file(key, purchase, Outcome.KEY_REUSED))
            final = next((entry for entry in history if entry.outcome in _FINAL), None)
            if final is None:
                entry = self._file(key, purchase, _outcome(purchase, history))
                return Decision(entry, is_first_charge=entry.outcome is Outcome.SUCCEEDED)
            if ignore_key and final.outcome is Outcome.SUCCEEDED:
                return Decision(self._file(self._next_key(key), purchase, Outcome.SUCCEEDED))
            return Decision(final)

    def refund(self, key: str) -> Entry | None:
        """Return whatever the key charged, and refuse the key from now on; the answer is that charge, if any."""
        with self._ledger.transaction():
            history = self._ledger.of_key(key)
            charge = next((entry for entry in history if entry.outcome is Outcome.SUCCEEDED), None)
            if not any(entry.outcome in _REFUNDS for entry in history):
                self._ledger.append(_refund(key, charge))
            return charge

    def purchase_of(self, key: str) -> Purchase | None:
        """What the key was first used for, if it was used for a charge at all."""
        return next((_purchase(e) for e in self._ledger.of_key(key) if e.operation is Operation.CHARGE), None)

    def charges(self, reference: str) -> list[Charge]:
        """Every charge that succeeded, refunded since or not, oldest first."""
        history = self._ledger.of_reference(reference)
        refunded = {entry.idempotency_key for entry in history if entry.outcome is Outcome.REFUNDED}
        return [Charge(e, e.idempotency_key in refunded) for e in history if e.outcome is Outcome.SUCCEEDED]

    def _file(self, key: str, purchase: Purchase, outcome: Outcome) -> Entry:
        return self._ledger.append(Entry(Operation.CHARGE, key, outcome, **asdict(purchase)))

    def _next_key(self, key: str) -> str:
        return next(extra for number in count(2) if not self._ledger.of_key(extra := f"{key}#{number}"))


def _outcome(purchase: Purchase, history: list[Entry]) -> Outcome:
    terms = card(purchase.payment_method)
    if terms.declined:
        return Outcome.DECLINED
    if sum(entry.outcome is Outcome.UNAVAILABLE for entry in history) < terms.unavailable_times:
        return Outcome.UNAVAILABLE
    return Outcome.SUCCEEDED


def _refund(key: str, charge: Entry | None) -> Entry:
    if charge is None:
        return Entry(Operation.REFUND, key, Outcome.NOTHING_TO_REFUND)
    return Entry(Operation.REFUND, key, Outcome.REFUNDED, charge.reference, charge.amount, charge.currency)


def _purchase(entry: Entry) -> Purchase:
    return Purchase(
        reference=entry.reference or "",
        amount=entry.amount or "",
        currency=entry.currency or "",
        payment_method=entry.payment_method or "",
    )
