"""The simulated annotator's perception of a face and its inference from known labels: a model of an annotator, no data.

    what it sees     latent truth -> Impression: a score per expression, log-odds per AU, valence and arousal, each with
                     its habits (bias), a systematic error per image and a random error per draw
    what it knows    known labels -> a posterior over the expression behind them (naive Bayes on `core.affect`), which
                     moves AU log-odds and pulls valence and arousal
    what it is told  earlier predictions and their uncertainties, which count as votes

Scores and log-odds are natural logarithms; valence and arousal are in [-1, 1].
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from seke.core.affect import ACTION_UNITS, EXPRESSIONS, VA_OF_EXPRESSION, au_probability
from seke.core.records import Labels

AUS = tuple(ACTION_UNITS)
MIXED_UP = {
    "contempt": {"neutral": 0.7, "happiness": 0.4},
    "fear": {"surprise": 0.9},
    "disgust": {"anger": 0.7},
    "anger": {"disgust": 0.2, "neutral": 0.2},
    "sadness": {"neutral": 0.4},
    "surprise": {"fear": 0.2},
    "happiness": {},
    "neutral": {"sadness": 0.2},
}
"""How much of an expression's clarity another one takes on: what annotators typically mistake it for."""


@dataclass(frozen=True)
class Channel:
    """The noise between truth and perception of one kind of label, fitted in conf/backend/simulated.yaml."""

    gain: float
    """How strongly the truth shows: score of the true expression, log-odds at full intensity, slope of V and A."""
    systematic: float
    """Standard deviation of the error that an image keeps in every draw."""
    random: float
    """Standard deviation of the error of one draw at temperature 1."""


@dataclass(frozen=True)
class Habits:
    """One annotator: its channels, its reluctance to report AUs, its trust in what it is told."""

    expression: Channel
    action_units: Channel
    valence: Channel
    arousal: Channel
    au_bias: Mapping[int, float]
    """Log-odds of an AU that does not show at all: far below 0, since it reports few."""
    va_bias: tuple[float, float]
    knowledge: float
    """Weight of the naive Bayes log-likelihood of known labels."""
    seen: float
    """Vote, in log-odds, of an earlier prediction that an AU is active: seeing is rarely wrong ..."""
    unseen: float
    """... and of one that it is not: missing is common."""
    expression_vote: float


class Impression(NamedTuple):
    """A face as perceived: score per expression, log-odds per AU (in the order of `AUS`), valence and arousal."""

    expression: Sequence[float]
    action_units: Sequence[float]
    valence: float
    arousal: float


class Knowledge(NamedTuple):
    """What known labels say about the rest."""

    expression: Sequence[float]
    """Log-likelihood of the known labels under each expression."""
    action_units: Sequence[float]
    """Change of each AU's log-odds."""
    valence: tuple[float, float]
    """Expected value, and its precision beyond that of a face about which nothing is known."""
    arousal: tuple[float, float]


def glance(truth: Labels | None, intensity: Mapping[int, float], habits: Habits, rng: Random) -> Impression:
    """Return what an image looks like to this annotator before the random error of a draw.

    Args:
        truth: complete latent labels; None for an image that it cannot see.
        intensity: of each AU in [0, 5]; an active AU that is not in it counts as 3.
        habits: the annotator.
        rng: the image's own random stream.
    """
    expression, units = habits.expression, habits.action_units
    noise = [rng.gauss(0, expression.systematic) for _ in EXPRESSIONS]
    au_noise = [rng.gauss(0, units.systematic) for _ in AUS]
    v_noise, a_noise = rng.gauss(0, habits.valence.systematic), rng.gauss(0, habits.arousal.systematic)
    v_bias, a_bias = habits.va_bias
    if truth is None:
        # Nothing is seen: AUs at their base rates, any expression, a face somewhere around neutral.
        base_rates = [_LOGIT_BASE[index] + error for index, error in enumerate(au_noise)]
        return Impression(noise, base_rates, v_bias + v_noise, a_bias + a_noise)
    assert truth.expression is not None
    assert truth.valence is not None
    assert truth.arousal is not None
    known = truth.action_units or {}
    mixed = MIXED_UP[truth.expression]
    clarity = [1.0 if name == truth.expression else mixed.get(name, 0.0) for name in EXPRESSIONS]
    shown = [intensity.get(au, 3.0 if known.get(au) else 0.0) / 5 for au in AUS]
    return Impression(
        [expression.gain * clear + error for clear, error in zip(clarity, noise, strict=True)],
        [
            habits.au_bias[au] + units.gain * strength + error
            for au, strength, error in zip(AUS, shown, au_noise, strict=True)
        ],
        habits.valence.gain * truth.valence + v_bias + v_noise,
        habits.arousal.gain * truth.arousal + a_bias + a_noise,
    )


def look(first: Impression, habits: Habits, temperature: float, rng: Random) -> Impression:
    """Return one draw's view of an image: its impression with a random error that grows with the temperature."""
    gauss = rng.gauss
    expression = habits.expression.random * temperature
    units = habits.action_units.random * temperature
    return Impression(
        [score + gauss(0, expression) for score in first.expression],
        [score + gauss(0, units) for score in first.action_units],
        first.valence + gauss(0, habits.valence.random * temperature),
        first.arousal + gauss(0, habits.arousal.random * temperature),
    )


