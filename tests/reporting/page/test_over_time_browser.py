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
    figures = page.locator("#over-time .panels figure")
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


def shown_by(box) -> tuple[str, list[str], str]:
    """What a player shows: its moment, its labels, and the address of the frame."""
    labels = [cell.inner_text() for cell in box.locator("dd").all()]
    return box.locator("output").inner_text(), labels, box.locator(".screen img").get_attribute("src")


def labels_of(row: InstructionRecord) -> list[str]:
    numbers = [f"{value:+.2f}".replace("-", "−") for value in (row.labels.valence, row.labels.arousal)]
    return [row.labels.expression, *numbers, " ".join(f"AU{au}" for au in row.labels.active) or "none"]


def test_a_video_is_stepped_through_by_keys_and_played_to_its_end_with_the_labels_of_each_frame(opened, of_films):
    path, rows = of_films
    page = opened(path, until="#over-time .player .screen img")
    assert page.locator("#over-time .player:visible").count() == 3
    box = page.locator("#over-time .player", has_text="film-1")
    film = sorted((row for row in rows if row.clip and row.clip.video == "film-1"), key=lambda row: row.clip.time)
    slider, seen = box.locator("input"), set()
    slider.focus()
    for place, row in enumerate(film):
        moment, labels, picture = shown_by(box)
        assert moment.startswith(f"{row.clip.time:.2f} s") and picture.startswith("data:image/webp")
        assert ("nobody was asked" in moment) == ("inferred_from_neighbours" in row.flags)
        words = [[word for word in text.split() if word not in ("manual", "generated")] for text in labels]
        assert words == [text.split() for text in labels_of(row)]
        assert row.labels.expression in slider.get_attribute("aria-valuetext")
        assert int(slider.input_value()) == place
        seen.add(picture)
        page.keyboard.press("ArrowRight")
    assert len(seen) == len({row.image for row in film})
    assert int(slider.input_value()) == len(film) - 1, "it ends there"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")  # the button stands before the slider
    assert box.locator("button").inner_text() == "Pause"
    box.locator("button", has_text="Play").wait_for()
    assert box.locator("output").inner_text().startswith(f"{film[-1].clip.time:.2f} s")
    assert [url for url in page.requested if url.startswith("http")] == []


def test_players_fit_a_phone_in_the_dark(opened, of_films):
    options = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "has_touch": True}
    page = opened(of_films[0], until="#over-time .player .screen img", **options)
    for box in page.locator("#over-time .player").all():
        edges = box.bounding_box()
        assert edges["x"] >= 0 and edges["x"] + edges["width"] <= 390
        assert box.locator("button").bounding_box()["height"] >= 44
        assert box.locator("input").bounding_box()["width"] >= 64
        clock, slider = box.locator("output"), box.locator("input")
        for place in range(1 + int(slider.get_attribute("max"))):
            slider.fill(str(place))
            if "nobody was asked" in clock.inner_text():
                break
        assert "nobody was asked" in clock.inner_text()
        # What is said of a frame has a line of its own: it ends well before the page does.
        assert clock.evaluate("node => node.scrollWidth <= node.clientWidth")
        said = "node => { const range = document.createRange(); range.selectNodeContents(node); const box = "
        said += "range.getBoundingClientRect(); return [box.left, box.right, box.height]; }"
        left, right, height = clock.evaluate(said)
        assert left >= edges["x"] and right < edges["x"] + edges["width"] - 20 and height < 30


def test_records_that_are_clips_are_played_and_a_report_without_pictures_plays_none(opened, tmp_path):
    outputs = tmp_path / "outputs"
    instructions = one_generation(outputs)
    images = [row.image for row in read_jsonl(instructions, InstructionRecord)]

    def clipped(number, row):
        if number < 3:
            frames = ["gone.jpg", *images[1:3]]
            row["clip"] = {"video": "v", "time": None, "frames": frames, "times": [0.0, 0.5, 1.0] if number else None,
                           "file": None}  # fmt: skip

    changed(instructions, clipped)
    page = opened(write_report(outputs, "demo", None, settings()).page, until="#over-time .player .none")
    boxes = page.locator("#over-time .player")
    assert boxes.count() == 3 and page.locator("#over-time svg").count() == 0
    assert "frame 1 of 3" in boxes.first.locator("output").inner_text()
    boxes.nth(1).locator("input").fill("2")
    assert boxes.nth(1).locator("output").inner_text() == "1.00 s"
    assert boxes.nth(1).locator(".screen img").count() == 1
    without = write_report(outputs, "demo", None, settings(thumbnails=None)).page.read_text(encoding="utf-8")
    assert 'id="player-data"' not in without and 'id="over-time"' not in without


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
