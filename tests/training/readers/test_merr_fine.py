"""MERR-Fine's rows: the peak frame and no other, from frames or from the video, and labels of the eight only."""

import json

import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.data.mixture import Data, stream
from seke.training.readers.clips import fetch
from seke.training.readers.merr_fine import MerrFine
from seke.training.readers.row import Row

from ...trees import merr_fine
from ...trees.pictures import save

MERR = MerrFine(question="What is felt?", first_frame=1)


def read(root, reader=MERR, keep="all"):
    return {found.id: found for found in reader.read(root, root, keep)}


def usable(found):
    return {name: row for name, row in found.items() if isinstance(row, Row)}


def test_the_question_is_ours_and_the_answer_is_the_chosen_field(tmp_path):
    merr_fine.make(tmp_path)
    assert read(tmp_path)["samplenew_00000002"].turns == (("user", "What is felt?", 1), ("assistant", "Reason 2.", 0))
    words = MerrFine(question="?", answer="text", first_frame=1)
    assert read(tmp_path, words)["samplenew_00000002"].turns[1].text == "Words 2."


@pytest.mark.parametrize("first", [0, 1])
def test_an_extracted_peak_is_found_by_number(tmp_path, first):
    merr_fine.make(tmp_path)
    row = read(tmp_path, MerrFine(question="?", first_frame=first))["samplenew_00000004"]
    assert row.images[0].name == f"frame_{4 + first:04d}.jpg" and row.frame is None


def test_a_peak_outside_the_extracted_frames_is_not_replaced(tmp_path):
    merr_fine.make(tmp_path)
    found = read(tmp_path, MerrFine(question="?", first_frame=0))["samplenew_00000000"]
    assert isinstance(found, Rejection) and found.reason == "no image" and "no frame 0" in found.detail


def test_the_peak_of_a_video_is_taken_out_when_it_is_fetched(tmp_path):
    merr_fine.make(tmp_path)
    row = read(tmp_path)["samplenew_00000003"]
    assert not row.images[0].exists() and row.images[0] == tmp_path / "frames" / "samplenew_00000003_3.jpg"
    fetch(row.frame)
    with Image.open(row.images[0]) as picture:
        assert abs(picture.convert("L").getpixel((24, 24)) - 60) < 8


def test_missing_clips_and_peaks_are_rejected_by_name(tmp_path):
    merr_fine.make(tmp_path)
    reasons = {name: found.reason for name, found in read(tmp_path).items() if isinstance(found, Rejection)}
    assert reasons == {"samplenew_gone": "no image", "samplenew_00000000b": "no image"}


def test_emotions_of_the_list_serve_keep_where_they_are_of_the_eight(tmp_path):
    merr_fine.make(tmp_path)
    kept = {name: row.turns[1].text for name, row in read(tmp_path, keep="expression").items() if isinstance(row, Row)}
    named = {0: "sadness", 1: "happiness", 3: "anger", 4: "surprise"}
    assert kept == {f"samplenew_{k:08d}": f"The expression is {name}." for k, name in named.items()}
    assert len(MERR.files(tmp_path)) == 2


@pytest.mark.parametrize("text", ["[1]", "", '{"a": {}'])
def test_annotations_that_are_no_mapping_are_one_line(tmp_path, text):
    (tmp_path / "MERR_fine_grained.json").write_text(text)
    with pytest.raises(UserError, match=r"not one JSON object|no JSON"):
        read(tmp_path)


ODD = ("text", None, [], 3, {"smp_reason_caption": None}, {"smp_reason_caption": ["a"]}, {"smp_reason_caption": " "})


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_clip_is_rejected_and_the_others_are_read(tmp_path, odd):
    merr_fine.make(tmp_path)
    file = tmp_path / "MERR_fine_grained.json"
    before = usable(read(tmp_path))
    rows = json.loads(file.read_text())
    file.write_text(json.dumps({"odd": {**odd, "peak_index": 1} if isinstance(odd, dict) else odd, **rows}))
    found = read(tmp_path)
    assert usable(found) == before and found["odd"].reason in ("form", "answer")
    assert "NoneType" not in found["odd"].detail


@pytest.mark.parametrize("peak", ["4", 4.0, " 4.0 ", "04"])
def test_a_peak_is_a_number_however_it_is_spelt(tmp_path, peak):
    merr_fine.make(tmp_path)
    file = tmp_path / "MERR_fine_grained.json"
    before = usable(read(tmp_path))
    rows = json.loads(file.read_text())
    rows["samplenew_00000004"]["peak_index"] = peak
    file.write_text(json.dumps(rows))
    assert usable(read(tmp_path)) == before


