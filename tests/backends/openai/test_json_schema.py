"""Answers are held to the schema that was sent; what strict mode needs is added to it."""

import pytest

from seke.backends.openai.json_schema import strict
from seke.core.json_schema import mismatch

ANSWER = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "enum": ["anger", "fear"]},
        "valence": {"type": "number", "minimum": -1, "maximum": 1},
        "action_units": {"type": "array", "items": {"type": "integer", "enum": [1, 2]}},
    },
    "required": ["expression", "valence", "action_units"],
}
GOOD = {"expression": "fear", "valence": -0.5, "action_units": [1]}


def test_strict_forbids_other_properties_at_every_depth() -> None:
    nested = strict({"type": "object", "properties": {"a": {"type": "array", "items": ANSWER}}, "required": ["a"]})
    assert nested["additionalProperties"] is False
    assert nested["properties"]["a"]["items"]["additionalProperties"] is False


def test_strict_requires_every_property_and_lets_an_optional_one_be_null() -> None:
    written = strict({**ANSWER, "required": ["valence", "action_units"]})
    assert written["required"] == ["expression", "valence", "action_units"]
    assert mismatch({**GOOD, "expression": None}, written) is None
    assert mismatch({**GOOD, "valence": None}, written) == "valence=None is no number"


def test_strict_leaves_the_given_schema_as_it_was() -> None:
    strict(ANSWER)
    assert "additionalProperties" not in ANSWER


def test_a_good_answer_fits() -> None:
    assert mismatch(GOOD, strict(ANSWER)) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expression": "joy"}, "expression='joy' is none of the values asked for"),
        ({"expression": 3}, "expression=3 is no string"),
        ({"valence": 1.5}, "valence=1.5 is more than 1"),
        ({"valence": -2}, "valence=-2 is less than -1"),
        ({"valence": True}, "valence=True is no number"),
        ({"valence": "0.5"}, "valence='0.5' is no number"),
        ({"action_units": [1, 3]}, "action_units=3 is none of the values asked for"),
        ({"action_units": [1.5]}, "action_units=1.5 is no integer"),
        ({"action_units": {"1": True}}, "action_units={'1': True} is no array"),
        ({"mood": "fine"}, "not asked for 'mood'"),
    ],
)
def test_a_mismatch_is_named(change: dict, problem: str) -> None:
    assert mismatch({**GOOD, **change}, strict(ANSWER)) == problem


def test_an_absent_property_is_named() -> None:
    assert mismatch({"expression": "fear"}, strict(ANSWER)) == "no valence, action_units"


def test_half_a_character_is_no_text() -> None:
    assert mismatch("\ud83d", {"type": "string"}) == "answer holds half a character"
