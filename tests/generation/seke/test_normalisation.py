"""Normalisation of the uncertainty that Algorithm 1 decides by: one scale by hand, one learnt, and none at all."""

import json
from random import Random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import Labels, Uncertainty
from seke.core.vlm import Choice, Reply, Request
from seke.generation.outcome import Face
from seke.generation.seke.normalisation import FILE, NOTHING, QUANTILE, Scales, observed, scales_of
from seke.generation.seke.sampling import Bill, sample
from seke.generation.seke.stopping import uamc
from seke.generation.seke.uncertainty import uncertainty

NAMES = Scales._fields
shares = st.one_of(st.none(), st.floats(0, 1))


@given(st.tuples(shares, shares, shares, shares), st.tuples(*[st.floats(0.001, 2)] * 4))
def test_the_largest_against_a_loop_and_the_theoretical_one_is_the_rows_own(values, scales) -> None:
    known = [value for value in values if value is not None]
    found = Uncertainty(**dict(zip(NAMES, values, strict=True)), max=max(known, default=None))
    assert Scales().largest(found) == found.max
    by_hand = [min(1.0, value / scale) for value, scale in zip(values, scales, strict=True) if value is not None]
    assert Scales(*scales).largest(found) == (max(by_hand) if by_hand else None)
    assert NOTHING.largest(found) == (0.0 if known else None)


def drawn(scales: Scales, values: list[float], seed: int) -> int:
    """How many draws UAMC takes of somebody who says these valences in turn."""
    dialogue = sample(
        lambda n, draw, again: Request(messages=(), n=n, draw=draw),
        lambda choice, draw: Labels(valence=float(choice.text)),
        uamc(len(values)), Random(seed), Bill(), len(values), scales=scales,
    )  # fmt: skip
    request, end = next(dialogue), None
    while end is None:
        said = values[request.draw : request.draw + request.n]
        try:
            request = dialogue.send(Reply(tuple(Choice(str(value)) for value in said), "m"))
        except StopIteration as stop:
            end = stop.value
    assert end.uncertainty == uncertainty(end.draws), "a row states the same on every scale"
    return len(end.draws)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=5), st.floats(0.01, 2), st.integers(0, 999))
def test_algorithm_1_goes_on_by_the_scale_it_is_given(values, scale, seed) -> None:
    dice, by_hand = Random(seed), 2
    while by_hand < 5 and dice.random() < 0.5 + 0.5 * min(1.0, np.var(values[:by_hand]) / scale):
        by_hand += 1
    assert drawn(Scales(valence=scale), values, seed) == by_hand
    coin, tossed = Random(seed), 2
    while tossed < 5 and coin.random() < 0.5:
        tossed += 1
    assert drawn(NOTHING, values, seed) == tossed


def test_what_was_observed_against_numpy() -> None:
    rng = np.random.default_rng(0)
    pairs = [
        [Labels(valence=float(v), action_units={4: bool(a)}) for v, a in zip(valences, active, strict=True)]
        for valences, active in zip(rng.uniform(-1, 1, (200, 3)), rng.random((200, 3)) < 0.02, strict=True)
    ]
    found = observed([*pairs, [Labels(valence=0.0)]], "mean")
    first = [[draw.valence for draw in draws[:2]] for draws in pairs]
    assert found.valence == pytest.approx(np.quantile(np.var(first, axis=1), QUANTILE))
    assert found.action_units == 1.0, "fewer than 5 % differ: the largest that there was"
    assert (found.expression, found.arousal) == (1.0, 1.0), "not asked"
    same = [[Labels(valence=0.1)] * 2] * 30
    assert observed(same, "mean") == Scales(), "they never differ"


@pytest.fixture
def run(data, make_seke, tmp_path):
    """Return run(folder's name, faces, settings...) -> rows by id, of a generator that has learnt what it needs."""

    def generated(name: str, faces: list[Face], **settings):
        (tmp_path / name).mkdir(exist_ok=True)
        seke, by_id = make_seke(**settings), {face.record.id: face for face in faces}
        seke.learn([face.record for face in faces], lambda record: by_id[record.id], tmp_path / name)
        return {outcome.row.id: outcome.row for outcome in seke.generate(faces)}

    return generated


def test_the_scale_learnt_is_the_records_own_in_any_order_and_a_resume_keeps_it(data, run, tmp_path) -> None:
    faces = data.faces
    rows = run("a", faces, normalise="empirical")
    assert rows == run("b", faces[::-1], normalise="empirical")
    learnt = json.loads((tmp_path / "a" / FILE).read_text())
    assert learnt == json.loads((tmp_path / "b" / FILE).read_text())
    assert rows == run("c", faces, normalise=learnt)
    assert not (tmp_path / "c" / FILE).exists()
    (tmp_path / "b" / FILE).write_text(json.dumps(Scales(valence=1e-6)._asdict()))
    resumed = run("b", faces, normalise="empirical")
    assert resumed == run("d", faces, normalise={"valence": 1e-6}) != rows


def test_draws_grow_with_what_uncertainty_counts(data, run) -> None:
    mean = {
        name: fmean(row.samples for row in run(str(place), data.faces, normalise=name).values())
        for place, name in enumerate(("none", "theoretical", "empirical"))
    }
    assert mean["none"] <= mean["theoretical"] < mean["empirical"]


@pytest.mark.parametrize(
    ("normalise", "argument"),
    [
        ("largest", "normalise=largest: no way"),
        (3, "normalise=3: no way"),
        ([], r"normalise=\[\]: no way"),
        ({"mood": 0.1}, r"normalise\.mood=0\.1: no descr"),
        ({"valence": 0}, r"normalise\.valence=0: no scale"),
        ({"valence": float("inf")}, r"normalise\.valence=inf"),
        ({"valence": "a"}, r"normalise\.valence=a"),
    ],
)
def test_what_is_no_normalisation_is_one_line(normalise, argument: str) -> None:
    with pytest.raises(UserError, match=rf"generator\.{argument}"):
        scales_of(normalise)


def test_too_few_records_teach_no_scale(data, run) -> None:
    with pytest.raises(UserError, match=r"generator\.normalise=empirical: only 3 records"):
        run("a", data.faces[:3], normalise="empirical")
