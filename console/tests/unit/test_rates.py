"""Events a minute, as the page Flow shows them."""

from shop_console.rates import Rates

from ..factories import at


def rates_of(*seconds: float) -> Rates:
    rates = Rates()
    for each in seconds:
        rates.add(at(each * 1000), "order.placed.v1")
    return rates


def test_a_rate_is_of_the_last_minute_in_whatever_order_the_partitions_are_read() -> None:
    rates = rates_of(300, 10, 20, 290)

    assert rates.per_minute(at(301_000)) == {"order.placed.v1": 2}


def test_what_is_older_is_forgotten_though_nobody_asks() -> None:
    rates = rates_of(*range(0, 1000, 10))

    assert len(rates) == 7


def test_a_clock_that_is_fast_keeps_nothing_from_being_forgotten() -> None:
    rates = rates_of(100_000, *range(0, 1000, 10))

    assert len(rates) == 8
