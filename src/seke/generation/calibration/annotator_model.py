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

Everything is computed for N images at once: a pilot is read thousands of times before it is known how to read it best.
E = 8 expressions, A = 17 AUs, D = (valence, arousal), G = 6 grades.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit, ndtr

from seke.core.affect import EXPRESSIONS
from seke.core.label_prior import AUS, COLUMN, INDEX, Array, Couplings, Table, log_normal, tabulate
from seke.core.records import Labels
from seke.core.rules import NEAR
from seke.generation.calibration.grades import GRADES, GradeChannel, dirichlet_multinomial
from seke.generation.calibration.logprobs import SoftDraw, p_active, p_expressions
from seke.generation.calibration.posterior import Posterior, decided

SUREST = 10.0
"""Largest log-odds that a soft draw is believed."""
FEW = 20.0
"""How many images an AU's pooled behaviour (that of all AUs) counts for: rare AUs have few positives to learn from."""


FEW_NAMED = 8.0
"""How many images of each expression the behaviour on all of them counts for."""


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
    pattern: str | None = None
    """Which descriptions were known, by `Pattern.name`; None in pilots that were not asked pattern by pattern."""
    hidden_draws: tuple[SoftDraw | Labels, ...] = ()
    """Its answers where the prompt showed nothing; empty where nothing was known, or where nobody asked."""
    source: str | None = None
    """The record's; None in pilots of earlier versions, which are read as if of one source."""

    @field_validator("draws", "hidden_draws", mode="before")
    @classmethod
    def _json_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class BetaBinomial(NamedTuple):
    """P(k of S): the share of active answers varies from image to image as Beta(a, b)."""

    a: float
    b: float

    def log_pmf(self, k: Array, n: Array) -> Array:
        """Return log P(k | n) without the binomial coefficient, which is the same for both truths."""
        return _log_beta_binomial(k, n, np.asarray(self.a), np.asarray(self.b))


class Channel(NamedTuple):
    """draws of valence (or arousal) = bias + slope truth + image error + draw error."""

    bias: float
    slope: float
    per_image: float
    """Standard deviation of the error that all draws of an image share."""
    per_draw: float


class Answers(NamedTuple):
    """What the draws of N images say, as far as a channel reads them."""

    expression_N: NDArray[np.bool_]
    """Whether the expression was asked ..."""
    votes_NE: Array
    """... and its votes; soft draws spread theirs."""
    said_NA: Array
    """Sum of P(active) over the draws; NaN where the AU was not asked ..."""
    count_NA: Array
    """... and the number of draws."""
    log_odds_NA: Array
    """Mean log-odds of the draws; NaN where one of them is not soft."""
    grades_NAG: Array
    """How often each grade was given."""
    graded_N: NDArray[np.bool_]
    """Whether all draws give grades."""
    mean_ND: Array
    """Mean valence and arousal of the draws; NaN where they were not asked ..."""
    count_ND: Array
    """... and the number of draws."""

    def where(self, rows_N: NDArray[np.bool_]) -> "Answers":
        """Return the images at which `rows_N` is true."""
        return Answers._make(column[rows_N] for column in self)


def answers(draws_N: Sequence[Sequence[Labels]]) -> Answers:
    """Return what the draws of each image say as arrays; what is asked of an image all of its draws answer."""
    n, a = len(draws_N), len(AUS)
    found = Answers(
        expression_N=np.zeros(n, dtype=bool),
        votes_NE=np.zeros((n, len(EXPRESSIONS))),
        said_NA=np.full((n, a), np.nan),
        count_NA=np.zeros((n, a)),
        log_odds_NA=np.full((n, a), np.nan),
        grades_NAG=np.zeros((n, a, GRADES)),
        graded_N=np.zeros(n, dtype=bool),
        mean_ND=np.full((n, 2), np.nan),
        count_ND=np.zeros((n, 2)),
    )
    for row, draws in enumerate(draws_N):
        if not draws:
            continue
        found.expression_N[row] = draws[0].expression is not None
        found.votes_NE[row] = votes(draws)
        soft = all(isinstance(draw, SoftDraw) for draw in draws)
        p_said = [p_active(draw) for draw in draws]
        for au in draws[0].action_units or {}:
            p, column = [p[au] for p in p_said if au in p], COLUMN[au]
            found.said_NA[row, column], found.count_NA[row, column] = sum(p), len(p)
            if soft:
                found.log_odds_NA[row, column] = log_odds(p).mean()
        found.graded_N[row] = all(draw.au_intensity for draw in draws)
        if found.graded_N[row]:
            for draw in draws:
                for au, grade in (draw.au_intensity or {}).items():
                    found.grades_NAG[row, COLUMN[au], int(grade)] += 1
        for place, name in enumerate(("valence", "arousal")):
            values = [value for draw in draws if (value := getattr(draw, name)) is not None]
            if values:
                found.mean_ND[row, place], found.count_ND[row, place] = np.mean(values), len(values)
    return found


