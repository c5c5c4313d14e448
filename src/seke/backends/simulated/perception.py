"""The simulated annotator's perception of a face and its inference from known labels: a model of an annotator, no data.

    what it sees     true labels -> Impression: a score per expression, log-odds per AU, valence and arousal, each with
                     its habits (bias), a systematic error per image (a share of it may belong to the wording of the
                     request) and a random error per draw
    what it knows    known labels -> a posterior over the expression behind them (naive Bayes on its `couplings`), which
                     moves AU log-odds and pulls valence and arousal
    what it is told  earlier predictions and their uncertainties, which count as votes
    what it is used to    AU sets that it likes to report, steps of valence and arousal

Scores and log-odds are natural logarithms; valence and arousal are in [-1, 1].
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from seke.backends.simulated.couplings import AUS, PROTOTYPES, Couplings, logit
from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels

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
RARELY: Final = 0.1
"""Weight of any other expression where one is mistaken for another with confidence."""
CONVICTION: Final = 8.0
"""Score by which an expression that is wrongly taken for certain leads."""
FAVOURITES: Final = tuple({frozenset(prototype) for prototype, _ in PROTOTYPES.values()})
"""AU sets that an annotator of habit reports."""


class Votes(NamedTuple):
    """What earlier predictions of the same face count, each; all the same in a neutral annotator."""

    seen: float
    """In log-odds, of one that an AU is active ..."""
    unseen: float
    """... and of one that it is not."""
    expression: float
    """Score of a predicted expression."""
    va: float
    """Weight of a predicted valence or arousal; the own view has 1."""
    uncertainty: float
    """How far stated uncertainty reduces all of them: votes count 1 - this times the uncertainty."""

    def trust(self, doubt: Mapping[str, float], name: str) -> float:
        """Return what a vote counts; an uncertainty that is not stated is a half."""
        return 1 - self.uncertainty * doubt.get(name, 0.5)


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
    confident_errors: float
    """Share of images that it takes for another expression's, and is sure of it."""
    couplings: Couplings
    """How labels hang together, as it believes."""
    knowledge: float
    """Weight of the naive Bayes log-likelihood of known labels."""
    au_shift: float
    """Factor of the change of AU log-odds that known labels call for."""
    votes: Votes
    favourite_sets: float
    """Share of answers in which the AUs become the nearest of its `FAVOURITES`."""
    va_step: float | None
    """Valence and arousal are multiples of this; None: two decimals."""
    wording_share: float
    """Share of the variance of systematic errors that belongs to the wording of a request."""
    film_share: float = 0.0
    """Share of the variance of an image's own systematic errors that all frames of a film have alike."""


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


def glance(
    truth: Labels | None,
    intensity: Mapping[int, float],
    habits: Habits,
    rng: Random,
    of_wording: Random,
    of_film: Random | None = None,
) -> Impression:
    """Return what an image looks like to this annotator before the random error of a draw.

    Args:
        truth: complete latent labels; None for an image that it cannot see.
        intensity: of each AU in [0, 5]; an active AU that is not in it counts as 3.
        habits: the annotator.
        rng: the image's own random stream.
        of_wording: that of the image asked about in these words.
        of_film: that of the film that it is a frame of; None: of none.
    """
    expression, units = habits.expression, habits.action_units
    image_wide, worded = math.sqrt(1 - habits.wording_share), math.sqrt(habits.wording_share)

    def error(systematic: float) -> float:
        own = image_wide * rng.gauss(0, systematic)
        if of_film is not None and habits.film_share:
            alike = image_wide * of_film.gauss(0, systematic)
            own = math.sqrt(1 - habits.film_share) * own + math.sqrt(habits.film_share) * alike
        return own + worded * of_wording.gauss(0, systematic) if worded else own

    noise = [error(expression.systematic) for _ in EXPRESSIONS]
    au_noise = [error(units.systematic) for _ in AUS]
    v_noise, a_noise = error(habits.valence.systematic), error(habits.arousal.systematic)
    v_bias, a_bias = habits.va_bias
    if truth is None:
        # Nothing is seen: AUs at their base rates, any expression, a face somewhere around neutral.
        base_rates = [base + error for base, error in zip(habits.couplings.base_A, au_noise, strict=True)]
        return Impression(noise, base_rates, v_bias + v_noise, a_bias + a_noise)
    assert truth.expression is not None
    assert truth.valence is not None
    assert truth.arousal is not None
    if habits.confident_errors and rng.random() < habits.confident_errors:
        return _mistaken(truth.expression, Impression(noise, au_noise, v_noise, a_noise), habits.couplings, rng)
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


