"""pytest: a fixture that nobody asked for, and the order in which fixtures end. Bound: `pytest<9.3`.

- A test can't be given a fixture after its collection (https://github.com/pytest-dev/pytest/issues/2471). An autouse
  fixture would be every test's, and one that needs a loop would start one for tests without. Used:
  `Function.fixturenames`, its `_fixtureinfo.name2fixturedefs`, and `Session._fixturemanager.getfixturedefs`.
- Finalizers run backwards: of two that a wrapper of `pytest_fixture_setup` adds, one before and one after the set-up,
  the second runs before the fixture's own end, the first after it. The documentation says that they run, and not in
  which order; `backing_services.plugin` relies on it.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest

Definitions = MutableMapping[str, Sequence[pytest.FixtureDef[Any]]]


def takes_fixtures(item: pytest.Function) -> bool:
    """Whether this pytest still lets a fixture be inserted; without it the run goes on, and a canary falls."""
    return hasattr(item, "_fixtureinfo") and hasattr(item.session, "_fixturemanager")


def definitions_of(item: pytest.Function) -> Definitions:
    """The fixtures of a test by name; a function's items share them."""
    definitions: Definitions = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - see the module's docstring
    return definitions


def insert_fixture(item: pytest.Function, place: int, name: str, *, with_its_own: Sequence[str]) -> None:
    """Have a test use a fixture before what stands at `place` of its fixtures; names those that it uses itself."""
    item.fixturenames.insert(place, name)
    manager = item.session._fixturemanager  # noqa: SLF001 - see the module's docstring
    for each in (name, *with_its_own):  # what isn't in this table is looked up for each test
        definitions_of(item)[each] = manager.getfixturedefs(each, item) or ()
