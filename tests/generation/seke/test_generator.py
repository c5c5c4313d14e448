"""The generator on a few faces: what it asks, what it keeps, what it rejects."""

import json
import re
from collections import Counter
from random import Random

import pytest

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import InstructionRecord, Labels, Rejection, to_line
from seke.core.vlm import Choice, Image
from seke.generation.asked import missing
from seke.generation.seke import checks
from seke.generation.seke.sampling import REASKS
from seke.generation.seke.stopping import fixed


def plain_answer(request, number):
    """Answer with the first allowed value of everything."""
    said = {}
    for name, form in request.schema["properties"].items():
        said[name] = {"string": form.get("enum", ["It fits."])[0], "number": 0.0, "array": []}[form["type"]]
    return Choice(json.dumps(said))


def test_manual_labels_are_never_altered(data, make_seke):
    for options in ({}, {"use_prior": False}, {"self_verify": False}, {"use_prior": False, "self_verify": False}):
        for face, outcome in zip(data.faces, make_seke(**options).generate(data.faces), strict=True):
            assert isinstance(outcome.row, InstructionRecord)
            manual, final = face.record.labels, outcome.row.labels
            assert final.complete
            assert manual.completed_by(final) == final
            assert (outcome.row.origin.expression == "manual") == (manual.expression is not None)
            for au in ACTION_UNITS:
                by_hand = au in (manual.action_units or {})
                assert (outcome.row.origin.action_units[str(au)] == "manual") == by_hand


def test_rows_load_as_llava_conversations_and_text_says_the_labels(data, make_seke):
    for outcome in make_seke().generate(data.faces):
        row = json.loads(to_line(outcome.row))
        assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
        assert row["conversations"][0]["value"].startswith("<image>\n")
        text = row["conversations"][1]["value"]
        assert extract(text) == extract(describe(outcome.row.labels, digits=2))
        assert row["samples"] == len(outcome.trace.draws) >= 2


def test_draws_and_summary_see_what_algorithm_1_says(data, make_seke, scripted):
    vlm = scripted(plain_answer)
    face = data.faces[2]  # action units only
    (outcome,) = make_seke(vlm, stopping=fixed(3)).generate([face])
    draws, summary = vlm.asked
    assert (draws.n, summary.n) == (3, 1)
    block = f"<human_annotation>\n{describe(face.record.labels)}\n</human_annotation>"
    for request in vlm.asked:
        assert block in request.text
        assert isinstance(request.messages[-1].parts[-1], Image), "the image comes last"
        assert request.messages[0] == draws.messages[0], "the stable text comes first"
    assert len(re.findall(r'<prediction n="\d">', summary.text)) == 3
    assert "<prediction" not in draws.text
    stated = summary.text.split("<uncertainty>")[1].split("</uncertainty>")[0]
    assert re.findall(r"(\w[\w ]*): ([\d.]+)", stated) == [
        (name, "0.000") for name in ("expression", "valence", "arousal", "action units")
    ]
    assert "reasoning" not in draws.schema["properties"]
    assert "reasoning" in summary.schema["properties"]
    assert outcome.trace.requests == 2
    assert outcome.trace.input_tokens == 200
    assert outcome.trace.prior == face.record.labels


def test_without_prior_no_human_label_is_shown(data, make_seke, scripted):
    vlm = scripted(plain_answer)
    outcomes = list(make_seke(vlm, use_prior=False).generate(data.faces))
    for request in vlm.asked:
        assert "human_annotation" not in request.text
    assert all(outcome.trace.prior.empty for outcome in outcomes)


def test_single_pass_is_one_call(data, make_seke, scripted):
    vlm = scripted(plain_answer)
    outcomes = list(make_seke(vlm, self_verify=False).generate(data.faces))
    assert len(vlm.asked) == len(data.faces)
    assert all(request.n == 1 and "<prediction" not in request.text for request in vlm.asked)
    assert {outcome.row.samples for outcome in outcomes} == {0}
    assert all(outcome.row.uncertainty.max is None for outcome in outcomes)


