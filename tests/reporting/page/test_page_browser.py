"""The gallery in a real headless Chromium: it filters, searches, reviews, remembers, downloads, and runs no script."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from seke.core.escape import CONTROLS, visible
from seke.core.records import InstructionRecord, read_jsonl
from seke.core.runs import file_sha256
from seke.reporting.page.gallery import GallerySettings
from seke.reporting.report import Settings, write_report

from ...browser import until
from ..conftest import ROOT, runs_of_all_stages

HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>\u2028\u202e\x1b[2J<!--<script>"
MANY = 30_000
KEPT_ROWS = 40
"""More rows than this never exist at once: what fits on a screen, and a few beyond."""


def settings(**gallery) -> Settings:
    conf = yaml.safe_load((ROOT / "conf" / "report.yaml").read_text(encoding="utf-8"))
    return Settings(
        wording=conf["wording"], focus=conf["focus"], ceiling=conf["ceiling"], cases_run="seke", cases_count=3,
        commands=conf["commands"], baselines=conf["baselines"],
        gallery=GallerySettings("seke", **gallery),
    )  # fmt: skip


def one_generation(outputs: Path) -> Path:
    """Leave one generation and its records: a page that is made quickly. Returns its instructions."""
    runs_of_all_stages(outputs)
    for stage in ("train", "evaluate"):
        shutil.rmtree(outputs / stage)
    for name in ("single", "truth"):
        shutil.rmtree(outputs / "generate" / f"demo-{name}")
    return outputs / "generate" / "demo-seke" / "instructions.jsonl"


def changed(path: Path, change) -> None:
    """Rewrite a JSON Lines file by `change(number, row)`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        change(number, row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("plain") / "outputs"
    one_generation(outputs)
    return write_report(outputs, "demo", None, settings()).page


@pytest.fixture(scope="module")
def rows(report) -> list[InstructionRecord]:
    file = report.parents[2] / "generate" / "demo-seke" / "instructions.jsonl"
    return list(read_jsonl(file, InstructionRecord))


@pytest.fixture
def opened(opened, report):
    """Open the plain report, unless told of another."""
    return lambda path=report, **options: opened(path, **options)


def count(page) -> str:
    return page.locator("#gallery .count").inner_text()


def chosen(page) -> str:
    return page.locator("#gallery .record h3").inner_text()


def decide(page, *keys: str) -> None:
    page.locator("#gallery .list").focus()
    for key in keys:
        page.keyboard.press(key)


def downloaded(page) -> dict:
    with page.expect_download() as waiting:
        page.locator("#gallery [data-download]").click()
    assert waiting.value.suggested_filename == "review.json"
    return json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))


def test_the_page_opens_without_any_request_and_shows_every_record(opened, report, rows):
    page = opened()
    until(page, "[...document.querySelectorAll('#gallery .row img')].every((image) => image.naturalWidth)")
    assert [url for url in page.requested if not url.startswith("data:image/webp")] == [report.as_uri()]
    assert page.locator("#gallery .record img").get_attribute("src").startswith("data:image/webp"), "the first one, too"
    assert count(page) == f"{len(rows)} records"
    assert chosen(page) == rows[0].id
    assert page.locator("#gallery .answer").first.inner_text().startswith("The face shows")
    marks = page.locator("#gallery .answer mark")
    assert marks.count() > 3
    assert {mark.get_attribute("class") for mark in marks.all()} <= {"right", "wrong"}


def test_manual_and_generated_labels_are_told_apart(opened, rows):
    page = opened()
    kinds = {"manual": 1, "generated": 2}
    for name in kinds:
        expected = sum(row.origin.expression == name for row in rows)
        page.locator("[name=origin]").select_option(str(0 if name == "manual" else 1))
        assert count(page) == f"{expected} of {len(rows)} records"
        assert name in page.locator("#gallery .record tbody tr").first.locator(".chip").get_attribute("class")


@pytest.mark.parametrize(
    ("field", "choose", "passes"),
    [
        ("source", "bp4d", lambda row: row.source == "bp4d"),
        ("expression", "fear", lambda row: row.labels.expression == "fear"),
        ("unit", "AU12 ", lambda row: bool(row.labels.action_units[12])),
        ("flag", "au12 negative valence", lambda row: "au12_negative_valence" in row.flags),
        ("flag", "without a flag", lambda row: not row.flags),
    ],
)
def test_filters_let_through_what_the_records_say(opened, rows, field, choose, passes):
    page = opened()
    select = page.locator(f".filters [name={field}]")
    value = next(
        option.get_attribute("value")
        for option in select.locator("option").all()
        if option.inner_text().startswith(choose)
    )
    select.select_option(value)
    assert count(page) == f"{sum(map(passes, rows))} of {len(rows)} records"