def infer(known: Labels, weight: float) -> Knowledge:
    """Return what `known` labels say about the others through the couplings of `seke.core.affect`.

    Naive Bayes: log P(known | expression) is the sum over known AUs of log P(AU | expression) and over valence and
    arousal of Gaussians around the expression's anchor, times `weight` (the labels are not independent).
    """
    likelihood = [weight * _log_likelihood(known, name) for name in EXPRESSIONS]
    posterior = _softmax(likelihood)
    shifts = []
    for index in range(len(AUS)):
        p = sum(share * _P_AU[number][index] for number, share in enumerate(posterior))
        shifts.append(_logit(p) - _LOGIT_BASE[index])
    return Knowledge(likelihood, shifts, _pull(posterior, 0), _pull(posterior, 1))


def weigh(
    view: Impression,
    knowledge: Knowledge | None,
    predictions: Sequence[Labels],
    doubt: Mapping[str, float],
    habits: Habits,
) -> Impression:
    """Return an opinion: a view, moved by what is known and by earlier predictions.

    Args:
        view: one draw's view.
        knowledge: None where nothing is known.
        predictions: earlier annotations of the same face; each may be partial.
        doubt: their stated uncertainty per label field, in [0, 1]: a confident agreement weighs more.
        habits: the annotator.
    """
    scores, units = list(view.expression), list(view.action_units)
    valence, arousal = view.valence, view.arousal
    if knowledge is not None:
        scores = [score + told for score, told in zip(scores, knowledge.expression, strict=True)]
        units = [score + told for score, told in zip(units, knowledge.action_units, strict=True)]
        valence = _pulled(valence, _own_precision(habits.valence), *knowledge.valence)
        arousal = _pulled(arousal, _own_precision(habits.arousal), *knowledge.arousal)
    if predictions:
        trust = {name: 1 - doubt.get(name, 0.5) for name in ("expression", "valence", "arousal", "action_units")}
        for prediction in predictions:
            if prediction.expression is not None:
                scores[EXPRESSIONS.index(prediction.expression)] += habits.expression_vote * trust["expression"]
            for index, au in enumerate(AUS):
                said = (prediction.action_units or {}).get(au)
                if said is not None:
                    units[index] += (habits.seen if said else -habits.unseen) * trust["action_units"]
        valence = _averaged(valence, [draw.valence for draw in predictions], trust["valence"])
        arousal = _averaged(arousal, [draw.arousal for draw in predictions], trust["arousal"])
    return Impression(scores, units, valence, arousal)


def conclude(opinion: Impression) -> Labels:
    """Return the complete labels that an opinion comes to."""
    best = max(range(len(EXPRESSIONS)), key=opinion.expression.__getitem__)
    return Labels(
        expression=EXPRESSIONS[best],
        valence=round(min(max(opinion.valence, -1.0), 1.0), 2),
        arousal=round(min(max(opinion.arousal, -1.0), 1.0), 2),
        action_units={au: score > 0 for au, score in zip(AUS, opinion.action_units, strict=True)},
    )


def beliefs(opinion: Impression) -> dict[str, float]:
    """Return the log probability of what `conclude` says of the `expression` and of each AU (`AU1`, ...).

    The scores are taken by their word: a softmax over the expressions, a logistic function of an AU's log-odds.
    """
    units = {f"AU{au}": -math.log1p(math.exp(-abs(score))) for au, score in zip(AUS, opinion.action_units, strict=True)}
    return {"expression": math.log(max(_softmax(opinion.expression))), **units}


def _log_likelihood(known: Labels, expression: str) -> float:
    if known.expression is not None:
        return 0.0 if known.expression == expression else -6.0
    total = 0.0
    for au, active in (known.action_units or {}).items():
        p = au_probability(expression, au)
        total += math.log(p if active else 1 - p)
    anchor = VA_OF_EXPRESSION[expression]
    for value, centre in ((known.valence, anchor.valence), (known.arousal, anchor.arousal)):
        if value is not None:
            total -= 0.5 * ((value - centre) / anchor.spread) ** 2 + math.log(anchor.spread)
    return total


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _mixture(posterior: Sequence[float], dimension: int) -> tuple[float, float]:
    """Return mean and variance of valence (0) or arousal (1) when the expression is distributed as `posterior`."""
    mean = sum(share * anchor[dimension] for share, anchor in zip(posterior, _ANCHORS, strict=True))
    second = sum(
        share * (anchor.spread**2 + anchor[dimension] ** 2) for share, anchor in zip(posterior, _ANCHORS, strict=True)
    )
    return mean, second - mean**2


def _pull(posterior: Sequence[float], dimension: int) -> tuple[float, float]:
    """Return the expected value, and the precision that `posterior` adds to knowing nothing."""
    mean, variance = _mixture(posterior, dimension)
    return mean, max(0.0, 1 / variance - 1 / _VAGUE[dimension])


def _own_precision(channel: Channel) -> float:
    return 1 / (channel.systematic**2 + channel.random**2)


def _pulled(value: float, precision: float, target: float, pull: float) -> float:
    return (precision * value + pull * target) / (precision + pull)


def _averaged(own: float, said: Sequence[float | None], trust: float) -> float:
    numbers = [number for number in said if number is not None]
    return (own + trust * sum(numbers)) / (1 + trust * len(numbers))


_ANCHORS = [VA_OF_EXPRESSION[name] for name in EXPRESSIONS]
_VAGUE = [_mixture([1 / len(EXPRESSIONS)] * len(EXPRESSIONS), dimension)[1] for dimension in (0, 1)]
"""Variance of valence and of arousal of a face about which nothing is known."""
_P_AU = [[au_probability(name, au) for au in AUS] for name in EXPRESSIONS]
_LOGIT_BASE = [_logit(sum(row[index] for row in _P_AU) / len(EXPRESSIONS)) for index in range(len(AUS))]
