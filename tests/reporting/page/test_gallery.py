"""The gallery's data: what the page reads of each record, that no text leaves its block, pictures in their order."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.core.errors import UserError
from seke.core.flags import MEANINGS
from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty
from seke.reporting.data.runs import Pictured
from seke.reporting.page.gallery import BITS, BLOCK, GallerySettings, SharedTexts, encode_record, json_markup
from seke.reporting.render.pictures import PARALLEL_FROM, RECORDS_GONE, Pictures, small
from seke.reporting.report import Settings, write_report

from ..experiments import traced
from .test_page import Dom, lean


def record(**changes: object) -> InstructionRecord:
    base = InstructionRecord(
        id="r", image="x.png", source="disfa", subject=None,
        conversations=(
            Turn(speaker="human", value="<image>\nWhat is it?"),
            Turn(speaker="gpt", value="AU4 is active, valence is -0.3."),
        ),
        labels=Labels(expression="fear", valence=-0.3, action_units={1: False, 4: True}),
        origin=Origins(expression="manual", valence="generated", action_units={"1": "manual", "4": "generated"}),
        uncertainty=Uncertainty(valence=0.123456, max=0.123456), samples=2, annotator="a", flags=("odd",),
    )  # fmt: skip
    return base.model_copy(update=changes)


def test_a_record_by_hand() -> None:
    drawn = traced("r", (Labels(valence=-0.5, action_units={4: True}),))
    truth = Labels(expression="fear", valence=0.4, action_units={4: True})
    names = SharedTexts()
    assert encode_record(record(), drawn, truth, names) == [
        "r", "x.png", 0, None, 0, 0, 2,
        [4, -0.3, None, BITS[1] | BITS[4], BITS[4]],
        [1, 2, 0, BITS[1]],
        [None, 0.1235, None, None, 0.1235, 0, 1, 0, 0],
        [0],
        [["AU4", 1], " is active, ", ["valence is -0.3", 0], "."],
        [[None, -0.5, None, BITS[4], BITS[4]]],
        [4, 0.4, None, BITS[4], BITS[4], 0b001],
    ]  # fmt: skip
    assert names.lists == {
        "source": ["disfa"], "subject": [], "annotator": ["a"], "question": ["What is it?"], "flag": ["odd"],
        "attribute": [], "value": [], "spread": ["–", "± 0.35"], "status": [],
    }  # fmt: skip


def test_without_draws_and_truth_nothing_is_made_up() -> None:
    *_, text, draws, truth = encode_record(record(), None, None, SharedTexts())
    assert (text, draws, truth) == (["AU4 is active, valence is -0.3."], [], None)


def test_attributes_and_further_turns_stand_behind_the_rest() -> None:
    names = SharedTexts()
    turns = (Turn(speaker="human", value="And then?"), Turn(speaker="gpt", value="Awe."))
    told = {"kind": "conversation", "emotion": "awe", "brightness": 0.0, "object": ["sea", "sky"], "caption": None}
    *beside, attributes, further = encode_record(
        record(conversations=record().conversations + turns, attributes=told), None, None, names
    )
    assert beside == encode_record(record(), None, None, SharedTexts())
    assert {names.lists["attribute"][name]: names.lists["value"][value] for name, value in attributes.items()} == {
        "kind": "conversation", "emotion": "awe", "brightness": "0.0", "object": "sea, sky",
    }  # fmt: skip
    assert further == [[0, "And then?"], [1, "Awe."]]


def test_names_that_recur_are_sent_once() -> None:
    names = SharedTexts()
    first, again = (encode_record(record(), None, None, names) for _ in range(2))
    assert first == again
    assert encode_record(record(source="bp4d"), None, None, names)[2] == 1


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_no_text_leaves_its_block(value: object) -> None:
    text = str(json_markup(value))
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028\u2029", "]]>", "\ud800"])
def test_what_ends_a_script_is_escaped(text: str) -> None:
    assert json.loads(json_markup([text])) == [text]
    assert "</" not in json_markup([text])


def test_pictures_of_several_processes_are_those_of_one_in_the_same_order(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(PARALLEL_FROM + 3)]
    for number, name in enumerate(names):
        Image.new("RGB", (20, 10), (number % 256, number // 256, 90)).save(tmp_path / name)
    (tmp_path / names[7]).unlink()
    pictures = Pictures(tmp_path / "report", 16)
    numbers = pictures.add(tmp_path, list(map(Pictured, names)))
    assert pictures.add(tmp_path, [Pictured(names[5])]) == [5], "each is made once"
    pictures.start()
    pictures.finish()
    alone = [small(tmp_path, Pictured(name), 16) for name in names]
    assert [pictures.data(number) for number in numbers if number != 7] == [each.data for each in alone if each.data]
    assert "no such file" in pictures.problem(7)
    assert (tmp_path / "report" / "originals" / "0" / names[9]).read_bytes() == (tmp_path / names[9]).read_bytes()


def test_a_small_picture_keeps_its_shape_and_is_never_enlarged(tmp_path: Path) -> None:
    for size, shown in (((200, 100), (64, 32)), ((30, 20), (30, 20))):
        Image.new("RGB", size).save(tmp_path / "x.png")
        made = small(tmp_path, Pictured("x.png"), 64, large=True)
        assert Image.open(io.BytesIO(made.data)).size == shown
        assert not made.large, "a browser shows the file itself"


@pytest.mark.parametrize(
    ("name", "face", "large"),
    [("x.tif", None, (300, 200)), ("x.png", (100, 50, 50, 50), (80, 80)), ("x.png", (1, 2), None)],
    ids=["a format that browsers do not show", "a face in a photograph", "a face that is no box"],
)
def test_what_the_file_cannot_show_has_a_large_copy(tmp_path: Path, name: str, face: tuple | None, large) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / name)
    pictures = Pictures(tmp_path / "report", 64)
    [number] = pictures.add(tmp_path, [Pictured(name, face=face)])
    pictures.start()
    pictures.finish()
    address = pictures.large(number)
    if large is None:
        assert address is None and "no box" in pictures.problem(number)
    else:
        assert address == "pictures/000/000000-large.webp"
        assert Image.open(tmp_path / "report" / address).size == large


def test_records_whose_pictures_are_gone_say_so() -> None:
    assert small(None, Pictured("a"), 96).problem == RECORDS_GONE


def shelved(outputs: Path, settings: Settings, gallery: GallerySettings) -> tuple[Dom, dict[str, dict]]:
    """Return the report's page and its blocks of data by their ids."""
    page = write_report(outputs, "demo", None, dataclasses.replace(settings, gallery=gallery)).page
    dom = Dom(page.read_text(encoding="utf-8"))
    data = [text for text, of in zip(dom.scripts, dom.of("script"), strict=True) if of.get("type")]
    names = [str(of["id"]) for of in dom.of("script") if of.get("type")]
    return dom, {name: json.loads(text) for name, text in zip(names, data, strict=True)}


