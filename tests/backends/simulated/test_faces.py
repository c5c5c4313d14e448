"""The simulated annotator: a VLM by its seam, a function of the request alone, as good as Table 2 says GPT-4o is."""

import json
import runpy
from pathlib import Path
from statistics import mean, pvariance

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seke.answers.extract import describe, extract
from seke.backends.simulated import perception
from seke.backends.simulated.couplings import COUPLINGS
from seke.backends.simulated.faces import BLIND, MODEL, Simulated, reasoning
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Image, Message, Request

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "enum": list(EXPRESSIONS)},
        "valence": {"type": "number"},
        "arousal": {"type": "number"},
        "action_units": {"type": "array", "items": {"type": "integer", "enum": list(ACTION_UNITS)}},
        "reasoning": {"type": "string"},
    },
}


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(ROOT / "scripts" / "calibrate_annotator.py"))


@pytest.fixture(scope="module")
def rows(script) -> list[ImageRecord]:
    return script["faces"](200, seed=5)


@pytest.fixture(scope="module")
def settings() -> dict:
    loaded = yaml.safe_load((ROOT / "conf" / "backend" / "simulated.yaml").read_text(encoding="utf-8"))
    return {name: value for name, value in loaded.items() if name not in ("_target_", "truth")}


@pytest.fixture(scope="module")
def truth(rows, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("truth")
    write_jsonl(folder / "truth.jsonl", rows)
    return str(folder / "*.jsonl")


@pytest.fixture(scope="module")
def annotator(truth, settings) -> Simulated:
    return Simulated(truth=truth, **settings)


def request(row, text="Annotate this face.", **options) -> Request:
    parts = (text, Image(Path("nowhere.png"), row.sha256))
    return Request(messages=(Message("user", parts),), schema=options.pop("schema", SCHEMA), **options)


def ask(annotator, *requests) -> list[list[dict]]:
    replies = dict(annotator.reply(requests))
    return [[json.loads(choice.text) for choice in replies[index].choices] for index in range(len(requests))]


def told(labels: Labels) -> str:
    return f"<human_annotation>\n{describe(labels)}\n</human_annotation>\nAnnotate this face."


def summary(predictions, doubt=0.0) -> str:
    blocks = [f'<prediction n="{n}">\n{describe(labels)}\n</prediction>' for n, labels in enumerate(predictions, 1)]
    lines = "\n".join(f"{name}: {doubt:.3f}" for name in ("expression", "valence", "arousal", "action units"))
    return "\n".join([*blocks, f"<uncertainty>\n{lines}\n</uncertainty>"])


def test_an_answer_depends_on_the_request_alone(annotator, truth, settings, rows):
    requests = [request(row, n=2, seed=3) for row in rows[:20]]
    forwards = ask(annotator, *requests)
    fresh = Simulated(truth=truth, **settings)
    assert ask(fresh, *reversed(requests)) == forwards[::-1]
    assert [ask(fresh, one)[0] for one in requests] == forwards


def test_every_draw_and_seed_is_another_answer(annotator, rows):
    answers = ask(annotator, *(request(rows[0], draw=draw, seed=seed) for draw in range(6) for seed in range(2)))
    assert len({json.dumps(answer) for answer in answers}) > 6
    (choices,) = ask(annotator, request(rows[0], n=6))
    assert len({json.dumps(choice) for choice in choices}) > 3


def test_at_temperature_zero_all_draws_are_one(annotator, rows):
    answers = ask(annotator, *(request(row, draw=draw, temperature=0.0) for row in rows[:20] for draw in range(3)))
    for first in range(0, 60, 3):
        assert answers[first] == answers[first + 1] == answers[first + 2]


def test_no_sampling_removes_the_error_of_an_image(annotator, rows):
    """The mean of many draws keeps an error: it falls, but to a floor well above zero."""
    one, many = [], []
    for row, (choices,) in ((row, ask(annotator, request(row, n=40))) for row in rows[:60]):
        draws = [choice["valence"] for choice in choices]
        one.append(abs(draws[0] - row.labels.valence))
        many.append(abs(mean(draws) - row.labels.valence))
    assert 0.1 < mean(many) < mean(one)


def test_it_answers_what_the_schema_asks(annotator, rows):
    asked = {
        "type": "object",
        "properties": {
            "arousal": SCHEMA["properties"]["arousal"],
            "action_units": {"type": "array", "items": {"type": "integer", "enum": [1, 12]}},
        },
    }
    for answers in ask(annotator, *(request(row, schema=asked) for row in rows[:50])):
        assert list(answers[0]) == ["arousal", "action_units"]
        assert set(answers[0]["action_units"]) <= {1, 12}
        assert -1 <= answers[0]["arousal"] <= 1


def test_without_schema_it_writes_the_template(annotator, rows):
    ((_, reply),) = annotator.reply([request(rows[0], schema=None)])
    text = reply.choices[0].text
    assert text.startswith("The expression is ")
    statement = text[: text.index("inactive.") + len("inactive.")] if "inactive." in text else text
    assert extract(statement).complete


def test_an_unknown_image_is_answered_blindly_and_says_so(annotator, rows):
    seen, unseen = rows[0], rows[0].model_copy(update={"sha256": "f" * 64})
    models = [reply.model for _, reply in annotator.reply([request(seen), request(unseen)])]
    assert models == [MODEL, BLIND]
    blind = [rows[0].model_copy(update={"sha256": f"{number:064x}"}) for number in range(300)]
    named = [answers[0]["expression"] for answers in ask(annotator, *map(request, blind))]
    assert min(named.count(name) for name in EXPRESSIONS) > 10, "it favours no expression"


def right(annotator, rows, text_of) -> float:
    answers = ask(annotator, *(request(row, text_of(row)) for row in rows))
    return mean(answer[0]["expression"] == row.labels.expression for answer, row in zip(answers, rows, strict=True))


def test_known_labels_move_its_belief(annotator, rows):
    plain = right(annotator, rows, lambda row: "Annotate this face.")
    with_aus = right(annotator, rows, lambda row: told(Labels(action_units=row.labels.action_units)))
    assert with_aus > plain + 0.1

    def told_each(*known):
        return [
            [answer[0] for answer in ask(annotator, *(request(row, told(labels)) for row in rows))] for labels in known
        ]

    smiling, sulking = ({au: au in prototype for au in ACTION_UNITS} for prototype in ({6, 12}, {1, 4, 15}))
    glad, low = told_each(Labels(action_units=smiling), Labels(action_units=sulking))
    assert mean(answer["valence"] for answer in glad) > mean(answer["valence"] for answer in low) + 0.1
    glad, low = told_each(Labels(expression="happiness"), Labels(expression="sadness"))
    smiles = [mean(12 in answer["action_units"] for answer in answers) for answers in (glad, low)]
    assert smiles[0] > smiles[1] + 0.03


@pytest.mark.parametrize("couplings", COUPLINGS.values(), ids=COUPLINGS)
def test_what_labels_say_about_the_rest_follows_the_couplings(couplings):
    order = list(ACTION_UNITS)

    def infer(known, weight):
        return perception.infer(known, couplings, weight)

    knowledge = infer(Labels(expression="happiness"), 1.0)
    assert knowledge.action_units[order.index(12)] > 2
    assert knowledge.action_units[order.index(15)] < 0
    assert knowledge.valence[0] > 0.6
    by_aus = infer(Labels(action_units={au: au in (9, 10) for au in ACTION_UNITS}), 1.0)
    assert max(range(8), key=by_aus.expression.__getitem__) == EXPRESSIONS.index("disgust")
    by_va = infer(Labels(valence=-0.63, arousal=-0.27), 1.0)
    assert max(range(8), key=by_va.expression.__getitem__) == EXPRESSIONS.index("sadness")
    assert infer(Labels(action_units={20: False}), 0.0).valence[1] == pytest.approx(0), "no weight, no pull"


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_what_it_makes_of_stated_uncertainty_is_a_switch(truth, settings, rows, weight):
    annotator = Simulated(truth=truth, **settings | {"uncertainty_weight": weight})

    def follows(doubt):
        said = [Labels(expression="contempt", valence=0.9, arousal=0.9)] * 3
        answers = ask(annotator, *(request(row, summary(said, doubt), seed=1) for row in rows[:100]))
        return (
            mean(answer[0]["expression"] == "contempt" for answer in answers),
            mean(answer[0]["valence"] for answer in answers),
        )

    sure, unsure = follows(0.0), follows(0.9)
    assert (sure[0] - unsure[0] > 0.1) == bool(weight)
    assert (sure[1] - unsure[1] > 0.1) == bool(weight)


def test_predictions_of_an_action_unit_raise_it(annotator, rows):
    def reported(active):
        said = [Labels(action_units={9: active})] * 4
        answers = ask(annotator, *(request(row, summary(said)) for row in rows[:100]))
        return mean(9 in answer[0]["action_units"] for answer in answers)

    assert reported(True) > reported(False) + 0.1


# the switches of experiment=robustness -----------------------------------------------------------------------------


def test_by_default_a_yes_counts_what_a_no_counts_and_nothing_else_is_given_away(settings):
    assert settings["seen"] == settings["unseen"] == settings["expression_vote"] == settings["va_vote"] == 1
    assert settings["couplings"] == "textbook"
    off = ("uncertainty_weight", "confident_errors", "favourite_sets", "va_step", "systematic_share", "wording_share")
    assert not any(settings[name] for name in off)
    assert settings["au_shift"] == settings["au_asymmetry"] == 1


def test_reversed_votes_reverse_what_predictions_do(truth, settings, rows):
    said = [Labels(action_units={12: True, 4: True}), Labels(action_units={12: False, 4: False})]

    def reported(**votes):
        annotator = Simulated(truth=truth, **settings | votes)
        return mean(
            len(answer[0]["action_units"]) for answer in ask(annotator, *(request(r, summary(said)) for r in rows))
        )

    assert reported(seen=3, unseen=0) > reported() > reported(seen=0, unseen=3)


def test_the_share_of_systematic_error_keeps_the_total(truth, settings, rows):
    def draws(share):
        annotator = Simulated(truth=truth, **settings | {"systematic_share": share})
        return [[draw["valence"] for draw in face] for face in ask(annotator, *(request(row, n=8) for row in rows))]

    def error(values):
        return mean((draw - row.labels.valence) ** 2 for face, row in zip(values, rows, strict=True) for draw in face)

    own, repeated, scattered = draws(None), draws(0.95), draws(0.05)
    assert error(repeated) == pytest.approx(error(own), rel=0.15)
    assert error(scattered) == pytest.approx(error(own), rel=0.15)
    assert mean(map(pvariance, repeated)) < mean(map(pvariance, own)) / 3 < mean(map(pvariance, scattered))


PLAIN = (
    '{"expression": "fear", "valence": -0.8, "arousal": 0.61, "action_units": [], '
    '"reasoning": "A face at rest fits fear, an unpleasant and aroused state."}',
    '{"expression": "surprise", "valence": 0.23, "arousal": -0.27, "action_units": [4, 5, 7, 10, 12, 25], '
    '"reasoning": "Upper Lid Raiser and Lips Part fit surprise, a pleasant and subdued state."}',
)
"""First answers about the picture below and about an unknown one, as version 3388cc6 gave them."""


def test_by_default_wording_changes_nothing_of_what_was_answered_before(settings, tmp_path):
    units = {1: 4.0, 2: 3.0, 4: 2.0, 5: 5.0, 20: 2.5, 26: 3.5}
    shown = Labels(expression="fear", valence=-0.6, arousal=0.7, action_units={au: au in units for au in ACTION_UNITS})
    row = ImageRecord(
        id="a", image="a.png", sha256="a" * 64, source="s", subject=None, split="train", labels=shown,
        attributes={"au_intensity": {str(au): value for au, value in units.items()}},
    )  # fmt: skip
    write_jsonl(tmp_path / "truth.jsonl", [row])
    annotator = Simulated(truth=str(tmp_path / "truth.jsonl"), **settings)
    asked = [request(row, n=3), request(row.model_copy(update={"sha256": "b" * 64}), n=3)]
    assert tuple(reply.choices[0].text for _, reply in annotator.reply(asked)) == PLAIN


WORDS = ("Annotate this face.", "Go through the face region by region.")


def worded(truth, settings, rows, share, words=WORDS):
    """Return valences by words, face and draw, of an annotator that errs systematically alone."""
    annotator = Simulated(truth=truth, **settings | {"systematic_share": 1.0, "wording_share": share})
    return [[face[0]["valence"] for face in ask(annotator, *(request(row, text) for row in rows))] for text in words]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_the_wording_is_that_of_the_errors_and_keeps_their_total(truth, settings, rows, share):
    drawn = worded(truth, settings, rows, share)
    gain, (bias, _) = settings["valence"]["gain"], settings["va_bias"]
    errors = [
        [value - gain * row.labels.valence - bias for value, row in zip(values, rows, strict=True)] for values in drawn
    ]
    variance = mean(error**2 for values in errors for error in values)
    total = settings["valence"]["systematic"] ** 2 + settings["valence"]["random"] ** 2
    assert variance == pytest.approx(total, rel=0.25)
    assert mean(a * b for a, b in zip(*errors, strict=True)) / variance == pytest.approx(1 - share, abs=0.2)


def test_an_error_of_wording_is_that_of_seed_picture_and_words_alone(truth, settings, rows):
    there, back = (worded(truth, settings, rows[:30], 0.5, words) for words in (WORDS, WORDS[::-1]))
    assert there == back[::-1], "not of the order in which it is asked"
    assert there[0] != there[1]
    other = worded(truth, settings | {"seed": 1}, rows[:30], 0.5)
    assert other[0] != there[0]


def test_what_a_request_tells_is_no_wording(truth, settings, rows):
    """Predictions and known labels are content: with no weight to either, a summary sees what a draw saw."""
    deaf = settings | {"knowledge": 0.0, "au_shift": 0.0, "va_vote": 0.0, "expression_vote": 0.0}
    said = [
        summary([Labels(valence=valence)], doubt) + "Annotate this face."
        for valence, doubt in ((0.9, 0.0), (-0.4, 0.7))
    ]
    one, other = worded(truth, deaf, rows[:30], 0.5, said)
    assert one == other


def test_confident_errors_are_repeated_in_every_draw(truth, settings, rows):
    annotator = Simulated(truth=truth, **settings | {"confident_errors": 1.0})
    answers = ask(annotator, *(request(row, n=4) for row in rows))
    pairs = list(zip(rows, answers, strict=True))
    assert mean(draw["expression"] == row.labels.expression for row, face in pairs for draw in face) < 0.02
    assert mean(len({draw["expression"] for draw in face}) == 1 for face in answers) > 0.9


def test_an_asymmetric_annotator_misses_the_missed_and_reports_the_reported(truth, settings, rows):
    def recall(asymmetry):
        annotator = Simulated(truth=truth, **settings | {"au_asymmetry": asymmetry})
        answers = [face[0]["action_units"] for face in ask(annotator, *map(request, rows))]
        pairs = [(row.labels.active, said) for row, said in zip(rows, answers, strict=True)]
        return {au: mean(au in said for active, said in pairs if au in active) for au in (7, 12, 14, 23)}

    even, usual, uneven = recall(0), recall(1), recall(2)
    assert even[12] < usual[12] < uneven[12]
    for au in (7, 14, 23):
        assert even[au] > usual[au] >= uneven[au]


def test_habitual_sets_and_steps(truth, settings, rows):
    annotator = Simulated(truth=truth, **settings | {"favourite_sets": 1.0, "va_step": 0.3})
    for face in ask(annotator, *map(request, rows)):
        assert frozenset(face[0]["action_units"]) in perception.FAVOURITES
        assert {face[0]["valence"], face[0]["arousal"]} <= {-0.9, -0.6, -0.3, 0, 0.3, 0.6, 0.9}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"couplings": "folklore"}, "backend.couplings=folklore: no such couplings; use textbook or faces"),
        ({"seen": -1.0}, "backend.seen=-1.0: not such a number; use 0 or more"),
        ({"wording_share": 1.5}, "backend.wording_share=1.5: not such a number; use 0 to 1"),
        ({"favourite_sets": 1.5}, "backend.favourite_sets=1.5: not such a number; use 0 to 1"),
        ({"systematic_share": "half"}, "backend.systematic_share=half: not such a number; use 0 to 1, or null"),
        (
            {"grading": {"midle": 1.0}},
            "backend.grading.midle=1.0: no such habit; "
            "use middle, step, noise, leniency, used, favourites, habit, sharpness, rounding",
        ),
        ({"grading": "lax"}, "backend.grading=lax: no habits; write for example {middle: 2.0, used: [0, 3, 5]}"),
        ({"grading": {"used": []}}, "backend.grading.used=[]: no list of grades; use for example [0, 2, 3]"),
        ({"grading": {"favourites": [0, 7]}}, "backend.grading.favourites=7: more than 5; use 0 to 5"),
        ({"grading": {"step": 0}}, "backend.grading.step=0: not such a number; use 0.01 or more"),
        ({"grading": {"rounding": 0}}, "backend.grading.rounding=0: less than 1; use 1 to 100"),
        ({"va_bias": [0.1]}, "backend.va_bias=[0.1]: not two numbers; write for example [0.5, 1.0]"),
        ({"usd_per_million": "x"}, "backend.usd_per_million=x: not two numbers; write for example [0.5, 1.0]"),
        (
            {"au_bias": {3: -8.0}},
            f"backend.au_bias.3=-8.0: no such action unit; use {', '.join(map(str, ACTION_UNITS))}",
        ),
        ({"va_step": 0}, "backend.va_step=0: not such a number; use 0.01 to 1, or null"),
        ({"confident_errors": None}, "backend.confident_errors=None: not such a number; use 0 to 1"),
    ],
)
def test_a_switch_that_cannot_be_is_named(settings, setting, problem):
    with pytest.raises(UserError) as caught:
        Simulated(truth="nowhere", **settings | setting)
    assert str(caught.value) == problem


labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | st.floats(-1, 1),
    arousal=st.none() | st.floats(-1, 1),
    action_units=st.none() | st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.booleans()),
)


@given(labels)
def test_reasoning_is_short_and_names_only_what_is_active(known):
    sentence = reasoning(known)
    assert len(sentence.split()) <= 20
    assert sentence.endswith(".")
    for au, name in ACTION_UNITS.items():
        if name in sentence:
            assert au in known.active
    for name in EXPRESSIONS:
        if name in sentence:
            assert name == known.expression


def test_usage_is_estimated_and_priced_on_demand(annotator, truth, settings, rows):
    ((_, reply),) = annotator.reply([request(rows[0], "x" * 400, n=2)])
    assert reply.usage.input_tokens == 100 + 255
    assert reply.usage.output_tokens > 10
    assert reply.cost is None
    priced = Simulated(truth=truth, **{**settings, "usd_per_million": (1.0, 2.0)})
    ((_, reply),) = priced.reply([request(rows[0], "x" * 400)])
    assert reply.cost == pytest.approx((355 + 2 * reply.usage.output_tokens) / 1e6)


def test_a_single_pass_scores_what_table_2_reports_for_gpt_4o(script, settings, tmp_path):
    """The script holds 2,000 faces to two points and 0.02; 500 faces here, and twice that."""
    faces = script["faces"](500, seed=11)
    write_jsonl(tmp_path / "truth.jsonl", faces)
    got = script["measure"](faces, tmp_path / "truth.jsonl", settings)
    for name, (target, tolerance) in script["TARGETS"].items():
        assert abs(got[name] - target) <= 2 * tolerance, name


def test_fitting_finds_the_noise_again(script, settings):
    fitted = script["fit"](settings, script["faces"](1500, seed=2))
    assert fitted["expression"]["gain"] == pytest.approx(settings["expression"]["gain"], abs=0.4)
    assert fitted["valence"]["random"] == pytest.approx(settings["valence"]["random"], abs=0.03)
    assert mean(fitted["au_bias"].values()) == pytest.approx(mean(settings["au_bias"].values()), abs=0.5)


def test_a_truth_file_is_validated(settings, tmp_path):
    (tmp_path / "truth.jsonl").write_text('{"id": 1}\n')
    broken = Simulated(truth=str(tmp_path / "truth.jsonl"), **settings)
    row = ImageRecord(id="a", image="a", sha256="0", source="s", subject=None, split="train", labels=Labels())
    with pytest.raises(ValueError, match="line 1"):
        list(broken.reply([request(row)]))
