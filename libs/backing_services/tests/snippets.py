"""Python code of a Markdown page, run as it stands there."""

import ast
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

FILE = re.compile(r"`([\w./]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def files(page: Path) -> Mapping[str, str]:
    """The files that the page shows, each below its name: their contents."""
    return dict(FILE.findall(page.read_text()))


def snippet(page: Path, has: str) -> str:
    """The only snippet of the page that has this text."""
    [found] = [code for code in FENCE.findall(page.read_text()) if has in code]
    return str(found)


async def perform(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run it, `await` at its top included, and return all names that there are at its end."""
    compiled: CodeType = compile(code, "snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    done = eval(compiled, names)  # noqa: S307 - a page of our own
    if inspect.iscoroutine(done):
        await done
    return names
