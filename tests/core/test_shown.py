"""What a model is shown of a record: its picture, or all frames of its clip, never fewer of them in silence."""

import pytest

from seke.core.errors import UserError
from seke.core.images import ImageError, sha256
from seke.core.records import Clip, ImageRecord, Labels
from seke.core.shown import shown, with_frames
from seke.core.vlm import Clip as ClipPart
from seke.core.vlm import Image, Message, Request

from ..trees.pictures import save

FRAMES = tuple(f"v/{k}.jpg" for k in range(5))


@pytest.fixture
def record(tmp_path):
    for name in ("own.jpg", *FRAMES):
        save(tmp_path / name)
    clip = Clip(video="v", time=0.2, frames=FRAMES, times=tuple(k / 10 for k in range(5)))
    return ImageRecord(
        id="r", image="own.jpg", sha256=None, source="s", subject=None, split="test", labels=Labels(), clip=clip
    )


def test_a_clip_is_one_part_with_its_frames_as_they_lie_on_disk(record, tmp_path):
    part = shown(record, tmp_path)
    assert isinstance(part, ClipPart) and part.times == record.clip.times
    assert part.sha256 == sha256((tmp_path / "own.jpg").read_bytes()), "it stands for the record's own picture"
    assert [frame.path.name for frame in part.frames] == [f"{k}.jpg" for k in range(5)]
    assert [frame.sha256 for frame in part.frames] == [sha256((tmp_path / name).read_bytes()) for name in FRAMES]


def test_a_record_without_frames_is_its_picture(record, tmp_path):
    still = record.model_copy(update={"clip": Clip(video="v", time=0.2)})
    assert type(shown(still, tmp_path)) is Image


def test_a_clip_of_which_a_frame_is_gone_is_not_shown(record, tmp_path):
    (tmp_path / FRAMES[3]).unlink()
    with pytest.raises(ImageError, match=r"v/3\.jpg"):
        shown(record, tmp_path)


def test_a_frame_that_changed_since_it_was_looked_at_is_not_shown_as_the_clip(record, tmp_path):
    digests = tuple(sha256((tmp_path / name).read_bytes()) for name in FRAMES)
    known = record.model_copy(update={"clip": record.clip.model_copy(update={"sha256": digests})})
    assert [frame.sha256 for frame in shown(known, tmp_path).frames] == list(digests)
    assert with_frames(known, 3).clip.sha256 == digests[::2] and with_frames(known, 1).clip.sha256 is None
    save(tmp_path / FRAMES[2], size=(31, 17))
    with pytest.raises(ImageError, match=r"v/2\.jpg.*changed"):
        shown(known, tmp_path)
    assert shown(record, tmp_path), "a record that knows no sha256 is shown as ever"


def test_a_clip_without_sha256_is_written_as_ever_and_one_with_them_has_one_of_each_frame():
    clip = Clip(video="v", frames=FRAMES[:2])
    assert "sha256" not in clip.model_dump() and "sha256" not in clip.model_dump(mode="json")
    told = Clip(video="v", frames=FRAMES[:2], sha256=("a", "b"))
    assert Clip.model_validate(told.model_dump(mode="json")) == told
    with pytest.raises(ValueError, match="1 sha256 of 2 frames"):
        Clip(video="v", frames=FRAMES[:2], sha256=("a",))


def test_a_message_spells_a_clip_as_its_frames_and_times(record, tmp_path):
    part = shown(with_frames(record, 2), tmp_path)
    message = Message("user", ("What changes?", part))
    assert message.spelt == (
        "What changes?", "Frame 1 of 2, at 0.00 s:", part.frames[0], "Frame 2 of 2, at 0.40 s:", part.frames[1],
    )  # fmt: skip
    assert message.images == part.frames and message.shown == (part,) and message.text == "What changes?"


def test_another_order_of_frames_or_another_time_is_another_request(record, tmp_path):
    def key(**changed):
        clip = record.clip.model_copy(update=changed)
        return Request((Message("user", (shown(record.model_copy(update={"clip": clip}), tmp_path),)),)).key

    assert len({key(), key(frames=FRAMES[::-1]), key(times=None), key(times=tuple(k / 20 for k in range(5)))}) == 4


def test_fewer_frames_are_spread_evenly_and_one_is_the_picture_alone(record):
    fewer = with_frames(record, 3).clip
    assert fewer.frames == FRAMES[::2] and fewer.times == (0.0, 0.2, 0.4)
    assert with_frames(record, 1).clip.frames == () and with_frames(record, None) == record
    with pytest.raises(UserError, match=r"^shown=6: r was prepared with 5 frames"):
        with_frames(record, 6)
    with pytest.raises(UserError, match=r"^shown=0: less than 1"):
        with_frames(record, 0)
