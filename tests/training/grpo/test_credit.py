"""What each statement of an answer is paid: the spans, the earnings, and the tokens that they are due to."""

from itertools import product
from statistics import fmean

import pytest

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS
from seke.core.records import Labels
from seke.training.grpo.credit import advantages, earned, scaled, spans
from seke.training.grpo.rewards import Judge

JUDGE = Judge({"expression": 1, "action_units": 1, "valence": 1, "arousal": 1, "form": 0.2}, rates={1: 0.5, 4: 0.25})
TRUTH = Labels(expression="fear", valence=-0.5, arousal=0.2, action_units={1: True, 4: False})


def words(text):
    """Return the tokens of a text: here its words, each with the blank before it, and an end."""
    return [word if not k else f" {word}" for k, word in enumerate(text.split(" "))] + [""]


def due(text, annotated):
    """Return which words decide each statement."""
    return {key: text[span.start : span.end].strip(" .,;:") for span in spans(text, annotated) for key in span.keys}


def test_every_statement_of_the_template_has_words_of_its_own():
    units = dict.fromkeys(ACTION_UNITS, False) | {4: True, 12: True}
    text = describe(Labels(expression="fear", valence=-0.5, arousal=0.25, action_units=units))
    found = due(f"{text} Brow Lowerer fits fear.", ACTION_UNITS)
    assert found["expression"] == "The expression is fear"
    assert found["valence"] == "Valence is -0.5 and" and found["arousal"] == "arousal is 0.25"
    assert found[4] == found[1] == found[2] == "Active action units: AU4"
    assert found[12] == found[6] == found[10] == "AU12"
    assert found[26] == "all others are inactive"
    assert found.keys() == {"expression", "valence", "arousal", *ACTION_UNITS}


def test_what_is_said_again_or_is_not_annotated_decides_nothing():
    found = spans("It is fear. AU1, AU12. It is fear, for AU1 is active.", [1])
    assert [span.keys for span in found] == [("expression",), (1,)]


def test_an_answer_without_action_units_is_due_nothing_for_them():
    assert due("It is fear.", [1, 4]) == {"expression": "It is fear"}


def test_spans_neither_overlap_nor_leave_the_text():
    parts = ("It is fear. ", "Valence is -0.5 and arousal is 0.2. ", "AU12, AU4! ", "Arousal? ", "\n", "No AU6 ")
    for chosen in product(parts, repeat=3):
        text = "".join(chosen)
        found = spans(text, ACTION_UNITS)
        edges = [edge for span in found for edge in (span.start, span.end)]
        assert edges == sorted(edges) and all(0 <= edge <= len(text) for edge in edges)
        keys = [key for span in found for key in span.keys]
        assert len(keys) == len(set(keys))


def test_an_action_unit_is_worth_naming_above_the_threshold():
    """The expected earning of a name changes its sign where its probability is the threshold."""
    for threshold in (0.2, 0.4, 0.5):
        hit, alarm = (
            earned(extract("AU1."), Labels(action_units={1: active}), JUDGE.parts("AU1.", TRUTH), JUDGE, threshold)[1]
            for active in (True, False)
        )
        for probability in (threshold - 0.1, threshold + 0.1):
            assert (probability * hit + (1 - probability) * alarm > 0) == (probability > threshold)


def test_a_perfect_list_earns_the_weight_on_the_mean():
    """Over faces drawn by the base rates, with no more than the truth named."""
    total = 0.0
    for one, four in product((True, False), repeat=2):
        truth = Labels(action_units={1: one, 4: four})
        chance = 0.5 * (0.25 if four else 0.75)
        total += chance * sum(earned(truth, truth, JUDGE.parts("", truth), JUDGE, 0.4).get(au, 0.0) for au in (1, 4))
    assert total == pytest.approx(1.0)


def group(texts, forms=None):
    said = [earned(extract(text), TRUTH, JUDGE.parts(text, TRUTH), JUDGE, 0.4) for text in texts]
    return advantages([words(text) for text in texts], said, forms or [0.0] * len(texts), [1, 4])


def test_a_false_unit_is_not_rewarded_for_the_right_expression_beside_it():
    right = "The expression is fear. Valence is -0.5 and arousal is 0.2. Active action units: AU1."
    mixed = "The expression is fear. Valence is -0.5 and arousal is 0.2. Active action units: AU1, AU4."
    wrong = "The expression is anger. Valence is -0.5 and arousal is 0.2. Active action units: AU1."
    found = group([right, mixed, wrong])
    named = dict(zip(words(mixed), found[1], strict=True))
    assert named[" fear."] > 0 > named[" AU4."] and named[" AU1,"] == 0 == named[" 0.2."]
    assert dict(zip(words(wrong), found[2], strict=True))[" anger."] < 0
    assert named[""] == 0, "the end decides nothing"


def test_what_all_answers_say_alike_teaches_nothing():
    text = "The expression is fear. Valence is 0.1 and arousal is 0.3. Active action units: AU4."
    assert group([text, text]) == [[0.0] * len(words(text))] * 2


def test_form_is_due_to_all_tokens():
    text = "The expression is fear."
    assert group([text, text], [0.2, 0.0]) == [[pytest.approx(0.1)] * 5, [pytest.approx(-0.1)] * 5]


def test_advantages_of_a_statement_add_up_to_nothing_over_its_group():
    texts = [f"The expression is {name}. AU{unit}." for name in ("fear", "anger") for unit in (1, 4, 12)]
    found = group(texts)
    assert sum(values[3] for values in found) == pytest.approx(0)
    assert scaled([[0.0], [0.0]]) == [[0.0], [0.0]]
    squares = [value**2 for row in scaled(found) for value in row if value]
    assert fmean(squares) == pytest.approx(1)