class Beliefs(NamedTuple):
    """What is believed of N images' labels, asked or not."""

    p_NE: Array
    """P(expression)."""
    active_NA: Array
    """P(AU active)."""
    mean_ND: Array
    """Valence and arousal ..."""
    sd_ND: Array
    """... and their standard deviations."""

    def averaged(self, share_N: Array) -> "Beliefs":
        """Return the one belief that is a mixture of these, by shares that sum to 1."""
        mean_D = share_N @ self.mean_ND
        square_D = share_N @ (self.sd_ND**2 + self.mean_ND**2)
        sd_D = np.sqrt(np.maximum(square_D - mean_D**2, 1e-6))
        return Beliefs(*(value[None] for value in (share_N @ self.p_NE, share_N @ self.active_NA, mean_D, sd_D)))

    def of(self, row: int, expression: bool, units: Sequence[int], dims: Sequence[bool]) -> Posterior:
        """Return one image's posterior of what is asked: the expression, these AUs, valence and arousal."""
        p_E, active_A = self.p_NE[row].tolist(), self.active_NA[row].tolist()
        valence, arousal = (
            (float(self.mean_ND[row, place]), float(self.sd_ND[row, place])) if asked else None
            for place, asked in enumerate(dims)
        )
        return Posterior(
            expression=dict(zip(EXPRESSIONS, p_E, strict=True)) if expression else None,
            action_units={au: min(active_A[COLUMN[au]], 1.0) for au in units},  # sums may round to more
            valence=valence,
            arousal=arousal,
        )


def mixed(each: Sequence[Beliefs], shares: Sequence[float]) -> Beliefs:
    """Return the beliefs of N images that are mixtures of several, by shares that sum to 1."""
    share_K = np.asarray(shares)
    p_NE, active_NA, mean_ND, second_ND = (
        np.tensordot(share_K, np.array(values), axes=1)
        for values in (
            [one.p_NE for one in each],
            [one.active_NA for one in each],
            [one.mean_ND for one in each],
            [one.sd_ND**2 + one.mean_ND**2 for one in each],
        )
    )
    return Beliefs(p_NE, active_NA, mean_ND, np.sqrt(np.maximum(second_ND - mean_ND**2, 1e-6)))


class Heard(NamedTuple):
    """Log-likelihoods of N images' answers; 0, or an infinite deviation, where nothing was answered."""

    votes_NE: Array
    """log P(votes | expression)."""
    active_NA: Array
    """log P(answers | AU active)."""
    inactive_NA: Array
    mean_ND: Array
    """Truth of valence and arousal as the answers have it: bias and slope taken off ..."""
    sd_ND: Array
    """... and its standard deviation."""


def nothing_heard(images: int) -> Heard:
    """Return what an annotator says that nobody asked: all labels are as likely as before."""
    zeros_NA = np.zeros((images, len(AUS)))
    unknown_ND = np.full((images, 2), np.inf)
    return Heard(np.zeros((images, len(EXPRESSIONS))), zeros_NA, zeros_NA, np.zeros((images, 2)), unknown_ND)


