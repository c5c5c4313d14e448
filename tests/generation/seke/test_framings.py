"""Draws that ask in ways of their own, and that nothing changes for those that do not."""

import hashlib
from pathlib import Path

import pytest
import yaml

from seke.answers.extract import describe
from seke.core.affect import AUS_OF_SOURCE
from seke.core.dry_run import MadeUp
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Image
from seke.generation.calibration.logprobs import SoftDraw
from seke.generation.outcome import Face
from seke.generation.run.dry_run import estimate
from seke.generation.seke.asking import SLOTS, SLOTS_OF
from seke.generation.seke.generator import Seke
from seke.generation.seke.stopping import fixed, uamc

from ..conftest import CONF

WAYS = 5


def templates(name):
    return yaml.safe_load((CONF / "prompts" / f"{name}.yaml").read_text(encoding="utf-8"))["templates"]


@pytest.fixture(scope="module")
def framed():
    """conf/prompts/seke_framed.yaml, which adds to seke_graded.yaml, which adds to seke.yaml."""
    return Prompts(templates("seke") | templates("seke_graded") | templates("seke_framed"))


class Recorded(MadeUp):
    """Remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def reply(self, requests):
        listed = list(requests)
        self.asked += listed
        return super().reply(listed)


# what is not framed ---------------------------------------------------------------------------------------------------

KNOWN = (
    Labels(),
    Labels(expression="fear"),
    Labels(expression="anger", valence=-0.5, arousal=0.5),
    Labels(action_units={au: au in (6, 12) for au in AUS_OF_SOURCE["disfa"]}),
)
BEFORE = {
    ("draws", "summary"): (132, "b997426e0838553492fd8b1446a0f9c93c0d4f288ef28e02b10907c4b1866ef0"),
    ("logprobs", "summary"): (128, "8d24dba089336f8aa557cb88aac99cca1037b7109562f674e6afeb317a3cfc46"),
    ("graded", "summary"): (133, "d163e0b2f9e3a0935770f5aec29b4b8d4a27f041e4d6d61912d1e2117656b059"),
    ("draws", "majority"): (80, "021a5c7eeb32a8253ee6b884e944e00469b7d3084f9b303f18ba376e4653776c"),
    ("logprobs", "majority"): (80, "bc95857fed2510123f153b2f8268c677a0c5bac8c6ae7fd35e038c6c0063abb0"),
    ("graded", "majority"): (80, "505a831ed147f53534ff0483d888bb076fff7600d3c4a4eca44c7583a0728c20"),
}
"""Number of requests about forty faces, and sha256 of their keys, line by line, as version 3388cc6 made them: by
uamc(5) with the prior shown, and by fixed(5) with it hidden."""


@pytest.mark.parametrize(("form", "aggregate"), BEFORE, ids="-".join)
def test_requests_that_are_not_framed_are_those_of_before(form, aggregate):
    every = {**SLOTS, **SLOTS_OF[form]}
    prompts = Prompts({name: " ".join(["ask", name, *(f"{{{s}}}" for s in sorted(every[name]))]) for name in every})
    faces = []
    for number in range(40):
        digest = f"{number:064x}"
        row = {"id": f"f-{number}", "image": "a.png", "sha256": digest, "source": "s", "subject": f"p{number % 8}"}
        record = ImageRecord(**row, split="train", labels=KNOWN[number % 4])
        faces.append(Face(record, Image(Path("a.png"), digest)))
    vlm = Recorded()
    shown = aggregate == "summary"
    rule = uamc(5) if shown else fixed(5)
    list(Seke(vlm, rule, prompts, uncertainty=form, aggregate=aggregate, use_prior=shown).generate(faces))
    keys = "\n".join(request.key for request in vlm.asked)
    assert (len(vlm.asked), hashlib.sha256(keys.encode()).hexdigest()) == BEFORE[form, aggregate]


def test_draws_asked_in_one_way_are_one_request(make_seke, data):
    vlm = Recorded()
    list(make_seke(vlm, stopping=fixed(5), aggregate="majority").generate(data.faces))
    draws = [request for request in vlm.asked if "reasoning" not in request.schema["properties"]]
    assert [request.n for request in draws] == [5] * len(data.faces)


# what is --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_prior", [True, False])
def test_every_draw_is_asked_in_its_own_way(make_seke, framed, data, use_prior):
    vlm = Recorded()
    face = data.faces[2]  # action units only
    list(make_seke(vlm, stopping=fixed(5), prompts=framed, use_prior=use_prior).generate([face]))
    *draws, summary = vlm.asked
    assert [(request.n, request.draw) for request in draws] == [(1, number) for number in range(WAYS)]
    assert len({request.text for request in draws}) == WAYS
    block = f"<human_annotation>\n{describe(face.record.labels)}\n</human_annotation>"
    asked = "- expression: the one expression that fits best\n- valence"
    for request in draws:
        assert request.messages[0] == summary.messages[0], "the stable text comes first"
        assert isinstance(request.messages[-1].parts[-1], Image), "the picture comes last"
        assert asked in request.text
        assert (block in request.text) == use_prior
        assert "{" not in request.text
    fields = [list(request.schema["properties"]) for request in draws]
    labels = ["expression", "valence", "arousal", "action_units"]
    assert fields == [labels] * (WAYS - 1) + [["reasoning", *labels]], "reasons come before the labels"
    assert summary.text.count("<prediction n=") == WAYS


def test_equal_words_come_before_what_is_known_of_one_face(make_seke, framed, data):
    """So that a server need read them only once for all faces."""
    texts = {}
    for face in data.faces[1:3]:
        vlm = Recorded()
        list(make_seke(vlm, stopping=fixed(5), prompts=framed).generate([face]))
        texts[face.record.id] = [request.messages[-1].text for request in vlm.asked[1:WAYS]]
    for one, other in zip(*texts.values(), strict=True):
        before = one.split("Human experts")[0]
        assert len(before) > 100
        assert other.startswith(before)


def test_a_face_that_is_drawn_seven_times_takes_one_request_for_each_way(make_seke, framed, data):
    vlm = Recorded()
    make = {"stopping": fixed(7), "max_samples": 7, "aggregate": "majority"}
    (outcome,) = make_seke(vlm, prompts=framed, **make).generate(data.faces[:1])
    assert [request.n for request in vlm.asked[:-1]] == [2, 2, 1, 1, 1]
    assert len(outcome.trace.draws) == 7


@pytest.mark.parametrize("form", ["draws", "logprobs", "graded"])
@pytest.mark.parametrize(
    ("rule", "aggregate"), [(uamc(5), "summary"), (fixed(5), "calibrated")], ids=["uamc-summary", "fixed-calibrated"]
)
def test_every_form_is_framed_and_learnt_from(make_seke, framed, data, tmp_path, monkeypatch, form, rule, aggregate):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)
    of = {face.record.id: face for face in data.faces}
    seke = make_seke(stopping=rule, prompts=framed, uncertainty=form, aggregate=aggregate, pilot=10)
    seke.learn(data.records, lambda record: of[record.id], tmp_path)
    seke.suppose_asked(False)
    for face, outcome in zip(data.faces, seke.generate(data.faces), strict=True):
        assert outcome.row.labels.complete
        assert face.record.labels.completed_by(outcome.row.labels) == outcome.row.labels
        assert not {"no_logprobs", "unusable_draws"} & set(outcome.row.flags)
        assert len(outcome.trace.draws) >= 2
        assert form != "logprobs" or all(isinstance(draw, SoftDraw) for draw in outcome.trace.draws)


def test_what_it_takes_is_estimated_exactly(make_seke, framed, data):
    options = {"stopping": fixed(5), "prompts": framed, "aggregate": "majority"}
    made_up, of = MadeUp(), {face.record.id: face for face in data.faces}
    [found] = estimate(make_seke(made_up, **options), [made_up], data.records, lambda record: of[record.id])
    traces = [outcome.trace for outcome in make_seke(**options).generate(data.faces)]
    assert found.requests == sum(trace.requests for trace in traces) == (WAYS + 1) * len(data.records)
    assert found.input_tokens == pytest.approx(sum(trace.input_tokens for trace in traces), rel=0.1)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"draw": ["{prior} {asked}", "{prior} {askd}"]},
            r"^prompts\.templates\.draw\[1\]=\{askd\}, \{prior\}: not the",
        ),
        ({"draw": ["{prior} {asked}", "{asked}"]}, r"^prompts\.templates\.draw\[1\]=\{asked\}: not the slots"),
        ({"draw": []}, r"^prompts\.templates\.draw=None: no such template; it takes \{asked\}, \{prior\}"),
        ({"draw_reasons_first": []}, r"^prompts\.templates\.draw_reasons_first=None: no such template"),
        ({"draw_reasons_first": "Why? {asked}"}, r"^prompts\.templates\.draw_reasons_first\[0\]=\{asked\}: not the"),
    ],
)
def test_ways_that_cannot_be_asked_are_refused(make_seke, framed, changed, line):
    with pytest.raises(UserError, match=line) as caught:
        make_seke(prompts=Prompts(framed.templates | changed))
    assert "\n" not in str(caught.value)
