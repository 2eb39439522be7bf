"""The test cards: what a payment method stands for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """How a charge of this card goes; times are in seconds."""

    declined: bool = False
    seconds_before_charge: float = 0
    unavailable_times: int = 0
    seconds_before_first_answer: float = 0


CARDS = {
    "pm_card_ok": Card(),
    "pm_card_declined": Card(declined=True),
    "pm_card_slow": Card(seconds_before_charge=1),
    "pm_card_flaky": Card(unavailable_times=2),
    "pm_card_timeout_after_charge": Card(seconds_before_first_answer=30),
}

_UNKNOWN = Card(declined=True)


def card(payment_method: str) -> Card:
    return CARDS.get(payment_method, _UNKNOWN)
