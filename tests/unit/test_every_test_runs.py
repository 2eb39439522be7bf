"""A test that isn't collected, that is skipped, or that looks at nothing is green: what the tests' files must say."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

import pytest
from backing_services.levels import OTHER, level_of
from hypothesis import HealthCheck, settings

from tools.scratch import ROOT, projects

from .test_pipelines import REQUIRED

FOLDERS = [folder / "tests" for folder in (ROOT, *projects())]
FILES = [file for folder in FOLDERS for file in sorted(folder.rglob("*.py"))]
SUITES = sorted(ROOT.glob("libs/*/src/*/testing/**/*.py"))
"""Tests that a project's own tests inherit; they ask for fixtures of its conftest."""
FEWEST_EXAMPLES = 20
"""Fewer cases than these prove nothing: Hypothesis begins with the simplest ones."""
SKIPS: Mapping[str, str] = {
    "libs/backing_services/tests/integration/test_postgres.py": "the length of a path; who the user is",
    "libs/backing_services/tests/integration/test_account.py": "who the user is, and what the kernel allows",
}
"""Files that skip a test by themselves, and for what; everybody else asks `not_available`."""
SKIP = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)")
BY_ITSELF = "it skips by itself: ask backing_services.plugin.not_available, which obeys REQUIRE"
WORD = re.compile(r"\w+")
MAY_BE_A_PROBLEM = re.compile("skip|xfail|not_available|max_examples")
"""A file without these words has none."""
A_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def told(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def decorators(node: ast.AST) -> list[str]:
    return [ast.unparse(one) for one in getattr(node, "decorator_list", [])]


@cache
def words_of(file: Path) -> frozenset[str]:
    return frozenset(WORD.findall(file.read_text()))


def idle(
    name: str, source: str, others: Sequence[AbstractSet[str]] = (), above: Sequence[AbstractSet[str]] = ()
) -> Iterator[str]:
    """What a file of tests has that pytest never runs, or that never fails.

    `others` are the words of each neighbour, `above` those of fixtures which may ask for the ones of this file.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree)) if MAY_BE_A_PROBLEM.search(source) else []
    own = [node for node in tree.body if isinstance(node, (*A_FUNCTION, ast.ClassDef))]
    is_collected = re.fullmatch(r"test_\w+\.py", Path(name).name) is not None
    if not is_collected:
        yield from (f"nobody collects {node.name} here" for node in own if node.name.startswith("test_"))
    elif level_of(Path(name)) == OTHER:
        yield "it is in no level's folder, so no level runs it"
    if is_collected or name.endswith("conftest.py"):
        words, asked = WORD.findall(source), set(_asked_for(tree)) if "fixture" in source else set()
        for node in (node for node in own if _needs_a_user(node)):
            is_fixture = is_collected and any("fixture" in one for one in decorators(node))
            is_named = words.count(node.name) > 1 or any(node.name in each for each in (*others, *above))
            is_asked_for = node.name in asked or any(node.name in each for each in above)
            if not is_named or (is_fixture and not is_asked_for):
                yield f"nobody uses {node.name}"
    may_skip = {inner for node in nodes if _has_nobody_to_keep(node) for inner in ast.walk(node)}
    for problem in (problem for node in nodes if node not in may_skip for problem in _problems(node)):
        if problem != BY_ITSELF or name not in SKIPS:
            yield problem


def _needs_a_user(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """pytest itself finds tests, its hooks, and fixtures that every test has."""
    starts = "Test" if isinstance(node, ast.ClassDef) else ("test_", "pytest_")
    return not node.name.startswith(starts) and not any("autouse=True" in one for one in decorators(node))


def _has_nobody_to_keep(node: ast.AST) -> bool:
    """A new service, of which nobody expects anything yet."""
    return isinstance(node, ast.ExceptHandler) and node.type is not None and ast.unparse(node.type) == "NoPactsError"


def _asked_for(tree: ast.AST) -> Iterator[str]:
    """Names of parameters, and texts: a fixture is asked for by one of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _problems(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and SKIP.fullmatch(ast.unparse(node)):
        yield BY_ITSELF
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    if (
        called.endswith("not_available")
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value not in REQUIRED
    ):
        yield f"CI's REQUIRE doesn't know {node.args[0].value!r}"
    for keyword in node.keywords:
        if keyword.arg == "max_examples" and isinstance(keyword.value, ast.Constant):
            number = keyword.value.value
            if isinstance(number, int) and number < FEWEST_EXAMPLES:
                yield f"{number} examples prove nothing"


def idle_in(file: Path) -> Iterator[str]:
    fixtures = [*SUITES, *(folder / "conftest.py" for folder in file.parents if (folder / "conftest.py").exists())]
    neighbours = file.parent.rglob("*.py") if file.name == "conftest.py" else file.parent.glob("*.py")
    above = [words_of(each) for each in fixtures if each != file]
    others = [words_of(each) for each in neighbours if each != file]
    return idle(told(file), file.read_text(), others, above)


def test_nothing_in_a_file_of_tests_is_idle() -> None:
    assert [f"{told(file)}: {problem}" for file in FILES for problem in idle_in(file)] == []


def test_nothing_in_a_suite_that_projects_inherit_is_idle() -> None:
    """Its settings are those of each project that has it, and no file of the project shows them."""
    nodes = [(file, node) for file in SUITES for node in ast.walk(ast.parse(file.read_text()))]

    assert [f"{told(file)}: {problem}" for file, node in nodes for problem in _problems(node)] == []


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("tests/unit/check_money.py", "def test_it(): assert True", "nobody collects test_it here"),
        ("tests/units/test_money.py", "def test_it(): assert True", "it is in no level's folder, so no level runs it"),
        ("tests/unit/test_money.py", "def tets_it(): assert True", "nobody uses tets_it"),
        ("tests/unit/test_money.py", "class Money:\n    def test_it(self): ...", "nobody uses Money"),
        ("tests/unit/test_money.py", "@pytest.fixture\ndef guard(): ...", "nobody uses guard"),
        ("tests/unit/conftest.py", "@pytest.fixture\ndef guard(): ...", "nobody uses guard"),
        ("tests/unit/test_money.py", "@pytest.mark.skip\ndef test_it(): ...", "it skips by itself"),
        ("tests/unit/test_money.py", "x = pytest.importorskip('x')", "it skips by itself"),
        ("tests/unit/test_money.py", "not_available('firefox', 'why')", "CI's REQUIRE doesn't know 'firefox'"),
        ("tests/unit/test_money.py", "settings(max_examples=1)", "1 examples prove nothing"),
    ],
)
def test_what_is_idle_is_named(name: str, source: str, problem: str) -> None:
    [said] = idle(name, source)

    assert said.startswith(problem)


@pytest.mark.parametrize("name", SKIPS)
def test_who_may_skip_by_itself_still_does(name: str) -> None:
    assert any(BY_ITSELF in _problems(node) for node in ast.walk(ast.parse((ROOT / name).read_text())))


def test_a_rule_is_tried_with_as_many_examples_as_hypothesis_has_by_default() -> None:
    by_default = settings()

    assert by_default.max_examples >= 100
    assert list(by_default.suppress_health_check) == [HealthCheck.too_slow]
