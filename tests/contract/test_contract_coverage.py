"""Every field of every contract is held by a pact, or its publisher says why it is sent though nobody reads it."""

from tools.contract_coverage.__main__ import covered


def test_every_field_is_held_by_a_pact_or_listed_as_unread() -> None:
    found = list(covered())

    assert found
    problems = {each.title: each.problems for each in found if each.problems}
    assert problems == {}, "let a pact read each, or say in [tool.shop.unread] of its publisher why it is sent"
