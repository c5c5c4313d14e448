"""What is asked of an annotator, as a JSON Schema, and what its answers say.

Only missing labels are asked. An answer is used whole or not at all: one that breaks its schema is `Unusable`, with a
reason that ends up in rejected.jsonl if asking again does not help.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels
from seke.core.vlm import Choice
from seke.generation.calibration.logprobs import soften


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
    """A `SoftDraw` where soft labels were asked and the server gave log probabilities."""
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
        properties["action_units"] = _object(
            {f"AU{au}": {"type": "integer", "enum": [0, 1]} for au in asked.action_units}
        )
    elif asked.action_units:
        properties["action_units"] = {"type": "array", "items": {"type": "integer", "enum": list(asked.action_units)}}
    if reasoning:
        properties["reasoning"] = {"type": "string"}
    return _object(properties)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
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
    if choice.status != "ok":
        raise Unusable(choice.status, choice.text[:200])
    try:
        said = json.loads(choice.text)
    except ValueError as error:
        raise Unusable("invalid", f"not JSON ({error}): {choice.text[:200]}") from None
    if not isinstance(said, dict):
        raise Unusable("invalid", f"not a JSON object: {choice.text[:200]}")
    wanted = schema(asked, reasoning, soft)["properties"]
    if absent := [name for name in wanted if said.get(name) is None]:
        raise Unusable("incomplete", f"no {', '.join(absent)}: {choice.text[:200]}")
    if surplus := [name for name in said if name not in wanted]:
        raise Unusable("invalid", f"not asked for {', '.join(surplus)}: {choice.text[:200]}")
    sentence = _sentence(said["reasoning"]) if reasoning else ""
    if not soft:
        return Answer(_labels(said, asked, _listed), sentence)
    return Answer(soften(_labels(said, asked, _one_by_one), choice.text, choice.logprobs), sentence)


def _listed(said: Any, asked: tuple[int, ...]) -> dict[int, bool] | None:
    """Return what a list of the active AUs says of those asked; None if it is none."""
    if not isinstance(said, list) or not all(type(au) is int and au in asked for au in said):
        return None
    return {au: au in said for au in asked}


def _one_by_one(said: Any, asked: tuple[int, ...]) -> dict[int, bool] | None:
    """Return what the soft form says of the AUs asked; None if it is not in that form."""
    if not isinstance(said, dict) or set(said) != {f"AU{au}" for au in asked}:
        return None
    if not all(type(active) is int and active in (0, 1) for active in said.values()):
        return None
    return {au: bool(said[f"AU{au}"]) for au in asked}


def _labels(
    said: dict[str, Any], asked: Asked, units_of: Callable[[Any, tuple[int, ...]], dict[int, bool] | None]
) -> Labels:
    units = None
    if asked.action_units:
        units = units_of(said["action_units"], asked.action_units)
        if units is None:
            raise Unusable("invalid", f"action_units={said['action_units']!r} are not among those asked")
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
