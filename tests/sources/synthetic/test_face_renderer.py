import itertools
import random

import numpy as np
import pytest

from seke.core.affect import ACTION_UNITS
from seke.sources.synthetic.face_identity import HAIR, draw_identity
from seke.sources.synthetic.face_renderer import draw, draw_scene

STILL = dict.fromkeys(ACTION_UNITS, 0.0)


def pixels(intensity, identity, scene, size=96):
    return np.asarray(draw(intensity, identity, scene, size), dtype=int)


@pytest.fixture(scope="module", params=range(6))
def person(request):
    rng = random.Random(request.param)
    return draw_identity(rng), draw_scene(rng, wild=request.param % 2 == 0)


def changes(person, intensity):
    still = pixels(STILL, *person)
    return {au: np.abs(pixels({**STILL, au: intensity}, *person) - still).sum(axis=2) for au in ACTION_UNITS}


def test_every_action_unit_moves_pixels_inside_the_face(person):
    for au, change in changes(person, 3.5).items():
        visible = change > 60  # of 765: three channels
        assert visible.sum() >= 15, f"AU{au} changes {visible.sum()} pixels"
        rows, columns = np.nonzero(visible)
        assert rows.min() >= 4, f"AU{au}"
        assert columns.min() >= 8, f"AU{au}"
        assert columns.max() < 88, f"AU{au}"


def test_no_two_action_units_move_the_same_pixels(person):
    for (one, a), (other, b) in itertools.combinations(changes(person, 4.5).items(), 2):
        overlap = np.minimum(a, b).sum() / np.maximum(a, b).sum()
        assert overlap < 0.75, f"AU{one} and AU{other}"


def test_stronger_movements_show_more(person):
    trace, slight, strong = (changes(person, intensity) for intensity in (1.0, 2.5, 5.0))
    for au in ACTION_UNITS:
        assert trace[au].sum() < slight[au].sum() < strong[au].sum(), f"AU{au}"


def test_upper_and_lower_face_move_apart(person):
    moved = changes(person, 4.5)
    middle = {au: np.average(np.arange(96), weights=change.sum(axis=1)) for au, change in moved.items()}
    assert max(middle[au] for au in (1, 2, 4, 5, 7)) < min(middle[au] for au in (12, 14, 15, 17, 20, 23, 24, 25, 26))


def test_the_same_arguments_give_the_same_pixels(person):
    assert (pixels(STILL, *person) == pixels(STILL, *person)).all()


@pytest.mark.parametrize("size", [32, 96, 128, 200])
def test_any_size(person, size):
    picture = draw(STILL, *person, size)
    assert picture.size == (size, size)
    assert picture.mode == "RGB"


def test_identities_differ_and_cover_their_ranges():
    rng = random.Random(0)
    people = [draw_identity(rng) for _ in range(300)]
    assert len(set(people)) == 300
    assert {person.hair for person in people} == set(HAIR)
    assert {person.glasses for person in people} == {person.beard for person in people} == {True, False}
    assert min(p.skin_tone for p in people) < 0.05 < 0.95 < max(p.skin_tone for p in people)