def test_a_range_of_uncertainty_and_an_order_by_it(opened, rows):
    page = opened()
    page.locator("[name=from]").fill("0.1")
    page.locator("[name=to]").fill("0.5")
    levels = {row.id: row.uncertainty.max for row in rows if 0.1 <= row.uncertainty.max <= 0.5}
    assert count(page) == f"{len(levels)} of {len(rows)} records"
    page.locator("[name=order]").select_option("falling")
    page.keyboard.press("Escape")
    seen = [found.inner_text() for found in page.locator("#gallery .row b").all()]
    assert seen == sorted(levels, key=lambda name: -levels[name])[: len(seen)]
    page.locator(".filters [type=reset]").click()
    until(page, f"document.querySelector('#gallery .count').textContent === '{len(rows)} records'")


def test_the_search_looks_for_every_word_in_texts_ids_and_notes(opened, rows):
    page = opened()
    page.keyboard.press("/")
    word, subject = str(rows[4].labels.expression), str(rows[4].subject)
    page.keyboard.type(f"{word.upper()} {subject.lower()}")
    expected = [row.id for row in rows if word in row.conversations[1].value and row.subject == subject]
    assert rows[4].id in expected
    assert len(expected) < 6
    assert [found.inner_text() for found in page.locator("#gallery .row b").all()] == expected
    page.locator("[name=note]").fill("a very odd picture")
    decide(page, "a")
    page.locator("[name=search]").fill("odd picture")
    assert count(page) == f"1 of {len(rows)} records"
    page.locator("[name=search]").fill("nothing of the kind")
    assert count(page) == f"0 of {len(rows)} records"
    assert page.locator("#gallery .record").inner_text() == "No record passes these filters."


def test_decisions_by_key_go_on_persist_over_a_reload_and_download_as_a_review(opened, rows, report):
    page = opened()
    decide(page, "a")
    assert chosen(page) == rows[1].id
    decide(page, "j")
    page.locator("[name=note]").fill("not a face")
    decide(page, "r")
    assert chosen(page) == rows[3].id
    decide(page, "c")
    form = page.locator("#gallery .correction")
    before = rows[3].labels
    form.locator("[name=valence]").fill("0.25")
    form.locator("label", has_text="AU12").locator("input").set_checked(not before.action_units[12])
    page.locator("#gallery .saving [type=submit]").click()
    assert chosen(page) == rows[4].id
    decide(page, "a", "u")  # undone is the last decision, wherever it has gone on to
    assert chosen(page) == rows[4].id
    page.reload()
    page.locator("#gallery .row").first.wait_for()
    assert "3 decided: 1 accepted, 1 corrected, 1 rejected; kept in this browser" in page.locator(".kept").inner_text()
    decide(page, "j", "j")
    assert page.locator("[name=note]").input_value() == "not a face"
    assert page.locator("#gallery [data-decision=reject]").get_attribute("aria-pressed") == "true"
    review = downloaded(page)
    assert review["run"]["name"] == "demo-seke"
    assert review["decisions"] == [
        {"id": rows[0].id, "decision": "accept", "labels": None, "note": ""},
        {"id": rows[2].id, "decision": "reject", "labels": None, "note": "not a face"},
        {"id": rows[3].id, "decision": "correct", "note": "",
         "labels": {"valence": 0.25, "action_units": {"12": not before.action_units[12]}}},
    ]  # fmt: skip
    page.locator("[name=decision]").select_option("none")
    assert count(page) == f"{len(rows) - 3} of {len(rows)} records"


