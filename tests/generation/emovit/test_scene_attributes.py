"""Brightness and colourfulness of pictures whose values are known, and what of EmoSet's attributes is told."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from seke.core.images import ImageError
from seke.generation.emovit.scene_attributes import EXTREMELY_COLOURFUL, brightness, colorfulness, lines, measured, told


def plain(*colours):
    """Return one row of pixels, 0 to 255."""
    return np.array([colours], dtype=np.float64)


def file(colour):
    out = io.BytesIO()
    Pictures.new("RGB", (9, 9), colour).save(out, "PNG")
    return out.getvalue()


def never():
    raise AssertionError("the picture was read")


@pytest.mark.parametrize(
    ("colour", "value"),
    [((0, 0, 0), 0.0), ((255, 255, 255), 1.0), ((255, 0, 0), 0.299), ((0, 255, 0), 0.587), ((0, 0, 255), 0.114)],
)
def test_brightness_is_the_mean_luma(colour, value):
    assert brightness(plain(colour)) == pytest.approx(value)
    assert brightness(plain(colour, (0, 0, 0))) == pytest.approx(value / 2)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=9))
def test_greys_have_no_colour(values):
    assert colorfulness(plain(*((value,) * 3 for value in values))) == pytest.approx(0, abs=1e-9)


def test_colourfulness_against_hasler_and_suesstrunk():
    # rg is 255 and -255; yb is 127.5 both times: spread (255, 0), offset (0, 127.5). Capped: so in darker colours.
    assert colorfulness(plain((255, 0, 0), (0, 255, 0))) == 1.0
    dark = plain((40, 0, 0), (0, 40, 0))
    assert colorfulness(dark) == pytest.approx((40 + 0.3 * 20) / EXTREMELY_COLOURFUL)
    one = plain((0, 0, 60))  # no spread; yb = -60
    assert colorfulness(one) == pytest.approx(0.3 * 60 / EXTREMELY_COLOURFUL)


def test_both_are_measured_where_they_are_absent():
    assert measured(Pictures.new("RGB", (2000, 30), (255, 255, 255))) == {"brightness": 1.0, "colorfulness": 0.0}
    assert told({"emotion": "awe"}, lambda: file((0, 0, 255))) == {
        "brightness": 0.11, "colorfulness": round(0.3 * 255 / EXTREMELY_COLOURFUL, 2),
    }  # fmt: skip


def test_what_is_annotated_stands_and_costs_no_look():
    annotated = {"brightness": 0.4, "colorfulness": 0.9}
    assert told({"emotion": "awe", **annotated}, never) == annotated
    assert told({**annotated, "brightness": None}, lambda: file((0, 0, 0)))["brightness"] == 0.0
    assert told({"emotion": "awe", "colorfulness": 0.9}, lambda: file((0, 0, 0)))["colorfulness"] == 0.9


def test_attributes_are_told_in_order_and_nothing_else():
    given = {
        "human_action": "running", "object": ["Tree", "Lake"], "scene": "park", "facial_expression": "", "kind": "x",
        "image_id": "7", "brightness": 0.4, "colorfulness": 0.1, "emotion": "awe",
    }  # fmt: skip
    assert lines(told(given, never)).splitlines() == [
        "brightness: 0.4", "colorfulness: 0.1", "scene_type: park", "object: Tree, Lake", "human_action: running",
    ]  # fmt: skip
    assert told(given, never, ("object", "emotion")) == {"object": ["Tree", "Lake"], "emotion": "awe"}
    assert told({"emotion": "awe"}, never, ("object",)) == told(given, never, ()) == {}
    assert "scene_type" in told({**given, "scene": None, "scene_type": "park"}, never)


def test_what_is_no_picture_cannot_be_measured():
    with pytest.raises(ImageError):
        told({"emotion": "awe"}, lambda: b"no picture")
