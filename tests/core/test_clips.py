"""Frames of clips as pictures: decoded once, by the file they come from, and what is no clip refused by name."""

import os

import numpy as np
import pytest
from PIL import Image

from seke.core import clips, video
from seke.core.clip_frames import ClipError, FrameChoice
from seke.core.errors import UserError

from ..trees.disfa import write_video
from ..trees.pictures import picture

pytest.importorskip("av")


def written(path, length=12, size=(64, 48), **settings):
    write_video(path, [picture(f"frame {k}", size) for k in range(length)], **settings)
    return path


def job(tmp_path, choice=FrameChoice(4), name="a.avi", **given):  # noqa: B008  (frozen)
    return clips.Job(tmp_path / name, tmp_path / "frames" / name, choice, **given)


def level(file):
    return float(np.asarray(Image.open(file), float).mean())


@pytest.mark.parametrize("settings", [{}, {"codec": "mpeg4", "bf": "2"}])
def test_times_of_frames_against_decoded_ones(tmp_path, settings):
    import av

    file = written(tmp_path / "a.mp4", **settings)
    with av.open(str(file)) as container:
        stamps = [frame.time for frame in container.decode(container.streams.video[0])]
    assert video.times(file) == pytest.approx([stamp - stamps[0] for stamp in stamps])
    assert video.times(file) == pytest.approx([k / 20 for k in range(12)])


def test_frames_are_the_videos_own_with_their_times(tmp_path):
    written(tmp_path / "a.avi")
    shown = clips.decode(job(tmp_path, peak=5))
    assert shown.numbers == (0, 3, 7, 11) and shown.times == pytest.approx((0, 0.15, 0.35, 0.55))
    assert [file.name for file in shown.files] == ["00000.jpg", "00003.jpg", "00007.jpg", "00011.jpg"]
    assert shown.own is not None and shown.own.name == "00005.jpg" and shown.own.is_file()
    decoded = [np.asarray(image, float) for _, image in video.frames(tmp_path / "a.avi")]
    for file, number in zip(shown.files, shown.numbers, strict=True):
        apart = [np.abs(np.asarray(Image.open(file), float) - one).mean() for one in decoded]
        assert int(np.argmin(apart)) == number


def test_frames_that_are_there_are_not_decoded_again(tmp_path, monkeypatch):
    written(tmp_path / "a.avi")
    first = clips.decode(job(tmp_path))
    asked = []
    monkeypatch.setattr(video, "times", lambda _: pytest.fail("read again"))
    decoded = video.frames
    monkeypatch.setattr(video, "frames", lambda file, wanted: asked.append(sorted(wanted)) or decoded(file, wanted))
    assert clips.decode(job(tmp_path)) == first
    assert clips.decode(job(tmp_path, FrameChoice(3))).numbers == (0, 5, 11)
    assert asked == [[], [5]], "another choice decodes only what is not there"


def test_another_video_under_the_same_name_is_decoded_anew(tmp_path):
    written(tmp_path / "a.avi")
    before = clips.decode(job(tmp_path))
    write_video(tmp_path / "a.avi", [Image.new("RGB", (32, 32), "white")] * 7)
    after = clips.decode(job(tmp_path))
    assert (before.numbers[-1], after.numbers[-1]) == (11, 6)
    assert all(level(file) > 250 for file in after.files)


def test_several_processes_give_the_same_in_the_order_of_the_jobs(tmp_path):
    for k in range(5):
        written(tmp_path / f"{k}.avi", length=3 + k)
    (tmp_path / "x.avi").write_bytes(b"no video")
    jobs = [job(tmp_path, name=f"{name}.avi") for name in (*range(5), "x")]
    *found, broken = clips.decode_all(jobs, workers=2)
    assert [one.numbers[-1] for one in found] == [2, 3, 4, 5, 6]
    assert isinstance(broken, ClipError) and str(broken).startswith("x.avi: cannot be decoded")


def test_what_is_no_whole_clip_is_refused_by_name(tmp_path):
    with pytest.raises(ClipError, match=r"a\.avi: cannot be"):
        clips.decode(job(tmp_path))
    written(tmp_path / "a.avi")
    with pytest.raises(ClipError, match="labelled frame 12 is beyond its end: it has 12 frames"):
        clips.decode(job(tmp_path, peak=12))
    written(tmp_path / "one.avi", length=1)
    with pytest.raises(ClipError, match="1 frame: no clip"):
        clips.decode(job(tmp_path, name="one.avi"))


def test_a_video_that_was_cut_short_is_refused(tmp_path):
    file = written(tmp_path / "a.avi", length=40)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ClipError, match=r"a\.avi: (cut short, \d+ of 40 frames|cannot be decoded)"):
        clips.decode(job(tmp_path))


def test_a_clip_that_changes_its_size_is_refused(tmp_path, monkeypatch):
    written(tmp_path / "a.avi")
    sizes = {0: (64, 48), 3: (64, 48), 7: (32, 24), 11: (64, 48)}
    shown = [(number, Image.new("RGB", size)) for number, size in sizes.items()]
    monkeypatch.setattr(video, "frames", lambda *_: iter(shown))
    with pytest.raises(ClipError, match=r"a\.avi: changes its size from 64 x 48 to 32 x 24 by frame 7"):
        clips.decode(job(tmp_path))
    assert not (tmp_path / "frames" / "a.avi" / clips.NOTE).exists()


def test_a_folder_of_frames_is_shown_as_it_lies(tmp_path):
    pictures = {number: tmp_path / f"img_{number:03d}.jpg" for number in range(1, 11)}
    for file in pictures.values():
        file.write_bytes(b"")
    assert clips.numbered(tmp_path) == pictures
    shown = clips.of_folder(pictures, FrameChoice(3, "peak"), peak=4, rate=10)
    assert [file.name for file in shown.files] == ["img_004.jpg", "img_005.jpg", "img_006.jpg"]
    assert shown.times == pytest.approx((0.3, 0.4, 0.5)) and shown.own == pictures[5]
    assert clips.of_folder(pictures, FrameChoice(3)).times is None


@pytest.mark.parametrize(("numbers", "given", "said"), [
    ((1, 2, 4, 5), {}, "gaps: no frame 3"),
    ((3, 4, 5), {"first": 1}, "gaps: no frame 1"),
    ((0, 1, 2), {"first": 1}, "frame 0 < 1"),
    ((), {}, "no numbered pictures"),
    ((1, 2, 3), {"peak": 3}, "beyond its end"),
])  # fmt: skip
def test_a_folder_with_gaps_is_refused(tmp_path, numbers, given, said):
    with pytest.raises(ClipError, match=said):
        clips.of_folder({number: tmp_path / f"{number}.jpg" for number in numbers}, FrameChoice(4), **given)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    written(tmp_path / "a.avi")
    (tmp_path / "frames").write_text("")
    with pytest.raises(UserError, match=r"^source\.frames=.*cannot be written"):
        clips.decode(job(tmp_path))