def test_a_review_goes_from_one_browser_to_another_and_no_other_run(opened, rows, tmp_path):
    page = opened()
    decide(page, "a", "r")
    review, path = downloaded(page), tmp_path / "review.json"
    other = opened()
    for changes, told in (
        ({}, "2 decisions taken in"),
        ({"run": {"name": "x", "manifest": "0" * 64}}, "This review is of another run"),
        ({"decisions": [{"id": "nobody", "decision": "accept"}, {"id": 3}]}, "1 are about records that this page"),
    ):
        path.write_text(json.dumps({**review, **changes}), encoding="utf-8")
        other.locator("[name=review]").set_input_files(path)
        other.locator(".kept p", has_text=told).wait_for()
    path.write_text("{", encoding="utf-8")
    other.locator("[name=review]").set_input_files(path)
    other.locator(".kept p", has_text="is no review").wait_for()
    assert downloaded(other) == review


IN_SIGHT = """(element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight && element.contains(document.elementFromPoint(
    element.getBoundingClientRect().left + 5, (top + bottom) / 2));
}"""


@pytest.mark.parametrize(
    "viewport", [{"width": 1200, "height": 800}, {"width": 390, "height": 844}], ids=["desk", "phone"]
)
def test_a_correction_can_be_saved_without_scrolling(opened, viewport):
    page = opened(viewport=viewport)
    page.locator("#gallery .detail").scroll_into_view_if_needed()
    decide(page, "c")
    page.locator("#gallery [name=expression]:focus").wait_for()
    assert page.locator("#gallery .saving [type=submit]").evaluate(IN_SIGHT)
    assert not page.locator("#gallery .deciding").is_visible()


def test_the_large_view_shows_the_file_itself_and_goes_on_by_key(opened, rows, report):
    page = opened()
    decide(page, "z")
    image = page.locator("#large img")
    until(page, "document.querySelector('#large img').naturalWidth === 96")
    address = image.get_attribute("src")
    assert (report.parent / address).resolve() == report.parents[2] / "prepare" / "demo" / "images" / rows[0].image
    assert image.evaluate("(image) => image.getBoundingClientRect().width") >= 512
    assert image.evaluate("(image) => getComputedStyle(image).objectFit") == "contain"
    assert str(rows[0].labels.expression) in page.locator("#large .said").inner_text()
    page.keyboard.press("j")
    assert page.locator("#large h3").inner_text() == rows[1].id
    page.keyboard.press("a")
    assert page.locator("#large h3").inner_text() == rows[2].id
    page.keyboard.press("z")
    assert not page.locator("#large").is_visible()
    assert "1 accepted" in page.locator(".kept").inner_text()
    page.locator("#gallery .record .zoom").click()
    assert page.locator("#large").is_visible()
    page.keyboard.press("c")
    until(page, "!document.querySelector('#large').open")
    page.wait_for_timeout(50)  # only now does the dialog say that it is closed
    assert page.evaluate("document.activeElement.name") == "expression", "the keys are the form's"
    page.keyboard.press("Escape")
    page.locator("#cases .zoom").first.click()
    until(page, "document.querySelector('#large img').naturalWidth === 96")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    assert "0 rejected" in page.locator(".kept").inner_text(), "a case is not the gallery's record"


def test_a_page_that_was_passed_on_alone_says_that_the_large_picture_is_small(opened, report, tmp_path):
    alone = tmp_path / "index.html"
    alone.write_bytes(report.read_bytes())
    page = opened(alone)
    decide(page, "z")
    page.locator("#large .note", has_text="passed on without the files beside it").wait_for()
    assert page.locator("#large img").get_attribute("src").startswith("data:image/webp")
    page.problems.clear()  # the browser reports the missing file


def test_photographs_are_never_squashed(opened):
    page = opened()
    until(page, "[...document.querySelectorAll('#gallery img')].every((image) => image.naturalWidth)")
    for image in page.locator("#gallery img, #cases img").all():
        assert image.evaluate("(image) => getComputedStyle(image).objectFit") == "contain"


def test_flags_say_what_they_mean(opened, rows):
    page = opened()
    flagged = next(row for row in rows if row.flags)
    page.locator("[name=search]").fill(flagged.id)
    assert "au12 negative valence A raised lip corner (AU12)" in page.locator("#gallery .flags").inner_text()
    page.locator("#gallery .legend summary").click()
    assert "A raised lip corner" in page.locator("#gallery .legend").inner_text()


def test_draws_lie_apart_in_words(opened, rows):
    page = opened()
    row = next(row for row in rows if row.uncertainty.expression and row.origin.expression == "generated")
    page.locator("[name=search]").fill(row.id)
    apart = page.locator("#gallery .record td.apart").all_inner_texts()
    assert apart[1] == f"± {row.uncertainty.valence**0.5:.2f}"
    assert re.fullmatch(r"\d of \d agree|\d+ % of pairs differ", apart[0])