def test_complete_records_take_no_draw_only_text(data, make_seke, scripted):
    vlm = scripted(plain_answer)
    full = [
        face._replace(record=face.record.model_copy(update={"labels": data.truth[face.record.id]}))
        for face in data.faces
    ]
    for face, outcome in zip(full, make_seke(vlm).generate(full), strict=True):
        assert outcome.row.labels == face.record.labels
        assert outcome.row.samples == 0
        assert "generated" not in to_line(outcome.row.origin)
    assert {tuple(request.schema["properties"]) for request in vlm.asked} == {("reasoning",)}
    assert len(vlm.asked) == len(full)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("expression", ["expression"]), ("va", ["valence", "arousal"]), ("au", ["action_units"])],
)
def test_hidden_labels_are_generated_and_never_shown(data, make_seke, scripted, name, fields):
    vlm = scripted(plain_answer)
    outcomes = list(make_seke(vlm, hide=[name], stopping=fixed(2)).generate(data.faces))
    for face, outcome in zip(data.faces, outcomes, strict=True):
        for field in fields:
            origin = getattr(outcome.row.origin, field)
            assert set(origin.values() if isinstance(origin, dict) else [origin]) == {"generated"}
            assert getattr(outcome.trace.prior, field) is None
        kept = face.record.labels.model_copy(update=dict.fromkeys(fields))
        assert kept == outcome.trace.prior
    for request in vlm.asked:
        assert set(fields) <= set(request.schema["properties"])


def test_another_seed_gives_other_draws_and_questions(data, make_seke):
    def outcomes(seed):
        return list(make_seke(seed=seed).generate(data.faces))

    one, other = outcomes(0), outcomes(1)
    assert [o.trace.draws for o in one] != [o.trace.draws for o in other]
    assert [o.row.conversations[0] for o in one] != [o.row.conversations[0] for o in other]


def test_refused_faces_are_rejected_with_their_reason(data, make_seke, scripted):
    refused = data.faces[3].image.sha256

    def script(request, number):
        known = request.images[0].sha256 == refused
        return Choice("I can't help with that.", "refusal") if known else plain_answer(request, number)

    vlm = scripted(script, reverse=True)
    outcomes = list(make_seke(vlm).generate(data.faces))
    rejected = [outcome.row for outcome in outcomes if isinstance(outcome.row, Rejection)]
    assert [(row.id, row.reason) for row in rejected] == [(data.records[3].id, "refusal")]
    assert sum(request.images[0].sha256 == refused for request in vlm.asked) == 1 + REASKS
    assert len(outcomes) == len(data.faces)


def test_a_summary_that_lacks_a_label_is_asked_again_then_rejected(data, make_seke, scripted):
    def script(request, number):
        answer = plain_answer(request, number)
        if "<prediction" not in request.text or request.draw >= patience:
            return answer
        said = json.loads(answer.text)
        return Choice(json.dumps({name: said[name] for name in said if name != "action_units"}))

    face = data.faces[0]  # expression only: action units are asked
    patience = REASKS
    (outcome,) = make_seke(scripted(script)).generate([face])
    assert isinstance(outcome.row, InstructionRecord)
    patience = REASKS + 1
    (outcome,) = make_seke(scripted(script)).generate([face])
    assert (outcome.row.reason, outcome.trace.summary) == ("incomplete", None)


def test_partly_unusable_draws_are_flagged_and_used(data, make_seke, scripted):
    def script(request, number):
        summary = "reasoning" in request.schema["properties"]
        return plain_answer(request, number) if summary or request.draw == number == 0 else Choice("", "filtered")

    (outcome,) = make_seke(scripted(script)).generate(data.faces[:1])
    assert outcome.row.samples == 1
    assert "unusable_draws" in outcome.row.flags


def test_reasoning_that_contradicts_the_labels_is_dropped(data, make_seke, scripted):
    def script(request, number):
        said = json.loads(plain_answer(request, number).text)
        if "reasoning" in said:
            said["reasoning"] = "The expression is fear. Valence is 0.93."
        return Choice(json.dumps(said))

    (outcome,) = make_seke(scripted(script)).generate(data.faces[2:3])
    assert outcome.row.labels.expression == "neutral"
    assert "reasoning_contradicts" in outcome.row.flags
    assert outcome.row.conversations[1].value == describe(outcome.row.labels, digits=2)


def test_a_blind_annotator_is_flagged(data, make_seke):
    face = data.faces[0]._replace(image=Image(data.faces[0].image.path, "0" * 64))
    (outcome,) = make_seke().generate([face])
    assert "blind" in outcome.row.flags
    assert outcome.row.annotator == "simulated-annotator-blind"
    assert outcome.row.simulated


