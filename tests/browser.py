"""A real Chromium for tests of pages; without one, the tests that need it say so and are skipped.

CHROMIUM=/path/to/chromium pytest tests/reporting      another than the one on the PATH
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Return the path of Chromium: $CHROMIUM, or the first of `NAMES` on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium(*arguments: str) -> "Iterator[Browser]":
    """Run a headless Chromium with these arguments, without its sandbox, which containers do not allow."""
    path = executable()
    if path is None:
        pytest.skip(f"SKIPPED, NOT TESTED: no Chromium ({', '.join(NAMES)}) found; install it or set CHROMIUM=/path")
    reason = "SKIPPED, NOT TESTED: no playwright; pip install -e '.[dev]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", *arguments])
        yield browser
        browser.close()


def until(page: "Page", condition: str, seconds: float = 120) -> None:
    """Wait until JavaScript is true. Playwright's own wait evaluates text in the page, which its policy forbids.

    Raises:
        AssertionError: if it is not in time.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not in {seconds} s: {condition}"
        page.wait_for_timeout(20)
