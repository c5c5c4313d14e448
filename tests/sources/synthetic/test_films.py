import shutil
from collections import defaultdict
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, read_jsonl
from seke.sources.prepare.image_check import ImageChecks
from seke.sources.prepare.prepare import choose, write
from seke.sources.prepare.statistics import SPLITS, TABLE1
from seke.sources.synthetic.face_identity import draw_identity
from seke.sources.synthetic.face_renderer import draw, draw_scene
from seke.sources.synthetic.faces import SPONTANEOUS, Synthetic
from seke.sources.synthetic.film_model import LAG, MOVEMENTS, draw_clip, draw_film
from seke.sources.synthetic.films import Films, Job, render

from ..rows import fetched


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    path = tmp_path_factory.mktemp("frames")
    records = fetched(Films(images=240, size=32, frames=20, annotated_every=3), path)
    return path, records, list(read_jsonl(path / "truth.jsonl", ImageRecord))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips")
    return path, fetched(Films(images=24, size=48, shown=8), path)


def films_of(records):
    films = defaultdict(list)
    for record in records:
        films[record.clip.video].append(record)
    return films


def test_frames_name_their_film_and_time_and_only_annotated_ones_carry_labels(frames):
    path, records, truth = frames
    assert len(records) == len(truth) == 240
    for record, whole in zip(records, truth, strict=True):
        place = int(record.id.rpartition("-")[2])
        assert record.clip == whole.clip
        assert record.clip.time == place / 8
        assert whole.labels.complete
        assert record.labels.empty == (place % 3 != 0)
        if not record.labels.empty:
            assert (record.labels.expression is not None) == ("EXP" in TABLE1[record.source].labels)
            assert record.labels.completed_by(whole.labels) == whole.labels.model_copy(update={"au_intensity": None})
        assert sha256((path / "images" / record.image).read_bytes()) == record.sha256


def test_a_film_shows_one_subject_in_one_split_and_its_labels_change_seldom(frames):
    films = films_of(frames[2])
    assert {max(row.clip.time for row in rows) for rows in films.values()} >= {19 / 8}
    assert all(len(rows) == 20 for rows in [*films.values()][:3])
    changes = 0
    for rows in films.values():
        assert len({(row.subject, row.split, row.attributes["skin_tone"]) for row in rows}) == 1
        changes += sum(a.labels.expression != b.labels.expression for a, b in pairwise(rows))
    assert 12 <= changes <= 60, "some expressions begin and end, and most frames show what the one before showed"
    assert {row.split for row in frames[1]} >= {"train", "test"}


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_faces_move_smoothly_and_their_labels_agree_with_what_they_show(number):
    rng = Random(number)
    film = draw_film(rng, 6.0, SPONTANEOUS, draw_scene(rng))
    assert all(a.end + 2 * LAG <= b.begin for a, b in pairwise(film.episodes))
    shown = [film.face(step / 50) for step in range(300)]
    for before, after in pairwise(shown):
        # A rise takes 0.3 s at least and a minimum-jerk movement is at most 1.875 times as fast as its mean.
        assert all(
            abs(before.au_intensity[au] - after.au_intensity[au]) < 5 * 1.875 / 0.3 / 50 + 0.02 for au in ACTION_UNITS
        )
        assert abs(before.valence - after.valence) < 2 * 1.875 / 0.3 / 50
    assert all(face.labels.complete for face in shown)
    assert {face.expression for face in shown} <= {"neutral", *(each.apex.expression for each in film.episodes)}
    blinks = [film.closed(step / 50) for step in range(300)]
    assert all(0 <= closed <= 1 for closed in blinks)


def test_eyes_shut_in_a_blink_and_are_else_drawn_as_ever():
    rng = Random(3)
    identity, scene = draw_identity(rng), draw_scene(rng, wild=False)
    au = dict.fromkeys(ACTION_UNITS, 0.0)
    half_open, shut, wide = (np.asarray(draw(au, identity, scene, 96, closed), float) for closed in (0.5, 1.0, 0.0))
    assert (wide == np.asarray(draw(au, identity, scene, 96))).all()
    eyes = np.s_[30:48, 20:76]
    assert 0 < np.abs(half_open - wide)[eyes].mean() < np.abs(shut - wide)[eyes].mean()
    assert (shut == wide)[60:].all(), "nothing below the eyes moves"


def test_all_movements_of_a_picture_have_the_same_middle_and_an_offset_is_an_onset_backwards(clips):
    path, records = clips
    pictures = defaultdict(dict)
    for record in records:
        pictures[record.image][record.attributes["movement"]] = record
    whole = [each for each in pictures.values() if set(each) == set(MOVEMENTS)]
    assert len(whole) >= 4
    for each in whole:
        assert len({(row.sha256, row.labels.model_dump_json(), row.subject) for row in each.values()}) == 1
        assert each["offset"].clip.frames == each["onset"].clip.frames[::-1]
        assert each["offset"].clip.times == each["onset"].clip.times
        for row in each.values():
            assert len(row.clip.frames) == 8
            assert all((path / "images" / frame).is_file() for frame in row.clip.frames)
    assert len({record.clip.video for record in records}) == 24


