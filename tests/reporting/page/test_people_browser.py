"""What people looked at, in a real headless Chromium: its queue comes first, and all of it can be read anywhere."""

import json
import re

import pytest

from seke.core.runs import file_sha256
from seke.reporting.report import write_report

from ..data.test_people import FACTS, LOOKS, REVIEWERS
from .test_page_browser import one_generation, settings

CONTRAST = 4.5
"""Of text, by WCAG 2.2, level AA."""
INKS = """(drawing) => [...drawing.querySelectorAll("*")].flatMap((mark) => {
  const style = getComputedStyle(mark);
  return [style.fill, style.stroke].filter((paint) => paint.startsWith("rgb("));
})"""
TEXT = """(drawing) => [...drawing.querySelectorAll("text")].map((text) => getComputedStyle(text).fill)"""


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """A report on a run with a queue, a guarantee, looks and two reviewers; and the ids of its queue."""
    outputs = tmp_path_factory.mktemp("people") / "outputs"
    instructions = one_generation(outputs)
    folder, manifest = instructions.parent, file_sha256(instructions.parent / "manifest.json")
    ids = [json.loads(line)["id"] for line in instructions.read_text(encoding="utf-8").splitlines()][5:9]
    queue = [{"id": id_, "why": why} for id_, why in zip(reversed(ids), ("audit", "doubt") * 2, strict=True)]
    (folder / "queue.json").write_text(json.dumps({"manifest": manifest}))
    (folder / "queue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queue))
    (folder / "guarantee.json").write_text(json.dumps({"manifest": manifest, **FACTS}))
    (folder / "looks.json").write_text(json.dumps(LOOKS))
    (folder / "reviewers.json").write_text(json.dumps(REVIEWERS))
    return write_report(outputs, "demo", None, settings()).page, [row["id"] for row in queue]


def luminance(paint: str) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(part) / 255 for part in re.findall(r"\d+", paint)[:3])
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 375])
def test_people_section_is_readable_in_either_scheme_and_on_a_phone(opened, reviewed, scheme, width) -> None:
    page = opened(reviewed[0], color_scheme=scheme, viewport={"width": width, "height": 800})
    section = page.locator("#people")
    text = section.inner_text()
    assert "Once people have looked at 80 more faces" in text
    assert "ann and bob" in text
    assert page.evaluate("document.documentElement.scrollWidth") == width, "wide tables scroll within themselves"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    drawing = section.locator("svg").first
    letters = set(drawing.evaluate(TEXT)) - {"none"}
    assert letters, "the drawing has text"
    assert all(contrast(ink, ground) >= CONTRAST for ink in letters)
    if scheme == "dark":  # a figure for paper has a white ground
        assert all(luminance(ink) < 0.99 for ink in drawing.evaluate(INKS))


def test_the_queue_comes_first_in_the_gallery_in_its_order(opened, reviewed) -> None:
    page = opened(reviewed[0])
    shown = page.locator("#gallery .row").all_inner_texts()
    assert [row.split()[0] for row in shown[: len(reviewed[1])]] == reviewed[1]
    assert "4 records, marked ◆" in page.locator("#gallery").inner_text()
