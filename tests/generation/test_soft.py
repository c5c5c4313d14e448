"""Soft labels: what log probabilities say, whatever the tokens, and what becomes of them in the whole generator."""

import hashlib
import json
import logging
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.backends.completions import Completions, Dialect
from seke.backends.pictures import Pictures
from seke.backends.simulated import Simulated
from seke.errors import UserError
from seke.generation.annotator import Masked, votes
from seke.generation.asking import Unusable, missing, read, schema
from seke.generation.couplings import couplings
from seke.generation.empirical_bayes import EmpiricalBayes
from seke.generation.fitting import fit
from seke.generation.outcome import Face
from seke.generation.soft import Soft, SoftDraw, p_active, p_expressions, soften
from seke.generation.stopping import State, fixed
from seke.generation.uncertainty import uncertainty
from seke.prompts import Prompts
from seke.records import ImageRecord, Labels, read_jsonl, to_line, write_jsonl
from seke.sources.latent import draw_face
from seke.vlm import Choice, Image, Message, Request

from .conftest import partial, settings

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
    drawn = read(Choice(text, logprobs=cut(parts, rng)), EVERYTHING, False, soft=True).labels
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
    return read(Choice(TEXT, logprobs=tokens or None), SMALL, False, soft=True).labels


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
    drawn = read(Choice(text, logprobs=whole), SMALL, False, soft=True).labels
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
        read(Choice(json.dumps({"expression": "fear", "action_units": units})), SMALL, False, soft=True)


def test_the_soft_form_asks_for_every_action_unit_in_order_between_the_numbers_and_the_text():
    form = schema(EVERYTHING, True, soft=True)
    assert list(form["properties"]) == ["expression", "valence", "arousal", "action_units", "reasoning"]
    units = form["properties"]["action_units"]
    assert list(units["properties"]) == units["required"] == [f"AU{au}" for au in ACTION_UNITS]
    assert all(value == {"type": "integer", "enum": [0, 1]} for value in units["properties"].values())


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


IMAGE = Image(Path("a.png"), "0" * 64)
REQUEST = Request((Message("user", ("Look.", IMAGE)),), {"type": "object"}, n=3, draw=2)
WRITTEN = Completions("gpt-4o", Pictures(detail="low"))


def test_keys_of_what_was_bought_before_stay():
    assert REQUEST.key == "db34d2eed5b2cf6a71795c42971ea0276044fe8eb777a1dde8d2e66165ced399"
    assert replace(REQUEST, logprobs=True).key != REQUEST.key


@pytest.mark.parametrize("wanted", [True, False])
def test_the_server_is_asked_for_log_probabilities_where_the_request_wants_them(wanted):
    body = WRITTEN.body(replace(REQUEST, logprobs=wanted), {IMAGE.sha256: "data:"}, Dialect())
    assert body.get("logprobs", False) is wanted


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Thirty faces that only the simulated annotator can see, and the annotator: no picture's bytes are involved."""
    rng, records, truths = Random(11), [], []
    for number in range(30):
        face = draw_face(rng)
        row = ImageRecord(
            id=f"soft-{number:02}",
            image=f"{number:02}.png",
            sha256=hashlib.sha256(f"soft {number}".encode()).hexdigest(),
            source="synthetic",
            subject=f"s{number % 6}",
            split="train",
            labels=partial(face.labels, number),
        )
        records.append(row)
        intensity = {str(au): value for au, value in face.au_intensity.items()}
        truths.append(row.model_copy(update={"labels": face.labels, "attributes": {"au_intensity": intensity}}))
    file = tmp_path_factory.mktemp("soft") / "truth.jsonl"
    write_jsonl(file, truths)
    return [Face(row, Image(Path(row.image), row.sha256)) for row in records], Simulated(
        str(file), **settings("simulated")
    )


