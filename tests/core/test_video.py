import contextlib
import itertools
import os
import sys

import numpy as np
import pytest

from seke.core.errors import UserError
from seke.core.video import VideoError, count, frames

from ..trees.disfa import write_video
from ..trees.pictures import picture

pytest.importorskip("av")


def shown(number):
    return picture(f"frame {number}", (64, 48))


def written(path, length=12, **settings):
    write_video(path, [shown(k) for k in range(length)], **settings)
    return path


def nearest(image, length=12):
    """The number of the original that a decoded frame is most like."""
    distance = [np.abs(np.asarray(image, float) - np.asarray(shown(k), float)).mean() for k in range(length)]
    return int(np.argmin(distance))


def test_every_frame_comes_once_in_order_from_zero(tmp_path):
    seen = [(number, nearest(image)) for number, image in frames(written(tmp_path / "a.avi"))]
    assert seen == [(k, k) for k in range(12)]


def test_frames_are_counted_as_they_are_shown_not_as_they_are_stored(tmp_path):
    video = written(tmp_path / "a.mp4", codec="mpeg4", bf="2")
    assert [(number, nearest(image)) for number, image in frames(video)] == [(k, k) for k in range(12)]


def test_only_the_wanted_frames_come(tmp_path):
    video = written(tmp_path / "a.avi")
    assert [(number, nearest(image)) for number, image in frames(video, {7, 2})] == [(2, 2), (7, 7)]


def test_a_frame_after_the_end_does_not_come(tmp_path):
    assert [number for number, _ in frames(written(tmp_path / "a.avi"), {11, 12, 90})] == [11]


def test_nothing_wanted_is_nothing_opened(tmp_path):
    assert list(frames(tmp_path / "nowhere.avi", set())) == []


def test_frames_after_the_last_wanted_are_not_even_decoded(tmp_path, monkeypatch):
    import av

    decoded = itertools.count()
    video = written(tmp_path / "a.avi")
    with av.open(str(video)) as container:

        class Once:
            streams = container.streams

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def decode(self, stream):
                for frame in container.decode(stream):
                    next(decoded)
                    yield frame

        monkeypatch.setattr(av, "open", lambda _: Once())
        assert [number for number, _ in frames(video, {3})] == [3]
    assert next(decoded) == 4


def test_a_video_is_counted_by_decoding_it(tmp_path):
    assert count(written(tmp_path / "a.avi", length=7)) == 7


def test_a_video_that_was_cut_short_gives_what_it_has(tmp_path):
    video = written(tmp_path / "a.avi")
    os.truncate(video, video.stat().st_size // 2)
    seen = []
    with contextlib.suppress(VideoError):  # some formats end, some complain
        seen.extend((number, nearest(image)) for number, image in frames(video))
    assert 0 < len(seen) < 12
    assert all(number == like for number, like in seen[:-1])


@pytest.mark.parametrize("content", [b"", b"I am no video", b"RIFF\x00\x00\x00\x00AVI "])
def test_what_is_no_video_is_named(tmp_path, content):
    (tmp_path / "a.avi").write_bytes(content)
    with pytest.raises(VideoError, match=r"a\.avi: "):
        list(frames(tmp_path / "a.avi"))


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(VideoError, match=r"nowhere\.avi: cannot be decoded"):
        count(tmp_path / "nowhere.avi")


def test_a_file_of_sound_alone_has_no_pictures(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(1600))
    with pytest.raises(VideoError, match=r"a\.wav: holds no moving pictures"):
        count(tmp_path / "a.wav")


def test_without_pyav_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"reading videos needs PyAV; pip install -e '\.\[video\]'"):
        list(frames(tmp_path / "a.avi"))
