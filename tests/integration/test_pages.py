"""Every page that a person reads, in a browser without the internet: the site's, and those of each service."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from backing_services.plugin import not_available
from shop_harness.services import ROOT, SERVICES
from shop_harness.system import Ports, System

from .browser import DIAGRAMS, DRAWN, NARROW, WIDE, WIDTH, Chromium, Visitor, chromium

NPM_IS_MISSING = 2
SITE, STAGE = ROOT / "build" / "site", ROOT / "build" / "docs"


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


def built_site() -> Path:
    run = subprocess.run([sys.executable, "-m", "docs.site"], cwd=ROOT, check=False, capture_output=True, text=True)
    if run.returncode == NPM_IS_MISSING:
        not_available("node", run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    return SITE


def pages(site: Path) -> Iterator[tuple[Path, int]]:
    """Each page, with the number of diagrams that its source has."""
    for page in sorted({*site.rglob("*.html")} - {site / "404.html"}):  # a server answers with that one, from its root
        source = STAGE / page.relative_to(site).with_suffix(".md")
        if page.name == "index.html":
            source = source.with_name("README.md")
        yield page, source.read_text().count("```mermaid\n")


@pytest.mark.timeout(900)  # it builds the site, and opens each of its pages twice
async def test_the_site_is_whole_without_the_internet_wide_or_narrow_light_or_dark(
    browser: Chromium, subtests: pytest.Subtests
) -> None:
    site = built_site()  # once: it takes longer than the looks

    for width, dark in ((WIDE, False), (NARROW, True)):
        with subtests.test(width=width, dark=dark):
            async with browser.visitor(width=width, dark=dark) as visitor:
                for file, diagrams in pages(site):
                    await visitor.open(file.as_uri())
                    await see(visitor, diagrams, width)
            assert not visitor.faults, "\n".join(visitor.faults)
    with subtests.test("it finds a word"):
        async with browser.visitor() as visitor:
            await visitor.open((site / "index.html").as_uri())
            await visitor.page.get_by_role("textbox", name="Search").fill("savepoint")
            await visitor.page.locator(".md-search-result__item a").first.wait_for()
        assert not visitor.faults, "\n".join(visitor.faults)


async def see(visitor: Visitor, diagrams: int, width: int) -> None:
    await visitor.page.wait_for_function(DRAWN)
    if (drawn := await visitor.page.evaluate(DIAGRAMS)) != diagrams:
        visitor.fault(f"{diagrams} diagrams, {drawn} of them drawn")
    if (wide := await visitor.page.evaluate(WIDTH)) > width:
        visitor.fault(f"is {wide} px wide on a screen of {width} px")


async def test_the_pages_of_each_running_service_are_whole_without_the_internet(browser: Chromium) -> None:
    async with System(Ports.free(), print) as system:
        for width, dark in ((WIDE, False), (NARROW, True)):
            async with browser.visitor(width=width, dark=dark) as visitor:
                for service in SERVICES:
                    await visitor.open(f"{system.ports.url(service)}/docs")
                    await visitor.page.get_by_text("/health/ready").first.wait_for()
                    await visitor.open(f"{system.ports.url(service)}/asyncapi")
                    await visitor.page.get_by_role("heading", name=re.compile("Operations", re.IGNORECASE)).wait_for()
                    await see(visitor, 0, width)
            assert not visitor.faults, "\n".join(visitor.faults)
