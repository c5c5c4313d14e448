"""MERR-Fine's rows: the peak frame and no other, from frames or from the video, and labels of the eight only."""

import json

import pytest
from PIL import Image

from seke.errors import UserError
from seke.records import Rejection
from seke.tuning.rows.clips import fetch
from seke.tuning.rows.merr_fine import MerrFine
from seke.tuning.rows.row import Row

from ...trees import merr

MERR = MerrFine(question="What is felt?", first_frame=1)


def read(root, reader=MERR, keep="all"):
    return {found.id: found for found in reader.read(root, root, keep)}


def test_the_question_is_ours_and_the_answer_is_the_chosen_field(tmp_path):
    merr.make(tmp_path)
    assert read(tmp_path)["samplenew_00000002"].turns == (("user", "What is felt?", 1), ("assistant", "Reason 2.", 0))
    words = MerrFine(question="?", answer="text", first_frame=1)
    assert read(tmp_path, words)["samplenew_00000002"].turns[1].text == "Words 2."


@pytest.mark.parametrize("first", [0, 1])
def test_an_extracted_peak_is_found_by_number(tmp_path, first):
    merr.make(tmp_path)
    row = read(tmp_path, MerrFine(question="?", first_frame=first))["samplenew_00000004"]
    assert row.images[0].name == f"frame_{4 + first:04d}.jpg" and row.frame is None


def test_a_peak_outside_the_extracted_frames_is_not_replaced(tmp_path):
    merr.make(tmp_path)
    found = read(tmp_path, MerrFine(question="?", first_frame=0))["samplenew_00000000"]
    assert isinstance(found, Rejection) and found.reason == "no image" and "no frame 0" in found.detail


def test_the_peak_of_a_video_is_taken_out_when_it_is_fetched(tmp_path):
    merr.make(tmp_path)
    row = read(tmp_path)["samplenew_00000003"]
    assert not row.images[0].exists() and row.images[0] == tmp_path / "frames" / "samplenew_00000003_3.jpg"
    fetch(row.frame)
    with Image.open(row.images[0]) as picture:
        assert abs(picture.convert("L").getpixel((24, 24)) - 60) < 8


def test_missing_clips_and_peaks_are_rejected_by_name(tmp_path):
    merr.make(tmp_path)
    reasons = {name: found.reason for name, found in read(tmp_path).items() if isinstance(found, Rejection)}
    assert reasons == {"samplenew_gone": "no image", "samplenew_00000000b": "no image"}


def test_emotions_of_the_list_serve_keep_where_they_are_of_the_eight(tmp_path):
    merr.make(tmp_path)
    kept = {name: row.turns[1].text for name, row in read(tmp_path, keep="expression").items() if isinstance(row, Row)}
    named = {0: "sadness", 1: "happiness", 3: "anger", 4: "surprise"}
    assert kept == {f"samplenew_{k:08d}": f"The expression is {name}." for k, name in named.items()}
    assert len(MERR.files(tmp_path)) == 2


def test_annotations_that_are_no_mapping_are_one_line(tmp_path):
    (tmp_path / "MERR_fine_grained.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="not one JSON object"):
        read(tmp_path)
    (tmp_path / "MERR_fine_grained.json").write_text(json.dumps({"a": "text"}))
    with pytest.raises(UserError, match="a, no row of this dataset"):
        read(tmp_path)


def test_an_unknown_answer_field_is_refused():
    with pytest.raises(UserError, match=r"^data\.reader\.answer=caption"):
        MerrFine(question="?", answer="caption")
