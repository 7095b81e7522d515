"""Take docs/pictures/page.png: GoogLeNet's page in a browser, a layer marked.

    python tools/page_picture.py

It needs Pillow, playwright and a Chromium: its own, or one of the system.
"""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import archdsl
from archdsl.drawing import Options, render_drawing

ROOT = Path(__file__).parent.parent


def main() -> None:
    os.chdir(ROOT)  # the page says the spec's path
    model = archdsl.load("specs/googlenet.arch")
    options = Options(depth=0, open=("i3a",))
    html = render_drawing(model, "html", options).content.decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1300, "height": 760}, color_scheme="light")
        page.set_content(html)
        page.locator("tbody tr").nth(14).click()
        shot = Image.open(BytesIO(page.screenshot()))
        browser.close()
    # A palette makes the file a third as large.
    shot.convert("RGB").quantize(128).save(ROOT / "docs" / "pictures" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
