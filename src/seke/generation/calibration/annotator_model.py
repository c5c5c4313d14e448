"""The annotator model: its error distributions, learnt on masked manual labels, and the posterior of the true labels.

Draws of one image are not independent given the truth: what the model cannot see once it cannot see five times. So its
answers are modelled per image, with a distribution over images of how it answers:

    AU            k of S draws call it active     beta-binomial, one for truly active and one for inactive AUs
    expression    votes among S draws             Dirichlet-multinomial, one row of confusions per true expression
    valence, arousal   mean of S draws            b + a v + image error + draw error / sqrt(S), all normal

Soft draws (`soft`) count as fractions: k is the sum of their probabilities, a vote their distribution. Or, where that
foretells held-out labels better (`fitting.fit` finds out), an AU's log-odds are read like valence, truth being 0 or 1:

    AU            mean log-odds of S soft draws   b + a active + image error + draw error / sqrt(S), all normal
    AU            grades of S graded draws        Dirichlet-multinomial over 0 to 5, one for active, one for inactive

A majority vote takes an annotator at its word; one that reports 5 of 100 active AU14 (as GPT-4o, Table 2) can only be
read by someone who knows that it does. Dawid & Skene (1979) do this with independent draws; the rest is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit, ndtr

from seke.core.affect import EXPRESSIONS
from seke.core.label_prior import COLUMN, INDEX, Array, Couplings, log_normal
from seke.core.records import Labels
from seke.core.rules import NEAR
from seke.generation.calibration.grades import GradeChannel, dirichlet_multinomial
from seke.generation.calibration.logprobs import SoftDraw, p_active, p_expressions
from seke.generation.calibration.posterior import Posterior, blend, decided

SUREST = 10.0
"""Largest log-odds that a soft draw is believed."""
FEW = 20.0
"""How many images an AU's pooled behaviour (that of all AUs) counts for: rare AUs have few positives to learn from."""


class Masked(BaseModel):
    """One row of pilot.jsonl: labels that humans gave and the annotator was not shown, and its answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    subject: str
    """Group that must not stand on both sides of a split; the record's id where no subject is known."""
    truth: Labels
    """The masked labels."""
    known: Labels
    """What the prompt showed."""
    draws: tuple[SoftDraw | Labels, ...]

    @field_validator("draws", mode="before")
    @classmethod
    def _json_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class BetaBinomial(NamedTuple):
    """P(k of S): the share of active answers varies from image to image as Beta(a, b)."""

    a: float
    b: float

    def log_pmf(self, k: Array, n: Array) -> Array:
        """Return log P(k | n) without the binomial coefficient, which is the same for both truths."""
        return np.asarray(betaln(k + self.a, n - k + self.b) - betaln(self.a, self.b))


class Channel(NamedTuple):
    """draws of valence (or arousal) = bias + slope truth + image error + draw error."""

    bias: float
    slope: float
    per_image: float
    """Standard deviation of the error that all draws of an image share."""
    per_draw: float

    def sd(self, draws: int) -> float:
        """Return the standard deviation of the mean of `draws` answers around bias + slope truth."""
        return float(np.hypot(self.per_image, self.per_draw / np.sqrt(draws)))


