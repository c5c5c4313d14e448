"""An annotator that errs differently in different sources, in worlds where it is known whether it does."""

import json

import numpy as np
import pytest

from seke.core.affect import AUS_OF_SOURCE, EXPRESSIONS
from seke.core.label_prior import couplings
from seke.core.records import Labels
from seke.generation.asked import missing
from seke.generation.calibration import calibration_file
from seke.generation.calibration.annotator_by_source import PULLS, apart, heard, sources_of, with_sources
from seke.generation.calibration.annotator_model import Masked, answers
from seke.generation.calibration.arms import _held_out, choose, chosen
from seke.generation.calibration.fit import channels
from seke.generation.calibration.held_out import beliefs_of
from seke.generation.calibration.informants import Informant
from seke.generation.calibration.logprobs import Soft, SoftDraw
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.study import SHOWN, Settings, Study

AUS = AUS_OF_SOURCE["bp4d"]
NOTHING = Pattern(False, False, False)
DEMAND = {NOTHING: Demand(1000, {"expression": 1000, "va": 1000, "au": 1000})}
SETTINGS = Settings((2,), (SHOWN,))


class Habits:
    """How an annotator errs: it sees AUs, calls some expression by another name, and shifts valence."""

    def __init__(self, sees=0.9, invents=0.05, shift=0.0, turned=0, right=0.8):
        self.sees, self.invents, self.shift, self.turned, self.right = sees, invents, shift, turned, right

    def draw(self, truth, rng):
        """Two draws of an image, which err alike half of the time."""

        def one():
            named = EXPRESSIONS.index(truth.expression)
            named = (named + self.turned) % 8 if rng.random() < self.right else int(rng.integers(8))
            return Labels(
                expression=EXPRESSIONS[named],
                valence=float(np.clip(truth.valence + self.shift + rng.normal(0, 0.1), -1, 1)),
                arousal=float(np.clip(truth.arousal + rng.normal(0, 0.1), -1, 1)),
                action_units={
                    au: bool(rng.random() < (self.sees if active else self.invents))
                    for au, active in truth.action_units.items()
                },
            )

        first = one()
        return (first, first if rng.random() < 0.5 else one())


STEADY = Habits()
ODD = Habits(sees=0.15, invents=0.02, shift=0.5, turned=1)
HABITS = {"equal": {"a": STEADY, "b": STEADY}, "different": {"a": STEADY, "b": ODD}}


def faces(size, seed):
    rng = np.random.default_rng(seed)
    return [
        Labels(
            expression=EXPRESSIONS[int(rng.integers(8))],
            valence=float(rng.uniform(-0.5, 0.5)),
            arousal=float(rng.uniform(-0.5, 0.5)),
            action_units={au: bool(rng.random() < 0.3) for au in AUS},
        )
        for _ in range(size)
    ]


TAUGHT = couplings(faces(1000, 1))


def pilot(habits, size=60, seed=0, persons=15, named=True):
    """Rows of each source, of so many persons each."""
    rng = np.random.default_rng(100 + seed)
    rows = []
    for place, (source, each) in enumerate(habits.items()):
        rows += [
            Masked(
                id=f"{source}{number}",
                subject=f"{source}/s{number % persons}",
                truth=truth,
                known=Labels(),
                draws=each.draw(truth, rng),
                pattern=NOTHING.name,
                source=source if named else None,
            )
            for number, truth in enumerate(faces(size, 10 * seed + place + 3))
        ]
    return rows


def found(rows):
    return choose(rows, DEMAND, lambda without: TAUGHT, SETTINGS)


