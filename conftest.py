"""How this repository's tests are spread, what Hypothesis may not fail for, and how often garbage is looked for."""

import gc
import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Both measure seconds of the wall clock, and a new clone's first draw has all our modules read for their constants.
NO_WALL_CLOCK: Mapping[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("no_wall_clock", **NO_WALL_CLOCK)
settings.load_profile("no_wall_clock")
# Where CI is set, Hypothesis takes the same examples each time and keeps none. What looks for flaky tests wants others.
settings.register_profile("random", settings.get_profile("default"), **NO_WALL_CLOCK)

# Python's own threshold, 700 new objects, has a run of all unit tests looked through for garbage 3,000 times.
gc.set_threshold(10_000)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are processors: many a test waits for a process that it started."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 1
