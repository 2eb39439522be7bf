import json
from itertools import islice
from pathlib import Path

import pytest
from shop_demo.order_lines import GUEST, OrderLine, _line, read_lines, repeated

ORDERS_FILE = Path(__file__).parents[2] / "orders.jsonl"


def test_what_is_for_the_demo_is_taken_off_and_the_rest_is_the_request() -> None:
    raw = {"customer": "ada", "member": True, "cancel": "at_once", "idempotency_key": "k", "items": [], "odd": 1}

    line = _line(7, json.dumps(raw).encode())

    assert line == OrderLine(7, b'{"items": [], "odd": 1}', "ada", True, "k", "at_once")


@pytest.mark.parametrize("raw", [b"no json", b"[1, 2]", b"5", b"\xff\xfe", b"[" * 10_000])
def test_a_line_that_is_no_json_object_is_sent_as_it_is(raw: bytes) -> None:
    assert _line(1, raw) == OrderLine(1, raw, GUEST)


@pytest.mark.parametrize("said", ["true", "false", 1, [0], None])
def test_only_a_clear_yes_makes_a_member(said: object) -> None:
    assert not _line(1, json.dumps({"member": said}).encode()).is_member


@pytest.mark.parametrize("customer", [5, None, "", "  ", "line\nbreak", "Zoë"])
def test_a_customer_who_cannot_have_an_address_is_the_guest(customer: object) -> None:
    assert _line(1, json.dumps({"customer": customer}).encode()).customer == GUEST


@pytest.mark.parametrize(("own", "name"), [(None, "line-3"), ("mine", "mine")])
def test_a_repeated_file_gets_new_idempotency_keys(own: str | None, name: str) -> None:
    line = OrderLine(3, b"{}", idempotency_key=own)

    keys = [line.key(round_) for round_, line in islice(repeated([line]), 3)]

    assert keys == [name, f"{name}-1", f"{name}-2"]


def test_nothing_repeated_is_nothing() -> None:
    assert list(repeated([])) == []


def test_the_demos_file_has_every_card_both_cancellations_members_and_bad_lines() -> None:
    lines = read_lines(ORDERS_FILE)
    text = ORDERS_FILE.read_text()

    assert len(lines) >= 210
    for card in ("ok", "declined", "slow", "flaky", "timeout_after_charge"):
        assert f'"pm_card_{card}"' in text
    assert {line.cancel for line in lines} == {None, "at_once", "when_confirmed"}
    assert {line.is_member for line in lines} == {True, False}
    assert any(not line.body.startswith(b"{") for line in lines)
