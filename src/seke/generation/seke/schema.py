"""The JSON Schema of what an annotator is asked for, and the reading of its answers.

Only missing labels are asked. An answer is used whole or not at all: one that breaks its schema is `Unusable`, with a
reason that ends up in rejected.jsonl if asking again does not help.
"""

import json
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from seke.core.affect import EXPRESSIONS, STRONGEST
from seke.core.json_schema import mismatch
from seke.core.records import Labels
from seke.core.vlm import Choice
from seke.generation.asked import Asked
from seke.generation.calibration.grades import PER_CENT, grade, graded
from seke.generation.calibration.logprobs import soften

Form = Literal["draws", "logprobs", "graded"]
"""How labels are asked, after the setting `generator.uncertainty`."""
FORMS: Final = ("draws", "logprobs", "graded")


class Answer(NamedTuple):
    """A usable answer."""

    labels: Labels
    """A `SoftDraw` where grades were asked, or log probabilities and the server gave them."""
    reasoning: str


class Unusable(Exception):
    """An answer that gives no labels: `reason` is its status, `invalid` or `incomplete`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@lru_cache(maxsize=1024)
def schema(asked: Asked, reasoning: bool, form: Form = "draws", reasons_first: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of an answer to `asked`; `action_units` lists the numbers of the active ones.

    Where `logprobs` are read it is an object that gives 0 or 1 for each, {"AU1": 0, "AU2": 1, ...}: in a list, the
    probability of an AU that is not named would be nowhere to be seen. In the `graded` form it gives their intensities,
    0 to 5, and `expression` the share of each of the eight in per cent.

    The reasoning follows the labels, which it explains, or comes first: a model writes in the schema's order, so that
    its labels then depend on its reasons.
    """
    properties: dict[str, Any] = {"reasoning": {"type": "string"}} if reasoning and reasons_first else {}
    if asked.expression and form == "graded":
        share = {"type": "number", "minimum": 0, "maximum": PER_CENT}
        properties["expression"] = closed_object(dict.fromkeys(EXPRESSIONS, share))
    elif asked.expression:
        properties["expression"] = {"type": "string", "enum": list(EXPRESSIONS)}
    for dimension in ("valence", "arousal"):
        if getattr(asked, dimension):
            properties[dimension] = {"type": "number", "minimum": -1, "maximum": 1}
    if asked.action_units and form == "draws":
        properties["action_units"] = {"type": "array", "items": {"type": "integer", "enum": list(asked.action_units)}}
    elif asked.action_units:
        each: dict[str, Any] = {"type": "integer", "enum": [0, 1]}
        if form == "graded":
            each = {"type": "integer", "minimum": 0, "maximum": STRONGEST}
        properties["action_units"] = closed_object({f"AU{au}": each for au in asked.action_units})
    if reasoning and not reasons_first:
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


def read(choice: Choice, asked: Asked, reasoning: bool, form: Form = "draws") -> Answer:
    """Return what an answer says that was asked in this form; log probabilities are read if they were given.

    Raises:
        Unusable: with reason refusal, filtered, truncated, invalid (not JSON, a value out of range, an AU that was not
            asked, shares that are all 0) or incomplete (a label that was asked is not there).
    """
    said = read_object(choice)
    wanted = schema(asked, reasoning, form)
    if absent := [name for name in wanted["required"] if said.get(name) is None]:
        raise Unusable("incomplete", f"no {', '.join(absent)}: {choice.text[:200]}")
    sentence = _sentence(said["reasoning"]) if reasoning else ""
    if form == "graded" and isinstance(units := said.get("action_units"), dict):
        said["action_units"] = {name: grade(value) for name, value in units.items()}
    if broken := mismatch(said, wanted):
        raise Unusable("invalid", f"{broken}: {choice.text[:200]}")
    dimensions: dict[str, Any] = {name: float(said[name]) for name in ("valence", "arousal") if name in said}
    units = said.get("action_units", {})
    if form == "graded":
        if "expression" in said and not any(said["expression"].values()):
            raise Unusable("invalid", f"every expression has a share of 0: {choice.text[:200]}")
        by_number = {au: units[f"AU{au}"] for au in asked.action_units}
        return Answer(graded(said.get("expression"), by_number, dimensions), sentence)
    named = form == "logprobs"
    labels = Labels(
        expression=said.get("expression"),
        action_units={au: bool(units[f"AU{au}"]) if named else au in units for au in asked.action_units} or None,
        **dimensions,
    )
    return Answer(soften(labels, choice.text, choice.logprobs) if named else labels, sentence)


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
