"""`make watch`: which tests a saved file affects."""

from pathlib import Path

import pytest

from tools.watch.__main__ import affected


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        (["services/orders/src/orders/domain.py"], ["services/orders/tests"]),
        (["services/orders/tests/factories.py"], ["services/orders/tests"]),
        (["services/orders/tests/unit/test_domain.py"], ["services/orders/tests/unit/test_domain.py"]),
        (["libs/outboxed/src/outboxed/relay/_relay.py"], ["libs/outboxed/tests", "services"]),
        (["libs/backing_services/src/backing_services/waiting.py"], ["libs/backing_services/tests"]),
        (["sandbox/src/payment_gateway/api.py"], ["sandbox/tests", "services/payments/tests"]),
        (["tests/unit/test_gone.py"], []),
        (["README.md"], []),
    ],
)
def test_a_saved_file_affects_its_own_tests_and_those_of_what_rests_on_it(changed: list[str], tests: list[str]) -> None:
    assert affected(map(Path, changed)) == tests


def test_what_is_run_for_a_folder_is_not_run_again_for_a_file_in_it() -> None:
    changed = ["services/orders/tests/unit/test_domain.py", "services/orders/src/orders/domain.py"]

    assert affected(map(Path, changed)) == ["services/orders/tests"]
