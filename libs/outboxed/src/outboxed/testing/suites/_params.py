"""Parameters that a suite's subclass gives to the suite's tests."""

from typing import Any

import pytest


def each_of(*params: Any, ids: Any = None) -> Any:
    """A fixture of a suite's subclass, under the name that it is given there: a test runs for each of `params`."""

    @pytest.fixture(params=params, ids=ids)
    def one(_: object, request: pytest.FixtureRequest) -> Any:
        return request.param

    return one
