"""What an order costs: the highest discount rule that its subtotal reaches, and five points more for members."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

DECIMALS = 2
CENT = Decimal("0.01")
MEMBER_POINTS = Decimal(5)
FULL = Decimal(100)


class InvalidAmountError(ValueError):
    """Not an amount of money: negative, not finite, or with more than two decimals."""


class InvalidDiscountError(ValueError):
    """A percentage outside 0 to 100."""


def check_amount(amount: Decimal) -> None:
    """Raises InvalidAmountError; `1.000` has three decimals even though the last is zero."""
    if not amount.is_finite():
        raise InvalidAmountError(f"{amount} is not a finite amount")
    if amount < 0:
        raise InvalidAmountError(f"{amount} is negative")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DECIMALS:
        raise InvalidAmountError(f"{amount} has more than two decimals")


@dataclass(frozen=True)
class DiscountRule:
    """From `min_amount` on, `percentage` off."""

    min_amount: Decimal
    percentage: Decimal

    def __post_init__(self) -> None:
        check_amount(self.min_amount)
        if not self.percentage.is_finite() or not 0 <= self.percentage <= FULL:
            raise InvalidDiscountError(f"{self.percentage} is not a percentage from 0 to 100")


STANDARD_RULES = (
    DiscountRule(min_amount=Decimal(100), percentage=Decimal(5)),
    DiscountRule(min_amount=Decimal(500), percentage=Decimal(10)),
    DiscountRule(min_amount=Decimal(1000), percentage=Decimal(15)),
)


@dataclass(frozen=True)
class Price:
    """Amounts with two decimals; total = subtotal - discount."""

    subtotal: Decimal
    discount: Decimal
    total: Decimal


class PricingService:
    """Prices a subtotal by its rules; their order does not matter."""

    def __init__(self, discount_rules: Sequence[DiscountRule] = STANDARD_RULES) -> None:
        self._rules = sorted(discount_rules, key=lambda rule: rule.min_amount)

    def calculate_total(self, subtotal: Decimal, is_member: bool) -> Price:  # noqa: FBT001 - the published signature
        """Raises InvalidAmountError. The discount is rounded half-even to cents."""
        check_amount(subtotal)
        percentage = self._percentage(subtotal, is_member=is_member)
        # the default precision of 28 digits would round the cents of astronomic amounts
        with localcontext(prec=max(28, subtotal.adjusted() + 28)):
            discount = (subtotal * percentage / FULL).quantize(CENT, rounding=ROUND_HALF_EVEN)
            exact = subtotal.quantize(CENT)
            return Price(subtotal=exact, discount=discount, total=exact - discount)

    def _percentage(self, subtotal: Decimal, *, is_member: bool) -> Decimal:
        reached = [rule.percentage for rule in self._rules if subtotal >= rule.min_amount]
        percentage = reached[-1] if reached else Decimal(0)
        return min(FULL, percentage + MEMBER_POINTS if is_member else percentage)
