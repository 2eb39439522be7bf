"""Where a system listens."""

import pytest
from shop_harness.services import LISTENERS
from shop_harness.system import Ports, SystemStartError

VARIABLE = next(iter(LISTENERS.values()))[0]


@pytest.mark.parametrize("value", ["eighty", "", "-1", "70000", "9" * 5000, "٣"])
def test_what_is_no_port_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)

    with pytest.raises(SystemStartError, match=f"^{VARIABLE} must be a port"):
        Ports.from_environment()