def test_pictures_beside_the_page_are_shown_from_there(opened, tmp_path):
    outputs = tmp_path / "outputs"
    one_generation(outputs)
    page = opened(write_report(outputs, "demo", None, settings(page_mb=0.001)).page)
    until(page, "[...document.querySelectorAll('#gallery .row img')].every((image) => image.naturalWidth)")
    sources = {image.get_attribute("src") for image in page.locator("#gallery .row img").all()}
    assert "pictures/000/000000.webp" in sources and not any(source.startswith("data:") for source in sources)
    alone = tmp_path / "passed on #1" / "index.html"
    alone.parent.mkdir()
    alone.write_bytes((outputs / "report" / "demo" / "index.html").read_bytes())
    page = opened(alone)
    until(page, "!document.querySelector('#gallery .row img, #gallery .record img')")
    assert "no picture" in page.locator("#gallery .row").first.inner_text(), "and no sign of a broken one"
    page.problems.clear()  # the browser reports the missing files


def test_a_picture_that_is_gone_says_why(opened, tmp_path):
    outputs = tmp_path / "outputs"
    one_generation(outputs)
    shutil.rmtree(outputs / "prepare" / "demo" / "images")
    page = opened(write_report(outputs, "demo", None, settings()).page)
    page.locator("#gallery .record figcaption", has_text="no such file").wait_for()
    assert "no picture" in page.locator("#gallery .row").first.inner_text()


def test_on_paper_nothing_is_cut_off_or_dark(opened):
    page = opened(viewport={"width": 1040, "height": 720}, color_scheme="dark")  # A4 across, without its margins
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1040
    assert {box.evaluate("(box) => getComputedStyle(box).overflowX") for box in page.locator(".scroll").all()} == {
        "visible"
    }


def test_what_the_page_downloads_is_what_the_generate_command_applies(opened, rows, report, cli, tmp_path):
    page = opened()
    decide(page, "r", "a")
    path = tmp_path / "review.json"
    path.write_text(json.dumps(downloaded(page)), encoding="utf-8")
    outputs = report.parents[2]
    done = cli("generate", f"review={path}", "name=reviewed", f"paths.outputs={outputs}")
    assert done.returncode == 0, done.stderr
    kept = list(read_jsonl(outputs / "generate" / "reviewed" / "instructions.jsonl", InstructionRecord))
    assert [row.id for row in kept] == [row.id for row in rows[1:]]
    assert "accepted" in kept[0].flags


def test_a_correction_that_changes_nothing_is_not_taken(opened):
    page = opened()
    decide(page, "c")
    page.locator(".saving [type=submit]").click()
    assert "Nothing differs" in page.locator(".review .hint").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator(".correction").is_visible()
    assert downloaded(page)["decisions"] == []


def test_keys_pressed_elsewhere_judge_nothing(opened):
    page = opened()
    page.keyboard.press("r")
    assert page.locator(".kept p").inner_text() == "Nothing decided yet."
    page.locator("[name=search]").fill("")
    page.keyboard.type("arc")
    assert page.locator(".kept p").inner_text() == "Nothing decided yet."


def test_a_report_on_a_run_made_anew_forgets_the_old_decisions(opened, report, tmp_path):
    page = opened()
    decide(page, "a")
    manifest = json.loads(page.locator("#gallery-data").inner_text())["run"]["manifest"]
    other = tmp_path / "index.html"
    text = report.read_text(encoding="utf-8")
    other.write_text(text.replace(manifest, "0" * 64), encoding="utf-8")
    page.goto(other.as_uri())
    assert page.locator(".kept p").inner_text() == "Nothing decided yet."


