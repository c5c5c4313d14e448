"""Grades in the whole generator: asked, learnt from, read by every rule and aggregate; what was asked before stays."""

from pathlib import Path
from random import Random

import pytest
import yaml

from seke.backends.simulated.grading import Grading, grades, shares
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.core.vlm import Choice, Image
from seke.generation.calibration.annotator_model import Masked
from seke.generation.outcome import Face
from seke.generation.seke.asking import SLOTS, SLOTS_OF
from seke.generation.seke.empirical_bayes import EmpiricalBayes
from seke.generation.seke.generator import Seke
from seke.generation.seke.stopping import fixed, uamc

from ..conftest import CONF

KEYS = {
    "draws": [
        "2fa5ef7bcac5d98cae039e99e3fa7f35f931409ed17466fa6f6a0daa41707d57",
        "ad2bd6ff4d4301f99500071733329e6ba81ee3c288076829f524c903b9619a0b",
        "f385590e9e395d2cc9352d24847be03598ce90c73c72d3acc16aaba85b22ed1a",
    ],
    "logprobs": [
        "63d2d9c32ed0cf52d81b55b34bdd84853e1724461fc84bdf215d47ec2320216a",
        "2ed6c7f52da5d1c482af5fbcb91b48ac1802b1d755858475b260b9fb42057b07",
        "da43bad2093622677170204326804b473deda06f476da283fe862b120276bded",
    ],
}
"""Of three requests (the draws, and two more askings), as version 3bcc29d had them."""


@pytest.fixture(scope="module")
def graded_prompts(prompts):
    """conf/prompts/seke_graded.yaml, which adds to seke.yaml."""
    more = yaml.safe_load((CONF / "prompts" / "seke_graded.yaml").read_text(encoding="utf-8"))["templates"]
    return Prompts({**prompts.templates, **more})


@pytest.mark.parametrize("form", KEYS)
@pytest.mark.parametrize("intensity", [None, {1: 3.0, 2: 0.0}])
def test_keys_of_what_was_paid_for_before_intensities_existed_stay(scripted, form, intensity):
    every = {name: " ".join(["ask", *(f"{{{slot}}}" for slot in sorted(slots))]) for name, slots in SLOTS.items()}
    prompts = Prompts({**every, "ask_each_action_unit": "ask {numbers}"})
    vlm = scripted(lambda request, number: Choice("", "refusal"))
    known = Labels(expression="fear", action_units={1: True, 2: False}, au_intensity=intensity)
    record = ImageRecord(id="a", image="a.png", sha256="0" * 64, source="s", subject=None, split="train", labels=known)
    list(Seke(vlm, fixed(2), prompts, uncertainty=form).generate([Face(record, Image(Path("a.png"), "0" * 64))]))
    assert [request.key for request in vlm.asked] == KEYS[form]


@pytest.mark.parametrize(
    ("rule", "aggregate"),
    [
        (fixed(1), "majority"),
        (fixed(2), "calibrated"),
        (fixed(2), "summary"),
        (uamc(3), "summary"),
        (EmpiricalBayes((1, 3), prompt_cost=0.0), "calibrated"),
    ],
    ids=["fixed-majority", "fixed-calibrated", "fixed-summary", "uamc-summary", "empirical_bayes-calibrated"],
)
def test_every_rule_and_aggregate_reads_grades(
    make_seke, graded_prompts, data, annotator, tmp_path, monkeypatch, rule, aggregate
):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)
    of = {face.record.id: face for face in data.faces}
    options = {"prompts": graded_prompts, "uncertainty": "graded", "aggregate": aggregate, "pilot": 10}
    seke = make_seke(annotator, stopping=rule, max_samples=3, **options)
    seke.learn(data.records, lambda record: of[record.id], tmp_path)
    if (tmp_path / "pilot.jsonl").is_file():
        kept = list(read_jsonl(tmp_path / "pilot.jsonl", Masked))
        assert all(draw.au_intensity for row in kept for draw in row.draws if draw.action_units)
    outcomes = list(seke.generate(data.faces))
    for face, outcome in zip(data.faces, outcomes, strict=True):
        row = outcome.row
        assert row.labels.complete
        assert face.record.labels.completed_by(row.labels) == row.labels
        assert row.labels.au_intensity is None, "a grade is no label"
        given = [draw.au_intensity for draw in outcome.trace.draws if draw.au_intensity]
        assert row.grades == (
            {str(au): pytest.approx(sum(d[au] for d in given) / len(given)) for au in given[0]} if given else None
        )
        assert not {"no_logprobs", "reasoning_contradicts", "unusable_draws"} & set(row.flags)
        assert all(draw.au_intensity for draw in outcome.trace.draws if draw.action_units), (
            "draws.jsonl keeps the grades"
        )


def test_what_is_asked_names_every_au_and_every_expression(make_seke, graded_prompts, scripted, data):
    vlm = scripted(lambda request, number: Choice("", "refusal"))
    face = data.faces[0]._replace(record=data.records[0].model_copy(update={"labels": Labels()}))
    list(make_seke(vlm, prompts=graded_prompts, uncertainty="graded").generate([face]))
    asked = vlm.asked[0]
    assert "FACS intensity" in asked.text
    assert not asked.logprobs
    assert list(asked.schema["properties"]["expression"]["properties"]) == list(EXPRESSIONS)


def test_intensities_alone_are_no_annotation_to_show(make_seke, scripted, data):
    vlm = scripted(lambda request, number: Choice("", "refusal"))
    known = data.records[0].model_copy(update={"labels": Labels(au_intensity={12: 3.0})})
    list(make_seke(vlm).generate([data.faces[0]._replace(record=known)]))
    assert "<human_annotation>" not in vlm.asked[0].text


def test_a_prompt_that_grading_lacks_is_refused(make_seke, prompts, graded_prompts):
    with pytest.raises(UserError, match="prompts=seke_graded"):
        make_seke(uncertainty="graded")
    for name in SLOTS_OF["graded"]:
        with pytest.raises(UserError, match=name):
            make_seke(prompts=Prompts({**graded_prompts.templates, name: "no slot"}), uncertainty="graded")


HABITS = Grading(
    middle=2.5,
    step=2.0,
    noise=0.5,
    leniency=0.3,
    used=(0, 2, 3),
    favourites=(0, 3),
    habit=0.5,
    sharpness=1.5,
    rounding=25,
)


def test_the_simulated_annotator_keeps_its_habits(data):
    given = [grades([score] * len(ACTION_UNITS), HABITS, 1.0, Random(score)) for score in range(-8, 5)]
    assert {grade for one in given for grade in one.values()} == {0, 2, 3}
    means = [sum(one.values()) for one in given]
    assert means[0] < means[6] < means[-1], "more log-odds, higher grades"
    said = shares([3.0, 1.0, *[0.0] * 6], HABITS)
    assert all(share % 25 == 0 for share in said.values()) and max(said, key=said.get) == EXPRESSIONS[0]
    assert sum(shares([0.0] * 8, HABITS).values()) > 0
