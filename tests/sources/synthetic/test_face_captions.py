import random
import re

from seke.answers.extract import extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels
from seke.sources.synthetic.face_captions import MOVEMENTS, caption, features, grade
from seke.sources.synthetic.face_identity import draw_identity
from seke.sources.synthetic.face_model import draw_face

FORBIDDEN = re.compile(
    r"\bau ?\d|action unit|facs|valence|arousal|affect|emotion|express|mood|feel|pleasant|calm|excite|activat|positive|"
    r"negative|neutral|happ|joy|smil|grin|sad|frown|surpris|fear|afraid|scare|disgust|ang(er|ry)|mad\b|contempt|smirk|"
    r"scorn|rais|lower|tighten|wrinkl|pull|dimpl|depress|stretch|press|part|jaw|drop|furrow|squint|pout",
    re.IGNORECASE,
)


def captions(number=400):
    rng = random.Random(0)
    for _ in range(number):
        face = draw_face(rng)
        yield face, caption(face, draw_identity(rng), rng)


def test_captions_name_no_emotion_affect_or_action_unit():
    names = [word for name in ACTION_UNITS.values() for word in name.split() if word not in ("Inner", "Outer", "Brow")]
    names = [word for word in names if word not in ("Upper", "Lip", "Lips", "Corner", "Nose", "Chin", "Lid", "Cheek")]
    for _, text in captions():
        assert not FORBIDDEN.search(text), text
        assert not any(word.lower() in text.lower() for word in [*EXPRESSIONS, *names]), text


def test_the_parser_of_answers_finds_nothing_in_captions():
    for _, text in captions(100):
        assert extract(text) == Labels(), text


def test_all_seventeen_movements_are_named_in_one_order_and_three_grades():
    assert set(MOVEMENTS) == set(ACTION_UNITS)
    for face, text in captions(100):
        things = []
        for part in text.split(". ")[1].split("; "):
            name, _, listed = part.partition(": ")
            things += [f"{name} {thing}" for thing in listed.split(", ")]
        expected = [f"{m.part} {m.thing} {m.grades[grade(face.au_intensity[au])]}" for au, m in MOVEMENTS.items()]
        assert things == expected


def test_features_hold_every_movement_and_the_person():
    rng = random.Random(1)
    face, identity = draw_face(rng), draw_identity(rng)
    listed = features(face, identity)
    assert {au: listed[m.feature] for au, m in MOVEMENTS.items()} == dict(face.au_intensity)
    assert listed["glasses"] is identity.glasses
    assert not any(FORBIDDEN.search(name) for name in listed if name not in ("wrinkles", "square_jaw"))
