"""Looks at pages in a headless Chromium: what they ask for, what they complain of, what is drawn, what is too wide."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backing_services.plugin import not_available

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, Route

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu"]
"""As root Chromium starts without its sandbox alone, and these pages are our own."""
NARROW, WIDE = 320, 1280
HEIGHT = 900
FAILED = 400
HERE = {"127.0.0.1", "localhost"}
OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow
Element.prototype.attachShadow = function (how) { return attach.call(this, {...how, mode: "open"}) }
"""
"""The theme puts each diagram where nobody can look into."""
DRAWN = """
() => document.querySelectorAll("pre.mermaid").length === 0
"""
DIAGRAMS = """
() => [...document.querySelectorAll("div.mermaid")]
  .map(one => one.shadowRoot?.querySelector("svg")?.getBoundingClientRect())
  .filter(drawn => drawn && drawn.width > 100 && drawn.height > 20).length
"""
WIDTH = "() => document.documentElement.scrollWidth"


@dataclass
class Visitor:
    """Somebody with one window, who opens one page after the other; `faults` says what was wrong with which."""

    page: "Page"
    faults: list[str] = field(default_factory=list)
    address: str = ""

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.address}: {what}")

    async def open(self, address: str) -> None:
        self.address = address
        await self.page.goto(address)

    def listen(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.fault(f"fails with {error}"))
        self.page.on("response", self._answered)

    def _said(self, message: "ConsoleMessage") -> None:
        if message.type in {"error", "warning"}:
            self.fault(f"says {message.text}")

    def _answered(self, response: "Response") -> None:
        if response.status >= FAILED:
            self.fault(f"gets {response.status} for {response.url}")

    async def stay_here(self, route: "Route", request: "Request") -> None:
        """A request that would leave this machine isn't made."""
        where = urlsplit(request.url)
        if where.scheme in {"http", "https"} and where.hostname not in HERE:
            self.fault(f"asks for {request.url}")
            await route.abort()
        else:
            await route.continue_()


@dataclass(frozen=True)
class Chromium:
    """A running browser."""

    browser: "Browser"

    @asynccontextmanager
    async def visitor(self, *, width: int = WIDE, dark: bool = False) -> AsyncIterator[Visitor]:
        context = await self.browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        try:
            await context.add_init_script(OPEN_SHADOWS)
            visitor = Visitor(await context.new_page())
            visitor.listen()
            await context.route("**/*", visitor.stay_here)
            yield visitor
        finally:
            await context.close()


def missing() -> str:
    """Why no page can be looked at; empty where one can."""
    if _program() is None:
        return "no Chromium here (on Debian: apt install chromium)"
    return "" if find_spec("playwright") else "no Playwright here: `make docs-check` installs it"


def _program() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """The machine's own Chromium, driven by Playwright; where one of them is missing, the test is not run."""
    if reason := missing():
        not_available("chromium", reason)
    from playwright.async_api import async_playwright  # noqa: PLC0415 - it isn't everywhere

    async with async_playwright() as playwright:
        browser: Any = await playwright.chromium.launch(executable_path=_program(), args=FLAGS)
        try:
            yield Chromium(browser)
        finally:
            await browser.close()
