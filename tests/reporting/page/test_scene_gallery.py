"""The gallery of scenes: instructions without labels, told apart by kind and emotion; several share one picture."""

import json
from pathlib import Path

import pytest
from PIL import Image

from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Turn,
    Uncertainty,
    read_jsonl,
    write_jsonl,
)
from seke.core.runs import Run
from seke.reporting.page.gallery import BLOCK
from seke.reporting.report import write_report

from ..conftest import runs_of_all_stages
from .test_page import Dom
from .test_page_browser import KEPT_ROWS, changed, chosen, count, decide, downloaded, settings

EMOTIONS, KINDS = ("amusement", "awe", "fear", "sadness"), ("categorical", "conversation", "reasoning")
SCENES = 20


def instruction(kind: str, scene: ImageRecord, number: int) -> InstructionRecord:
    """What EmoVIT writes: a class, three questions about a picture, or one that asks for reasons."""
    emotion = scene.attributes["emotion"]
    pairs = {
        "categorical": [("Which emotion?", f"Predict emotion: {emotion}")],
        "conversation": [("What is it?", f"A pier, no. {number}."), ("And the light?", "Dim."), ("So?", f"{emotion}.")],
        "reasoning": [("Why does it move people?", f"First the pier, then {emotion}.")],
    }[kind]
    turns = [turn for asked, said in pairs for turn in (("human", asked), ("gpt", said))]
    told = {"brightness": 0.25, "object": ["Pier", "Gull"], "caption": f"A pier at dusk, {number}."}
    return InstructionRecord(
        id=f"{scene.id}/{kind}", image=scene.image, source=scene.source, subject=None,
        conversations=tuple(
            Turn(speaker=speaker, value=text if place else f"<image>\n{text}")
            for place, (speaker, text) in enumerate(turns)
        ),
        labels=Labels(), origin=Origins(), uncertainty=Uncertainty(), samples=0,
        annotator="no model" if kind == "categorical" else "writer-1",
        flags=("turns",) if kind == "conversation" and number % 3 == 0 else (),
        attributes={"kind": kind, "emotion": emotion, **({} if kind == "categorical" else told)},
    )  # fmt: skip


def generation(outputs: Path, scenes: int = SCENES, name: str = "scenes") -> Path:
    """Leave prepare/<name> and a finished generate/<name> with three instructions of every scene."""
    prepared, generated = outputs / "prepare" / name, outputs / "generate" / name
    (prepared / "images").mkdir(parents=True)
    generated.mkdir(parents=True)
    records = [
        ImageRecord(
            id=f"{('emoset', 'artphoto')[number % 2]}/{number:05}", image=f"{number}.png", sha256="0" * 64,
            source=("emoset", "artphoto")[number % 2], subject=None, split="train", labels=Labels(),
            attributes={"emotion": EMOTIONS[number % len(EMOTIONS)]},
        )
        for number in range(scenes)
    ]  # fmt: skip
    for number, record in enumerate(records):
        Image.new("RGB", (48, 32), (37 * number % 256, 91 * number % 256, 99)).save(prepared / "images" / record.image)
    write_jsonl(prepared / "train.jsonl", records)
    Run(prepared, {"seed": 0, "name": name}, {}).finish(image_root="images")
    made = (instruction(kind, scene, number) for kind in KINDS for number, scene in enumerate(records))
    write_jsonl(generated / "instructions.jsonl", made)
    write_jsonl(generated / "rejected.jsonl", ())
    (generated / "draws.jsonl").write_text("", encoding="utf-8")
    facts = {"image_root": "../../prepare/scenes/images"}
    Run(generated, {"seed": 0, "name": name, "records": name}, {}).finish(**facts)
    return generated / "instructions.jsonl"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("scenes") / "outputs"
    generation(outputs)
    return write_report(outputs, "scenes", None, settings()).page


@pytest.fixture(scope="module")
def rows(report) -> list[InstructionRecord]:
    file = report.parents[2] / "generate" / "scenes" / "instructions.jsonl"
    return list(read_jsonl(file, InstructionRecord))


