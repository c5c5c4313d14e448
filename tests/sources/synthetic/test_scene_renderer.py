import hashlib
from collections import Counter
from itertools import product
from random import Random

import numpy as np
import pytest

from seke.sources.scene_datasets.emoset import EMOTIONS
from seke.sources.synthetic.scene_renderer import (
    LEVELS,
    NOTHING,
    TYPICAL,
    VALUES,
    Scene,
    bayes_accuracy,
    draw,
    draw_scene,
    draw_view,
    probabilities,
)

VIEW = draw_view(Random("view"))
PLAIN = Scene("awe", 0.5, 0.5, "park", NOTHING, NOTHING, NOTHING, NOTHING)


def pixels(scene, view=VIEW, size=96):
    return np.asarray(draw(scene, view, size)).astype(int)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_the_values_of_an_attribute_share_all_probability(emotion):
    for attribute in VALUES:
        assert sum(probabilities(attribute, emotion).values()) == pytest.approx(1)


def test_every_typical_value_belongs_to_two_emotions_or_more():
    for attribute, values in VALUES.items():
        typical = Counter(value for tables in TYPICAL.values() for value in tables[attribute].split())
        assert set(typical) <= set(values)
        assert min(typical.values()) >= 2, (attribute, typical)


def test_all_attributes_tell_the_emotion_well_and_each_alone_does_not():
    assert bayes_accuracy() == pytest.approx(0.941, abs=0.0006)
    assert max(bayes_accuracy([attribute]) for attribute in VALUES) < 0.48
    assert bayes_accuracy([]) == pytest.approx(1 / 8)


def test_bayes_accuracy_against_counting_draws():
    """The rule of the likeliest emotion, applied to 4,000 drawn scenes, is right as often as computed."""
    rng, right = Random(5), 0
    level = {value: name for name, values in LEVELS.items() for value in values}
    for index in range(4000):
        emotion = EMOTIONS[index % 8]
        scene = draw_scene(rng, emotion)._asdict()
        scene["brightness"], scene["colorfulness"] = level[scene["brightness"]], level[scene["colorfulness"]]
        likelihood = {e: np.prod([probabilities(a, e)[scene[a]] for a in VALUES]) for e in EMOTIONS}
        right += max(likelihood, key=likelihood.get) == emotion
    assert right / 4000 == pytest.approx(bayes_accuracy(), abs=0.015)


def test_the_same_arguments_give_the_same_pixels():
    def digest():
        rng = Random(3)
        return hashlib.sha256(draw(draw_scene(rng, "fear"), draw_view(rng)).tobytes()).hexdigest()

    assert digest() == digest()


@pytest.mark.parametrize("attribute", ["scene_type", "ground", "sky", "facial_expression", "human_action"])
def test_every_value_of_an_attribute_is_visible(attribute):
    """Any two values differ in at least 30 of 9,216 pixels by more than the noise does."""
    quiet = VIEW._replace(noise=0.0)
    fixed = PLAIN._replace(human_action="gazing") if attribute == "facial_expression" else PLAIN
    drawn = [pixels(fixed._replace(**{attribute: value}), quiet) for value in VALUES[attribute]]
    for (i, one), (j, other) in product(enumerate(drawn), repeat=2):
        if i < j:
            changed = (np.abs(one - other).max(axis=2) > 20).sum()
            assert changed >= 30, (VALUES[attribute][i], VALUES[attribute][j], changed)


def test_brightness_and_colourfulness_are_those_of_the_pixels():
    light = [pixels(PLAIN._replace(brightness=value)).mean() for value in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert light == sorted(light)
    assert light[-1] > 2 * light[0]
    spread = [np.ptp(pixels(PLAIN._replace(colorfulness=c)), axis=2).mean() for c in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert spread == sorted(spread)
    assert spread[-1] > 2 * spread[0]


def test_a_view_changes_the_pixels_and_says_nothing_of_the_emotion():
    assert (pixels(PLAIN) != pixels(PLAIN, draw_view(Random("another")))).any()
    assert "emotion" not in VIEW._fields


def test_attributes_leave_out_what_is_not_there():
    assert PLAIN.attributes == {"emotion": "awe", "brightness": 0.5, "colorfulness": 0.5, "scene_type": "park"}
    full = PLAIN._replace(ground="dog", sky="bird", facial_expression="happy", human_action="sitting").attributes
    assert full["object"] == ["dog", "bird"]
    assert (full["facial_expression"], full["human_action"]) == ("happy", "sitting")
