"""What is asked of an annotator, as a JSON Schema, and what its answers say.

Only missing labels are asked. An answer is used whole or not at all: one that breaks its schema is `Unusable`, with a
reason that ends up in rejected.jsonl if asking again does not help.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.records import Labels
from seke.vlm import Choice


class Asked(NamedTuple):
    """The labels that are asked of the annotator."""

    expression: bool
    valence: bool
    arousal: bool
    action_units: tuple[int, ...]

    @property
    def anything(self) -> bool:
        """Whether there is anything to ask."""
        return any(self)


class Answer(NamedTuple):
    """A usable answer."""

    labels: Labels
    reasoning: str


class Unusable(Exception):
    """An answer that gives no labels: `reason` is its status, `invalid` or `incomplete`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def missing(labels: Labels) -> Asked:
    """Return what `labels` leaves unknown among expression, valence, arousal and the 17 AUs."""
    known = labels.action_units or {}
    return Asked(
        labels.expression is None,
        labels.valence is None,
        labels.arousal is None,
        tuple(au for au in ACTION_UNITS if au not in known),
    )


@lru_cache(maxsize=1024)
def schema(asked: Asked, reasoning: bool) -> dict[str, Any]:
    """Return the JSON Schema of an answer to `asked`; `action_units` lists the numbers of the active ones."""
    properties: dict[str, Any] = {}
    if asked.expression:
        properties["expression"] = {"type": "string", "enum": list(EXPRESSIONS)}
    for dimension in ("valence", "arousal"):
        if getattr(asked, dimension):
            properties[dimension] = {"type": "number", "minimum": -1, "maximum": 1}
    if asked.action_units:
        properties["action_units"] = {"type": "array", "items": {"type": "integer", "enum": list(asked.action_units)}}
    if reasoning:
        properties["reasoning"] = {"type": "string"}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read(choice: Choice, asked: Asked, reasoning: bool) -> Answer:
    """Return what an answer says.

    Raises:
        Unusable: with reason refusal, filtered, truncated, invalid (not JSON, a value out of range, an AU that was not
            asked) or incomplete (a label that was asked is not there).
    """
    if choice.status != "ok":
        raise Unusable(choice.status, choice.text[:200])
    try:
        said = json.loads(choice.text)
    except ValueError as error:
        raise Unusable("invalid", f"not JSON ({error}): {choice.text[:200]}") from None
    if not isinstance(said, dict):
        raise Unusable("invalid", f"not a JSON object: {choice.text[:200]}")
    wanted = schema(asked, reasoning)["properties"]
    if absent := [name for name in wanted if said.get(name) is None]:
        raise Unusable("incomplete", f"no {', '.join(absent)}: {choice.text[:200]}")
    if surplus := [name for name in said if name not in wanted]:
        raise Unusable("invalid", f"not asked for {', '.join(surplus)}: {choice.text[:200]}")
    return Answer(_labels(said, asked), _sentence(said["reasoning"]) if reasoning else "")


def _labels(said: dict[str, Any], asked: Asked) -> Labels:
    units = None
    if asked.action_units:
        active = said["action_units"]
        if not isinstance(active, list) or not all(type(au) is int and au in asked.action_units for au in active):
            raise Unusable("invalid", f"action_units={active!r} are not among those asked")
        units = {au: au in active for au in asked.action_units}
    numbers = {name: said[name] for name in ("valence", "arousal") if getattr(asked, name)}
    for name, value in numbers.items():
        if type(value) not in (int, float):
            raise Unusable("invalid", f"{name}={value!r} is no number")
    try:
        return Labels(
            expression=said["expression"] if asked.expression else None,
            action_units=units,
            **{name: float(value) for name, value in numbers.items()},
        )
    except ValueError as error:
        raise Unusable("invalid", " ".join(str(error).split())[:300]) from None


def _sentence(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Unusable("incomplete", "no reasoning")
    return " ".join(text.split())