def test_frames_of_a_clip_tell_what_moves(clips):
    path, records = clips

    def difference(record, one, other):
        one, other = (
            np.asarray(Image.open(path / "images" / record.clip.frames[k]).convert("L"), float) for k in (one, other)
        )
        return np.abs(one - other).mean()

    moved = {name: [] for name in MOVEMENTS}
    for record in records:
        ends, halves = difference(record, 0, 7), difference(record, 0, 4)
        moved[record.attributes["movement"]].append((ends, halves))
    mean = {name: np.mean(values, axis=0) for name, values in moved.items()}
    assert mean["held"][1] < min(mean[name][1] for name in ("onset", "fleeting"))
    assert mean["fleeting"][0] < min(mean["onset"][0], mean["offset"][0])


@given(st.integers(0, 1000), st.integers(2, 12))
def test_the_middle_of_a_clip_is_the_same_face_whatever_the_movement(number, count):
    middles = set()
    for movement in MOVEMENTS:
        rng = Random(number)
        clip = draw_clip(rng, movement, count, 8.0, rng.choice(EXPRESSIONS[1:]), draw_scene(rng))
        face = clip.film.face(0.0)
        middles.add((face.labels.model_dump_json(), tuple(face.au_intensity.items())))
        assert len(clip.times) == count and abs(sum(clip.times)) < 1e-9
    assert len(middles) == 1


def test_a_prepared_clip_has_the_sha256_of_each_frame_and_one_with_a_broken_frame_is_rejected(clips, tmp_path):
    path, _ = clips

    class Still(Films):
        """Films that are drawn already; what is broken stays so."""

        def fetch(self, records):
            return iter(())

        def shown(self, record):
            return record

    def chosen(root):
        source = Still(images=24, size=48, shown=8)
        records = list(source.read(root))
        assert all(record.clip.sha256 is None for record in records)
        checks = ImageChecks(root / "images", tmp_path / f"{root.name}.jsonl", workers=1)
        return records, choose(source, records, checks, None, 0, None)

    records, found = chosen(path)
    assert len(found.records) == len(records) and not found.rejected
    for record in found.records:
        files = [path / "images" / frame for frame in record.clip.frames]
        assert record.clip.sha256 == tuple(sha256(file.read_bytes()) for file in files)
    shutil.copytree(path / "images", tmp_path / "broken" / "images")
    broken = found.records[0].clip.frames[3]
    (tmp_path / "broken" / "images" / broken).write_bytes(b"no picture")
    _, again = chosen(tmp_path / "broken")
    shows = {record.id for record in records if broken in record.clip.frames}
    assert {row.id for row in again.rejected} == shows and {row.reason for row in again.rejected} == {"bad image"}
    assert broken in again.rejected[0].detail


def test_only_what_is_kept_is_drawn(frames, tmp_path):
    source = Films(images=240, size=32, frames=20, annotated_every=3)
    counts = write(source, tmp_path, limit=12, near_duplicate=None)
    assert counts["not_drawn"] == 228
    kept = [row for split in SPLITS for row in read_jsonl(tmp_path / f"{split}.jsonl", ImageRecord)]
    assert {row.id: row for row in kept} == {row.id: row for row in frames[1] if row.id in {row.id for row in kept}}


def test_pictures_do_not_depend_on_who_draws_what_in_which_order(frames, clips, tmp_path):
    for (path, records), source in ((frames[:2], Films(240, 32, frames=20)), (clips, Films(24, 48, shown=8))):
        own = [row for row in records if row.source == "bp4d"][::-2]
        job = Job(source.settings, "bp4d", [row.id for row in own], source.size, tmp_path / str(source.size))
        job.folder.mkdir()
        assert render(job) == [row.sha256 for row in own]
        for file in job.folder.iterdir():
            assert file.read_bytes() == (path / "images/bp4d" / file.name).read_bytes()


def test_drawn_pictures_are_what_they_were_before_films():
    source = Synthetic(images=6, size=32)
    rows = [row for row, _ in source.labelled()]
    assert all(row.clip is None and '"clip"' not in row.model_dump_json() for row in rows)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("images", 2), ("frames", 1), ("rate", 0), ("annotated_every", 0), ("shown", 1), ("movements", ["onset"]),
     ("movements", ["onset", "blink"]), ("movements", ["onset", "onset"])],
)  # fmt: skip
def test_impossible_settings_are_the_users_mistakes(setting, value):
    with pytest.raises(UserError, match=f"source.{setting}="):
        Films(**{setting: value})
