from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payment_gateway.ledger import Entry, Ledger, Operation, Outcome
from payment_gateway.processor import Processor, Purchase

CARDS = st.sampled_from(["pm_card_ok", "pm_card_declined", "pm_card_flaky"])
CALLS = st.lists(st.tuples(st.sampled_from(["charge", "refund"]), st.sampled_from("ab"), CARDS), max_size=20)


@settings(max_examples=50)
@given(CALLS)
def test_no_key_charges_twice_or_after_its_refund(calls: list[tuple[str, str, str]]) -> None:
    with closing(Ledger()) as ledger:
        processor = Processor(ledger)

        for operation, key, payment_method in calls:
            if operation == "charge":
                processor.charge(key, Purchase("order-1", "1.00", "EUR", payment_method))
            else:
                processor.refund(key)

        for key in "ab":
            outcomes = [entry.outcome for entry in ledger.of_key(key)]
            times = Counter(outcomes)
            assert times[Outcome.SUCCEEDED] <= 1
            assert times[Outcome.REFUNDED] + times[Outcome.NOTHING_TO_REFUND] <= 1
            assert times[Outcome.REFUNDED] <= times[Outcome.SUCCEEDED]
            if Outcome.NOTHING_TO_REFUND in outcomes:
                assert times[Outcome.SUCCEEDED] == 0
            if Outcome.REFUNDED in outcomes:
                assert outcomes.index(Outcome.SUCCEEDED) < outcomes.index(Outcome.REFUNDED)


def test_what_ends_in_an_error_leaves_nothing_and_the_next_one_begins() -> None:
    def decide_by_half() -> None:
        with ledger.transaction():
            ledger.append(Entry(Operation.CHARGE, "a", Outcome.SUCCEEDED))
            raise RuntimeError("killed")

    with closing(Ledger()) as ledger:
        with pytest.raises(RuntimeError, match="killed"):
            decide_by_half()
        left = ledger.entries()
        Processor(ledger).refund("b")

        assert (left, [entry.outcome for entry in ledger.entries()]) == ([], [Outcome.NOTHING_TO_REFUND])
