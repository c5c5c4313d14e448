"""DISFA by its videos: label n is the nth frame that is shown; only frames that are wanted are written, each once."""

import contextlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.sources.faces_datasets.disfa import DISFA

from ...trees import disfa
from ...trees.pictures import picture
from ..rows import by_id


def read(root, **settings):
    return by_id(DISFA(str(root), **settings).read(root))


@pytest.fixture
def filmed(tmp_path):
    pytest.importorskip("av")
    disfa.make(tmp_path, layout="videos", subjects=("SN001", "SN010"))
    return tmp_path


def drawn(root, records, **settings):
    source = DISFA(str(root), **settings)
    return list(source.fetch(list(records.values())))


def nearest(file, subject, length=6):
    """The number, from 1, of the frame of a subject's video that a file is most like."""
    image = np.asarray(Image.open(file).convert("RGB"), float)
    shown = [np.asarray(picture(f"disfa {subject} {k + 1}", (64, 48)), float) for k in range(length)]
    return 1 + int(np.argmin([np.abs(image - other).mean() for other in shown]))


def test_from_videos_label_n_is_the_nth_frame_that_is_shown(filmed):
    records, rejected = read(filmed)
    assert not rejected and len(records) == 11
    assert records["disfa/SN010/0005"].image == "frames/SN010/00005.jpg"
    assert drawn(filmed, records) == []
    for record in records.values():
        assert nearest(filmed / record.image, record.subject) == int(record.id[-4:])


def test_the_camera_decides_which_videos_are_read(filmed):
    records, _ = read(filmed, camera="right", frames="right")
    drawn(filmed, records, camera="right", frames="right")
    assert nearest(filmed / "right" / "SN001" / "00001.jpg", "SN001") == 6, "the other camera's film runs backwards"


def test_only_drawn_records_are_written_and_those_already_there_are_left(filmed):
    records, _ = read(filmed)
    some = {id_: record for id_, record in records.items() if id_ in ("disfa/SN001/0002", "disfa/SN001/0005")}
    drawn(filmed, some)
    written = sorted((filmed / "frames").rglob("*.jpg"))
    assert [file.name for file in written] == ["00002.jpg", "00005.jpg"]
    os.utime(written[0], (1, 1))
    drawn(filmed, records)
    assert written[0].stat().st_mtime == 1
    assert len(list((filmed / "frames").rglob("*.jpg"))) == 11


def test_frames_that_we_drew_are_not_taken_for_frames_that_somebody_extracted(filmed):
    before = read(filmed)
    drawn(filmed, before[0])
    assert read(filmed) == before
    assert read(filmed, frames="elsewhere")[0].keys() == before[0].keys()


def test_drawing_again_gives_the_same_bytes(filmed):
    records, _ = read(filmed)
    drawn(filmed, records)
    first = {file: file.read_bytes() for file in (filmed / "frames").rglob("*.jpg")}
    shutil.rmtree(filmed / "frames")
    drawn(filmed, records)
    assert first == {file: file.read_bytes() for file in (filmed / "frames").rglob("*.jpg")}


def test_frames_of_one_camera_are_not_passed_off_as_the_others(filmed):
    drawn(filmed, read(filmed)[0])
    with pytest.raises(UserError, match=r"source\.frames=.*holds frames of the left camera's videos"):
        read(filmed, camera="right")


def test_a_frame_that_the_video_does_not_reach_is_rejected(tmp_path):
    pytest.importorskip("av")
    disfa.make(tmp_path, layout="videos", subjects=("SN001",), frames=6, in_videos=5)
    rejected = drawn(tmp_path, read(tmp_path)[0])
    assert [(row.id, row.reason) for row in rejected] == [("disfa/SN001/0006", "no image")]
    assert rejected[0].detail == "LeftVideoSN001_comp.avi: ends before this frame"


def test_a_broken_video_rejects_its_frames_and_no_others(filmed):
    (filmed / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi").write_bytes(b"no video")
    rejected = drawn(filmed, read(filmed)[0])
    assert [row.id for row in rejected] == [f"disfa/SN001/000{k}" for k in range(1, 7)]
    assert "cannot be decoded" in rejected[0].detail
    assert len(list((filmed / "frames" / "SN010").iterdir())) == 5


def test_a_subject_without_a_video_is_one_row_and_so_is_a_video_without_labels(filmed):
    folder = filmed / "Videos_LeftCamera"
    (folder / "LeftVideoSN010_comp.avi").rename(folder / "LeftVideoSN011_comp.avi")
    _, rejected = read(filmed)
    assert rejected["disfa/SN010"].detail == "5 labelled frames, but no video"
    assert rejected["disfa/SN011"].reason == "no label"


def test_a_folder_that_cannot_be_written_is_the_users_to_correct(filmed):
    records, _ = read(filmed)
    (filmed / "frames").write_text("a file is in the way")
    with pytest.raises(UserError, match=r"source\.frames=.*: cannot be written \("):
        drawn(filmed, records)


def test_an_interrupted_drawing_leaves_no_half_picture(filmed, monkeypatch):
    records, _ = read(filmed)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with contextlib.suppress(KeyboardInterrupt):
        drawn(filmed, records)
    monkeypatch.undo()
    assert list((filmed / "frames").rglob("[!.]*.jpg")) == []
    assert drawn(filmed, records) == []
    assert all((filmed / record.image).is_file() for record in records.values())