@dataclass(frozen=True)
class Annotator:
    """A fitted annotator."""

    couplings: Couplings
    weight: float
    """How far couplings count, in [0, 1]: the annotator was shown the known labels and used them itself."""
    active: Mapping[int, BetaBinomial]
    inactive: Mapping[int, BetaBinomial]
    votes_EE: Array
    """Dirichlet parameters: row = true expression, column = answer."""
    valence: Channel
    arousal: Channel
    thresholds: Mapping[int, float]
    """An AU whose posterior exceeds this is called active (`f1_threshold`)."""
    log_odds: Mapping[int, Channel] = field(default_factory=dict)
    """How soft draws' log-odds of an AU depend on whether it is active; empty: their probabilities are counted."""
    grades: Mapping[int, GradeChannel] = field(default_factory=dict)
    """How graded draws' grades of an AU depend on whether it is active; empty: they are read like other soft draws."""

    def posterior(self, known: Labels, draws: Sequence[Labels]) -> Posterior:
        """Return what `draws` and `known` labels say about every label that the draws give."""
        log_E = np.log(self.couplings.expression_E) + self.weight * _finite(self.couplings.evidence(known))
        asked = draws[0] if draws else Labels()
        if asked.expression is not None:
            log_E = log_E + dirichlet_multinomial(self.votes_EE, votes(draws)[None])
        units, heard = {}, self._reading(draws)
        for au in asked.action_units or {}:
            odds_E, log_EO = self._unit(au, *heard(au))
            units[au] = odds_E
            log_E = log_E + self.weight * log_EO
        dims: dict[str, tuple[Array, Array]] = {}
        for place, name in enumerate(("valence", "arousal")):
            values = [v for draw in draws if (v := getattr(draw, name)) is not None]
            if values:
                mean_E, sd_E, log_EO = self._dimension(place, getattr(self, name), values)
                dims[name] = mean_E, sd_E
                log_E = log_E + self.weight * log_EO
        return blend(log_E, known, asked.expression is not None, units, dims)

    def _reading(self, draws: Sequence[Labels]) -> Callable[[int], tuple[Array, Array]]:
        """Return what reads off the draws log P(answers | AU active) and log P(answers | inactive)."""
        if self.grades and all(draw.au_intensity for draw in draws):
            given = [draw.au_intensity or {} for draw in draws]
            return lambda au: self.grades[au].log_pmf([grades[au] for grades in given if au in grades])
        p_said = [p_active(draw) for draw in draws]
        weighs = self.log_odds and all(isinstance(draw, SoftDraw) for draw in draws)
        read = self._weighed if weighs else self._counted
        return lambda au: read(au, [p[au] for p in p_said if au in p])

    def _counted(self, au: int, said: Sequence[float]) -> tuple[Array, Array]:
        """Return log P(answers | AU active) and log P(answers | inactive) from the number of active ones."""
        k, n = np.asarray(sum(said), dtype=np.float64), np.asarray(len(said), dtype=np.float64)
        return self.active[au].log_pmf(k, n), self.inactive[au].log_pmf(k, n)

    def _weighed(self, au: int, said: Sequence[float]) -> tuple[Array, Array]:
        """Return log P(answers | AU active) and log P(answers | inactive) from their log-odds."""
        channel, seen = self.log_odds[au], float(np.mean(log_odds(said)))
        sd = channel.sd(len(said))
        return log_normal(seen, channel.bias + channel.slope, sd), log_normal(seen, channel.bias, sd)

    def _unit(self, au: int, log_active: Array, log_inactive: Array) -> tuple[Array, Array]:
        """Return P(AU active | answers, expression) and log P(answers | expression), both (E,)."""
        column = COLUMN[au]
        # Couplings at half weight lie half-way, in log-odds, between the AU's base rate and its rate in an expression.
        prior_E = expit(
            (1 - self.weight) * logit(self.couplings.base_A[column])
            + self.weight * logit(self.couplings.au_EA[:, column])
        )
        yes_E, no_E = np.log(prior_E) + log_active, np.log1p(-prior_E) + log_inactive
        return expit(yes_E - no_E), np.logaddexp(yes_E, no_E)

    def _dimension(self, place: int, channel: Channel, values: Sequence[float]) -> tuple[Array, Array, Array]:
        """Return mean and deviation of the truth given the answers and an expression, and log P(answers | it), (E,)."""
        centre_E, spread_E = self.couplings.centre_ED[:, place], self.couplings.spread_ED[:, place]
        seen, sd = float(np.mean(values)), channel.sd(len(values))
        precision_E = 1 / spread_E**2 + (channel.slope / sd) ** 2
        mean_E = (centre_E / spread_E**2 + channel.slope * (seen - channel.bias) / sd**2) / precision_E
        expected_E = channel.bias + channel.slope * centre_E
        log_E = log_normal(seen, expected_E, np.hypot(channel.slope * spread_E, sd))
        return mean_E, 1 / np.sqrt(precision_E), log_E

    def decide(self, posterior: Posterior) -> Labels:
        """Return the labels: the likeliest expression, AUs over their thresholds, mean valence and arousal."""
        return decided(posterior, self.thresholds)

    def miss(self, posterior: Posterior, name: str) -> float:
        """Return P(the mean of valence or arousal is more than `NEAR` off)."""
        _, sd = getattr(posterior, name)
        return float(2 * ndtr(-NEAR / sd))