def pick(page, field: str, text: str) -> None:
    """Choose the option of a filter that begins with `text`."""
    select = page.locator(f".filters [name={field}]")
    texts = select.locator("option").all_inner_texts()
    select.select_option(label=next(option for option in texts if option.startswith(text)))


def blocks(page: Path) -> dict[str, object]:
    dom = Dom(page.read_text(encoding="utf-8"))
    pairs = zip(dom.scripts, dom.of("script"), strict=True)
    return {str(of["id"]): json.loads(text) for text, of in pairs if of.get("type")}


def test_a_picture_that_records_share_is_sent_once(tmp_path: Path) -> None:
    generation(tmp_path / "outputs", scenes=BLOCK + 2)
    found = blocks(write_report(tmp_path / "outputs", "scenes", None, settings(thumbnails=16)).page)
    assert found["gallery-data"]["pictures"] == 3 * [*range(BLOCK + 2)]
    assert [len(found["pictures-0"]), len(found["pictures-1"])] == [BLOCK, 2]
    assert "pictures-2" not in found


def test_every_record_has_its_own_picture(opened, report, rows):
    page = opened(report)
    pictures = blocks(report)["pictures-0"]
    assert pictures[1] != pictures[13]
    for text in ("1", "13"):
        place = SCENES + int(text)
        page.locator("[name=search]").fill(f"{int(text):05}/conversation")
        assert chosen(page) == rows[place].id
        assert page.locator("#gallery .record img").get_attribute("src") == pictures[int(text)]


def test_a_conversation_shows_every_turn_and_what_the_writer_was_told(opened, report, rows):
    page = opened(report)
    pick(page, "kind", "conversation")
    record = page.locator("#gallery .record")
    assert record.locator("header").inner_text().split("\n")[0] == rows[SCENES].id
    assert {"kind: conversation", "emotion: amusement", "written by writer-1"} <= set(
        record.locator("header span").all_inner_texts()
    )
    assert record.locator(".flags").inner_text() == "turns Fewer or more questions and answers than were asked for."
    said = [turn.value.removeprefix("<image>\n") for turn in rows[SCENES].conversations]
    assert record.locator(".asked, .answer").all_inner_texts() == said
    told = dict(zip(record.locator("dt").all_inner_texts(), record.locator("dd").all_inner_texts(), strict=True))
    assert told == {"brightness": "0.25", "object": "Pier, Gull", "caption": "A pier at dusk, 0."}


def test_where_no_model_wrote_nothing_is_said_to_have_been_told(opened, report):
    page = opened(report)
    assert "written by no model" in page.locator("#gallery .record header").inner_text()
    assert page.locator("#gallery .record dl, #gallery .record table").count() == 0
    assert page.locator("#gallery .row .words span").first.inner_text() == "categorical  amusement"


@pytest.mark.parametrize(
    ("field", "choose", "passes"),
    [
        ("source", "artphoto", lambda row: row.source == "artphoto"),
        ("kind", "reasoning", lambda row: row.attributes["kind"] == "reasoning"),
        ("emotion", "fear", lambda row: row.attributes["emotion"] == "fear"),
        ("flag", "turns", lambda row: "turns" in row.flags),
    ],
)
def test_filters_are_those_of_scenes(opened, report, rows, field, choose, passes):
    page = opened(report)
    pick(page, field, choose)
    assert count(page) == f"{sum(map(passes, rows))} of {len(rows)} records"
    names = page.locator(".filters [name]").evaluate_all("(fields) => fields.map((field) => field.name)")
    assert names == ["search", "source", "kind", "emotion", "flag", "decision"]


def test_filters_of_kind_and_emotion_hold_together(opened, report, rows):
    page = opened(report)
    pick(page, "kind", "conversation")
    pick(page, "emotion", "awe")
    found = [row.id for row in rows if (row.attributes["kind"], row.attributes["emotion"]) == ("conversation", "awe")]
    assert page.locator("#gallery .row b").all_inner_texts() == found


