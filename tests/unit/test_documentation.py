"""What README and docs say can be done: links lead somewhere, commands are there, imports work."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from pact_faststream.broker.source import WORK_IN_PROGRESS
from shop_harness.services import ROOT, SERVICES

from docs.site import reference
from docs.site.behaviours import page as behaviours
from docs.site.behaviours import sentence

PROGRAMS = ("payment_gateway", "mail_catcher", "partner")
OURS = (*(file.parent.name for file in ROOT.glob("libs/*/pyproject.toml")), *SERVICES, *PROGRAMS)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    (?:make|python -m|docker|pip|export|\.venv).*\n)+", re.MULTILINE)
INLINE = re.compile(r"`((?:make|python -m) [^`]+)`")
DEMO = re.compile(r"demo: \d+ orders, [^`\n]*")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def _tracked() -> list[Path]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    return [ROOT / name for name in sorted(names) if (ROOT / name).exists()]


PAGES = _tracked()
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert not missing


def commands(page: Path) -> Iterator[str]:
    text = page.read_text()
    blocks = [code for language, code in FENCE.findall(text) if language in {"", "sh", "bash", "console"}]
    for block in [*blocks, *INDENTED.findall(text)]:
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines())
    yield from INLINE.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_make_target_and_every_module_that_is_to_be_run_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= set(re.findall(r"^LEVELS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())
    for command in commands(page):
        for target in re.findall(r"(?:^|[\s;&|])make ([a-z][a-z0-9-]*)", command):
            assert target in targets, command
        for module in re.findall(r"python -m ([a-z_.]+[a-z_])", command):
            if module.partition(".")[0] in OURS:
                assert find_spec(module), command


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_python_snippet_is_python_and_imports_what_there_is(page: Path) -> None:
    for language, code in FENCE.findall(page.read_text()):
        if language != "python":
            continue
        module = compile(code, str(page), "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
                imported = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(imported, alias.name) or find_spec(f"{node.module}.{alias.name}"), alias.name


VARIABLE = re.compile(rf"\b(?:{'|'.join(name.upper() for name in (*SERVICES, 'console'))})_[A-Z][A-Z_]*[A-Z]\b")
OF_STORY = {"CONSOLE_URL", "CONSOLE_EMAIL", "CONSOLE_PASSWORD"}
"""What `make story` reads, which is no process with settings."""


@pytest.fixture(scope="module")
def variables() -> set[str]:
    """Those that a process reads, and those of docker-compose.yml."""
    classes = [importlib.import_module(f"{package}.settings").Settings for package in (*SERVICES, "shop_console")]
    read = {settings.variable(field) for settings in classes for field in settings.model_fields}
    return read | OF_STORY | set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_variable_that_a_page_names_is_read_by_somebody(page: Path, variables: set[str]) -> None:
    assert set(VARIABLE.findall(page.read_text())) - variables == set()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("test_a_paid_order_is_confirmed", "A paid order is confirmed."),
        ("test_the_api_answers_over_http_while_kafka_is_away", "The API answers over HTTP while Kafka is away."),
    ],
)
def test_the_name_of_a_test_is_a_sentence(name: str, told: str) -> None:
    assert sentence(name) == told


def test_what_a_service_does_includes_what_its_suites_test() -> None:
    shown = behaviours("payments", ROOT / "services" / "payments" / "tests")

    assert "- Concurrent runs wait for each other and end at the same schema." in shown


def test_the_pages_quote_the_same_run_of_the_demo() -> None:
    quoted = {line for page in PAGES for line in DEMO.findall(page.read_text())}

    assert len(quoted) == 1


STEPS = re.findall(r"\| `(\S+)`: \"(.+)\" \|$", (ROOT / "docs/how-to/add-an-event.md").read_text(), re.MULTILINE)


def test_each_step_to_a_new_event_has_a_check() -> None:
    assert len(STEPS) == 6


@pytest.mark.parametrize(("file", "said"), STEPS)
def test_a_check_says_what_the_page_about_a_new_event_quotes(file: str, said: str) -> None:
    assert said in (ROOT / file).read_text(), f"docs/how-to/add-an-event.md quotes {file}"


def _packages() -> Iterator[str]:
    """Those of the libraries that say what they offer."""
    for library in sorted(ROOT.glob("libs/*/src/*")):
        for file in sorted(library.rglob("__init__.py")):
            names = file.parent.relative_to(library.parent).parts
            if "__all__ = [" in file.read_text() and not any(name.startswith("_") for name in names):
                yield ".".join(names)


@pytest.mark.parametrize("package", [*_packages()])
def test_what_a_package_offers_stands_on_a_page_of_the_site(package: str) -> None:
    shown = {module for modules in reference.PAGES.values() for module in modules}

    assert package in shown or package.rpartition(".")[0] in shown


@pytest.mark.parametrize("picture", sorted((ROOT / "docs/pictures").iterdir()), ids=lambda picture: picture.name)
def test_a_picture_is_small_and_a_page_shows_it(picture: Path) -> None:
    assert picture.stat().st_size < 300_000
    assert [page for page in PAGES if f"pictures/{picture.name})" in page.read_text()]


def test_the_page_says_for_how_long_work_in_progress_is_verified() -> None:
    page = (ROOT / "contracts/how-the-broker-decides.md").read_text()

    assert f"of the consumers' other branches of the last {WORK_IN_PROGRESS.days} days" in page
