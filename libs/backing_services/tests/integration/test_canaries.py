"""What `backing_services._compat.pytest` uses, shown by runs of pytest with a conftest.py and no plugin of ours."""

import pytest

from ..canary import canary
from ..conftest import Project

NO_PLUGIN = {"pytest.ini": "[pytest]\naddopts = --import-mode=importlib --disable-plugin-autoload\n"}
INSERTS_A_FIXTURE = """
import pytest

order = []

@pytest.fixture
def inner():
    order.append("inner")

@pytest.fixture
def unasked(inner):
    order.append("unasked")

@pytest.fixture
def asked():
    order.append("asked")

def pytest_collection_modifyitems(items):
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs
        assert [*fixtures] == ["asked"]
        assert fixtures["asked"][-1].scope == "function"
        item.fixturenames.insert(item.fixturenames.index("asked"), "unasked")
        for name in ("unasked", "inner"):
            fixtures[name] = item.session._fixturemanager.getfixturedefs(name, item)

def pytest_sessionfinish():
    assert order == ["inner", "unasked", "asked"]
"""
WRAPS_A_FIXTURE = """
import pytest

order = []

@pytest.fixture
def fixture():
    yield
    order.append("the fixture's end")

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef):
    fixturedef.addfinalizer(lambda: order.append("after it"))
    result = yield
    fixturedef.addfinalizer(lambda: order.append("before it"))
    return result

def pytest_sessionfinish():
    assert order == ["before it", "the fixture's end", "after it"]
"""


def _runs(project: Project, conftest: str, fixture: str) -> None:
    run = project({**NO_PLUGIN, "conftest.py": conftest, "test_it.py": f"def test_it({fixture}): pass\n"})

    wrong = [line for line in run.text.splitlines() if "Error" in line]
    assert run.status == pytest.ExitCode.OK, wrong[-1] if wrong else run.text


@canary("pytest", breaks="tasks that a test leaves running are not seen", mend="backing_services/_compat/pytest.py")
def test_pytest_sets_up_a_fixture_that_was_inserted_after_collection(project: Project) -> None:
    _runs(project, INSERTS_A_FIXTURE, "asked")


@canary(
    "pytest",
    breaks="what a fixture sets and takes back is told as a test's leak",
    mend="backing_services/_compat/pytest.py, and pytest_fixture_setup of backing_services/plugin.py",
)
def test_pytest_runs_finalizers_around_a_fixture_backwards(project: Project) -> None:
    _runs(project, WRAPS_A_FIXTURE, "fixture")
