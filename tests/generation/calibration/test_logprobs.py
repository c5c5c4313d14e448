"""Soft labels: what log probabilities say, whatever the tokens, and how far they are believed."""

import json
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.label_prior import couplings
from seke.core.records import Labels, read_jsonl, to_line, write_jsonl
from seke.core.vlm import Choice
from seke.generation.asked import missing
from seke.generation.calibration.annotator_model import Masked, votes
from seke.generation.calibration.fit import fit
from seke.generation.calibration.logprobs import Soft, SoftDraw, p_active, p_expressions, soften
from seke.generation.seke.empirical_bayes import EmpiricalBayes
from seke.generation.seke.schema import Unusable, read, schema
from seke.generation.seke.stopping import State
from seke.generation.seke.uncertainty import uncertainty

EVERYTHING = missing(Labels())

probabilities = st.floats(0.01, 0.99)


def answer(rng):
    """Return an answer to everything, and how probable each of its values was."""
    units = {f"AU{au}": rng.randrange(2) for au in ACTION_UNITS}
    numbers = {name: round(rng.uniform(-1, 1), 3) for name in ("valence", "arousal")}
    said = {"expression": rng.choice(EXPRESSIONS), **numbers, "action_units": units}
    return said, {name: rng.uniform(0.01, 0.99) for name in ("expression", *units)}


def pieces(said, p):
    """Return the JSON of `said` in pieces (text, log probability): names and signs are certain, values are not."""
    before = "{"
    for name, value in said.items():
        yield f"{before}{json.dumps(name)}: ", 0.0
        if isinstance(value, dict):
            yield from pieces(value, p)
        elif isinstance(value, str):
            yield from (('"', 0.0), (value, math.log(p[name])), ('"', 0.0))
        else:
            yield json.dumps(value), math.log(p.get(name, 1.0))
        before = ", "
    yield "}", 0.0


def cut(parts, rng):
    """Cut pieces into tokens at random, none of which holds characters of two values; some tokens are empty."""
    marked = [(sign, number, log_p / len(text)) for number, (text, log_p) in enumerate(parts) for sign in text]
    value = {number for number, (text, _) in enumerate(parts) if text[-1] not in ' "{}'}
    tokens, held = [["", 0.0]], None
    for sign, number, log_p in marked:
        other = number in value and held not in (None, number)
        if rng.random() < 0.4 or other:
            tokens += [["", 0.0]] * (rng.random() < 0.1) + [["", 0.0]]
            held = None
        held = number if number in value else held
        tokens[-1] = [tokens[-1][0] + sign, tokens[-1][1] + log_p]
    return tuple((text, log_p) for text, log_p in tokens)


@given(st.integers(0, 2**32))
def test_any_tokens_of_an_answer_give_the_same_values(seed):
    rng = Random(seed)
    said, p = answer(rng)
    parts = list(pieces(said, p))
    text = json.dumps(said)
    drawn = read(Choice(text, logprobs=cut(parts, rng)), EVERYTHING, False, form="logprobs").labels
    assert isinstance(drawn, SoftDraw)
    assert drawn.soft.expression == pytest.approx(p["expression"])
    for name, active in said["action_units"].items():
        au = int(name[2:])
        assert drawn.action_units[au] == bool(active)
        assert drawn.soft.action_units[au] == pytest.approx(p[name] if active else 1 - p[name])


SMALL = missing(Labels(valence=0.0, arousal=0.0, action_units=dict.fromkeys([*ACTION_UNITS][2:], False)))

TEXT = '{"expression": "fear", "action_units": {"AU1": 1, "AU2": 0}}'
"""An answer to `SMALL`."""


def small(*tokens):
    return read(Choice(TEXT, logprobs=tokens or None), SMALL, False, form="logprobs").labels


