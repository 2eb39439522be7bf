"""Where uv is."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def program() -> str:
    """As the Makefile finds it: from the PATH, else the project's own."""
    return shutil.which("uv") or str(ROOT / ".tools" / "uv" / "bin" / "uv")
