"""Confidence of a model's labels: the share of further answers to the same question that agree with each of them.

    row, rows of the draws -> stated(row) = {"expression": "fear", "valence": -0.5, ..., "AU1": True, ...}
                           -> agreement(...) = {"expression": 0.8, ...}, of 0.8 of the draws also say fear

It works for every model that can be asked more than once, and is no probability until it was found to be one: where
the truth is known, `evaluate.py predictions=<the run>` says how far it can be trusted (`scoring.calibration`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from seke.core.affect import ACTION_UNITS
from seke.core.records import Prediction
from seke.core.rules import near

ENVELOPE: Final = ("id", "source", "subject", "text", "judged", "truth", "status")
"""Fields of a prediction that are no reading of the answer."""
DIMENSIONS: Final = ("valence", "arousal")


def stated(row: BaseModel) -> dict[str, Any]:
    """Return what is read from an answer, by the name of its column; None where it says nothing of it.

    Of faces an action unit that an answer about action units leaves out is inactive, as every benchmark counts it.
    """
    if not isinstance(row, Prediction):
        return {name: value for name, value in row.model_dump().items() if name not in ENVELOPE}
    labels, units = row.labels, row.labels.action_units
    return {
        **{name: getattr(labels, name) for name in ("expression", *DIMENSIONS)},
        **{f"AU{au}": None if units is None else units.get(au, False) for au in ACTION_UNITS},
    }


def agreement(said: Mapping[str, Any], draws: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return by column the share of draws, in [0, 1], that say the same; within 0.2 is the same valence or arousal.

    A draw that says nothing of it does not agree. None where the answer itself says nothing, or nothing was drawn.
    """
    return {
        name: None if value is None or not draws else sum(_same(name, value, draw[name]) for draw in draws) / len(draws)
        for name, value in said.items()
    }


def by_description(shares: Mapping[str, float | None]) -> dict[str, Any] | None:
    """Return the confidences of a face as a row of predictions.jsonl holds them; None if there is none.

    >>> by_description({"expression": 0.8, "valence": None, "AU1": 1.0})
    {'expression': 0.8, 'action_units': {'1': 1.0}}
    """
    known = {name: share for name, share in shares.items() if share is not None}
    units = {name.removeprefix("AU"): share for name, share in known.items() if name.startswith("AU")}
    plain = {name: share for name, share in known.items() if not name.startswith("AU")}
    return {**plain, **({"action_units": units} if units else {})} or None


def by_column(confidence: Mapping[str, Any]) -> dict[str, float]:
    """Return the confidences of such a row by column: what `by_description` takes.

    >>> by_column({"expression": 0.8, "action_units": {"1": 1.0}})
    {'expression': 0.8, 'AU1': 1.0}
    """
    units = confidence.get("action_units") or {}
    plain = {name: share for name, share in confidence.items() if name != "action_units"}
    return {**plain, **{f"AU{au}": share for au, share in units.items()}}


def _same(name: str, value: Any, other: Any) -> bool:
    if other is None:
        return False
    return near(value, other) if name in DIMENSIONS else bool(value == other)