def test_values_are_read_from_the_tokens_over_them():
    tokens = (
        ('{"', -0.1), ("expression", 0.0), ('": "', 0.0), ("f", -0.5), ("ear", -0.25), ('", "action', -0.2),
        ('_units": {"AU', 0.0), ('1": ', 0.0), ("1", -0.1), (', "AU', 0.0), ('2": ', -3.0), ("0}", -2.0), ("}", 0.0),
        ("<|im_end|>", -1.0),
    )  # fmt: skip
    drawn = small(*tokens)
    assert drawn.soft.expression == pytest.approx(math.exp(-0.75))
    assert drawn.soft.action_units == pytest.approx({1: math.exp(-0.1), 2: 1 - math.exp(-2.0)})
    assert (drawn.expression, drawn.action_units) == ("fear", {1: True, 2: False})


def test_spaces_and_another_order_do_not_matter():
    text = '\n{ "action_units" :{\t"AU2":0,"AU1" : 1 } ,"expression":"fear"}'
    whole = (*((sign, -1.0 if sign in "01" else 0.0) for sign in text),)
    # The names hold these digits, too; only values count.
    drawn = read(Choice(text, logprobs=whole), SMALL, False, form="logprobs").labels
    assert drawn.soft == Soft(expression=1.0, action_units={1: math.exp(-1), 2: 1 - math.exp(-1)})


@pytest.mark.parametrize(
    "tokens",
    [
        (),
        ((TEXT[:-2], -0.1),),
        (*((part, -0.1) for part in TEXT.split(" ")),),
        ((TEXT, -0.1),),
        ((TEXT[:48], 0.0), ('1, "AU2": 0', -0.3), ("}}", 0.0)),
        (*((sign, math.nan) for sign in TEXT),),
        (*((sign, 0.7) for sign in TEXT),),
    ],
    ids=["none", "cut off", "other text", "one token", "two values in one", "no number", "no probability"],
)
def test_log_probabilities_that_cannot_be_read_leave_a_plain_draw(tokens):
    assert small(*tokens) == Labels(expression="fear", action_units={1: True, 2: False})


@pytest.mark.parametrize(
    "units",
    [[1], {"AU1": 1}, {"AU1": 1, "AU2": 0, "AU4": 0}, {"AU1": True, "AU2": 0}, {"AU1": 2, "AU2": 0}, {"1": 1, "2": 0}],
)
def test_the_soft_form_is_taken_whole_or_not_at_all(units):
    with pytest.raises(Unusable, match="action_units"):
        read(Choice(json.dumps({"expression": "fear", "action_units": units})), SMALL, False, form="logprobs")


def test_the_soft_form_asks_for_every_action_unit_in_order_between_the_numbers_and_the_text():
    form = schema(EVERYTHING, True, form="logprobs")
    assert list(form["properties"]) == ["expression", "valence", "arousal", "action_units", "reasoning"]
    units = form["properties"]["action_units"]
    assert list(units["properties"]) == units["required"] == [f"AU{au}" for au in ACTION_UNITS]
    assert all(value == {"type": "integer", "enum": [0, 1]} for value in units["properties"].values())


def test_labels_without_expression_or_action_units_soften():
    text = '{"valence": 0.5}'
    drawn = soften(Labels(valence=0.5), text, [(sign, -0.1) for sign in text])
    assert drawn.soft == Soft()


def soft_draw(p_expression, p_units, **known):
    units = {au: p > 0.5 for au, p in p_units.items()}
    return SoftDraw(
        expression="fear", action_units=units, soft=Soft(expression=p_expression, action_units=p_units), **known
    )


many = st.lists(st.tuples(probabilities, st.lists(probabilities, min_size=3, max_size=3)), min_size=1, max_size=5)


@given(many)
def test_uncertainty_is_that_of_the_mean_distribution(values):
    drawn = [soft_draw(p, dict(zip((1, 2, 4), units, strict=True)), valence=0.5) for p, units in values]
    found = uncertainty(drawn)
    p_E = np.mean([[p if e == "fear" else (1 - p) / 7 for e in EXPRESSIONS] for p, _ in values], axis=0)
    p_A = np.mean([units for _, units in values], axis=0)
    assert found.expression == pytest.approx((1 - (p_E**2).sum()) / (1 - 1 / 8))
    assert found.action_units == pytest.approx((4 * p_A * (1 - p_A)).mean())
    assert found.valence == (None if len(values) == 1 else 0.0)
    assert found.max == max(value for value in (found.expression, found.action_units) if value is not None)


