"""tools/contract_matrix: a fault of values is planted into the running provider, judged, and gone again."""

from collections.abc import Mapping

import pytest
from outboxed.messages import OutgoingRecord

from tools.contract_matrix.faults import Fault
from tools.contract_matrix.stories import PROVIDERS
from tools.contract_matrix.values import VERIFICATION, all_faults, judge_fault


@pytest.fixture(scope="module")
def faults() -> Mapping[str, Fault]:
    return {fault.name: fault for fault in all_faults()}


def test_each_fault_has_a_name_of_its_own(faults: Mapping[str, Fault]) -> None:
    assert len(faults) == len(all_faults()) > 300


@pytest.mark.parametrize(
    ("name", "harmed"),
    [
        ("payment.captured.v1 payment_id and order_id swapped", "orders"),
        ("orders' total: the discount left out", "payments"),
        ("order.confirmed.v1 customer.email: cut to 253 characters", "notifications"),
        ("orders ce_id: the order's", "notifications"),
    ],
)
async def test_a_fault_that_harms_a_reader_is_breaking_and_caught(
    faults: Mapping[str, Fault], name: str, harmed: str
) -> None:
    verdict = await judge_fault(faults[name])

    assert verdict.breaking
    assert harmed in verdict.mutant
    assert not verdict.passes[VERIFICATION]


@pytest.mark.parametrize("name", ["order.placed.v1 customer.name: a constant", "payments headers: in another order"])
async def test_a_fault_that_no_reader_sees_is_harmless_and_passes(faults: Mapping[str, Fault], name: str) -> None:
    verdict = await judge_fault(faults[name])

    assert not verdict.breaking
    assert verdict.passes[VERIFICATION]


async def test_a_fault_is_gone_after_its_block(faults: Mapping[str, Fault]) -> None:
    before = OutgoingRecord.producer_record

    with faults["payments ce_id: a constant"].planted():
        assert OutgoingRecord.producer_record is not before

    assert OutgoingRecord.producer_record is before
    assert await PROVIDERS["payments"].keeps_its_contracts()
