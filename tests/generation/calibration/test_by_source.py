"""A witness in each source: used where it is good, refused where it is dice, and pooled where few can tell."""

import numpy as np
import pytest

from seke.core.affect import EXPRESSIONS
from seke.core.label_prior import AUS
from seke.core.records import ImageRecord, Labels
from seke.generation.calibration.witnesses import Witness, facts, witnesses_of
from seke.generation.witnesses.said import Answer, as_arrays
from seke.generation.witnesses.tables import Matched

UNITS = (1, 4, 6, 12)
TWELVE = AUS.index(12)


def face(number: int, source: str, subject: str, rng: np.random.Generator) -> ImageRecord:
    units = {au: bool(rng.random() < 0.4) for au in UNITS}
    labels = Labels(
        expression=EXPRESSIONS[rng.integers(8)], valence=float(rng.uniform(-1, 1)), arousal=0.1, action_units=units
    )
    return ImageRecord(
        id=f"r{number}", image=f"{number}.png", sha256="0" * 64, source=source, subject=subject, split="train",
        labels=labels,
    )  # fmt: skip


def answer(record: ImageRecord, strength: float, rng: np.random.Generator) -> Answer:
    """Scores that are so much higher where the label is there; at 0 they are dice."""
    labels = record.labels
    scores = rng.normal(size=8) + [strength * (name == labels.expression) for name in EXPRESSIONS]
    shares = np.exp(scores) / np.exp(scores).sum()
    return Answer(
        units={au: float(strength * on + rng.normal()) for au, on in labels.action_units.items()},
        shares=dict(zip(EXPRESSIONS, shares.tolist(), strict=True)),
        valence=float((strength > 0) * labels.valence + 0.3 * rng.normal()),
    )


def world(sizes, strengths, persons=20, seed=0) -> Witness:
    rng = np.random.default_rng(seed)
    records, answers = [], []
    for source, size in sizes.items():
        for number in range(size):
            record = face(len(records), source, f"p{number % persons}", rng)
            records.append(record)
            answers.append(answer(record, strengths[source], rng))
    found = Matched("w", as_arrays(answers), len(records), 0, 0)
    return witnesses_of([found], records, {record.id: record.labels for record in records})[0]


def ids(witness: Witness, source: str) -> list[str]:
    return [name for name, place in witness.place.items() if witness.sources[place] == source]


def test_a_witness_that_is_good_on_one_source_and_dice_on_another_is_heard_in_the_first_alone():
    told = world({"good": 200, "dice": 200}, {"good": 2.0, "dice": 0.0})
    good, dice = (told.heard(ids(told, source)) for source in ("good", "dice"))
    assert np.abs(good.active_NA).max(axis=1).mean() > 1.0
    assert np.isfinite(good.sd_ND[:, 0]).all()
    assert not dice.active_NA.any()
    assert not dice.votes_NE.any()
    assert np.isinf(dice.sd_ND).all()
    lines = told.remarks()
    assert any("adds nothing about action units in dice: it is not heard there" in line for line in lines)
    assert not any("in good" in line for line in lines)
    assert facts([told])["w"]["by_source"]["au"]["refused"] == ["dice"]


def test_the_good_source_is_read_as_sure_as_if_it_were_alone():
    """With the dice beside it, pooled channels would halve what it says."""
    both = world({"good": 200, "dice": 200}, {"good": 2.0, "dice": 0.0})
    alone = world({"good": 200}, {"good": 2.0})
    names = ids(both, "good")
    pooled = both.channels().heard(both.said.at([both.place[name] for name in names]))
    mixed, single = (np.abs(each.heard(names).active_NA).sum() for each in (both, alone))
    assert np.abs(pooled.active_NA).sum() < 0.8 * single
    assert mixed == pytest.approx(single, rel=0.15)


def test_one_source_is_read_by_the_very_channels_of_all():
    told = world({"one": 120}, {"one": 1.5})
    pooled = told.channels().heard(told.said)
    found = told.heard(ids(told, "one"))
    assert all(np.array_equal(a, b) for a, b in zip(found, pooled, strict=True))
    assert len(told.remarks()) == 1


@pytest.mark.parametrize(("size", "persons", "said"), [(20, 10, False), (60, 1, True)])
def test_few_labels_or_one_persons_are_read_as_everywhere(size, persons, said):
    rng = np.random.default_rng(5)
    records = [face(number, "large", f"p{number % 20}", rng) for number in range(200)]
    records += [face(200 + number, "small", f"q{number % persons}", rng) for number in range(size)]
    answers = [answer(record, 2.0 if record.source == "large" else 0.0, rng) for record in records]
    found = Matched("w", as_arrays(answers), len(records), 0, 0)
    told = witnesses_of([found], records, {record.id: record.labels for record in records})[0]
    names = ids(told, "small")
    pooled = told.channels().heard(told.said.at([told.place[name] for name in names]))
    assert np.array_equal(told.heard(names).active_NA, pooled.active_NA)
    assert any("of small one person alone has labels of action units" in line for line in told.remarks()) == said


def test_equal_sources_choose_to_share_their_channel_or_lose_nothing_by_their_own():
    """Sources that do not differ: what is read comes close to what all labels together say."""
    told = world({"a": 100, "b": 100, "c": 100}, {"a": 1.5, "b": 1.5, "c": 1.5})
    pooled = told.channels().heard(told.said).active_NA
    found = told.heard([f"r{number}" for number in range(300)]).active_NA
    assert np.corrcoef(found[:, TWELVE], pooled[:, TWELVE])[0, 1] > 0.97
    assert not any(each.refused for each in told.sourced().values())


def test_dice_everywhere_are_heard_by_chance_alone():
    """Numbers and AUs that have nothing to do with the truth, in six sources: a share of the level at most, or so."""
    refused = 0
    for seed in range(5):
        told = world(dict.fromkeys("abcdef", 50), dict.fromkeys("abcdef", 0.0), persons=10, seed=seed)
        refused += sum(len(told.sourced()[name].refused) for name in ("au", "valence", "expression"))
    assert refused >= 0.9 * 5 * 3 * 6