def test_the_page_holds_every_record_and_picture_of_the_run(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    dom, blocks = shelved(outputs, settings, GallerySettings("seke"))
    data, pictures = blocks["gallery-data"], blocks["pictures-0"]
    assert len(data["records"]) == len(pictures) == 24 < BLOCK == data["block"]
    assert all(picture.startswith("data:image/webp;base64,") for picture in pictures)
    assert data["run"]["name"] == "demo-seke"
    assert data["originals"] == "originals/0/"
    assert data["flags"] == {"au12_negative_valence": MEANINGS["au12_negative_valence"]}
    judged = [0 <= truth[5] < 8 for *_, truth in (row[:14] for row in data["records"]) if truth]
    assert judged and all(judged)
    assert "All 24 records of demo-seke" in " ".join(dom.text.split())


def test_a_page_that_would_be_too_large_leaves_its_pictures_beside_it(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    dom, blocks = shelved(outputs, settings, GallerySettings("seke", page_mb=0.001))
    assert [*blocks] == ["gallery-data"]
    assert blocks["gallery-data"]["block"] is None
    assert blocks["gallery-data"]["beside"] == {"numbers": None, "copies": [], "problems": {}}
    assert len([*(outputs / "report" / "demo" / "pictures").rglob("*.webp")]) == 24
    assert "lie in the folder pictures/ beside this page" in " ".join(dom.text.split())


def test_a_limit_and_no_pictures_make_a_small_page_that_says_so(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    dom, blocks = shelved(outputs, settings, GallerySettings("seke", limit=5, thumbnails=None))
    assert [*blocks] == ["gallery-data"]
    assert len(blocks["gallery-data"]["records"]) == 5
    assert blocks["gallery-data"]["block"] is None
    assert "5 of 24 records of demo-seke, chosen by the seed," in " ".join(dom.text.split())


def test_a_report_without_a_generation_has_no_gallery(outputs: Path, settings: Settings) -> None:
    lean(outputs)
    (outputs / "generate").rename(outputs / "gone")
    dom, blocks = shelved(outputs, settings, GallerySettings("seke"))
    assert not blocks
    assert "gallery" not in {attributes.get("id") for _, attributes in dom.elements}


@pytest.mark.parametrize("setting", [{"limit": 0}, {"thumbnails": 4}, {"thumbnails": 5000}, {"page_mb": -1}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(UserError, match=rf"^gallery\.{next(iter(setting))}="):
        GallerySettings("seke", **setting)
