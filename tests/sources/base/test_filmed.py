"""Frames of DISFA, BP4D and Aff-Wild2 in their videos: times, clips around labelled frames, gaps rejected by name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.clip_frames import ClipError, FrameChoice
from seke.core.errors import UserError
from seke.sources.base.filmed import around
from seke.sources.faces_datasets.aff_wild2 import AffWild2
from seke.sources.faces_datasets.bp4d import BP4D
from seke.sources.faces_datasets.disfa import DISFA
from seke.sources.faces_datasets.feid_raw import FeidRaw
from seke.sources.prepare.prepare import listed

from ...trees import aff_wild2, bp4d, disfa


def shown(source, folder: Path):
    """Return the fetched records by id, and why others were rejected when they were fetched."""
    records, _ = listed(source, folder)
    lost = {row.id: row for row in source.fetch(records)}
    return {row.id: source.shown(row) for row in records if row.id not in lost}, lost


@given(st.integers(2, 9), st.integers(1, 60), st.sampled_from([None, 0.04, 0.2]))
def test_the_labelled_frame_is_among_as_many_as_the_video_has_room_for(most, number, every):
    found = around(FrameChoice(most, "peak", every), number, (1, 60), 25.0)
    step = 5 if every == 0.2 else 1
    assert number in found and len(found) == min(most, (number - 1) // step + (60 - number) // step + 1)
    assert found == sorted(set(found)) and found[0] >= 1 and found[-1] <= 60


def test_a_label_beyond_the_end_is_no_clip():
    with pytest.raises(ClipError, match="labelled frame 7 is beyond its end"):
        around(FrameChoice(3, "peak"), 7, (1, 6), None)


def test_a_frame_says_where_it_stands_in_its_video(tmp_path):
    disfa.make(tmp_path, subjects=("SN001", "SN002"))
    bp4d.make(tmp_path / "b", subjects=("F001", "F002"))
    records, _ = listed(DISFA(str(tmp_path)), tmp_path)
    assert [(row.clip.video, row.clip.time, row.clip.frames) for row in records[:2]] == [
        ("SN001", 0.0, ()), ("SN001", 0.05, ())
    ]  # fmt: skip
    coded, _ = listed(BP4D(str(tmp_path / "b"), rate=10), tmp_path)
    assert (coded[0].clip.video, coded[0].clip.time) == ("F001/T1", 244.0)


def test_disfas_clips_are_the_frames_around_each_labelled_one(tmp_path):
    disfa.make(tmp_path, subjects=("SN001",))
    found, lost = shown(DISFA(str(tmp_path), shown=3), tmp_path)
    assert not lost
    assert found["disfa/SN001/0003"].clip.frames == tuple(f"images/SN001/{k}" for k in ("1.png", "2.JPG", "3.png"))
    assert found["disfa/SN001/0003"].clip.times == (0.05, 0.1, 0.15)
    assert found["disfa/SN001/0001"].clip.frames[0] == found["disfa/SN001/0001"].image == "images/SN001/0.png"
    spread, _ = shown(DISFA(str(tmp_path), shown=3, every=0.1), tmp_path)
    assert spread["disfa/SN001/0003"].clip.times == (0.0, 0.1, 0.2)


def test_disfas_clips_from_videos_draw_the_neighbours_too(tmp_path):
    pytest.importorskip("av")
    disfa.make(tmp_path, layout="videos", subjects=("SN001",), frames=6, in_videos=5)
    source = DISFA(str(tmp_path), shown=3)
    records, _ = listed(source, tmp_path)
    some = [row for row in records if row.id[-4:] in ("0002", "0006")]
    lost = list(source.fetch(some))
    assert [(row.id, row.reason) for row in lost] == [("disfa/SN001/0006", "clip")] and "beyond its end" in lost[
        0
    ].detail
    assert sorted(path.name for path in (tmp_path / "frames" / "SN001").iterdir()) == [
        f"0000{k}.jpg" for k in (1, 2, 3)
    ]
    assert source.shown(some[0]).clip.frames == tuple(f"frames/SN001/0000{k}.jpg" for k in (1, 2, 3))


def test_a_gap_rejects_the_clips_that_it_is_in_and_no_others(tmp_path):
    aff_wild2.make(tmp_path)
    found, lost = shown(AffWild2(str(tmp_path), shown=3), tmp_path)  # frame 5 of 6 is missing everywhere
    ids = {f"aff_wild2/105/{k:05d}" for k in (1, 2, 3)}
    assert ids <= found.keys()
    assert found["aff_wild2/105/00002"].clip.times is None and len(found["aff_wild2/105/00002"].clip.frames) == 3
    for frame in (4, 6):
        assert lost[f"aff_wild2/105/{frame:05d}"].reason == "clip"
        assert lost[f"aff_wild2/105/{frame:05d}"].detail.endswith("its folder has gaps: no frame 5")


def test_clips_within_feid_raw_lie_below_the_shared_folder(tmp_path):
    disfa.make(tmp_path / "D", subjects=("SN001",))
    bp4d.make(tmp_path / "B", subjects=("F001",))
    sources = {"disfa": DISFA(str(tmp_path / "D"), shown=2), "bp4d": BP4D(str(tmp_path / "B"))}
    found, _ = shown(FeidRaw(sources, {}), tmp_path / "run")
    frames = found["disfa/SN001/0002"].clip.frames
    assert len(frames) == 2 and all((tmp_path / frame).is_file() for frame in frames)
    assert found["bp4d/F001/T1/2440"].clip.frames == ()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"every": 0.5}, r"source\.every=0\.5: each record is one frame"),
        ({"shown": 1}, r"source\.shown=1"),
        ({"shown": 4, "every": 0.5}, r"source\.every=0\.5: nothing says how fast"),
        ({"rate": 0}, r"source\.rate=0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, settings, named):
    with pytest.raises(UserError, match=named):
        AffWild2(str(tmp_path), **settings)
