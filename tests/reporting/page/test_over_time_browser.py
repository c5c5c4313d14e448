"""Labels over time of a generation's videos, on the page in a real headless Chromium."""

import pytest

from seke.core.records import InstructionRecord, read_jsonl
from seke.reporting.data import films
from seke.reporting.report import write_report

from .test_page_browser import changed, one_generation, settings

HOSTILE = "<img src=x onerror=window.pwned=1>$x^2$"


@pytest.fixture(scope="module")
def of_films(tmp_path_factory):
    """Leave a report on rows that are frames of three videos, and one of none; return page and rows."""
    outputs = tmp_path_factory.mktemp("films") / "outputs"
    instructions = one_generation(outputs)

    def framed(number, row):
        if number:
            video = HOSTILE if number < 8 else f"film-{number // 8}"
            row["source"] = "bp4d"
            row["clip"] = {"video": video, "time": (number % 8) / 4, "frames": [], "times": None, "file": None}
            row["flags"] = [*row["flags"], *(["inferred_from_neighbours"] if number % 2 else [])]

    changed(instructions, framed)
    return write_report(outputs, "demo", None, settings()).page, list(read_jsonl(instructions, InstructionRecord))


def test_a_video_is_drawn_over_time_and_nothing_of_its_name_runs(opened, of_films):
    path, rows = of_films
    page = opened(path, until="#over-time svg")
    assert page.locator("nav a[href='#over-time']").count() == 1
    figures = page.locator("#over-time figure")
    assert figures.count() == 3
    said = [figure.get_attribute("aria-label") for figure in page.locator("#over-time [role=img]").all()]
    assert any(HOSTILE in text for text in said)
    told = sum(row.origin.expression == "manual" for row in rows if row.clip and row.clip.video == "film-1")
    assert any("film-1, 8 frames" in text and f"named the expression in {told} frames" in text for text in said)
    words = page.locator("#over-time svg").first.text_content()
    assert "valence" in words
    assert "nobody was asked" in words
    assert page.evaluate("window.pwned") is None
    widths = [box["width"] for figure in figures.all() if (box := figure.bounding_box())]
    assert min(widths) > 300, "two drawings in a row"
    for figure in path.parent.glob("figures/over_time_*.svg"):
        assert "<img" not in figure.read_text(encoding="utf-8")


def test_a_report_without_videos_says_nothing_of_them(tmp_path):
    one_generation(tmp_path / "outputs")
    page = write_report(tmp_path / "outputs", "demo", None, settings()).page.read_text(encoding="utf-8")
    assert 'id="over-time"' not in page


def test_of_each_source_the_video_in_which_most_changes_comes_first(of_films):
    rows = [row for row in of_films[1] if row.clip is not None]
    renamed = [row.model_copy(update={"source": "disfa" if row.clip.video == "film-2" else "bp4d"}) for row in rows]
    every = films.films(renamed)
    assert len(every) == 3
    assert all(film.times == tuple(sorted(film.times)) and len(film.rows) >= films.FEWEST for film in every)
    first, second, _ = films.chosen(renamed)
    assert {first.source, second.source} == {"bp4d", "disfa"}
    best = max((film for film in every if film.source == "bp4d"), key=lambda film: film.changes)
    assert best.video in (first.video, second.video)
    assert films.chosen([row.model_copy(update={"clip": None}) for row in rows]) == []
