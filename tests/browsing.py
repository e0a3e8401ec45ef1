"""The page of a server in a headless Chromium, for tests: a tab that notes what was asked for and what went wrong."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from chromium import browser as browser  # a fixture
from serving import served

SECONDS = 20  # that anything may take on a busy machine


@dataclass
class Seen:
    """A tab, the addresses that it asked for, and what its console said of errors."""

    tab: object
    asked: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    expects: str = "nothing"  # what the console says of a failure that a test brings about

    def unexpected(self):
        return [words for words in self.errors if self.expects not in words]

    def text(self, selector):
        return " ".join(self.tab.locator(selector).inner_text().split())

    def rows(self):
        """The rows of the hits that are shown, in their order."""
        return self.tab.evaluate("[...document.querySelectorAll('#hits > li')].map(one => Number(one.dataset.row))")

    def until(self, words, *arguments):
        """Wait until an expression is true; the page's own policy refuses Playwright's way, which makes a function."""
        function = words if words.startswith("([") else f"() => {words}"
        end = time.monotonic() + SECONDS
        while not self.tab.evaluate(function, list(arguments)):
            assert time.monotonic() < end, words
            self.tab.wait_for_timeout(20)

    def answered(self):
        """Wait until what the address asks for is shown."""
        self.until("document.body.dataset.shown === location.pathname + location.search")
        self.tab.wait_for_selector("#answer h2")

    def start(self, number=0):
        """Search by one of the pictures to start from."""
        self.tab.locator("#starts a").nth(number).click()
        self.answered()


@contextmanager
def visiting(browser, server, address="/", **options):
    """Open the page of a server as long as the block lasts; nothing but this server may be asked for anything."""
    options = {"viewport": {"width": 1280, "height": 800}, **options}
    context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}", **options)
    seen = Seen(context.new_page())
    seen.tab.set_default_timeout(1000 * SECONDS)
    seen.tab.on("request", lambda request: seen.asked.append(request.url))
    seen.tab.on("console", lambda message: message.type == "error" and seen.errors.append(message.text))
    seen.tab.on("pageerror", lambda error: seen.errors.append(str(error)))
    try:
        seen.tab.goto(address)
        yield seen
        own = f"http://127.0.0.1:{server.port}/"
        assert [url for url in seen.asked if not url.startswith((own, f"blob:{own}"))] == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def server(mapped):
    with served(mapped[1]) as server:
        yield server


@pytest.fixture
def visit(browser, server):
    """The page in a wide window; its console says nothing of errors, but for what a test expects."""
    with visiting(browser, server) as visit:
        yield visit
        assert visit.unexpected() == []
