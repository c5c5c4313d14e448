"""What is asked, and what answers say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels
from seke.core.vlm import Choice
from seke.generation.asked import Asked, missing
from seke.generation.seke.schema import Unusable, read, schema

numbers = st.none() | st.floats(-1, 1)
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=numbers,
    arousal=numbers,
    action_units=st.none() | st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.booleans()),
)
EVERYTHING = missing(Labels())
GOOD = {"expression": "fear", "valence": -0.5, "arousal": 1, "action_units": [1, 5]}


@given(labels, labels)
def test_answers_complete_exactly_what_is_missing(known, full):
    asked = missing(known)
    full = full.completed_by(Labels(expression="anger", valence=0.1, arousal=0.2))
    full = full.completed_by(Labels(action_units=dict.fromkeys(ACTION_UNITS, False)))
    said = {
        "expression": full.expression,
        "valence": full.valence,
        "arousal": full.arousal,
        "action_units": [au for au in asked.action_units if full.action_units[au]],
    }
    form = schema(asked, False)
    answer = read(Choice(json.dumps({name: said[name] for name in form["properties"]})), asked, False)
    assert missing(answer.labels).action_units == tuple(sorted(known.action_units or {}))
    completed = known.completed_by(answer.labels)
    assert completed.complete
    assert completed == known.completed_by(full)


def test_schema_asks_only_what_is_missing():
    known = Labels(expression="anger", valence=0.0, action_units=dict.fromkeys([*ACTION_UNITS][2:], False))
    form = schema(missing(known), True)
    assert list(form["properties"]) == ["arousal", "action_units", "reasoning"] == form["required"]
    assert form["properties"]["action_units"]["items"]["enum"] == [1, 2]
    assert form["additionalProperties"] is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expression": "joy"}, "invalid"),
        ({"valence": 1.2}, "invalid"),
        ({"valence": "0.5"}, "invalid"),
        ({"arousal": True}, "invalid"),
        ({"valence": float("nan")}, "invalid"),
        ({"valence": 10**400}, "invalid"),
        ({"action_units": [1.0]}, "invalid"),
        ({"arousal": None}, "incomplete"),
        ({"action_units": [3]}, "invalid"),
        ({"action_units": ["1"]}, "invalid"),
        ({"action_units": 12}, "invalid"),
        ({"mood": "good"}, "invalid"),
    ],
)
def test_an_answer_that_breaks_its_schema_is_unusable(change, reason):
    with pytest.raises(Unusable) as caught:
        read(Choice(json.dumps({**GOOD, **change})), EVERYTHING, False)
    assert caught.value.reason == reason


@pytest.mark.parametrize("status", ["refusal", "filtered", "truncated", "invalid"])
def test_a_status_that_is_not_ok_is_its_own_reason(status):
    with pytest.raises(Unusable) as caught:
        read(Choice(json.dumps(GOOD), status), EVERYTHING, False)
    assert caught.value.reason == status


@pytest.mark.parametrize("text", ["", "I cannot help", "[1, 2]", '{"expression": "fear"', "NaN"])
def test_what_is_no_json_object_is_invalid(text):
    with pytest.raises(Unusable, match="invalid"):
        read(Choice(text), EVERYTHING, False)


def test_reasoning_is_asked_for_or_not_allowed():
    assert read(Choice(json.dumps({**GOOD, "reasoning": " a\n b "})), EVERYTHING, True).reasoning == "a b"
    for text in ("", "  ", 3):
        with pytest.raises(Unusable, match="incomplete"):
            read(Choice(json.dumps({**GOOD, "reasoning": text})), EVERYTHING, True)


def test_nothing_missing_asks_nothing():
    full = Labels(expression="anger", valence=0.0, arousal=0.0, action_units=dict.fromkeys(ACTION_UNITS, False))
    assert not missing(full).anything
    assert Asked(False, False, False, (4,)).anything
