"""pytest: a fixture that no test asked for, and the order in which fixtures end. Bound: `pytest<9.3`.

- pytest can't add a fixture to a test after collection (https://github.com/pytest-dev/pytest/issues/2471). An autouse
  fixture would start an event loop also for tests that need none. Used:
  `Function.fixturenames`, its `_fixtureinfo.name2fixturedefs`, and `Session._fixturemanager.getfixturedefs`.
- Finalizers run in reverse order. A finalizer that a wrapper of `pytest_fixture_setup` adds before the set-up runs
  after the fixture's own end; one that is added after the set-up runs before the end. The documentation doesn't say so,
  but `backing_services.plugin` relies on this order.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest

Definitions = MutableMapping[str, Sequence[pytest.FixtureDef[Any]]]


def takes_fixtures(item: pytest.Function) -> bool:
    """Whether this pytest still lets a fixture be inserted; otherwise the run goes on, and a canary fails."""
    return hasattr(item, "_fixtureinfo") and hasattr(item.session, "_fixturemanager")


def definitions_of(item: pytest.Function) -> Definitions:
    """The fixtures of a test by name; all items of a function share them."""
    definitions: Definitions = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - see the module's docstring
    return definitions


def insert_fixture(item: pytest.Function, place: int, name: str, *, with_its_own: Sequence[str]) -> None:
    """Insert a fixture at `place` of a test's fixtures; `with_its_own` names the fixtures that the new one uses."""
    item.fixturenames.insert(place, name)
    manager = item.session._fixturemanager  # noqa: SLF001 - see the module's docstring
    for each in (name, *with_its_own):  # pytest would look up a missing name again for each test
        definitions_of(item)[each] = manager.getfixturedefs(each, item) or ()
