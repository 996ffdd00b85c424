"""Pages opened in the system's Chromium, as a reader opens them, and held to what every page promises."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WIDE_PX, NARROW_PX = 1280, 400
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

OpenPage = Callable[..., Any]


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome of the system."""
    names = (os.environ.get("TLKIT_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser for all tests of a process; its absence skips the test."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium; installing one, or its path in TLKIT_CHROMIUM, lifts this")
    playwright = pytest.importorskip("playwright.sync_api", reason="`pip install playwright` lifts this")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[OpenPage]:
    """`open_page(path, width=1280, dark=False, scripts=True)`: open a file and return Playwright's page.

    At the end of the test no page may have asked for anything but the file itself, nor have written to the console.
    """
    visits = Visits(chromium)

    def open_file(path: Path, *, fragment: str = "", **settings: Any) -> Any:
        address = path.resolve().as_uri()
        return visits.open(address + fragment, allowed=lambda asked: asked == address, **settings)

    yield open_file
    visits.close()


@pytest.fixture
def open_served(chromium: Any) -> Iterator[OpenPage]:
    """`open_served(address, width=1280, dark=False, scripts=True)`: open the page of a server, as `open_page` does.

    It may ask for what the same server has.
    """
    visits = Visits(chromium)
    yield lambda address, **settings: visits.open(
        address, allowed=lambda asked: asked.startswith(f"{address}/"), **settings
    )
    visits.close()


class Visits:
    """The pages that a test opens.

    Args:
        browser: The browser.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self._problems: list[str] = []

    def open(
        self,
        address: str,
        *,
        allowed: Callable[[str], bool],
        width: int = WIDE_PX,
        dark: bool = False,
        scripts: bool = True,
    ) -> Any:
        """Open a page, which may ask for what is `allowed` and for `data:` and `blob:`."""
        scheme = "dark" if dark else "light"
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)

        def check(asked: str) -> None:
            if not allowed(asked) and not asked.startswith(("data:", "blob:")):
                self._problems.append(f"request: {asked}")

        page.on("request", lambda request: check(request.url.partition("#")[0]))
        page.on("console", lambda message: self._problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self._problems.append(f"error: {error}"))
        page.goto(address, wait_until="load")
        return page

    def close(self) -> None:
        """Close all pages, and fail if one of them was not quiet."""
        for context in self._contexts:
            context.close()
        assert self._problems == []


def wait_until(page: Any, expression: str) -> None:
    """Wait until an expression is true on a page. Playwright's own waiting evaluates text, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(f"Boolean({expression})"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def find_overflow(page: Any) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def find_barriers(page: Any) -> list[str]:
    """Return what axe finds on a page that keeps people out, one line each."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="`pip install axe-playwright-python` lifts this"
    )

    results = axe.Axe().run(page, options={"runOnly": AXE_RULES}).response
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in results["violations"]
        for node in each["nodes"]
    ]
