"""A person's tasks on the console, in a browser, wide and narrow, against the whole system."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from backing_services.plugin import not_available

from tools.browser_files import FetchError
from tools.console_check import check
from tools.console_check.tasks import TASKS

from .browser import Chromium, chromium

ORDERS = 1000
"""In the index; `make console-check` has ten times as many, and measures where nobody else works."""


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


async def test_a_person_does_all_tasks_wide_and_narrow_without_the_internet(browser: Chromium, tmp_path: Path) -> None:
    try:
        outcome = await check(browser, tmp_path, orders=ORDERS)
    except FetchError as error:
        not_available("node", str(error))

    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.tasks == 2 * len(TASKS)