@pytest.mark.parametrize("words", ["gull 17.", "AND THE LIGHT 00017", "no. 17."])
def test_the_search_looks_into_attributes_questions_and_later_turns(opened, report, rows, words):
    page = opened(report)
    pick(page, "kind", "conversation")
    page.locator("[name=search]").fill(words)
    assert page.locator("#gallery .row b").all_inner_texts() == [rows[SCENES + 17].id]


def test_a_scene_is_accepted_or_rejected_but_never_corrected(opened, report, rows, cli, tmp_path):
    page = opened(report)
    decide(page, "a", "c", "r", "c")
    assert not page.locator("#gallery [data-decision=correct]").is_visible()
    assert not page.locator(".correction").is_visible()
    review = downloaded(page)
    assert [(each["id"], each["decision"]) for each in review["decisions"]] == [
        (rows[0].id, "accept"), (rows[1].id, "reject"),
    ]  # fmt: skip
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review), encoding="utf-8")
    outputs = report.parents[2]
    done = cli("generate", f"review={path}", "name=reviewed", f"paths.outputs={outputs}")
    assert done.returncode == 0, done.stderr
    kept = list(read_jsonl(outputs / "generate" / "reviewed" / "instructions.jsonl", InstructionRecord))
    assert [row.id for row in kept] == [rows[0].id, *(row.id for row in rows[2:])]
    assert kept[0].flags == ("accepted",)


def test_scenes_fit_a_narrow_screen(opened, report):
    page = opened(report, viewport={"width": 400, "height": 800})
    page.locator("[name=search]").fill("conversation")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("#gallery .record dl").is_visible()


def test_many_scenes_never_fill_the_document(opened, tmp_path):
    instructions = generation(tmp_path / "outputs")
    lines = instructions.read_text(encoding="utf-8").splitlines()
    many = (lines[number % len(lines)].replace('"id":"', f'"id":"{number}-', 1) for number in range(2000))
    instructions.write_text("\n".join(many) + "\n", encoding="utf-8")
    page = opened(write_report(tmp_path / "outputs", "scenes", None, settings()).page)
    for share in (0, 0.5, 1):
        page.locator("#gallery .list").evaluate(f"(box) => {{ box.scrollTop = {share} * box.scrollHeight; }}")
        page.wait_for_timeout(60)
        assert 5 < page.locator("#gallery .row").count() < KEPT_ROWS
        assert page.locator("#gallery .row img").count() == page.locator("#gallery .row").count()
    decide(page, "End")
    assert chosen(page).startswith("1999-")


def test_faces_and_scenes_in_one_run_each_show_what_they_have(opened, tmp_path):
    outputs = tmp_path / "outputs"
    runs_of_all_stages(outputs)
    instructions = outputs / "generate" / "demo-seke" / "instructions.jsonl"
    scene = instruction("reasoning", ImageRecord(
        id="s/1", image="0000.png", sha256=None, source="emoset", subject=None, split="train", labels=Labels(),
        attributes={"emotion": "awe"},
    ), 1)  # fmt: skip
    faces = list(read_jsonl(instructions, InstructionRecord))
    write_jsonl(instructions, [*faces, scene])
    page = opened(write_report(outputs, "demo", "generate/demo-seke", settings()).page)
    assert page.locator("#gallery .record table").count() == 1
    assert page.locator("#gallery [data-decision=correct]").is_visible()
    pick(page, "kind", "reasoning")
    assert (count(page), chosen(page)) == (f"1 of {len(faces) + 1} records", "s/1/reasoning")
    assert page.locator("#gallery .record table").count() == 0
    assert not page.locator("#gallery [data-decision=correct]").is_visible()


def test_no_script_of_a_hostile_attribute_runs(opened, tmp_path):
    hostile = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2><!--<script>"
    instructions = generation(tmp_path / "outputs")

    def poison(number, row):
        row["conversations"][-1]["value"] = hostile
        row["attributes"] |= {hostile: [hostile], "kind": hostile, "emotion": hostile, "__proto__": hostile}

    changed(instructions, poison)
    page = opened(write_report(tmp_path / "outputs", "scenes", None, settings()).page)
    decide(page, "j", "End", "k")
    assert hostile in page.locator("#gallery .made-from").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("#gallery [onerror], #gallery script").count() == 0