def rows_of(seke, faces):
    return [outcome.row for outcome in seke.generate(faces)]


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "86ee9965e150d81c1d4dfd7def5bb6046fd9de5e699a2a7676eb9c7be223286e"),
        (
            {"stopping": fixed(3), "aggregate": "majority"},
            "acd5a8eab2beb5b0ce0333433ba273eb565620ffdd468ef6de2d4eeebc4e26b3",
        ),
    ],
)
def test_instructions_of_plain_draws_are_what_they_were_before_soft_ones_existed(make_seke, faces, options, digest):
    shown, annotator = faces
    lines = [to_line(row) for row in rows_of(make_seke(annotator, **options), shown)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


class Listening:
    """Hands requests on and remembers them; `deaf`: without the log probabilities of the answers."""

    def __init__(self, vlm, deaf=False):
        self.vlm, self.deaf, self.asked = vlm, deaf, []

    def reply(self, requests):
        for index, reply in self.vlm.reply(self._heard(requests)):
            plain = tuple(replace(choice, logprobs=None) for choice in reply.choices)
            yield index, replace(reply, choices=plain) if self.deaf else reply

    def _heard(self, requests):
        for request in requests:
            self.asked.append(request)
            yield request


def test_the_simulated_annotator_believes_what_it_says(faces):
    shown, annotator = faces
    for face in shown:
        form = schema(EVERYTHING, False, soft=True)
        request = Request((Message("user", ("Annotate.", face.image)),), form, n=4, logprobs=True)
        ((_, reply),) = annotator.reply([request])
        for choice in reply.choices:
            assert "".join(token for token, _ in choice.logprobs) == choice.text
            drawn = read(choice, EVERYTHING, False, soft=True).labels
            assert all((p > 0.5) == drawn.action_units[au] for au, p in drawn.soft.action_units.items())
            assert drawn.soft.expression == pytest.approx(max(p_expressions(drawn)))
        ((_, plain),) = annotator.reply([replace(request, logprobs=False)])
        assert all(choice.logprobs is None for choice in plain.choices)


def test_the_whole_generator_on_soft_draws(make_seke, faces):
    shown, annotator = faces
    vlm = Listening(annotator)
    rows = rows_of(make_seke(vlm, uncertainty="logprobs", stopping=fixed(1)), shown)
    assert all(row.labels.complete and row.samples == 1 for row in rows)
    assert not any("no_logprobs" in row.flags for row in rows)
    for face, row in zip(shown, rows, strict=True):
        assert face.record.labels.completed_by(row.labels) == row.labels
        assert row.uncertainty.valence is None, "one draw says nothing of a number's uncertainty"
        unsure = row.uncertainty.action_units
        assert (unsure is None) == (len(face.record.labels.action_units or {}) == 17)
        assert unsure is None or 0 < unsure < 1
    assert Counter(request.logprobs for request in vlm.asked) == {True: 30, False: 30}
    assert all(("1 if it is active" in request.text) == request.logprobs for request in vlm.asked)


def test_without_log_probabilities_draws_are_plain_and_it_is_said_once(make_seke, faces, caplog):
    shown, annotator = faces
    seke = make_seke(Listening(annotator, deaf=True), uncertainty="logprobs", stopping=fixed(2))
    with caplog.at_level(logging.WARNING):
        rows = rows_of(seke, shown)
    assert all("no_logprobs" in row.flags for row in rows)
    assert sum("log probabilities" in record.message for record in caplog.records) == 1
    assert all(row.uncertainty.max is not None and row.labels.complete for row in rows)


def test_a_soft_pilot_teaches_the_stopping_rule(make_seke, faces, tmp_path, monkeypatch):
    monkeypatch.setattr("seke.generation.pilot.FEWEST", 5)
    shown, annotator = faces
    of = {face.record.id: face for face in shown}
    options = {"uncertainty": "logprobs", "aggregate": "calibrated", "pilot": 15, "max_samples": 3}
    seke = make_seke(annotator, stopping=EmpiricalBayes((1, 3), prompt_cost=0.0), **options)
    seke.learn([*(face.record for face in shown)], lambda record: of[record.id], tmp_path)
    kept = list(read_jsonl(tmp_path / "pilot.jsonl", Masked))
    assert kept and all(isinstance(draw, SoftDraw) for row in kept for draw in row.draws)
    first = rows_of(seke, shown)
    assert {row.samples for row in first} <= {1, 3}
    again = make_seke(annotator, stopping=EmpiricalBayes((1, 3), prompt_cost=0.0), **options)
    again.learn([*(face.record for face in shown)], lambda record: None, tmp_path)
    assert rows_of(again, shown[::-1])[::-1] == first, "a resume reads the same pilot"


def test_mistakes(make_seke, prompts):
    with pytest.raises(UserError, match=r"generator\.uncertainty"):
        make_seke(uncertainty="words")
    older = {name: text for name, text in prompts.templates.items() if name != "ask_each_action_unit"}
    make_seke(prompts=Prompts(older))
    with pytest.raises(UserError, match="ask_each_action_unit"):
        make_seke(prompts=Prompts(older), uncertainty="logprobs")


def test_labels_without_expression_or_action_units_soften(make_seke):
    text = '{"valence": 0.5}'
    drawn = soften(Labels(valence=0.5), text, [(sign, -0.1) for sign in text])
    assert drawn.soft == Soft()
