"""Graded answers: read whole or not at all, believed as far as they foretold the pilot."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln

from seke.backends.openai.json_schema import adjusted, strict
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.dry_run import MadeUp
from seke.core.json_schema import mismatch
from seke.core.label_prior import couplings
from seke.core.records import Labels, read_jsonl, to_line, write_jsonl
from seke.core.vlm import Choice, Message, Request
from seke.generation.asked import missing
from seke.generation.calibration.annotator_model import Masked
from seke.generation.calibration.fit import fit
from seke.generation.calibration.grades import P_ACTIVE, GradeChannel, graded
from seke.generation.calibration.logprobs import SoftDraw, p_active, p_expressions
from seke.generation.seke.aggregation import majority
from seke.generation.seke.schema import Unusable, read, schema
from seke.generation.seke.uncertainty import uncertainty

EVERYTHING = missing(Labels())
SMALL = missing(Labels(valence=0.0, arousal=0.0, action_units=dict.fromkeys([*ACTION_UNITS][3:], False)))
"""Expression and AU1, AU2, AU4."""
SHARES = {**dict.fromkeys(EXPRESSIONS, 0), "fear": 60, "surprise": 40}
GRADES = {"AU1": 3, "AU2": 0, "AU4": 1}

all_grades = st.fixed_dictionaries({f"AU{au}": st.integers(0, 5) for au in ACTION_UNITS})
all_shares = st.fixed_dictionaries({name: st.integers(0, 100) | st.floats(0, 1) for name in EXPRESSIONS})


def said(shares=None, units=None):
    answer = {"expression": SHARES if shares is None else shares, "action_units": GRADES if units is None else units}
    return read(Choice(json.dumps(answer)), SMALL, False, "graded").labels


@given(all_shares, all_grades, st.floats(-1, 1))
def test_what_is_asked_is_what_is_read(shares, units, value):
    answer = {"expression": shares, "valence": value, "arousal": -value, "action_units": units, "reasoning": "So."}
    form = schema(EVERYTHING, True, "graded")
    assert mismatch(answer, form) is None
    assert strict(form) == form, "every property is required already"
    choice = Choice(json.dumps(answer))
    if not any(shares.values()):
        with pytest.raises(Unusable, match="share of 0"):
            read(choice, EVERYTHING, True, "graded")
        return
    drawn, sentence = read(choice, EVERYTHING, True, "graded")
    assert sentence == "So."
    assert (drawn.valence, drawn.arousal) == (value, -value)
    assert drawn.au_intensity == {au: units[f"AU{au}"] for au in ACTION_UNITS}
    assert all((p_active(drawn)[au] >= 0.5) == active for au, active in drawn.action_units.items())
    p = dict(zip(EXPRESSIONS, p_expressions(drawn), strict=True))
    assert sum(p.values()) == pytest.approx(1)
    assert p[drawn.expression] == max(p.values()) == drawn.soft.expression
    assert majority([drawn]) == Labels(
        **{name: getattr(drawn, name) for name in Labels.model_fields} | {"au_intensity": None}
    )


def test_the_scale_of_shares_does_not_matter_and_grades_rise():
    assert (
        said({name: share / 100 for name, share in SHARES.items()})
        == said()
        == said(SHARES, {"AU1": "C", "AU2": "0", "AU4": "a"})
    )
    assert said().expression == "fear"
    assert said().action_units == {1: True, 2: False, 4: False}
    assert list(P_ACTIVE) == sorted(P_ACTIVE)


@pytest.mark.parametrize(
    "grade", [7, -1, 2.5, "F", "C+", "", "AB", True, None, [3], {"C": 3}, "absent", 1e308, math.nan, "²", "6"]
)
def test_a_grade_that_is_none_makes_the_draw_unusable(grade):
    with pytest.raises(Unusable, match="AU2") as found:
        said(units={**GRADES, "AU2": grade})
    assert found.value.reason == "invalid"


@pytest.mark.parametrize(
    ("shares", "units"),
    [
        (SHARES, {"AU1": 3, "AU2": 0}),
        (SHARES, {**GRADES, "AU5": 1}),
        (SHARES, [1]),
        (SHARES, "C"),
        ({**SHARES, "fear": -1}, GRADES),
        ({**SHARES, "fear": 101}, GRADES),
        ({**SHARES, "fear": "60"}, GRADES),
        ({**SHARES, "joy": 1}, GRADES),
        ({name: share for name, share in SHARES.items() if name != "neutral"}, GRADES),
        (dict.fromkeys(EXPRESSIONS, 0), GRADES),
        ("fear", GRADES),
    ],
)
def test_the_graded_form_is_taken_whole_or_not_at_all(shares, units):
    with pytest.raises(Unusable, match="invalid"):
        said(shares, units)
    with pytest.raises(Unusable, match="incomplete"):
        read(Choice(json.dumps({"expression": SHARES})), SMALL, False, "graded")


def test_a_server_that_enforces_no_schema_may_answer_in_letters():
    form = schema(SMALL, False, "graded")
    answer = {"expression": {**SHARES, "fear": "60"}, "action_units": {"AU1": "C", "au2": "0", "AU04": "e"}}
    right = adjusted(answer, form)
    assert mismatch(right, form) is None
    assert right["action_units"] == {"AU1": 3, "AU2": 0, "AU4": 5}
    broken = adjusted({**answer, "action_units": {"AU1": "F", "AU2": "C+", "AU4": "2.5"}}, form)
    assert mismatch(broken, form) is not None


@pytest.mark.parametrize("worst", [False, True])
def test_a_dry_run_gets_usable_answers(worst):
    request = Request((Message("user", ("Look.",)),), schema(EVERYTHING, False, "graded"), n=4)
    ((_, reply),) = MadeUp(worst).reply([request])
    assert all(read(choice, EVERYTHING, False, "graded").labels.au_intensity for choice in reply.choices)


def test_graded_draws_are_kept_in_the_pilot(tmp_path):
    row = Masked(id="a", subject="s", truth=Labels(action_units={1: True}), known=Labels(), draws=(said(),))
    write_jsonl(tmp_path / "pilot.jsonl", [row])
    assert list(read_jsonl(tmp_path / "pilot.jsonl", Masked)) == [row]
    assert "au_intensity" not in to_line(Labels(action_units={1: True})), "rows of before look as before"


def test_one_graded_draw_knows_its_uncertainty():
    found = uncertainty([said()])
    p = [P_ACTIVE[3], P_ACTIVE[0], P_ACTIVE[1]]
    assert found.action_units == pytest.approx(np.mean([4 * q * (1 - q) for q in p]))
    assert found.expression == pytest.approx((1 - 0.6**2 - 0.4**2) / (1 - 1 / 8))


def test_the_channel_against_scipy():
    channel = GradeChannel((0.5, 0.1, 2.0, 1.0, 0.3, 0.2), (5.0, 0.1, 1.0, 0.5, 0.1, 0.1))
    counts = np.array([1, 0, 2, 1, 0, 0])
    coefficient = gammaln(5) - gammaln(counts + 1).sum()
    for said_, alpha in zip(channel.log_pmf([0.0, 2.0, 2.0, 3.0]), channel, strict=True):
        assert said_ + coefficient == pytest.approx(stats.dirichlet_multinomial(alpha, 4).logpmf(counts))


def pilot(size, seed, grade_of):
    """Images graded twice by `grade_of(rng, active)`, AUs the same in both draws half of the time."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(size):
        truth = {au: bool(rng.random() < 0.3) for au in ACTION_UNITS}
        first, other = ({au: grade_of(rng, active) for au, active in truth.items()} for _ in range(2))
        second = {au: first[au] if rng.random() < 0.5 else other[au] for au in truth}
        draws = tuple(graded(None, grades, {}) for grades in (first, second))
        known = Labels(expression="neutral")
        rows.append(
            Masked(id=str(number), subject=str(number), truth=Labels(action_units=truth), known=known, draws=draws)
        )
    return rows