def test_a_models_name_says_nothing_of_it(data, make_seke, scripted):
    """A user's model may be called so; whether it is blind or simulated its replies say."""
    vlm = scripted(plain_answer)
    vlm.name = "simulated-x-blind"
    (outcome,) = make_seke(vlm).generate(data.faces[:1])
    assert outcome.row.annotator == "simulated-x-blind"
    assert "blind" not in outcome.row.flags
    assert json.loads(to_line(outcome.row))["simulated"] is False


def test_the_eleven_questions_are_distinct_and_leak_nothing(prompts, data, make_seke):
    questions = prompts.templates["questions"]
    assert len(set(questions)) == 11
    for question in questions:
        words = set(re.findall(r"[a-z]+", question.lower()))
        assert not words & set(EXPRESSIONS)
        assert not re.search(r"\d", question)
        assert not any(name.lower() in question.lower() for name in ACTION_UNITS.values())
        for needed in ("expression", "valence", "arousal", "action units"):
            assert needed in question.lower()
    asked = Counter(o.row.conversations[0].value for o in make_seke(seed=3).generate(data.faces))
    assert len(asked) > 5


@pytest.mark.parametrize("question", ["Why is this face angry? The expression is anger.", "Does fear show?"])
def test_a_leaking_question_is_refused_before_anything_is_asked(prompts, make_seke, question):
    with pytest.raises(UserError, match="gives an answer away"):
        make_seke(prompts=Prompts({**prompts.templates, "questions": [question]}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_samples": 1}, "generator.max_samples=1"),
        ({"max_samples": -2}, "generator.max_samples=-2"),
        ({"hide": ["emotion"]}, "generator.hide=emotion"),
        ({"per_au": "median"}, "generator.per_au=median"),
        ({"temperature": 3}, "generator.temperature=3"),
    ],
)
def test_wrong_settings_name_themselves(make_seke, options, message):
    with pytest.raises(UserError, match=message):
        make_seke(**options)


def test_a_misspelt_slot_costs_nothing(prompts, make_seke):
    with pytest.raises(UserError, match=r"prompts\.templates\.draw"):
        make_seke(prompts=Prompts({**prompts.templates, "draw": "{priors} {asked}"}))


def test_seke_beats_the_single_pass_on_the_latent_truth(data, make_seke):
    """On forty faces only the direction is certain; scripts and the demo measure it on thousands."""

    def errors(**options):
        wrong = numbers = 0.0
        for outcome in make_seke(**options).generate(data.faces):
            truth, asked = data.truth[outcome.row.id], missing(outcome.trace.prior)
            found = outcome.row.labels
            wrong += found.expression != truth.expression
            wrong += sum(found.action_units[au] != truth.action_units[au] for au in asked.action_units) / 17
            numbers += abs(found.valence - truth.valence) + abs(found.arousal - truth.arousal)
        return wrong, numbers

    seke, single = errors(), errors(use_prior=False, self_verify=False)
    assert seke[0] < single[0]
    assert seke[1] < single[1]


def test_checks_name_what_does_not_fit():
    smile = Labels(expression="sadness", valence=-0.6, arousal=-0.3, action_units={12: True})
    assert checks.coupling_flags(smile) == ["au12_negative_valence"]
    assert checks.coupling_flags(smile.model_copy(update={"expression": "happiness"})) == [
        "au12_negative_valence",
        "va_far_from_expression",
    ]
    draws = [Labels(expression="fear", valence=0.1, action_units={1: True})] * 2
    assert not checks.summary_drifts(draws, draws[0])
    for change in ({"expression": "anger"}, {"valence": 0.5}, {"action_units": {1: False}}):
        assert checks.summary_drifts(draws, draws[0].model_copy(update=change))
    mixed = [draws[0], Labels(expression="anger", valence=0.1, action_units={1: False})]
    for change in ({"expression": "anger"}, {"action_units": {1: False}}):
        assert not checks.summary_drifts(mixed, draws[0].model_copy(update=change))
    assert not checks.summary_drifts([], draws[0])
    assert not checks.prior_kept(smile, smile.model_copy(update={"valence": 0.0}))


def test_truth_of_the_latent_model_is_rarely_flagged():
    from seke.sources.synthetic.face_model import draw_face

    rng = Random(0)
    flagged = sum(bool(checks.coupling_flags(draw_face(rng).labels)) for _ in range(500))
    assert flagged < 25
