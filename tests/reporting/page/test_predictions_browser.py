"""Pages of predictions in a real headless Chromium: what they count is what metrics.json says."""

import json
import re
from pathlib import Path

import pytest

from seke.benchmark.scoring.metrics import evaluate
from seke.core.affect import ACTION_UNITS
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, Prediction, read_jsonl, write_jsonl
from seke.core.runs import Run
from seke.reporting.report import write_report

from ...browser import until
from ..experiments import evaluation, scenes
from .test_page_browser import HOSTILE, settings

SILENT = 5
"""So many answers say nothing."""


def prepared(outputs: Path, name: str) -> None:
    """Give the faces of an evaluation records and pictures."""
    from PIL import Image

    folder = outputs / "prepare" / name
    (folder / "images").mkdir(parents=True)
    rows = list(read_jsonl(outputs / "evaluate" / "x-seke" / "predictions.jsonl", Prediction))
    records = []
    for number, row in enumerate(rows):
        file = folder / "images" / f"{number} #.png"
        Image.new("RGB", (40, 30), (number, 99, 9)).save(file)
        records.append(
            ImageRecord(
                id=row.id, image=file.name, sha256=sha256(file.read_bytes()), source=row.source, subject=row.subject,
                split="test", labels=row.truth,
            )
        )  # fmt: skip
    write_jsonl(folder / "test.jsonl", records)
    Run(folder, {"name": name}, {}).finish(image_root="images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a report on evaluations of faces and of scenes."""
    outputs = tmp_path_factory.mktemp("scored") / "outputs"
    evaluation(outputs, "x-seke", 0.7)
    run = outputs / "evaluate" / "x-seke"
    rows = list(read_jsonl(run / "predictions.jsonl", Prediction))
    silent = [row.model_copy(update={"labels": Labels(), "text": HOSTILE}) for row in rows[:SILENT]]
    alone = [row.model_copy(update={"subject": None}) for row in rows[SILENT:9]]
    rows = [*silent, *alone, *rows[9:]]
    write_jsonl(run / "predictions.jsonl", rows)
    (run / "metrics.json").write_text(json.dumps(evaluate(rows, draws=50)), encoding="utf-8")
    prepared(outputs, "faces")
    scenes(outputs, "x-scenes", 0.6)
    return write_report(outputs, "x", None, settings()).page.parent


@pytest.fixture
def metrics(folder: Path) -> dict:
    return json.loads((folder.parents[1] / "evaluate" / "x-seke" / "metrics.json").read_text())


@pytest.fixture
def predictions(opened, folder):
    """Return what opens a page of predictions at an address."""

    def opens(what: str, run: str = "x-seke"):
        page = opened(folder / "predictions" / f"{run}.html", "#main .row")
        page.goto(page.url + what)
        return page

    return opens


def count(page) -> str:
    return page.locator(".count").inner_text()


def follow(page, link: str) -> str:
    """Follow a link within the page; return what is counted there."""
    page.evaluate(
        "(link) => new Promise((done) => {"
        " addEventListener('hashchange', () => setTimeout(done), { once: true }); location.hash = link; })",
        link,
    )
    return count(page)


def test_every_number_of_the_report_leads_to_what_it_is_counted_from(opened, folder, metrics):
    page = opened(folder / "index.html", "#scores table")
    page.locator("#scores a.number", has_text=f"{100 * metrics['expression']['accuracy']:.1f}").first.click()
    page.locator("#main .row").first.wait_for()
    assert page.url.endswith("predictions/x-seke.html#expression.accuracy")
    assert page.locator("[name=about]").input_value() == "expression"
    page.locator("header a").click()
    page.locator("#scores").wait_for()
    page.locator("#scores figure a[href*='expression=']").first.dispatch_event("click")
    page.locator("#main .row").first.wait_for()
    truth, said = re.search(r"#expression=(\w+)%3E(\w+)$", page.url).groups()
    place = metrics["confusion"]["truth"].index(truth)
    column = [*metrics["confusion"]["truth"], "none"].index(said)
    assert count(page).startswith(f"{metrics['confusion']['counts'][place][column]} pictures")


def test_the_page_counts_what_the_benchmark_counts(predictions, metrics):
    page = predictions("#expression")
    shown = count(page)
    assert f"{metrics['expression']['n']} pictures of {metrics['subjects']['expression']} subjects" in shown
    assert f"right {100 * metrics['expression']['accuracy']:.1f} %" in shown
    for task in ("valence", "arousal"):
        assert f"MAE {metrics[task]['mae']:.3f}." in follow(page, f"#{task}.mae")
    for au in ACTION_UNITS:
        shown = re.search(r"F1 ([\d.]+) %", follow(page, f"#action_units.f1.{au}"))
        assert shown and float(shown[1]) == pytest.approx(100 * metrics["action_units"]["f1"][str(au)], abs=0.0501), au
    assert follow(page, "#unanswered.valence").startswith(f"{SILENT} of ")
    assert {text.strip() for text in page.locator(".judged").all_inner_texts()} == {"– missing"}


def test_scenes_are_counted_too(predictions, folder):
    emotion = json.loads((folder.parents[1] / "evaluate" / "x-scenes" / "metrics.json").read_text())["emotion"]
    assert f"right {100 * emotion['accuracy']:.1f} %" in count(predictions("#emotion.accuracy", "x-scenes"))
    awe = predictions("#emotion.classes.awe.f1", "x-scenes")
    assert count(awe).startswith(f"{emotion['classes']['awe']['n']} pictures")


def test_worst_first_and_a_search(predictions):
    page = predictions("#valence")
    page.locator("[name=order]").select_option("worst")
    page.locator("[name=verdict]").select_option("wrong")
    off = [float(text.split()[-1]) for text in page.locator(".judged .faint").all_inner_texts()]
    assert len(off) > 3 and off == sorted(off, reverse=True) and min(off) >= 0.2
    page.locator("[name=verdict]").select_option("")
    page.locator("[name=search]").fill("face-017")
    assert page.locator(".row b").first.inner_text() == "face-017"
    page.locator("[type=reset]").click()
    until(page, "document.querySelector('.count').textContent.startsWith('48 pictures')")


def test_pictures_are_shown_large_and_no_script_of_an_answer_runs(predictions):
    page = predictions("")
    until(page, "[...document.querySelectorAll('.row img')].every((image) => image.naturalWidth)")
    page.keyboard.press("j")
    page.keyboard.press("z")
    until(page, "document.querySelector('#large img').naturalWidth === 40")
    spelled = HOSTILE.replace("\u2028", r"\u2028").replace("\u202e", r"\u202e").replace("\x1b", r"\x1b")
    assert spelled in page.locator("#large .answer").text_content(), "controls are spelled out"
    page.keyboard.press("k")
    assert page.locator("#large h3").inner_text() == "face-000"
    assert page.evaluate("window.pwned") is None


def test_the_page_fits_a_phone(opened, folder):
    page = opened(folder / "predictions" / "x-seke.html", "#main .row", viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
