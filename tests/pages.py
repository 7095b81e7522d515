"""What the tests of pages share: a browser, and pages in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Chromium for the tests of pages: `apt-get install chromium`")
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page; fails if it complains, or asks for anything but itself."""
    complaints: list[str] = []
    pages: list[Any] = []

    def open_page(text: str, **chosen: Any) -> Any:
        path = tmp_path / f"{len(pages)}.html"
        path.write_text(text, "utf-8")
        tab = browser.new_page(**{"viewport": {"width": 1400, "height": 900}, **chosen})
        pages.append(tab)
        tab.on("console", lambda message: complaints.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))

        def look(request: Any) -> None:
            inside = request.url.startswith(("data:", "blob:"))
            if request.url.split("#")[0] != path.as_uri() and not inside:
                complaints.append(f"request: {request.url}")

        tab.on("request", look)
        tab.goto(path.as_uri())
        return tab

    yield open_page
    for tab in pages:
        tab.close()
    assert complaints == [], complaints
