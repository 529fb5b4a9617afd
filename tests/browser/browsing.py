"""A headless Chromium that tells on a page: outside requests, errors and violations of its policy fail the test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_MS = 60_000

WITHOUT_A_KEY = "the server responded with a status of 401"
REFUSED = "the server responded with a status of 400"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Fails where no browser is installed: a page that nobody has opened is not tested."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"the tests of the page want one of {', '.join(NAMES)} on the PATH; `make develop` installs Debian's"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, address: str, allowed: str = "", **context: Any) -> Iterator[Page]:
    """A page at the address, in a window of its own.

    allowed: a part of console errors that are meant to be, such as those of refused requests.
    """
    window = browser.new_context(**context)
    window.set_default_timeout(PATIENCE_MS)
    expect.set_options(PATIENCE_MS)
    page = window.new_page()
    host = urlsplit(address).netloc
    wrong: list[str] = []

    def on_request(request: Request) -> None:
        if urlsplit(request.url).netloc != host and not request.url.startswith(("data:", "blob:")):
            wrong.append(f"asked {request.url}")

    def on_console(said: ConsoleMessage) -> None:
        if said.type == "error" and not (allowed and allowed in said.text):
            wrong.append(f"console: {said.text}")

    page.on("request", on_request)
    page.on("pageerror", lambda error: wrong.append(f"failed: {error}"))
    page.on("console", on_console)
    page.goto(address)
    yield page
    window.close()
    assert not wrong