def test_a_plain_draw_beside_soft_ones_counts_as_certain():
    both = [soft_draw(0.6, {1: 0.2}), Labels(expression="fear", action_units={1: True})]
    assert uncertainty(both).action_units == pytest.approx(4 * 0.6 * 0.4)
    assert uncertainty(both[1:]) == uncertainty([Labels(expression="fear", action_units={1: True})])


def test_a_soft_draw_votes_as_it_believes():
    drawn = soft_draw(0.65, {1: 0.2})
    assert sum(p_expressions(drawn)) == pytest.approx(1)
    assert votes([drawn, Labels(expression="fear")])[EXPRESSIONS.index("fear")] == pytest.approx(1.65)
    assert p_active(drawn) == {1: 0.2}


def test_soft_draws_are_kept_in_the_pilot_and_plain_ones_look_as_before(tmp_path):
    plain = Labels(expression="anger")
    row = Masked(id="a", subject="s", truth=plain, known=Labels(), draws=(soft_draw(0.5, {1: 0.2}), plain))
    write_jsonl(tmp_path / "pilot.jsonl", [row])
    assert list(read_jsonl(tmp_path / "pilot.jsonl", Masked)) == [row]
    before = {"expression": "anger", "valence": None, "arousal": None, "action_units": None}
    assert json.loads(to_line(row))["draws"][1] == before
    with pytest.raises(ValidationError):
        Soft(action_units={1: 1.2})


def pilot(size, seed, knows):
    """Images whose annotator calls everything inactive; `knows`: how far its log-odds part active from inactive AUs."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(size):
        truth = {au: bool(rng.random() < 0.3) for au in ACTION_UNITS}
        x_A = {au: -7 + knows * active + rng.normal(0, 1) for au, active in truth.items()}
        draws = []
        for _ in range(3):
            p_A = {au: float(1 / (1 + np.exp(-x - rng.normal(0, 1)))) for au, x in x_A.items()}
            units = dict.fromkeys(truth, False)
            draws.append(SoftDraw(action_units=units, soft=Soft(action_units=p_A)))
        known = Labels(expression="neutral")
        rows.append(
            Masked(id=str(number), subject=str(number), truth=Labels(action_units=truth), known=known, draws=draws)
        )
    return rows


def hits(annotator, rows, draws):
    right = []
    for row in rows:
        decided = annotator.decide(annotator.posterior(row.known, row.draws[:draws])).action_units
        right += [decided[au] == active for au, active in row.truth.action_units.items()]
    return float(np.mean(right))


def hardened(rows):
    plain = [tuple(Labels(action_units=draw.action_units) for draw in row.draws) for row in rows]
    return [row.model_copy(update={"draws": draws}) for row, draws in zip(rows, plain, strict=True)]


def test_one_soft_draw_of_a_reluctant_annotator_tells_what_three_hard_ones_hide():
    rows, fresh = pilot(120, 0, 4.0), pilot(80, 1, 4.0)
    soft, hard = fit(rows, couplings([])), fit(hardened(rows), couplings([]))
    assert soft.log_odds and not hard.log_odds
    assert hits(soft, fresh, 1) > hits(hard, hardened(fresh), 3) + 0.15


def test_log_odds_that_know_nothing_are_worth_nothing():
    """Probabilities are believed as far as they foretold the pilot: here, not at all."""
    rows, fresh = pilot(120, 0, 0.0), pilot(80, 1, 0.0)
    annotator = fit(rows, couplings([]))
    for row in fresh[:10]:
        p = list(annotator.posterior(row.known, row.draws[:1]).action_units.values())
        assert np.ptp(p) < 0.35
        assert np.mean(p) == pytest.approx(0.3, abs=0.15)


def test_images_whose_soft_draw_is_clear_need_no_second_one():
    rows, fresh = pilot(200, 0, 6.0), pilot(50, 1, 6.0)
    rule = EmpiricalBayes((1, 3), excess=0.03, prompt_cost=0.0)
    rule.learn(fit(rows, couplings([])), rows, couplings([]))
    more = [rule(State(row.known, row.draws[:1]), Random(0)) for row in fresh]
    assert set(more) <= {0, 2}
    assert np.mean(np.array(more) == 0) > 0.5