def believe(links: Couplings, known: Table, heard: Heard, weight: float | Array, cross: float | Array) -> Beliefs:
    """Return the posterior of naive Bayes around the expression.

    Args:
        links: how labels hang together.
        known: what humans said of the N images; one row stands for all.
        heard: what the annotator said.
        weight: how far known labels, and the expression, tell about the others, in [0, 1]: less than 1 where labels
            hang together beyond the expression, or where the annotator was shown them and used them itself. Of all
            images or of each, (N,).
        cross: how far an answer about one description tells about the others, in [0, 1]: an annotator that is wrong
            about one is often wrong about all. Of all images or of each, (N,).
    """
    weight_N11 = np.reshape(weight, (-1, 1, 1))
    cross_N1 = np.reshape(cross, (-1, 1))
    log_NE = np.log(links.expression_E) + weight_N11[:, :, 0] * _finite(links.evidence_NE(known)) + heard.votes_NE
    # Couplings at half weight lie half-way, in log-odds, between the AU's base rate and its rate in an expression.
    base_NA = np.where(known.expression_NE.any(axis=1, keepdims=True), links.base_told_A, links.base_A)
    prior_NEA = expit((1 - weight_N11) * logit(base_NA)[:, None, :] + weight_N11 * logit(links.au_EA))
    yes_NEA = np.log(prior_NEA) + heard.active_NA[:, None, :]
    no_NEA = np.log1p(-prior_NEA) + heard.inactive_NA[:, None, :]
    active_NEA = expit(yes_NEA - no_NEA)
    if cross_N1.any():
        log_NE = log_NE + cross_N1 * np.logaddexp(yes_NEA, no_NEA).sum(axis=2)
    precision_NED = 1 / links.spread_ED**2 + 1 / heard.sd_ND[:, None, :] ** 2
    mean_NED = (links.centre_ED / links.spread_ED**2 + (heard.mean_ND / heard.sd_ND**2)[:, None, :]) / precision_NED
    if cross_N1.any() and (told_ND := np.isfinite(heard.sd_ND)).any():
        seen_NED = np.hypot(links.spread_ED, np.where(told_ND, heard.sd_ND, 1.0)[:, None, :])
        logs_NED = log_normal(heard.mean_ND[:, None, :], links.centre_ED, seen_NED)
        log_NE = log_NE + cross_N1 * np.where(told_ND[:, None, :], logs_NED, 0.0).sum(axis=2)
    p_NE = np.exp(log_NE - log_NE.max(axis=1, keepdims=True))
    p_NE /= p_NE.sum(axis=1, keepdims=True)
    p_NE = np.where(known.expression_NE.any(axis=1, keepdims=True), known.expression_NE, p_NE)
    mean_ND = (p_NE[:, :, None] * mean_NED).sum(axis=1)
    square_ND = (p_NE[:, :, None] * (1 / precision_NED + mean_NED**2)).sum(axis=1)
    return Beliefs(
        p_NE, (p_NE[:, :, None] * active_NEA).sum(axis=1), mean_ND, np.sqrt(np.maximum(square_ND - mean_ND**2, 1e-6))
    )


@dataclass(frozen=True)
class Annotator:
    """A fitted annotator."""

    couplings: Couplings
    weight: float
    """How far known labels count (`believe`)."""
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
    cross: float | None = None
    """How far answers about one description count for the others (`believe`); None: as far as known labels do."""
    by_source: Mapping[str, "Annotator"] = field(default_factory=dict)
    """The annotator as it is in sources in which it has habits of its own (`annotator_by_source`)."""

    def of(self, source: str | None) -> "Annotator":
        """Return the annotator as it is in a source."""
        return self if source is None else self.by_source.get(source, self)

    def posterior(self, known: Labels, draws: Sequence[Labels]) -> Posterior:
        """Return what `draws` and `known` labels say about every label that the draws give."""
        said = answers([draws])
        asked = draws[0] if draws else Labels()
        dims = (said.count_ND[0] > 0).tolist()
        return self.beliefs(tabulate([known]), said).of(
            0, bool(said.expression_N[0]), [*(asked.action_units or {})], dims
        )

    def beliefs(self, known: Table, said: Answers) -> Beliefs:
        """Return what the answers and the known labels of N images say about their labels."""
        cross = self.weight if self.cross is None else self.cross
        return believe(self.couplings, known, self.heard(said), self.weight, cross)

    def heard(self, said: Answers) -> Heard:
        """Return how likely the answers are under each truth."""
        votes_NE = dirichlet_multinomial(self.votes_EE, said.votes_NE[:, None, :])
        active_NA, inactive_NA = self._counted(said)
        if self.log_odds:
            soft_NA = ~np.isnan(said.log_odds_NA)
            yes_NA, no_NA = self._weighed(said)
            active_NA, inactive_NA = np.where(soft_NA, yes_NA, active_NA), np.where(soft_NA, no_NA, inactive_NA)
        if self.grades:
            graded_N1 = said.graded_N[:, None]
            yes_NA, no_NA = self._graded(said)
            active_NA, inactive_NA = np.where(graded_N1, yes_NA, active_NA), np.where(graded_N1, no_NA, inactive_NA)
        asked_NA, told_ND = said.count_NA > 0, said.count_ND > 0
        channels = (self.valence, self.arousal)
        bias_D, slope_D, per_image_D, per_draw_D = np.array(channels).T
        sd_ND = np.hypot(per_image_D, per_draw_D / np.sqrt(np.maximum(said.count_ND, 1))) / slope_D
        return Heard(
            votes_NE=np.where(said.expression_N[:, None], votes_NE, 0.0),
            active_NA=np.where(asked_NA, active_NA, 0.0),
            inactive_NA=np.where(asked_NA, inactive_NA, 0.0),
            mean_ND=np.where(told_ND, (np.nan_to_num(said.mean_ND) - bias_D) / slope_D, 0.0),
            sd_ND=np.where(told_ND, sd_ND, np.inf),
        )

    def _counted(self, said: Answers) -> tuple[Array, Array]:
        """Return log P(answers | AU active) and log P(answers | inactive), (N, A), from the number of active ones."""
        k_NA = np.nan_to_num(said.said_NA)
        active_NA, inactive_NA = (
            _log_beta_binomial(k_NA, said.count_NA, *np.array([channels[au] for au in AUS]).T)
            for channels in (self.active, self.inactive)
        )
        return active_NA, inactive_NA

    def _weighed(self, said: Answers) -> tuple[Array, Array]:
        """Return log P(answers | AU active) and log P(answers | inactive), (N, A), from their log-odds."""
        bias_A, slope_A, per_image_A, per_draw_A = np.array([self.log_odds[au] for au in AUS]).T
        sd_NA = np.hypot(per_image_A, per_draw_A / np.sqrt(np.maximum(said.count_NA, 1)))
        return log_normal(said.log_odds_NA, bias_A + slope_A, sd_NA), log_normal(said.log_odds_NA, bias_A, sd_NA)

    def _graded(self, said: Answers) -> tuple[Array, Array]:
        """Return log P(answers | AU active) and log P(answers | inactive), (N, A), from their grades."""
        active_AG, inactive_AG = (
            np.array([getattr(self.grades[au], side) for au in AUS]) for side in ("active", "inactive")
        )
        return dirichlet_multinomial(active_AG, said.grades_NAG), dirichlet_multinomial(inactive_AG, said.grades_NAG)

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


