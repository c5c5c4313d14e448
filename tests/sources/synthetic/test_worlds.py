"""Worlds of synthetic faces: the drawn one stays as it was, the spontaneous one has the rates of BP4D and DISFA."""

import hashlib
import random

import numpy as np
import pytest

from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.sources.synthetic.face_model import draw_face
from seke.sources.synthetic.faces import Synthetic, latent
from seke.sources.synthetic.worlds import BP4D, DISFA, DRAWN, TOGETHER, world

BEFORE = "e4d093e01c8a7271c8d3636e20e032e14c114098ec43bfc69dd08ccf2a709c89"
"""Of 240 latent faces, computed by the version before there were worlds."""


def faces_of(name, source, count):
    rng, chosen = random.Random(5), world(name, source)
    return [draw_face(rng, EXPRESSIONS[number % 8], chosen) for number in range(count)]


def active(faces):
    return np.array([[face.labels.action_units[au] for au in ACTION_UNITS] for face in faces], dtype=float)


def test_drawn_faces_are_what_they_were():
    faces = [latent(3, source, index)[0] for source in ("ck_plus", "raf_db", "affectnet", "disfa", "bp4d", "aff_wild2")
             for index in range(40)]  # fmt: skip
    lines = [f"{f.expression} {sorted(f.au_intensity.items())} {f.valence!r} {f.arousal!r}" for f in faces]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == BEFORE


@pytest.mark.parametrize(("source", "rates"), [("bp4d", {**DISFA, **BP4D}), ("disfa", {**BP4D, **DISFA})])
def test_spontaneous_faces_have_the_published_rates(source, rates):
    found = active(faces_of("spontaneous", source, 4000)).mean(axis=0)
    for place, au in enumerate(ACTION_UNITS):
        assert found[place] == pytest.approx(rates[au], abs=0.025), f"AU{au}"


def test_spontaneous_action_units_come_together_within_an_expression_and_drawn_ones_do_not():
    def correlation(name, one, other):
        rng, chosen = random.Random(1), world(name, "bp4d")
        units = active([draw_face(rng, "neutral", chosen) for _ in range(3000)])
        columns = [units[:, list(ACTION_UNITS).index(au)] for au in (one, other)]
        return np.corrcoef(*columns)[0, 1]

    assert correlation("spontaneous", 6, 12) > 0.2
    assert correlation("spontaneous", 6, 1) < 0.1, "another group"
    assert correlation("drawn", 6, 12) < 0.1
    assert set(TOGETHER) == set(ACTION_UNITS)


def test_spontaneous_couplings_are_weaker():
    weak = world("spontaneous", "bp4d").p_active
    for strong, soft in ((DRAWN.p_active["happiness"][12], weak["happiness"][12]), (0.95, weak["anger"][4])):
        assert soft < strong
    assert weak["happiness"][12] > weak["neutral"][12]
    odds = [np.log(p / (1 - p)) for p in (weak["anger"][4], weak["neutral"][4], 0.95, 0.05)]
    assert odds[0] - odds[1] == pytest.approx(0.4 * (odds[2] - odds[3]))


def record(number, labels):
    return ImageRecord(
        id=f"mine-{number}", image="x", sha256=None, source="mine", subject=str(number), split="train", labels=labels
    )


def test_a_world_of_records_has_their_rates_couplings_and_anchors(tmp_path):
    rng, rows = random.Random(0), []
    for number in range(4000):
        name = rng.choices(EXPRESSIONS, [0.5, *[0.5 / 7] * 7])[0]
        units = {au: rng.random() < (0.9 if au == 9 and name == "happiness" else 0.2) for au in ACTION_UNITS}
        rows.append(record(number, Labels(expression=name, valence=-0.3, arousal=0.6, action_units=units)))
    write_jsonl(tmp_path / "train.jsonl", rows)
    found = world(str(tmp_path), "bp4d")
    assert found.expressions["neutral"] == pytest.approx(0.5, abs=0.03)
    assert found.p_active["happiness"][9] == pytest.approx(0.9, abs=0.07)
    assert found.p_active["sadness"][9] == pytest.approx(0.2, abs=0.07)
    faces = [draw_face(rng, rng.choices(EXPRESSIONS, list(found.expressions.values()))[0], found) for _ in range(3000)]
    assert active(faces).mean(axis=0)[list(ACTION_UNITS).index(9)] == pytest.approx(0.25, abs=0.04)
    assert np.mean([face.valence for face in faces]) == pytest.approx(-0.3, abs=0.05)


def test_records_that_annotate_action_units_alone_set_the_rates(tmp_path):
    """Rare or common as they are there, although nobody says which expression was shown."""
    units = [dict.fromkeys(AUS_OF_SOURCE["bp4d"], number % 10 == 0) for number in range(2000)]
    write_jsonl(tmp_path / "mine.jsonl", [record(number, Labels(action_units=one)) for number, one in enumerate(units)])
    chosen = world(str(tmp_path / "mine.jsonl"), "")
    rng = random.Random(2)
    rates = active([draw_face(rng, None, chosen) for _ in range(3000)]).mean(axis=0)
    for place, au in enumerate(ACTION_UNITS):
        if au in AUS_OF_SOURCE["bp4d"]:
            assert rates[place] == pytest.approx(0.1, abs=0.025)


def test_a_prepared_set_is_of_its_world_and_remembers_its_records(tmp_path):
    (tmp_path / "run").mkdir()
    write_jsonl(tmp_path / "train.jsonl", [record(0, Labels(expression="anger"))])
    source = Synthetic(images=12, size=32, world=str(tmp_path))
    assert source.inputs == {"world": tmp_path / "train.jsonl"}
    assert len(list(source.read(tmp_path / "run"))) == 12
    assert Synthetic(images=12, world="spontaneous").inputs == {}


def test_a_world_that_does_not_exist_is_one_line(tmp_path):
    with pytest.raises(UserError) as caught:
        Synthetic(images=12, world="spontanous")
    assert str(caught.value) == (
        "source.world=spontanous: no such world, and no records there; "
        "use drawn or spontaneous, or the folder of a prepared set"
    )
    write_jsonl(tmp_path / "bare.jsonl", [record(0, Labels())])
    with pytest.raises(UserError, match="no record in it has a human label"):
        Synthetic(images=12, world=str(tmp_path / "bare.jsonl"))
