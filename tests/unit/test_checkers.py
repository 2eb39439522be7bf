"""What pytest, ruff and mypy must look at, and what they must refuse: what they pass over, nobody sees."""

import re
import subprocess
import sys

import pytest

from tools.scratch import ROOT, projects

from .test_pipelines import PYPROJECT


def test_a_warning_and_a_wrong_marker_are_errors() -> None:
    settings = PYPROJECT["tool"]["pytest"]["ini_options"]

    assert settings["filterwarnings"] == ["error"]
    assert settings["xfail_strict"] is True
    assert settings["empty_parameter_set_mark"] == "fail_at_collect"
    assert {"--strict-markers", "--strict-config"} <= set(settings["addopts"])


def test_pytest_collects_what_it_collects_by_default_and_ends_what_hangs() -> None:
    settings = PYPROJECT["tool"]["pytest"]["ini_options"]
    less = re.compile(r"-[mkx]|--(?:ignore|deselect|maxfail|lf|ff|co)|-pno:|-p no:")

    assert [name for name in settings if name.startswith(("python_", "norecursedirs", "collect_", "required_"))] == []
    assert [option for option in settings["addopts"] if less.match(option)] == []
    assert settings["asyncio_mode"] == "auto"
    assert 60 <= settings["timeout"] <= 600


SEEN_BY_RUFF = {
    "ASYNC251": "import time\n\n\nasync def wait():\n    time.sleep(1)\n",
    "B006": "def add(one, to=[]):\n    to.append(one)\n",
    "B015": "def check(one):\n    one == 1\n",
    "BLE001": "def swallow(do):\n    try:\n        do()\n    except Exception:\n        return\n",
    "DTZ005": "from datetime import datetime\n\nNOW = datetime.now()\n",
    "F631": "def check(one):\n    assert (one, 'is one')\n",
    "F811": "def test_one():\n    pass\n\n\ndef test_one():\n    pass\n",
    "RUF006": "import asyncio\n\n\nasync def begin(work):\n    asyncio.create_task(work())\n",
    "S110": "def swallow_all(do):\n    try:\n        do()\n    except Exception:\n        pass\n",
    "S608": "def query(name):\n    return f'select * from orders where name = {name}'\n",
    "TID251": "import asyncio\nimport unittest.mock\n\n\nasync def wait(it):\n    await asyncio.wait_for(it, 1)\n",
}
"""Mistakes that no test may see, by the rule of ruff's that sees them."""
PLACES = (
    "libs/outboxed/src/outboxed/relay/x.py",
    "services/orders/src/orders/x.py",
    "services/orders/tests/unit/test_x.py",
    "console/src/shop_console/x.py",
    "harness/src/shop_harness/x.py",
    "tests/unit/test_x.py",
)


@pytest.mark.parametrize("place", PLACES)
def test_lint_sees_mistakes_that_no_test_may_see(place: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--force-exclude", "--output-format", "concise"]
    code = "\n\n".join(SEEN_BY_RUFF.values())

    done = subprocess.run(  # noqa: S603 - ruff
        [*command, "--stdin-filename", place, "-"], cwd=ROOT, input=code, check=False, capture_output=True, text=True
    )

    assert SEEN_BY_RUFF.keys() - set(re.findall(r" ([A-Z]+\d+) ", done.stdout)) == set()


def test_mypy_is_strict_with_all_that_is_ours() -> None:
    settings = PYPROJECT["tool"]["mypy"]
    ours = {file.parent.name for folder in projects() for file in folder.glob("src/*/__init__.py")}
    overridden = {module.partition(".")[0] for each in settings["overrides"] for module in each["module"]}

    assert settings["strict"] is True
    assert "unused-awaitable" in settings["enable_error_code"]
    assert settings["exclude"] == ["/migrations/versions/"]
    assert not {"ignore_errors", "disable_error_code", "follow_imports", "ignore_missing_imports"} & settings.keys()
    assert overridden & {*ours, "tests", "tools", "*"} == set()
