"""A canary's message, whichever way its test fails."""

from collections.abc import Callable

import pytest

from ..canary import canary


def raises_nothing() -> None:
    with pytest.raises(ValueError, match="never"):
        pass


def raises_another_error() -> None:
    raise KeyError("gone")


@pytest.mark.parametrize(("act", "what"), [(raises_nothing, "DID NOT RAISE"), (raises_another_error, "'gone'")])
def test_a_canary_that_falls_says_what_breaks_and_where_to_mend_it(act: Callable[[], None], what: str) -> None:
    @canary("pytest", breaks="nothing is safe", mend="this file")
    def test_pytest_does_something() -> None:
        act()

    with pytest.raises(
        pytest.fail.Exception, match=rf"^pytest [0-9.]+: {what}.*\. So nothing is safe\. Mend this file,"
    ):
        test_pytest_does_something()
