"""`python -m tools.console_check`: a person's tasks on the console in Chromium; pictures stay in build/console."""

import asyncio
import shutil
import sys

from shop_harness.percentiles import percentile

from tests.integration.browser import chromium, missing
from tools.browser_files import FetchError
from tools.console_check import GOAL_MS, check
from tools.uv import ROOT

FOLDER = ROOT / "build" / "console"


async def _main() -> int:
    """The exit status: 1 where something is wrong, 2 where a program is missing."""
    if reason := missing():
        print(f"console-check: {reason}", file=sys.stderr)
        return 2
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        async with chromium() as browser:
            outcome = await check(browser, FOLDER)
    except FetchError as error:
        print(f"console-check: {error}", file=sys.stderr)
        return 2
    for path, values in outcome.milliseconds.items():
        print(f"{percentile(values, 95):6.0f} ms p95 of {len(values)}  {path}")
    for fault in outcome.faults:
        print(f"wrong: {fault}")
    if outcome.p95 > GOAL_MS:
        print(f"wrong: p95 {outcome.p95:.0f} ms, and the goal is {GOAL_MS} ms")
    print(f"pictures: {(FOLDER / 'pictures').relative_to(ROOT)}")
    print(outcome.line)
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