def fit_channel(truth: Sequence[float], draws: Sequence[Sequence[float]]) -> Channel:
    """Fit valence or arousal by least squares of the images' mean answers on the truth."""
    if len(truth) < 3 or np.ptp(truth) == 0:
        return Channel(0.0, 1.0, 0.4, 0.2)
    means = np.array([np.mean(values) for values in draws])
    slope, bias = np.polyfit(np.asarray(truth), means, 1)
    residual = float(np.var(means - bias - slope * np.asarray(truth), ddof=2))
    several = [values for values in draws if len(values) > 1]
    within = float(np.mean([np.var(values, ddof=1) for values in several])) if several else 0.0
    size = float(np.mean([len(values) for values in draws]))
    per_image = max(residual - within / size, 1e-4)
    return Channel(float(bias), max(float(slope), 0.05), float(np.sqrt(per_image)), float(np.sqrt(max(within, 1e-6))))


def fit_beta_binomial(k: Array, n: Array, towards: BetaBinomial | None = None) -> BetaBinomial:
    """Fit by maximum likelihood; `towards` counts as `FEW` images that behave like it."""
    prior_mean, prior_size = (towards.a / (towards.a + towards.b), towards.a + towards.b) if towards else (0.5, 1.0)
    sway = FEW if towards else 1.0

    def loss(parameters: Array) -> float:
        mean, size = expit(parameters[0]), np.exp(parameters[1])
        likelihood = BetaBinomial(mean * size, (1 - mean) * size).log_pmf(k, n).sum()
        pull = sway * (prior_mean * np.log(mean) + (1 - prior_mean) * np.log1p(-mean))
        return float(-likelihood - pull + 0.5 * (parameters[1] - np.log(prior_size)) ** 2)

    start = np.array([logit(np.clip(prior_mean, 0.01, 0.99)), np.log(prior_size)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-7, 7), (-4, 6)])
    mean, size = float(expit(found.x[0])), float(np.exp(found.x[1]))
    return BetaBinomial(mean * size, (1 - mean) * size)


def fit_votes(truth: Sequence[str], counts: Sequence[Array]) -> Array:
    """Return Dirichlet parameters per true expression, (8, 8): smoothed confusions times one concentration for all.

    `counts` are the `votes` of the images' draws.
    """
    counts_NE = np.array(counts, dtype=float).reshape(-1, 8)
    rows_N = np.array([INDEX[e] for e in truth], dtype=int)
    # A prior worth three images: the annotator is right more often than not.
    confusion_EE = 3 * (0.5 * np.eye(8) + 0.5 / 8)
    shares_NE = counts_NE / np.maximum(counts_NE.sum(axis=1, keepdims=True), 1)
    np.add.at(confusion_EE, rows_N, shares_NE)
    confusion_EE /= confusion_EE.sum(axis=1, keepdims=True)

    def loss(parameter: Array) -> float:
        alpha_NE = np.exp(parameter[0]) * confusion_EE[rows_N]
        return float(-dirichlet_multinomial(alpha_NE, counts_NE).sum() + 0.5 * parameter[0] ** 2)

    size = float(np.exp(minimize(loss, np.zeros(1), method="L-BFGS-B", bounds=[(-3, 5)]).x[0]))
    result: Array = size * confusion_EE
    return result


def log_odds(p: Sequence[float]) -> Array:
    """Return logit p, cut off at `SUREST`: what is beyond says more about a server's rounding than about a face."""
    cut: Array = np.clip(logit(np.asarray(p, dtype=float)), -SUREST, SUREST)
    return cut


def votes(draws: Sequence[Labels]) -> Array:
    """Return how many votes each expression has among the draws, (E,); soft draws spread theirs."""
    said = [p for draw in draws if (p := p_expressions(draw)) is not None]
    votes_E: Array = np.array(said, dtype=float).reshape(-1, len(EXPRESSIONS)).sum(axis=0)
    return votes_E


def _finite(log_E: Array) -> Array:
    """Return log-likelihoods that a weight of 0 turns into 0, which minus infinity would not."""
    return np.maximum(log_E, -1e6)
