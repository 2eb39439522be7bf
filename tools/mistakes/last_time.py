"""Which test file caught each mistake last time: it is asked first within its level, so that most others needn't run.

What is remembered decides nothing. A file that is gone, or that sees the mistake no more, costs some seconds. With
`--again` no other test is asked where this one fails.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE = Path(__file__).with_name("last_time.json")


def remembered() -> Mapping[str, str]:
    """The test files by the mistakes' titles."""
    found: Mapping[str, str] = json.loads(FILE.read_text())
    return found


def remember(caught_by: Mapping[str, str], titles: Iterable[str]) -> None:
    """Add what caught which mistake, and forget the mistakes that `titles`, the catalogue's, has no more."""
    known = {**remembered(), **caught_by}
    kept = {title: known[title] for title in sorted(titles) if title in known}
    FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