def _mistaken(expression: str, noise: Impression, couplings: Couplings, rng: Random) -> Impression:
    """Return the certain impression of a face as another expression's should look by the annotator's couplings."""
    others = [name for name in EXPRESSIONS if name != expression]
    wrong = rng.choices(others, [MIXED_UP[expression].get(name, RARELY) for name in others])[0]
    index = EXPRESSIONS.index(wrong)
    anchor = couplings.anchors[index]
    return Impression(
        [error + CONVICTION * (name == wrong) for name, error in zip(EXPRESSIONS, noise.expression, strict=True)],
        [2 * logit(p) + error for p, error in zip(couplings.p_EA[index], noise.action_units, strict=True)],
        anchor.valence + noise.valence,
        anchor.arousal + noise.arousal,
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


def infer(known: Labels, couplings: Couplings, weight: float) -> Knowledge:
    """Return what `known` labels say about the others through an annotator's couplings.

    Naive Bayes: log P(known | expression) is the sum over known AUs of log P(AU | expression) and over valence and
    arousal of Gaussians around the expression's anchor, times `weight` (the labels are not independent).
    """
    likelihood = [weight * couplings.log_likelihood(known, number) for number in range(len(EXPRESSIONS))]
    posterior = _softmax(likelihood)
    return Knowledge(
        likelihood, couplings.shifts(posterior), couplings.pull(posterior, 0), couplings.pull(posterior, 1)
    )


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
        doubt: their stated uncertainty per label field, in [0, 1].
        habits: the annotator.
    """
    scores, units = list(view.expression), list(view.action_units)
    valence, arousal = view.valence, view.arousal
    if knowledge is not None:
        scores = [score + told for score, told in zip(scores, knowledge.expression, strict=True)]
        units = [score + habits.au_shift * told for score, told in zip(units, knowledge.action_units, strict=True)]
        valence = _pulled(valence, _own_precision(habits.valence), *knowledge.valence)
        arousal = _pulled(arousal, _own_precision(habits.arousal), *knowledge.arousal)
    votes = habits.votes
    if predictions:
        trust = {name: votes.trust(doubt, name) for name in ("expression", "valence", "arousal", "action_units")}
        for prediction in predictions:
            if prediction.expression is not None:
                scores[EXPRESSIONS.index(prediction.expression)] += votes.expression * trust["expression"]
            for index, au in enumerate(AUS):
                said = (prediction.action_units or {}).get(au)
                if said is not None:
                    units[index] += (votes.seen if said else -votes.unseen) * trust["action_units"]
        valence = _averaged(valence, [draw.valence for draw in predictions], votes.va * trust["valence"])
        arousal = _averaged(arousal, [draw.arousal for draw in predictions], votes.va * trust["arousal"])
    return Impression(scores, units, valence, arousal)


def habitual(opinion: Impression, habits: Habits, rng: Random) -> Impression:
    """Return the opinion that is answered: some have the nearest favourite set of AUs, believed as firmly."""
    if not habits.favourite_sets or rng.random() >= habits.favourite_sets:
        return opinion
    active = {au for au, score in zip(AUS, opinion.action_units, strict=True) if score > 0}
    nearest = min(FAVOURITES, key=lambda units: (len(active ^ units), sorted(units)))
    pairs = zip(AUS, opinion.action_units, strict=True)
    return opinion._replace(action_units=[abs(score) if au in nearest else -abs(score) for au, score in pairs])


def conclude(opinion: Impression, va_step: float | None = None) -> Labels:
    """Return the complete labels that an opinion comes to; valence and arousal in multiples of `va_step`."""
    best = max(range(len(EXPRESSIONS)), key=opinion.expression.__getitem__)
    return Labels(
        expression=EXPRESSIONS[best],
        valence=_stepped(opinion.valence, va_step),
        arousal=_stepped(opinion.arousal, va_step),
        action_units={au: score > 0 for au, score in zip(AUS, opinion.action_units, strict=True)},
    )


def beliefs(opinion: Impression) -> dict[str, float]:
    """Return the log probability of what `conclude` says of the `expression` and of each AU (`AU1`, ...).

    The scores are taken by their word: a softmax over the expressions, a logistic function of an AU's log-odds.
    """
    units = {f"AU{au}": -math.log1p(math.exp(-abs(score))) for au, score in zip(AUS, opinion.action_units, strict=True)}
    return {"expression": math.log(max(_softmax(opinion.expression))), **units}


def _stepped(value: float, step: float | None) -> float:
    bounded = min(max(value, -1.0), 1.0)
    if step is None:
        return round(bounded, 2)
    most = math.floor(1 / step)
    return round(step * min(max(round(bounded / step), -most), most), 2)


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _own_precision(channel: Channel) -> float:
    return 1 / (channel.systematic**2 + channel.random**2)


def _pulled(value: float, precision: float, target: float, pull: float) -> float:
    return (precision * value + pull * target) / (precision + pull)


def _averaged(own: float, said: Sequence[float | None], trust: float) -> float:
    numbers = [number for number in said if number is not None]
    return (own + trust * sum(numbers)) / (1 + trust * len(numbers))