def loss(calibration, habits, seed, told=True, size=60):
    """Mean negative log-probability of new faces' labels, by description: expression, AUs, valence and arousal."""
    rng = np.random.default_rng(500 + seed)
    losses = []
    arms = calibration.of(Labels())
    for place, (source, each) in enumerate(habits.items()):
        for truth in faces(size, 700 + 10 * seed + place):
            draws = {SHOWN: each.draw(truth, rng)}
            p = calibration.posterior(arms, Labels(), missing(Labels()), draws, (), source if told else None)
            named = -np.log(max(p.expression[truth.expression], 1e-6))
            units = np.mean(
                [
                    -np.log(max(p.action_units[au] if on else 1 - p.action_units[au], 1e-6))
                    for au, on in truth.action_units.items()
                ]
            )
            va = [
                0.5 * ((getattr(truth, name) - mean) / sd) ** 2 + np.log(sd)
                for name, (mean, sd) in (("valence", p.valence), ("arousal", p.arousal))
            ]
            losses.append([named, units, np.mean(va)])
    return np.mean(losses, axis=0)


def test_with_one_source_nothing_changes_to_the_last_digit():
    rows = pilot({"a": STEADY})
    nameless = [row.model_copy(update={"source": None}) for row in rows]
    one, before = found(rows), found(nameless)
    assert calibration_file.content(one) == calibration_file.content(before)
    draws = {SHOWN: rows[0].draws}
    for source in ("a", "b", None):
        posterior = one.posterior(one.of(Labels()), Labels(), missing(Labels()), draws, (), source)
        assert posterior == before.posterior(before.of(Labels()), Labels(), missing(Labels()), draws)
    assert "by_source" not in calibration_file.content(one)


def test_an_annotator_that_errs_differently_in_two_sources_is_read_by_sources_and_labels_gain():
    rows = pilot(HABITS["different"])
    own, pooled = found(rows), found([row.model_copy(update={"source": None}) for row in rows])
    arms = own.arms[NOTHING]
    assert {name for name, arm in arms.items() if arm.by_source is not None} == {"expression", "va", "au"}
    assert all(arm.sources == ("a", "b") and arm.by_source.mean > 0 for arm in arms.values())
    gained = loss(pooled, HABITS["different"], 0) - loss(own, HABITS["different"], 0)
    assert (gained > (0.2, 0.03, 0.2)).all(), gained
    lines = [line for line in calibration_file.remarks(own) if "errs in its own way in a, b" in line]
    assert len(lines) == 3
    page = json.loads(calibration_file.content(own))["patterns"]["nothing"]["arms"]
    assert all(row["by_source"] == ["a", "b"] and row["gain_by_source"] > 0 for row in page.values())


def test_a_source_that_the_pilot_does_not_know_is_read_as_all_sources_are():
    own = found(pilot(HABITS["different"]))
    draws = {SHOWN: pilot({"b": ODD}, 1)[0].draws}
    of = [
        own.posterior(own.of(Labels()), Labels(), missing(Labels()), draws, (), source) for source in ("c", None, "b")
    ]
    assert of[0] == of[1] != of[2]


def test_equal_habits_lose_nothing_beyond_noise():
    """Over four pilots: sources are told apart once at most in twelve choices, and new faces' labels lose nothing."""
    told_apart, lost = 0, []
    for seed in range(4):
        rows = pilot(HABITS["equal"], seed=seed, size=48)
        own, pooled = found(rows), found([row.model_copy(update={"source": None}) for row in rows])
        told_apart += sum(arm.by_source is not None for arm in own.arms[NOTHING].values())
        if any(arm.by_source is not None for arm in own.arms[NOTHING].values()):
            lost.append(loss(own, HABITS["equal"], seed) - loss(pooled, HABITS["equal"], seed))
    assert told_apart <= 1
    assert not lost or np.mean(lost) < 0.02


def test_where_sources_are_read_alike_new_faces_are_labelled_as_before():
    rows = pilot(HABITS["equal"], size=48)
    own, pooled = found(rows), found([row.model_copy(update={"source": None}) for row in rows])
    assert [arm.by_source for arm in own.arms[NOTHING].values()] == [None] * 3
    draws = {SHOWN: rows[0].draws}
    said = [
        each.posterior(each.of(Labels()), Labels(), missing(Labels()), draws, (), "a").expression
        for each in (own, pooled)
    ]
    assert said[0] == said[1]


def test_a_source_of_few_labels_or_of_one_person_has_no_habits_of_its_own():
    rows = [*pilot({"a": STEADY}), *pilot({"few": ODD}, 20), *pilot({"alone": ODD}, 60, persons=1)]
    assert set(apart(rows)) == {"a"}
    assert apart(pilot({"a": STEADY})) == {}
    assert apart([row.model_copy(update={"source": None}) for row in rows]) == {}