def test_the_gallery_fits_a_narrow_screen_and_says_what_is_chosen(opened, rows):
    page = opened(viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    decide(page, "End")
    option = page.locator(f"#{page.locator('#gallery .list').get_attribute('aria-activedescendant')}")
    assert option.get_attribute("aria-posinset") == option.get_attribute("aria-setsize") == str(len(rows))
    assert option.get_attribute("aria-selected") == "true"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_thirty_thousand_records_never_fill_the_document(opened, tmp_path):
    outputs = tmp_path / "outputs"
    instructions = one_generation(outputs)
    lines = instructions.read_text(encoding="utf-8").splitlines()
    many = (lines[number % len(lines)].replace('"id":"', f'"id":"{number}-', 1) for number in range(MANY))
    instructions.write_text("\n".join(many) + "\n", encoding="utf-8")
    page = opened(write_report(outputs, "demo", None, settings(thumbnails=None)).page)
    assert count(page) == "30,000 records"
    rail = page.locator("#gallery .list")
    for share in (0, 0.3, 0.77, 1):
        rail.evaluate(f"(box) => {{ box.scrollTop = {share} * box.scrollHeight; }}")
        page.wait_for_timeout(60)
        assert 5 < page.locator("#gallery .row").count() < KEPT_ROWS
    decide(page, "End")
    assert chosen(page).startswith("29999-")
    page.locator("[name=search]").fill("29998-")
    assert count(page) == "1 of 30,000 records"


def test_no_script_of_a_hostile_answer_runs(opened, tmp_path):
    outputs = tmp_path / "outputs"
    instructions = one_generation(outputs)

    def poison(number, row):
        row["id"] = f"{number}{HOSTILE}"
        row["conversations"][0]["value"] = "<image>\n" + HOSTILE
        row["conversations"][1]["value"] = f"AU4 {HOSTILE} fear {'' if number else 'W' * 10_000}"
        row |= {"source": HOSTILE, "subject": HOSTILE, "annotator": HOSTILE, "image": HOSTILE}
        row["flags"] = [HOSTILE, "long" * 100]

    changed(instructions, poison)
    changed(instructions.with_name("draws.jsonl"), lambda number, row: row.update(id=f"{number}{HOSTILE}"))
    instructions.parent.rename(instructions.parent.with_name("demo-<script>window.pwned=3<!--"))
    report = write_report(outputs, "demo", None, settings()).page
    page = opened(report)
    decide(page, "a", "r")
    page.locator("[name=note]").fill(HOSTILE)
    decide(page, "a")
    page.locator("[name=search]").fill("<img src=x onerror=window.pwned=2>")
    assert count(page) == "24 records"
    assert visible(HOSTILE) in page.locator("#gallery .answer").text_content(), "spelt out, not obeyed"
    assert not CONTROLS.search(page.locator("#gallery .browser").inner_text().replace("\n", ""))
    for width in (1200, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width, "no text is wider than the page"
    assert downloaded(page)["decisions"][0]["id"] == f"0{HOSTILE}"
    page.reload()
    page.locator("#gallery .row").first.wait_for()
    assert page.evaluate("window.pwned") is None
    assert page.locator("#gallery img, #gallery script, #gallery [onerror]").count() == 0
    assert [url for url in page.requested if not url.startswith("blob:")] == [report.as_uri()] * 2


def test_a_text_cannot_become_markup_even_by_the_pages_own_script(opened):
    page = opened()
    refused = (
        """() => { try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (error) { return error.name; } }"""
    )
    assert page.evaluate(refused) == "TypeError"
    page.problems.clear()  # the browser reports the refusal


def test_whom_to_look_at_next_comes_first_is_marked_and_can_be_filtered_by(opened, tmp_path):
    outputs = tmp_path / "outputs"
    file = one_generation(outputs)
    ids = [row.id for row in read_jsonl(file, InstructionRecord)]
    asked = [ids[9], ids[3], ids[17]]
    manifest = file_sha256(file.parent / "manifest.json")
    (file.parent / "queue.json").write_text(json.dumps({"manifest": manifest}))
    (file.parent / "queue.jsonl").write_text("".join(json.dumps({"id": id_, "why": "audit"}) + "\n" for id_ in asked))
    written = write_report(outputs, "demo", None, settings(limit=5)).page
    assert "audit" not in re.search(r'id="gallery-data">(.*?)</script>', written.read_text(), re.DOTALL)[1]
    page = opened(written)
    shown = [row.locator("b").inner_text() for row in page.locator("#gallery .row").all()]
    assert shown[:3] == asked, "a limit keeps whom people are asked to look at"
    assert page.locator("#gallery .row .next").count() == 3
    page.locator("[name=next]").select_option("1")
    assert count(page).startswith("3 of ")
    decide(page, "a", "a", "a")
    assert {row["id"]: row["decision"] for row in downloaded(page)["decisions"]} == dict.fromkeys(asked, "accept")
