"""Pictures of clips: extracted frames before videos, links that lead out refused, frames written whole or not."""

import pytest

from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.training.readers.clips import Clips, fetch
from seke.training.readers.row import Frame, UnusableError

from ...trees.merr_fine import film
from ...trees.pictures import save


def test_extracted_frames_come_before_the_video(tmp_path):
    film(tmp_path / "v" / "a.mp4", 3)
    save(tmp_path / "deep" / "er" / "a" / "frame_det_00_000007.bmp")
    picture, frame = Clips(tmp_path, ["a"], tmp_path / "cache").picture("a", 7)
    assert picture.name == "frame_det_00_000007.bmp" and frame is None


def test_an_empty_folder_of_frames_leaves_the_video(tmp_path):
    film(tmp_path / "a.MP4", 3)
    (tmp_path / "frames" / "a").mkdir(parents=True)
    picture, frame = Clips(tmp_path, ["a"], tmp_path / "cache").picture("a", 1)
    fetch(frame)
    assert picture.is_file() and [path.name for path in (tmp_path / "cache").iterdir()] == ["a_1.jpg"]


def test_a_number_that_two_files_share_is_nobodys(tmp_path):
    for name in ("1.jpg", "01.jpg"):
        save(tmp_path / "a" / name)
    save(tmp_path / "a" / "2.jpg")
    with pytest.raises(UnusableError, match="no frame 1"):
        Clips(tmp_path, ["a"], tmp_path / "cache").picture("a", 1)


def test_a_link_out_of_the_root_is_refused(tmp_path):
    film(tmp_path / "secret" / "a.mp4", 3)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.mp4").symlink_to(tmp_path / "secret" / "a.mp4")
    with pytest.raises(ImageError, match="leads out"):
        Clips(tmp_path / "root", ["a"], tmp_path / "cache").picture("a", 1)


def test_a_clip_named_like_a_path_is_found_nowhere(tmp_path):
    film(tmp_path / "a.mp4", 3)
    (tmp_path / "root").mkdir()
    with pytest.raises(UnusableError, match="neither frames nor a video"):
        Clips(tmp_path / "root", ["../a"], tmp_path / "cache").picture("../a", 1)


def test_a_frame_beyond_the_end_or_of_a_broken_video_is_an_image_error(tmp_path):
    film(tmp_path / "a.mp4", 3)
    with pytest.raises(ImageError, match="no frame 9"):
        fetch(Frame(tmp_path / "a.mp4", 9, tmp_path / "out.jpg"))
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(ImageError, match=r"b\.mp4: cannot be decoded"):
        fetch(Frame(tmp_path / "b.mp4", None, tmp_path / "out.jpg"))
    assert not (tmp_path / "out.jpg").exists()


def test_a_cached_frame_needs_no_video(tmp_path):
    save(tmp_path / "out.jpg")
    fetch(Frame(tmp_path / "gone.mp4", 0, tmp_path / "out.jpg"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    film(tmp_path / "a.mp4", 3)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^data\.reader\.frames="):
        fetch(Frame(tmp_path / "a.mp4", 0, tmp_path / "file" / "out.jpg"))
