"""The fixtures that come with each test that is a coroutine, where pytest-asyncio runs them (testkit.plugin)."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from testkit.leaks import Tasks


def guard_for(item: pytest.Item) -> str | None:
    """The fixture that watches the loop in which this test runs; None if it is no coroutine of pytest-asyncio's."""
    if not pytest_asyncio.is_async_test(item):
        return None
    marker = item.get_closest_marker("asyncio")
    given = marker.kwargs.get("loop_scope") if marker else None
    scope = given or item.config.getini("asyncio_default_test_loop_scope") or "function"
    return f"guard_of_tasks_in_the_loop_of_the_{scope}"


def _guard(scope: Any) -> Callable[[], Iterator[None]]:
    def guard() -> Iterator[None]:
        """A task that the test leaves running fails it. No coroutine: that would be two more runs of its loop."""
        tasks = Tasks(asyncio.get_event_loop())
        tasks.watch()
        yield
        tasks.end()

    name = f"guard_of_tasks_in_the_loop_of_the_{scope}"
    # its types say that it has to be a coroutine, but a plain one gets the loop, too
    return pytest_asyncio.fixture(guard, loop_scope=scope, name=name)  # type: ignore[type-var]


guard_in_function, guard_in_class, guard_in_module, guard_in_package, guard_in_session = map(
    _guard, ("function", "class", "module", "package", "session")
)
