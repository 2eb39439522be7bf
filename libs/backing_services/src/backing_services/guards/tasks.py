"""A fixture for each test that is a coroutine: it watches the loop in which pytest-asyncio runs the test."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from inspect import Parameter, Signature
from typing import Any

import pytest
import pytest_asyncio

from backing_services._compat.pytest import Definitions, definitions_of, insert_fixture, takes_fixtures
from backing_services.guards.leaks import Tasks

SCOPES = ("function", "class", "module", "package", "session")


def watch(item: pytest.Function) -> None:
    """Give a coroutine test of pytest-asyncio the guard of its event loop."""
    if not pytest_asyncio.is_async_test(item) or not takes_fixtures(item):
        return
    marker = item.get_closest_marker("asyncio")
    given = marker.kwargs.get("loop_scope") if marker else None
    scope = given or item.config.getini("asyncio_default_test_loop_scope") or "function"
    fixtures = definitions_of(item)
    if _guard_of(scope) in fixtures:
        return  # all items of a function share its fixtures
    insert_fixture(item, _first_of_the_test(item, fixtures), _guard_of(scope), with_its_own=[_loop_of(scope)])


def _first_of_the_test(item: pytest.Function, fixtures: Definitions) -> int:
    """The place of the test's first own fixture: tasks of fixtures that several tests share don't count."""
    scopes = [fixtures[name][-1].scope if name in fixtures else "function" for name in item.fixturenames]
    return scopes.index("function") if "function" in scopes else len(scopes)


def _guard_of(scope: str) -> str:
    return f"guard_of_tasks_in_the_loop_of_the_{scope}"


def _loop_of(scope: str) -> str:
    return f"loop_of_the_{scope}"


def _loop(scope: Any) -> Callable[[], Awaitable[asyncio.AbstractEventLoop]]:
    @pytest_asyncio.fixture(scope=scope, loop_scope=scope, name=_loop_of(scope))
    async def loop() -> asyncio.AbstractEventLoop:
        """Looked up once for each loop: running a fixture in the loop takes as long as a short test."""
        return asyncio.get_running_loop()

    return loop


def _guard(scope: str) -> Callable[..., Iterator[None]]:
    def guard(**loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Fail a test that leaves a task running."""
        tasks = Tasks(loop[_loop_of(scope)])
        tasks.watch()
        yield
        tasks.end()

    guard.__signature__ = Signature([Parameter(_loop_of(scope), Parameter.KEYWORD_ONLY)])  # type: ignore[attr-defined]
    return pytest.fixture(guard, name=_guard_of(scope))


loop_of_function, loop_of_class, loop_of_module, loop_of_package, loop_of_session = map(_loop, SCOPES)
guard_in_function, guard_in_class, guard_in_module, guard_in_package, guard_in_session = map(_guard, SCOPES)
