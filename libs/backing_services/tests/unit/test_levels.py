from pathlib import PurePath

import pytest
from backing_services.levels import Costs, level_of


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("/r/services/orders/tests/unit/test_x.py", "unit"),
        ("/r/services/orders/tests/unit/deep/er/test_x.py", "unit"),
        ("/r/tests/e2e/test_x.py", "e2e"),
        ("/r/tests/unit/clone/tests/faults/test_x.py", "faults"),
        ("/r/tests/test_x.py", "other"),
        ("/r/unit/test_x.py", "other"),
        ("/r/tests/sundry/unit/test_x.py", "other"),
    ],
)
def test_the_folder_below_tests_is_the_level(path: str, level: str) -> None:
    assert level_of(PurePath(path)) == level


def test_a_test_costs_the_sum_of_its_setup_call_and_teardown() -> None:
    costs = Costs()

    for seconds in (0.5, 1.0, 0.5):
        costs.add("unit", "test_a", seconds)
    costs.add("unit", "test_b", 1.0)
    costs.add("faults", "test_c", 60.0)

    assert [line.split() for line in costs.table()[1:]] == [
        ["unit", "2", "3.00", "1500.0"],
        ["faults", "1", "60.00", "60000.0"],
    ]
