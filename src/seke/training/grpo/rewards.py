"""Rewards of an answer by the human labels of its record: each in [0, 1], or None where the source has no label.

    answer's text -> seke.answers.extract -> Labels -> one reward for each task -> weighted mean of those that there are

A label that nobody gave is never rewarded, so what an annotator filled in (and may have got wrong) plays no part.
What a reader of answers cannot be sure of (a contradiction, two numbers for one thing) is unknown there, and so earns
nothing here. Pure functions; no state, no torch.

Where the field differs: Facial-R1 rewards the F1 of action units named inside the reasoning, R1-Omni and UniFER an
exact match of the expression; none rewards valence and arousal, and none leaves out what a source does not annotate.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from seke.answers.extract import extract
from seke.core.errors import UserError
from seke.core.records import Labels

RAREST: Final = 0.01
"""Base rates below this count as this, or one picture would outweigh all others."""
UNIT: Final = re.compile(r"\bAU ?0?([0-9]{1,2})\b", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"[.!?\n]\s+|\n|\.$")


class Rewards(NamedTuple):
    """What an answer earns by task; None: its record has no human label for it."""

    expression: float | None
    action_units: float | None
    valence: float | None
    arousal: float | None
    form: float | None


NAMES: Final = Rewards._fields
"""The rewards that `algorithm.rewards` may weight."""


def expression_reward(said: Labels, truth: Labels) -> float | None:
    """Return 1 for the record's expression, 0 for another or none."""
    return None if truth.expression is None else float(said.expression == truth.expression)


def action_unit_reward(
    said: Labels, truth: Labels, weight: Mapping[int, float] | None = None, specificity: float = 1.0
) -> float | None:
    """Return F1 over the annotated AUs times the share of the inactive ones that the answer does not claim.

        2 w(named and active) / (w(named) + w(active))  x  (|inactive and not named| / |inactive|)^specificity

    The second factor is what makes a hedge worthless: whoever names all AUs has a fair F1 where many are active, and
    a specificity of 0. Where none is active, an answer that speaks of AUs and names none of the annotated ones earns 1.
    AUs that the source does not annotate count neither way, and one that an answer does not mention is not named.

    Args:
        said: what the answer states.
        truth: the record's human labels.
        weight: of each AU in F1, see `rarity_weights`; None: all alike.
        specificity: how far the second factor counts. At 1 a false alarm costs more than F1 takes for it, and silence
            pays; the less it is, the nearer the reward is to F1, and above 0 naming all AUs still earns 0.
    """
    if not truth.action_units:
        return None
    claimed = said.action_units or {}
    if not claimed:
        return 0.0
    named = {au for au in truth.action_units if claimed.get(au)}
    active = set(truth.active)
    inactive = set(truth.action_units) - active
    kept = len(inactive - named) / len(inactive) if inactive else 1.0
    if not named and not active:
        return 1.0

    def total(units: set[int]) -> float:
        return sum(1.0 if weight is None else weight.get(au, 1.0) for au in sorted(units))

    return float(kept**specificity) * 2 * total(named & active) / (total(named) + total(active))


def closeness(said: float | None, truth: float | None, reach: float = 0.5) -> float | None:
    """Return 1 - |said - truth| / `reach`, at least 0, of a valence or arousal in [-1, 1]; 0 where none is stated."""
    if truth is None:
        return None
    return 0.0 if said is None else max(0.0, 1 - abs(said - truth) / reach)


def form_reward(text: str, said: Labels, ended: bool = True) -> float:
    """Return the share of the three descriptions that an answer states; 0 if it repeats itself or was cut off.

    `ended`: whether it came to its end within the tokens that it had.
    """
    if not ended or repeats(text):
        return 0.0
    stated = (said.expression, None if said.valence is None else said.arousal, said.action_units or None)
    return sum(part is not None for part in stated) / len(stated)


def repeats(text: str) -> bool:
    """Whether a text says a sentence twice, or names an action unit twice in one sentence.

    >>> repeats("Active action units: AU1, AU4, AU1."), repeats("It is fear. It is fear."), repeats("AU1. It is AU1.")
    (True, True, False)
    """
    sentences = [" ".join(part.lower().split()).rstrip(".") for part in _SENTENCE.split(text) if part and part.strip()]
    return any(count > 1 for count in Counter(sentences).values()) or any(
        count > 1 for part in sentences for count in Counter(UNIT.findall(part)).values()
    )


def base_rates(labels: Iterable[Labels]) -> dict[int, float]:
    """Return for each AU the share of its annotated pictures in which it is active, in [0, 1]."""
    annotated, active = Counter[int](), Counter[int]()
    for one in labels:
        annotated.update(list(one.action_units or {}))
        active.update(one.active)
    return {au: active[au] / count for au, count in sorted(annotated.items())}


def rarity_weights(rates: Mapping[int, float], rarity: float) -> dict[int, float]:
    """Return rate^-rarity of each AU: 0 weights all alike, 1 by the inverse of its base rate.

    >>> {au: round(w, 2) for au, w in rarity_weights({12: 0.25, 20: 0.01}, 0.5).items()}
    {12: 2.0, 20: 10.0}
    """
    return {au: max(rate, RAREST) ** -rarity for au, rate in rates.items()}


@dataclass(frozen=True)
class Judge:
    """Rewards answers as one composition of weights says."""

    weights: Mapping[str, float]
    """Of each reward by its name, at least 0; one that is not named counts for nothing."""
    reach: float = 0.5
    """How far off a valence or arousal may be and still earn something."""
    units: Mapping[int, float] | None = None
    """Weights of AUs within their F1."""
    specificity: float = 1.0
    """How far false alarms count beyond F1 (`action_unit_reward`)."""
    rates: Mapping[int, float] = field(default_factory=dict)
    """Base rates of AUs, where `units` are weights by them."""

    def parts(self, text: str, truth: Labels, ended: bool = True) -> Rewards:
        """Return what an answer earns by each task."""
        said = extract(text)
        return Rewards(
            expression_reward(said, truth),
            action_unit_reward(said, truth, self.units, self.specificity),
            closeness(said.valence, truth.valence, self.reach),
            closeness(said.arousal, truth.arousal, self.reach),
            form_reward(text, said, ended),
        )

    def total(self, parts: Rewards) -> float | None:
        """Return the weighted mean of the rewards that there are, in [0, 1]; None where none of them is weighted."""
        found = [(self.weights.get(name, 0.0), value) for name, value in parts._asdict().items() if value is not None]
        weight = sum(share for share, _ in found)
        return sum(share * value for share, value in found) / weight if weight else None


def check_weights(argument: str, weights: Mapping[str, object], own: Iterable[str] = NAMES) -> dict[str, float]:
    """Return the weights of rewards, checked.

    Raises:
        UserError: for a reward that there is not, a weight that is no number from 0 on, or no weight above 0.
    """
    known = tuple(own)
    for name, weight in weights.items():
        if name not in known:
            raise UserError(f"{argument}.{name}", weight, "no such reward", f"use {', '.join(known)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise UserError(f"{argument}.{name}", weight, "no weight", "set a number from 0 on")
    found = {name: float(weight) for name, weight in weights.items() if isinstance(weight, int | float)}
    if not any(weight for name, weight in found.items() if name != "form"):
        listed = ", ".join(f"{name}: {weight:g}" for name, weight in found.items())
        remedy = "weight one of expression, action_units, valence and arousal above 0"
        raise UserError(argument, f"{{{listed}}}", "no human label is rewarded", remedy)
    return found