def hits(annotator, rows):
    right = []
    for row in rows:
        decided = annotator.decide(annotator.posterior(row.known, row.draws)).action_units
        right += [decided[au] == active for au, active in row.truth.action_units.items()]
    return float(np.mean(right))


def perverse(rng, active):
    """A habit that no monotone map can read: what it sees gets a 1, what it does not see a 0 or a 3."""
    return int(rng.choice([1, 1, 1, 0, 3])) if active else int(rng.choice([0, 3]))


def test_what_a_grade_means_is_learnt_where_it_does_not_mean_what_it_says():
    rows, fresh = pilot(60, 0, perverse), pilot(40, 1, perverse)
    annotator = fit(rows, couplings([]))
    assert annotator.grades
    assert hits(annotator, fresh) > 0.85
    plain = [
        row.model_copy(update={"draws": tuple(Labels(action_units=d.action_units) for d in row.draws)}) for row in rows
    ]
    unread = fit(plain, couplings([]))
    assert not unread.grades
    assert hits(annotator, fresh) > hits(unread, fresh) + 0.1


def test_grades_that_know_nothing_are_worth_nothing():
    rows = pilot(60, 0, lambda rng, active: int(rng.choice([0, 2, 3])))
    annotator = fit(rows, couplings([]))
    p = [list(annotator.posterior(row.known, row.draws).action_units.values()) for row in rows[:20]]
    assert np.mean(p) == pytest.approx(0.3, abs=0.1)
    assert np.ptp(p) < 0.4


def test_grades_are_counted_by_how_draws_of_an_image_agree():
    """Two equal grades of an annotator that repeats itself say little more than one."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(60):
        truth = {au: bool(rng.random() < 0.3) for au in ACTION_UNITS}
        grades = {au: int(rng.choice([0, 2], p=[0.2, 0.8] if active else [0.8, 0.2])) for au, active in truth.items()}
        same = (graded(None, grades, {}),) * 5
        rows.append(
            Masked(
                id=str(number),
                subject=str(number),
                truth=Labels(action_units=truth),
                known=Labels(expression="neutral"),
                draws=same,
            )
        )
    annotator = fit(rows, couplings([]))
    belief = Counter()
    for row in rows:
        for au, p in annotator.posterior(row.known, row.draws).action_units.items():
            belief["said"] += p if p > 0.5 else 1 - p
            belief["right"] += (p > 0.5) == row.truth.action_units[au]
    assert belief["said"] == pytest.approx(belief["right"], rel=0.05)


def test_a_draw_without_expression_or_action_units_is_graded_too():
    drawn = read(
        Choice('{"valence": 0.5}'),
        missing(Labels(expression="fear", arousal=0.0, action_units=dict.fromkeys(ACTION_UNITS, True))),
        False,
        "graded",
    ).labels
    assert isinstance(drawn, SoftDraw)
    assert (drawn.valence, drawn.expression, drawn.action_units, drawn.au_intensity) == (0.5, None, None, None)
