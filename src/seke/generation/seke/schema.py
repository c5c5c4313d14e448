"""The JSON Schema of what an annotator is asked for, and the reading of its answers.

Only missing labels are asked. An answer is used whole or not at all: one that breaks its schema is `Unusable`, with a
reason that ends up in rejected.jsonl if asking again does not help.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from seke.core.affect import EXPRESSIONS
from seke.core.json_schema import mismatch
from seke.core.records import Labels
from seke.core.vlm import Choice
from seke.generation.asked import Asked
from seke.generation.calibration.logprobs import soften


class Answer(NamedTuple):
    """A usable answer."""

    labels: Labels
    """A `SoftDraw` where soft labels were asked and the server gave log probabilities."""
    reasoning: str


class Unusable(Exception):
    """An answer that gives no labels: `reason` is its status, `invalid` or `incomplete`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@lru_cache(maxsize=1024)
def schema(asked: Asked, reasoning: bool, soft: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of an answer to `asked`; `action_units` lists the numbers of the active ones.

    In the `soft` form it is an object that gives 0 or 1 for each, {"AU1": 0, "AU2": 1, ...}: in a list, the probability
    of an AU that is not named would be nowhere to be seen.
    """
    properties: dict[str, Any] = {}
    if asked.expression:
        properties["expression"] = {"type": "string", "enum": list(EXPRESSIONS)}
    for dimension in ("valence", "arousal"):
        if getattr(asked, dimension):
            properties[dimension] = {"type": "number", "minimum": -1, "maximum": 1}
    if asked.action_units and soft:
        properties["action_units"] = closed_object(
            {f"AU{au}": {"type": "integer", "enum": [0, 1]} for au in asked.action_units}
        )
    elif asked.action_units:
        properties["action_units"] = {"type": "array", "items": {"type": "integer", "enum": list(asked.action_units)}}
    if reasoning:
        properties["reasoning"] = {"type": "string"}
    return closed_object(properties)


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of an object with all of these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read(choice: Choice, asked: Asked, reasoning: bool, soft: bool = False) -> Answer:
    """Return what an answer says; `soft`: it was asked in the soft form, and its log probabilities are read if given.

    Raises:
        Unusable: with reason refusal, filtered, truncated, invalid (not JSON, a value out of range, an AU that was not
            asked) or incomplete (a label that was asked is not there).
    """
    said = read_object(choice)
    form = schema(asked, reasoning, soft)
    if absent := [name for name in form["required"] if said.get(name) is None]:
        raise Unusable("incomplete", f"no {', '.join(absent)}: {choice.text[:200]}")
    sentence = _sentence(said["reasoning"]) if reasoning else ""
    if broken := mismatch(said, form):
        raise Unusable("invalid", f"{broken}: {choice.text[:200]}")
    units = said.get("action_units", {})
    labels = Labels(
        expression=said.get("expression"),
        action_units={au: bool(units[f"AU{au}"]) if soft else au in units for au in asked.action_units} or None,
        **{name: float(said[name]) for name in ("valence", "arousal") if name in said},
    )
    return Answer(soften(labels, choice.text, choice.logprobs) if soft else labels, sentence)


def read_object(choice: Choice) -> dict[str, Any]:
    """Return the JSON object that an answer is.

    Raises:
        Unusable: with the choice's status as its reason if that is not ok; invalid if it is no JSON object.
    """
    if choice.status != "ok":
        raise Unusable(choice.status, choice.text[:200])
    try:
        found = json.loads(choice.text)
    except ValueError as error:
        raise Unusable("invalid", f"not JSON ({error}): {choice.text[:200]}") from None
    if not isinstance(found, dict):
        raise Unusable("invalid", f"not a JSON object: {choice.text[:200]}")
    return found


def _sentence(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Unusable("incomplete", "no reasoning")
    return " ".join(text.split())