def fit_beta_binomial(k: Array, n: Array, towards: BetaBinomial | None = None, images: float = FEW) -> BetaBinomial:
    """Fit by maximum likelihood; `towards` counts as so many images that behave like it."""
    prior_mean, prior_size = (towards.a / (towards.a + towards.b), towards.a + towards.b) if towards else (0.5, 1.0)
    sway = images if towards else 1.0

    def loss(parameters: Array) -> float:
        mean, size = expit(parameters[0]), np.exp(parameters[1])
        likelihood = BetaBinomial(mean * size, (1 - mean) * size).log_pmf(k, n).sum()
        pull = sway * (prior_mean * np.log(mean) + (1 - prior_mean) * np.log1p(-mean))
        return float(-likelihood - pull + 0.5 * (parameters[1] - np.log(prior_size)) ** 2)

    start = np.array([logit(np.clip(prior_mean, 0.01, 0.99)), np.log(prior_size)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-7, 7), (-4, 6)])
    mean, size = float(expit(found.x[0])), float(np.exp(found.x[1]))
    return BetaBinomial(mean * size, (1 - mean) * size)


def fit_votes(
    truth: Sequence[str], counts: Sequence[Array], towards_EE: Array | None = None, images: float = FEW_NAMED
) -> Array:
    """Return Dirichlet parameters per true expression, (8, 8): smoothed confusions times one concentration for all.

    An expression of few images is taken to be named rightly as often as the others, and mistaken for what all are.

    Args:
        truth: the images' expressions.
        counts: the `votes` of their draws.
        towards_EE: parameters that a fit to other images has; None: those that the others here suggest.
        images: for how many of each expression they count.
    """
    counts_NE = np.array(counts, dtype=float).reshape(-1, 8)
    rows_N = np.array([INDEX[e] for e in truth], dtype=int)
    shares_NE = counts_NE / np.maximum(counts_NE.sum(axis=1, keepdims=True), 1)
    wrong_NE = np.where(rows_N[:, None] == np.arange(8), 0.0, shares_NE)
    # Before any image an annotator is right more often than not.
    right = 1 - (wrong_NE.sum() + 0.5) / (len(rows_N) + 1)
    mistaken_EE = np.tile(wrong_NE.sum(axis=0) + 1, (8, 1)) * (1 - np.eye(8))
    mistaken_EE /= mistaken_EE.sum(axis=1, keepdims=True)
    expected_EE, log_size = right * np.eye(8) + (1 - right) * mistaken_EE, 0.0
    if towards_EE is not None:
        sizes_E = towards_EE.sum(axis=1)
        expected_EE, log_size = towards_EE / sizes_E[:, None], float(np.log(sizes_E.mean()))
    confusion_EE = images * expected_EE
    np.add.at(confusion_EE, rows_N, shares_NE)
    confusion_EE /= confusion_EE.sum(axis=1, keepdims=True)

    def loss(parameter: Array) -> float:
        alpha_NE = np.exp(parameter[0]) * confusion_EE[rows_N]
        return float(-dirichlet_multinomial(alpha_NE, counts_NE).sum() + 0.5 * (parameter[0] - log_size) ** 2)

    size = float(np.exp(minimize(loss, np.full(1, log_size), method="L-BFGS-B", bounds=[(-3, 5)]).x[0]))
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


def _log_beta_binomial(k: Array, n: Array, a: Array, b: Array) -> Array:
    return np.asarray(betaln(k + a, n - k + b) - betaln(a, b))


def _finite(log_E: Array) -> Array:
    """Return log-likelihoods that a weight of 0 turns into 0, which minus infinity would not."""
    return np.maximum(log_E, -1e6)
