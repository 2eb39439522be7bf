"""Canaries: tests of what `_compat` packages use of a dependency. They ask the dependency itself, not our code."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version
from inspect import iscoroutinefunction
from typing import Any, TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., Any])


def canary(distribution: str, *, breaks: str, mend: str) -> Callable[[Test], Test]:
    """Let a test, whose name begins with the distribution's, say what it means for us that it fails.

    `breaks` says what of ours breaks, `mend` which file to look at. `make upgrade-check` reads the names.
    """

    def decorate(test: Test) -> Test:
        assert test.__name__.startswith(f"test_{re.sub('[^a-z0-9]', '_', distribution)}_"), test.__name__

        @wraps(test)
        async def asynchronous(*arguments: Any, **fixtures: Any) -> None:
            with _told(distribution, breaks, mend):
                await test(*arguments, **fixtures)

        @wraps(test)
        def synchronous(*arguments: Any, **fixtures: Any) -> None:
            with _told(distribution, breaks, mend):
                test(*arguments, **fixtures)

        return asynchronous if iscoroutinefunction(test) else synchronous  # type: ignore[return-value]

    return decorate


@contextmanager
def _told(distribution: str, breaks: str, mend: str) -> Iterator[None]:
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever it is, the dependency is another
        what = str(error).partition("\n")[0] or type(error).__name__
    else:
        return
    text = f"{distribution} {version(distribution)}: {what}. So {breaks}. Mend {mend}, then raise the bound."
    pytest.fail(text, pytrace=False)  # not inside, where it would be told as the error's consequence
