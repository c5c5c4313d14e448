"""A picture of a report's page for the README: its headline table and bars, and the gallery below them.

    python scripts/picture_report.py outputs/report/demo/index.html docs/report.png

Headless Chromium ($CHROMIUM, or the one on the PATH) opens the page from disk, 1280 pixels wide and in light mode;
the gallery shows the record of which the annotator was least certain. A page without one of the parts leaves it out.
The picture has as many colours as a palette holds. Exit code 1: the page has nothing to show, or the file is larger
than a README wants to load.
"""

import argparse
import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 704
"""Of the window; the gallery's list is as high as the window lets it be."""
MARGIN = 24
LARGEST = 400_000
"""Bytes."""


@in_one_line()
def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="index.html of a report")
    parser.add_argument("picture", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    if not arguments.page.is_file():
        raise UserError("page", arguments.page, "no such file", "make it with report.py")
    parts = shots(arguments.page)
    if not parts:
        raise UserError("page", arguments.page, "has neither scores nor a gallery", "report runs that have them")
    data = compressed(stacked(parts))
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    arguments.picture.write_bytes(data)
    print(f"{arguments.picture}: {len(data) / 1000:.0f} kB")
    if len(data) > LARGEST:
        sys.exit(f"error: larger than {LARGEST / 1000:.0f} kB")


def shots(path: Path) -> list[Image.Image]:
    """Return pictures of the page's top, down to its first row of figures, and of its gallery."""
    from playwright.sync_api import sync_playwright

    executable = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
        )
        page.goto(path.resolve().as_uri())
        found = [top(page), gallery(page)]
        browser.close()
    return [part for part in found if part is not None]


def top(page: Any) -> Image.Image | None:
    """Return the page from its title to the end of the first row of figures."""
    figure = page.locator("section figure").first
    if not figure.count():
        return None
    box = figure.bounding_box()
    return clip(page, 0, box["y"] + box["height"] + MARGIN)


def gallery(page: Any) -> Image.Image | None:
    """Return the gallery, its least certain record opened."""
    section = page.locator("#gallery")
    if not section.count():
        return None
    section.scroll_into_view_if_needed()  # its pictures wait for that
    section.locator("select[name=order]").select_option("falling")
    section.locator(".list").evaluate("list => list.scrollTo(0, 0)")
    section.locator(".row[aria-posinset='1']").click()
    page.wait_for_function("[...document.querySelectorAll('#gallery img')].every(image => image.complete)")
    page.evaluate("window.scrollTo(0, 0)")  # what sticks to the window's top would else lie across the gallery
    above, below = section.bounding_box(), section.locator(".list").bounding_box()
    return clip(page, above["y"], below["y"] + below["height"] + 1)


def clip(page: Any, start: float, end: float) -> Image.Image:
    """Return the page's pixel rows from `start` to `end`."""
    area = {"x": 0, "y": start, "width": WIDTH, "height": end - start}
    return Image.open(io.BytesIO(page.screenshot(clip=area, full_page=True))).convert("RGB")


def stacked(parts: list[Image.Image]) -> Image.Image:
    """Return the parts one below the other."""
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), "white")
    for k, part in enumerate(parts):
        whole.paste(part, (0, sum(above.height for above in parts[:k])))
    return whole


def compressed(image: Image.Image) -> bytes:
    """Return a PNG of 256 colours: a page has few, and its small pictures bear it."""
    file = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