def test_only_what_a_source_has_enough_labels_of_is_its_own():
    rows = pilot(HABITS["different"])
    half = [
        row.model_copy(update={"truth": row.truth.model_copy(update={"expression": None})})
        if row.source == "b"
        else row
        for row in rows
    ]
    own = apart(half)
    assert own["b"] == {"va", "au"}
    pooled = channels(half, TAUGHT)
    fitted = with_sources(pooled, half, own, 10.0)
    assert fitted.of("b").votes_EE is pooled.votes_EE
    assert fitted.of("b").valence.bias == pytest.approx(0.5, abs=0.15)
    assert fitted.of("a").valence.bias == pytest.approx(0.0, abs=0.15)
    assert fitted.of("c") is fitted


@pytest.mark.parametrize("soft", [False, True], ids=["counted", "log-odds"])
def test_a_strong_pull_leaves_the_pooled_habits_and_a_weak_one_the_sources_own(soft):
    rows = pilot(HABITS["different"])
    if soft:
        rows = [row.model_copy(update={"draws": tuple(softened(draw) for draw in row.draws)}) for row in rows]
    pooled = channels(rows, TAUGHT)
    said, sources_N = answers([row.draws for row in rows]), sources_of(rows)
    alone = {}
    for pull in (1e-3, 1e4):
        fitted = with_sources(pooled, rows, apart(rows), pull)
        alone[pull] = heard(fitted, said, sources_N)
    every = pooled.heard(said)
    for name in ("votes_NE", "active_NA", "inactive_NA", "mean_ND", "sd_ND"):
        far, near = (np.abs(getattr(alone[pull], name) - getattr(every, name)).mean() for pull in (1e-3, 1e4))
        assert near < 0.4 * far, name


def softened(draw):
    units = {au: 0.9 if active else 0.1 for au, active in draw.action_units.items()}
    return SoftDraw(**draw.model_dump(exclude={"au_intensity"}), soft=Soft(expression=0.8, action_units=units))


def test_an_informant_reads_its_pilot_by_sources_where_its_arms_do():
    rows = pilot(HABITS["different"])
    calibration = found(rows)
    informant = Informant("first", rows, calibration.arms, lambda without: TAUGHT, 2)
    said = informant.in_pilot(rows, {"a/s0", "b/s0"})
    off = [said.mean_ND[place, 0] - row.truth.valence for place, row in enumerate(rows)]
    assert abs(np.mean(off[60:])) < 0.1, "b's shift is taken off"
    of_b = informant.heard(NOTHING, {SHOWN: rows[70].draws}, "b")
    of_a = informant.heard(NOTHING, {SHOWN: rows[70].draws}, "a")
    assert of_a.mean_ND[0, 0] - of_b.mean_ND[0, 0] == pytest.approx(0.5, abs=0.2)


def test_what_is_believed_of_the_pilots_rows_without_their_subjects_is_read_by_sources_too():
    rows = pilot(HABITS["different"])
    study = Study(rows, lambda without: TAUGHT, SETTINGS)
    calibration = chosen(study, DEMAND)
    arm = calibration.arms[NOTHING]["au"]
    assert any(read.option.channels in PULLS for read in arm.readers)
    asked, unasked = beliefs_of(study, calibration)
    np.testing.assert_allclose(asked.active_NA, _held_out(study, arm, np.ones(len(rows), dtype=bool)))
    off = [asked.mean_ND[place, 0] - row.truth.valence for place, row in enumerate(rows)]
    assert abs(np.mean(off[60:])) < 0.1, "b's shift is taken off"
    assert np.ptp(unasked.mean_ND[:, 0]) < np.ptp(asked.mean_ND[:, 0])


def test_pilots_of_earlier_versions_have_no_source():
    row = pilot({"a": STEADY}, 1)[0].model_dump(mode="json")
    del row["source"]
    assert Masked.model_validate_json(json.dumps(row)).source is None
