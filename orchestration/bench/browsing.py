"""A real browser in front of the console: signed in, on loopback, ended with its block."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agentsys.kernel.errors import ServiceAway
from orchestration.bench.serving import served, signed_in

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-background-networking", "--no-first-run", "--disable-sync")
WIDE = {"width": 1280, "height": 900}
# Resolved when the page is loaded and its main thread has nothing left to do: it answers to a click now.
INTERACTIVE = "() => new Promise(done => requestIdleCallback(() => done(performance.now())))"


@dataclass(frozen=True, slots=True)
class Browser:
    driver: Any
    origin: str
    session: str

    @contextmanager
    def page(self, size: Mapping[str, int] = WIDE, *, dark: bool = False) -> Iterator[Any]:
        """An empty page of a profile of its own, signed in as one who may see everything."""
        context = self.driver.new_context(
            viewport=size, color_scheme="dark" if dark else "light", base_url=self.origin
        )
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": self.session, "url": self.origin}
        context.add_cookies([cookie])
        try:
            yield context.new_page()
        finally:
            context.close()


@contextmanager
def browsing() -> Iterator[Browser]:
    """ServiceAway without playwright or a browser. Neither a session nor a person is left behind."""
    start, program = _playwright(), _program()
    with signed_in() as client, served() as port, start() as playwright:
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        driver = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield Browser(driver, f"http://127.0.0.1:{port}", session)
        driver.close()


def until_interactive(paths: Sequence[str], rounds: int) -> list[list[float]]:
    """Milliseconds from the start of the navigation, `rounds` for each path; nothing is kept from one to
    the next, and a page that does not answer with 200 is ServiceAway."""
    with browsing() as browser:
        return [[_interactive(browser, path) for _ in range(rounds)] for path in paths]


def _interactive(browser: Browser, path: str) -> float:
    with browser.page() as page:
        answer = page.goto(path, wait_until="load")
        if answer is None or answer.status != 200:
            status = "nothing" if answer is None else answer.status
            reason = f"it answers {status}"
            raise ServiceAway(service="the page", where=path, reason=reason, way_out="Open it")
        return float(page.evaluate(INTERACTIVE))


def _playwright() -> Callable[[], Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ServiceAway(
            service="playwright",
            where="this environment",
            reason="it is not installed",
            way_out="pip install 'agentsys[dev]'",
        ) from None
    return sync_playwright


def _program() -> str:
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise ServiceAway(
        service="a browser",
        where="PATH",
        reason=f"there is none of {', '.join(BROWSERS)}",
        way_out="Install chromium",
    )