def test_frames_begin_where_those_of_all_clips_begin(tmp_path):
    def peak(*folders):
        for name, numbers in folders:
            for number in numbers:
                save(tmp_path / name / f"{number}.jpg")
        rows = {name: merr_fine.fields(3, "Glad.") for name, _ in folders}
        (tmp_path / "MERR_fine_grained.json").write_text(json.dumps(rows))
        return {name: row.images[0].name for name, row in read(tmp_path, MerrFine("?")).items()}

    assert peak(("a", range(1, 9))) == {"a": "4.jpg"}
    # One clip with a frame 0 shows that the other only lacks it.
    assert peak(("a", range(1, 9)), ("b", range(9))) == {"a": "3.jpg", "b": "3.jpg"}


def test_frames_that_begin_nowhere_known_are_asked_for(tmp_path):
    for number in (12, 13, 14, 15):
        save(tmp_path / "a" / f"{number}.jpg")
    (tmp_path / "MERR_fine_grained.json").write_text(json.dumps({"a": merr_fine.fields(3, "Glad.")}))
    with pytest.raises(UserError, match=r"first_frame=None: .*the lowest number .* is 12"):
        read(tmp_path, MerrFine("?"))
    assert read(tmp_path, MerrFine("?", first_frame=12))["a"].images[0].name == "15.jpg"


def test_peaks_that_count_from_1_are_refused_by_the_whole_file(tmp_path):
    rows = {"a": merr_fine.fields(3, "Glad."), "b": merr_fine.fields(9, "Sad.")}
    for name in rows:
        for number in range(1, 10):
            save(tmp_path / name / f"{number}.jpg")
    (tmp_path / "MERR_fine_grained.json").write_text(json.dumps(rows))
    (tmp_path / "MERR_fine_grained.txt").write_text("a 9 happy -10\nb 9 sad -10\n")
    with pytest.raises(UserError, match=r"first_peak=0: b has 9 frames and the peak_index 9.*set 1"):
        read(tmp_path, MerrFine("?"))
    found = read(tmp_path, MerrFine("?", first_peak=1))
    assert {name: row.images[0].name for name, row in found.items()} == {"a": "3.jpg", "b": "9.jpg"}


def test_clips_behind_the_first_object_are_read_and_a_second_annotation_is_told(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name / "0.jpg")
    lines = [json.dumps({name: merr_fine.fields(0, f"Because {name}.")}) for name in ("a", "b", "a")]
    (tmp_path / "MERR_fine_grained.json").write_text("\n".join(lines))
    found = list(MerrFine("?").read(tmp_path, tmp_path))
    assert [(row.id, getattr(row, "reason", None)) for row in found] == [("a", None), ("b", None), ("a", "duplicate")]


def test_an_unknown_answer_field_is_refused():
    with pytest.raises(UserError, match=r"^data\.reader\.answer=caption"):
        MerrFine(question="?", answer="caption")


@pytest.mark.parametrize("around", ["whole", "peak"])
def test_clips_are_shown_from_frames_and_from_videos(tmp_path, around):
    merr_fine.make(tmp_path)
    reader = MerrFine(question="?", first_frame=1, shown=3, around=around)
    found = read(tmp_path, reader)
    [part] = Data(path=str(tmp_path), reader=reader).sources(tmp_path)
    drawn = {row.id: row for row in stream(part) if isinstance(row, Row)}
    assert drawn.keys() == usable(found).keys()
    video, extracted = found["samplenew_00000003"], found["samplenew_00000004"]
    assert video.film is not None and video.places == 1 and extracted.clips == (3,)
    shown = drawn["samplenew_00000003"]
    assert shown.clips == (3,) and len(shown.images) == 3 and all(file.is_file() for file in shown.images)
    numbers = [int(file.stem) for file in shown.images]
    assert numbers == sorted(set(numbers)) and (3 in numbers or around == "whole")
    for number, file in zip(numbers, shown.images, strict=True):
        with Image.open(file) as picture:
            assert abs(picture.convert("L").getpixel((24, 24)) - 20 * number) < 8


def test_a_clip_with_gaps_or_a_peak_beyond_its_end_is_refused_by_name(tmp_path):
    merr_fine.make(tmp_path)
    reader = MerrFine(question="?", first_frame=1, shown=3)
    before = read(tmp_path, reader)["samplenew_00000004"]
    before.images[1].unlink()
    found = read(tmp_path, reader)["samplenew_00000004"]
    assert isinstance(found, Rejection) and found.reason == "clip" and "gaps" in found.detail


def test_settings_of_frames_that_are_not_shown_are_refused():
    with pytest.raises(UserError, match=r"^data\.reader\.around=peak: each clip is one picture"):
        MerrFine(question="?", around="peak")
    with pytest.raises(UserError, match=r"^data\.reader\.shown=1: less than 2"):
        MerrFine(question="?", shown=1)
