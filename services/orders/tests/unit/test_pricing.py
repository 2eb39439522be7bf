from decimal import ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders.pricing import STANDARD_RULES, DiscountRule, InvalidAmountError, InvalidDiscountError, PricingService

amounts = st.decimals(min_value=0, max_value=10**9, places=2)


@pytest.mark.parametrize(
    ("subtotal", "is_member", "discount"),
    [
        ("50", False, "0"),
        ("99.99", False, "0"),
        ("100", False, "5"),
        ("499.99", False, "25.00"),
        ("500", False, "50"),
        ("500", True, "75"),
        ("999.99", False, "100.00"),
        ("1000", False, "150"),
        ("1000", True, "200"),
    ],
)
def test_a_discount_starts_at_its_threshold_and_members_get_five_points_more(
    subtotal: str, is_member: bool, discount: str
) -> None:
    price = PricingService().calculate_total(Decimal(subtotal), is_member)

    assert price.discount == Decimal(discount)
    assert price.total == Decimal(subtotal) - Decimal(discount)


def test_a_member_who_reaches_no_threshold_still_gets_five_percent() -> None:
    price = PricingService().calculate_total(Decimal("50.00"), is_member=True)

    assert price.discount == Decimal("2.50")


@pytest.mark.parametrize(
    ("subtotal", "discount"),
    [("0.10", "0.00"), ("0.30", "0.02"), ("0.50", "0.02"), ("0.70", "0.04")],
)
def test_half_a_cent_is_rounded_to_the_even_cent(subtotal: str, discount: str) -> None:
    price = PricingService().calculate_total(Decimal(subtotal), is_member=True)

    assert price.discount == Decimal(discount)


def test_the_order_of_the_rules_does_not_matter() -> None:
    backwards = PricingService(discount_rules=STANDARD_RULES[::-1])

    assert backwards.calculate_total(Decimal(500), is_member=False).discount == Decimal(50)


def test_discount_and_membership_together_never_exceed_the_price() -> None:
    generous = PricingService(discount_rules=[DiscountRule(min_amount=Decimal(0), percentage=Decimal(98))])

    price = generous.calculate_total(Decimal("80.00"), is_member=True)

    assert price.total == Decimal("0.00")


def test_a_shop_without_rules_gives_no_discount() -> None:
    price = PricingService(discount_rules=[]).calculate_total(Decimal(5000), is_member=False)

    assert price.discount == Decimal(0)


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "sNaN", "Infinity", "-Infinity", "1.000", "0.001"])
def test_what_is_no_amount_of_money_is_refused(amount: str) -> None:
    with pytest.raises(InvalidAmountError):
        PricingService().calculate_total(Decimal(amount), is_member=False)


@pytest.mark.parametrize("percentage", ["-0.01", "100.01", "NaN", "Infinity"])
def test_a_discount_outside_0_to_100_percent_is_refused(percentage: str) -> None:
    with pytest.raises(InvalidDiscountError):
        DiscountRule(min_amount=Decimal(100), percentage=Decimal(percentage))


def test_a_rule_with_a_negative_threshold_is_refused() -> None:
    with pytest.raises(InvalidAmountError):
        DiscountRule(min_amount=Decimal(-1), percentage=Decimal(5))


def test_both_errors_are_value_errors() -> None:
    assert issubclass(InvalidAmountError, ValueError)
    assert issubclass(InvalidDiscountError, ValueError)


def test_astronomic_amounts_keep_their_cents() -> None:
    subtotal = Decimal("1" + "0" * 40 + ".01")

    assert PricingService().calculate_total(subtotal, is_member=False).subtotal == subtotal


@given(subtotal=amounts, is_member=st.booleans())
def test_total_and_discount_always_add_up_to_the_subtotal(subtotal: Decimal, is_member: bool) -> None:
    price = PricingService().calculate_total(subtotal, is_member)

    assert price.discount + price.total == subtotal
    assert 0 <= price.discount <= subtotal


@given(subtotal=amounts)
def test_a_member_never_pays_more_than_somebody_else(subtotal: Decimal) -> None:
    pricing = PricingService()

    assert (
        pricing.calculate_total(subtotal, is_member=True).total
        <= pricing.calculate_total(subtotal, is_member=False).total
    )


@pytest.mark.parametrize("percentage", ["0", "0.5", "100"])
def test_a_discount_may_be_any_percentage_from_0_to_100(percentage: str) -> None:
    generous = PricingService(discount_rules=[DiscountRule(min_amount=Decimal(0), percentage=Decimal(percentage))])

    price = generous.calculate_total(Decimal("200.00"), is_member=False)

    assert price.discount == 2 * Decimal(percentage)


def test_a_percentage_or_an_amount_that_cannot_be_is_named_with_what_is_wrong() -> None:
    with pytest.raises(InvalidDiscountError, match=r"^101 is not a percentage from 0 to 100$"):
        DiscountRule(min_amount=Decimal(0), percentage=Decimal(101))
    for amount, why in {"NaN": "a finite amount", "-1": "negative", "0.001": "more than two decimals"}.items():
        with pytest.raises(InvalidAmountError, match=f"^{amount} .*{why}$"):
            PricingService().calculate_total(Decimal(amount), is_member=False)


def test_the_rounding_is_the_shops_own_whatever_the_process_has_set() -> None:
    with localcontext(rounding=ROUND_UP):
        price = PricingService().calculate_total(Decimal("0.50"), is_member=True)

    assert price.discount == Decimal("0.02")
