"""Corruptions of pictures: what each does by how much, that it grows with severity, and that nothing else changes."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.sources.derived.corruptions import COVERED, GREY, KEPT, KINDS, SCALES, SEVERITIES, corrupt
from seke.sources.synthetic.face_renderer import draw
from seke.sources.synthetic.faces import latent

from ...trees.pictures import picture

_SHOWN = latent(0, "raf_db", 0)
FACE = draw(_SHOWN[0].au_intensity, _SHOWN[1], _SHOWN[2], 96)


def made(kind: str, severity: int, face=None, size=(96, 96), seed: int = 0) -> np.ndarray:
    return np.asarray(corrupt(picture("a", size), kind, severity, face, Random(seed))).astype(float)


@given(st.sampled_from(sorted(KINDS)), st.integers(8, 200), st.integers(8, 200), st.integers(0, 99))
def test_a_corrupted_picture_has_the_size_and_mode_of_its_own(kind: str, width: int, height: int, seed: int) -> None:
    for severity in SEVERITIES:
        found = corrupt(picture("a", (width, height)), kind, severity, None, Random(seed))
        assert (found.size, found.mode) == ((width, height), "RGB")


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"surround"}))  # a smaller picture is no farther pixel by pixel
def test_a_higher_severity_is_farther_from_the_picture_and_the_same_again(kind: str) -> None:
    def corrupted(severity: int) -> np.ndarray:
        return np.asarray(corrupt(FACE, kind, severity, None, Random(0))).astype(float)

    far = [np.abs(corrupted(severity) - np.asarray(FACE)).mean() for severity in SEVERITIES]
    assert 0 < far[0] < far[1] < far[2]
    assert (corrupted(2) == corrupted(2)).all()


@pytest.mark.parametrize("stops", SEVERITIES)
def test_light_falls_by_whole_stops_of_linear_light(stops: int) -> None:
    white = corrupt(Image.new("RGB", (16, 16), (255, 255, 255)), "light", stops, None, Random(0))
    assert (white.getpixel((0, 0))[0] / 255) ** 2.2 == pytest.approx(0.5**stops, rel=0.02)


def test_blur_and_resolution_remove_what_is_finer_and_keep_the_mean() -> None:
    for kind in ("blur", "resolution"):
        coarse = np.asarray(corrupt(FACE, kind, 3, None, Random(0))).astype(float)
        assert coarse.mean() == pytest.approx(np.mean(FACE), abs=2)
        assert np.abs(np.diff(coarse, axis=1)).mean() < 0.8 * np.abs(np.diff(np.asarray(FACE, float), axis=1)).mean()
    small = picture("a", (48, 48))
    assert corrupt(small, "resolution", 1, None, Random(0)) == small, "no face of 48 pixels has more than 64"


def test_severity_is_measured_by_the_face() -> None:
    """A face of a quarter of the picture's side is blurred a quarter as wide."""
    assert np.abs(made("blur", 3, (0, 0, 24, 24)) - made("blur", 1)).max() <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("seed", range(5))
def test_an_occlusion_lies_in_the_face_and_covers_its_share(severity: int, seed: int) -> None:
    face = (30, 10, 50, 60)
    covered = (made("occlusion", severity, face, seed=seed) == GREY).all(axis=2)
    rows, columns = np.nonzero(covered)
    assert rows.min() >= 10 and rows.max() < 70 and columns.min() >= 30 and columns.max() < 80
    assert covered.sum() / (50 * 60) == pytest.approx(COVERED[severity - 1], abs=0.03)


def test_a_pose_turns_about_the_middle_of_the_face_and_narrows_it() -> None:
    square = Image.new("RGB", (101, 101), (0, 0, 0))
    square.paste((255, 255, 255), (30, 30, 71, 71))
    turned = np.asarray(corrupt(square, "pose", 3, None, Random(0))).astype(float).mean(axis=2)
    bright = turned > 128
    rows, columns = np.nonzero(bright)
    assert (rows.mean(), columns.mean()) == (pytest.approx(50, abs=1), pytest.approx(50, abs=1))
    assert bright.sum() / 41**2 == pytest.approx(0.707, abs=0.04), "45 degrees aside: cos 45° of the area"


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_crop_shows_the_middle_share_of_the_face_alone(severity: int) -> None:
    """Of a face of 60 by 40 pixels in a ramp, its own middle fills the picture."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    found = np.asarray(corrupt(Image.fromarray(ramp), "crop", severity, (100, 30, 60, 40), Random(0))).astype(float)
    half = 30 * KEPT[severity - 1]
    assert found[:, 0].mean() == pytest.approx(130 - half, abs=1)
    assert found[:, -1].mean() == pytest.approx(130 + half, abs=1.5)
    edge = np.asarray(corrupt(Image.fromarray(ramp), "crop", severity, (180, 80, 60, 60), Random(0)))
    assert edge.shape == ramp.shape, "a face that reaches out of its picture is cut where the picture ends"


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_surround_leaves_the_picture_its_share_of_the_canvas(severity: int) -> None:
    white = Image.new("RGB", (128, 64), (0, 0, 0))
    white.paste((255, 255, 255), (0, 0, 64, 64))
    found = np.asarray(corrupt(white, "surround", severity, None, Random(0))).astype(int)[..., 0]
    canvas = found[0, 0]
    assert canvas == pytest.approx(127, abs=1)
    assert (np.abs(found - canvas) > 2).mean() == pytest.approx(SCALES[severity - 1] ** 2, rel=0.1)
