"""What scripts/clips.py makes of drawn clips: instructions and test records of the clips and of their controls."""

import json
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seke.core.records import Clip, ImageRecord, Labels, read_jsonl, write_jsonl
from seke.sources.synthetic.film_model import MOVEMENTS

from .trees.pictures import save

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
FRAMES = tuple(f"v/{k}.jpg" for k in range(6))


@pytest.fixture
def clips(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    sys.modules.pop("clips", None)
    import clips

    return clips


@pytest.fixture
def prepared(tmp_path):
    """One clip for training and one for testing, whose subject has a drawn face's name."""
    folder = tmp_path / "prepare" / "mine"
    for name in ("own.jpg", *FRAMES):
        save(folder / "images" / name)
    clip = Clip(video="v", frames=FRAMES, times=tuple(k / 4 for k in range(6)), sha256=tuple("abcdef"))
    for split, movement in (("train", "onset"), ("test", "held")):
        record = ImageRecord(
            id=split, image="own.jpg", sha256="0", source="disfa", subject="disfa-s0001", split=split, labels=Labels(),
            attributes={"movement": movement}, clip=clip,
        )  # fmt: skip
        write_jsonl(folder / f"{split}.jsonl", [record])
    (folder / "manifest.json").write_text(json.dumps({"image_root": "images", "synthetic": "faces"}))
    return folder


def made(clips, prepared, arm, out):
    clips.main(arm, prepared, out, 3)
    [row] = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    [record] = read_jsonl(out / "test.jsonl", ImageRecord)
    root = Path(json.loads((out / "manifest.json").read_text())["image_root"])
    shown = [row["image"], *row.get("clip", {}).get("frames", ())]
    assert all((root / name).is_file() for name in shown)
    assert row["subject"] == record.subject == "clip-disfa-s0001", "no drawn face is called so"
    return row, record


def test_clips_are_asked_as_the_benchmark_asks_and_answered_by_their_movement(clips, prepared, tmp_path):
    row, record = made(clips, prepared, "ordered", tmp_path / "ordered")
    question, answer = (turn["value"] for turn in row["conversations"])
    assert question.startswith("<image>\nHow does this expression move") and answer == "onset"
    assert row["clip"]["frames"] == list(FRAMES) and row["clip"]["sha256"] == list("abcdef")
    assert record.attributes["movement"] == "held" and record.clip.frames == FRAMES


def test_shuffled_frames_keep_their_sha256_and_leave_the_times_as_they_are(clips, prepared, tmp_path):
    _, record = made(clips, prepared, "shuffled", tmp_path / "shuffled")
    assert record.clip.frames != FRAMES and sorted(record.clip.frames) == list(FRAMES)
    assert record.clip.times == tuple(k / 4 for k in range(6))
    assert dict(zip(record.clip.frames, record.clip.sha256, strict=True)) == dict(zip(FRAMES, "abcdef", strict=True))


def test_whoever_is_blind_is_shown_one_grey_picture(clips, prepared, tmp_path):
    row, record = made(clips, prepared, "blind", tmp_path / "blind")
    assert row["image"] == record.image == clips.GREY
    assert "clip" not in row and record.clip is None and row["sha256"] is None and record.sha256 is None


def test_what_is_no_arm_is_answered_by_the_manual(clips):
    with pytest.raises(SystemExit, match=r"python scripts/clips\.py ordered"):
        clips.arguments(["sideways", "a", "b"])


def test_the_benchmark_has_the_movements_alone_as_classes_and_of_directions_two(clips):
    with initialize_config_dir(str(clips.EXPERIMENT.parents[2]), version_base="1.3"):
        every = compose("evaluate", ["experiment=clips"]).benchmark
        two = compose("evaluate", ["experiment=clips", "~movements.held", "~movements.fleeting"]).benchmark
    assert set(every.classes) == set(MOVEMENTS) and set(two.classes) == {"onset", "offset"}
    assert every.attribute == "movement" and every.question == two.question
