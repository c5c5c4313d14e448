import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import (
    Clip,
    ImageRecord,
    InstructionRecord,
    Labels,
    RecordError,
    Turn,
    read_jsonl,
    to_line,
    write_jsonl,
)

unit = st.none() | st.floats(-1, 1)
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=unit,
    arousal=unit,
    action_units=st.none() | st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), st.booleans()),
)


def record(**changes: object) -> ImageRecord:
    row = {"id": "a", "image": "a.jpg", "sha256": "0", "source": "s", "subject": None, "split": "train"}
    return ImageRecord(**{**row, "labels": Labels(), **changes})


@given(labels)
def test_a_row_reads_back_as_it_was_written(known: Labels) -> None:
    row = record(labels=known)
    assert ImageRecord.model_validate_json(to_line(row)) == row


def test_rows_have_the_keys_of_the_format() -> None:
    row = json.loads(to_line(record(labels=Labels(action_units={12: True, 1: False}))))
    assert list(row) == ["id", "image", "sha256", "source", "subject", "split", "labels", "attributes"]
    expected = {"expression": None, "valence": None, "arousal": None, "action_units": {"1": False, "12": True}}
    assert row["labels"] == expected


def test_a_row_of_a_video_reads_back_and_others_have_no_such_key() -> None:
    clip = {"video": "a", "time": 0.4, "frames": ["a/1.jpg", "a/2.jpg"], "times": [0.2, 0.4], "file": "a.mp4"}
    row = record(clip=Clip.model_validate_json(json.dumps(clip)))
    assert json.loads(to_line(row))["clip"] == clip
    assert ImageRecord.model_validate_json(to_line(row)) == row


@pytest.mark.parametrize("times", [(0.2,), (0.4, 0.2), (-1.0, 0.2), (float("nan"), 1.0)])
def test_times_of_a_clip_are_one_a_frame_and_in_order(times: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Clip(video="a", frames=("1.jpg", "2.jpg"), times=times)


def test_an_instruction_is_llava_conversation_data() -> None:
    turns = ({"from": "human", "value": "<image>\nHow?"}, {"from": "gpt", "value": "So."})
    row = {
        "id": "a", "image": "a.jpg", "source": "s", "subject": None, "conversations": list(turns), "labels": {},
        "origin": {"expression": "manual"}, "uncertainty": {}, "samples": 3, "annotator": "m", "flags": ["x"],
    }  # fmt: skip
    parsed = InstructionRecord.model_validate_json(json.dumps(row))
    assert json.loads(to_line(parsed))["conversations"] == list(turns)
    assert parsed.conversations[0] == Turn(speaker="human", value="<image>\nHow?")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expression", "joy"),
        ("valence", 1.5),
        ("valence", float("nan")),
        ("arousal", -5),
        ("action_units", {3: True}),
        ("action_units", {12: 9}),
    ],
)
def test_what_no_label_can_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Labels(**{field: value})


def test_an_empty_au_mapping_is_unknown() -> None:
    assert Labels(action_units={}).action_units is None


@given(labels, labels)
def test_completion_never_changes_what_is_known(known: Labels, other: Labels) -> None:
    full = known.completed_by(other)
    for field in ("expression", "valence", "arousal"):
        value = getattr(known, field)
        assert getattr(full, field) == (getattr(other, field) if value is None else value)
    for au, active in (known.action_units or {}).items():
        assert full.action_units is not None
        assert full.action_units[au] == active
    assert set(full.action_units or {}) == set(known.action_units or {}) | set(other.action_units or {})


def test_a_corrupt_row_names_file_line_and_field(tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    good = to_line(record())
    bad = good.replace('"train"', '"dev"')
    file.write_text(f"{good}\n\n{bad}\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"rows\.jsonl: line 3, field split"):
        list(read_jsonl(file, ImageRecord))
    file.write_text(good + "\n" + good[:40] + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"line 2, field whole line"):
        list(read_jsonl(file, ImageRecord))
    file.write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(RecordError, match="not UTF-8"):
        list(read_jsonl(file, ImageRecord))


def test_a_file_appears_whole_or_not_at_all(tmp_path) -> None:
    target = tmp_path / "rows.jsonl"

    def breaking():
        yield record()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_jsonl(target, breaking())
    assert not target.exists()
    assert write_jsonl(target, [record(), record(id="b")]) == 2
    assert [row.id for row in read_jsonl(target, ImageRecord)] == ["a", "b"]
