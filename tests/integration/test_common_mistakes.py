"""The pages on common mistakes are true: the wrong test misses what the right one sees."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from libs.backing_services.tests.snippets import files
from libs.backing_services.tests.warm_pytest import WarmPytest

ROOT = Path(__file__).parents[2]
MISTAKES = ROOT / "docs" / "learn" / "mistakes"
PAGES = sorted(MISTAKES.glob("*.md"))


@pytest.fixture(scope="module")
def warm_pytest() -> Iterator[WarmPytest]:
    with WarmPytest() as warm:
        yield warm


Passes = Callable[..., bool]


@pytest.fixture
def passes(tmp_path: Path, warm_pytest: WarmPytest) -> Passes:
    """Whether tests pass, in a repository of their own; its code is not kept compiled, since it may change at once."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def passes(*tests: str) -> bool:
        options = ["-q", "-p", "no:cacheprovider", "--disable-plugin-autoload", *tests]
        run = warm_pytest.run(tmp_path, options, {**environment, "PYTHONDONTWRITEBYTECODE": "1"})
        assert run.status in {0, 1}, run.text
        return run.status == 0

    return passes


def _lay_out(page: Path, folder: Path) -> Mapping[str, str]:
    shown = files(page)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, code in shown.items():
        (folder / name).write_text(code)
    return shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_wrong_and_the_right_tests_pass_as_the_page_has_them(page: Path, tmp_path: Path, passes: Passes) -> None:
    shown = _lay_out(page, tmp_path)

    assert {"shop.py", "test_wrong.py", "test_right.py"} <= shown.keys()
    assert passes("test_wrong.py", "test_right.py")


@pytest.mark.parametrize("page", [page for page in PAGES if "broken.py" in files(page)], ids=lambda page: page.stem)
def test_broken_code_passes_the_wrong_test_and_fails_the_right_one(page: Path, tmp_path: Path, passes: Passes) -> None:
    shown = _lay_out(page, tmp_path)

    (tmp_path / "shop.py").write_text(shown["broken.py"])

    assert passes("test_wrong.py")
    assert not passes("test_right.py")


def test_tests_that_share_state_fail_backwards_and_others_do_not(tmp_path: Path, passes: Passes) -> None:
    shown = _lay_out(MISTAKES / "shared-state.md", tmp_path)

    def backwards(name: str) -> list[str]:
        return [f"{name}::{test}" for test in reversed(re.findall(r"^def (test_\w+)", shown[name], re.MULTILINE))]

    assert not passes(*backwards("test_wrong.py"))
    assert passes(*backwards("test_right.py"))
