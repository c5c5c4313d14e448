"""Fitting of the annotator model to a pilot: images on which it answered without seeing human labels.

Everything is split by subject: what is learnt on one half of the pilot's subjects is judged on the other.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from seke.core.affect import ACTION_UNITS
from seke.core.label_prior import Array, Couplings, Table, log_normal, tabulate
from seke.core.records import Labels
from seke.core.rules import near
from seke.generation.calibration.annotator_model import (
    FEW,
    Annotator,
    Beliefs,
    BetaBinomial,
    Channel,
    Masked,
    answers,
    fit_beta_binomial,
    fit_channel,
    fit_votes,
    log_odds,
    votes,
)
from seke.generation.calibration.grades import GradeChannel, fit_grades
from seke.generation.calibration.logprobs import SoftDraw, p_active
from seke.generation.calibration.posterior import f1_threshold

WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far couplings may count; the best on held-out subjects is taken."""
SMALLEST: Final = 1e-6
"""No probability is taken to be less: one image must not decide the weight."""


def fit(pilot: Sequence[Masked], couplings: Couplings) -> Annotator:
    """Fit every channel on the whole pilot, by two-fold cross-validation the weight of the couplings.

    And how soft draws are read: counted, by their log-odds or by what each grade has meant. Which foretells held-out
    labels better depends on how much log probabilities, or grades, know beyond the answers.
    """
    options = list(product(WEIGHTS, readings(pilot)))
    totals = np.zeros(len(options))
    for side in (0, 1):
        fitted = channels([m for m in pilot if half(m.subject) != side], couplings)
        held_out = [m for m in pilot if half(m.subject) == side and m.draws]
        if not held_out:
            continue
        said = answers([m.draws for m in held_out])
        known, truth = tabulate(m.known for m in held_out), tabulate(m.truth for m in held_out)
        for place, (weight, reading) in enumerate(options):
            losses_NX = log_losses(read_as(fitted, reading, weight).beliefs(known, said), truth)
            totals[place] += np.nansum(mean_of_told(losses_NX))
    weight, reading = options[int(np.argmin(totals))]
    return with_thresholds(read_as(channels(pilot, couplings), reading, weight), pilot)


def readings(pilot: Sequence[Masked]) -> tuple[str, ...]:
    """Return how draws like these could be read: counted always, the others where there is what they read."""
    draws = [draw for m in pilot for draw in (*m.draws, *m.hidden_draws)]
    soft = any(isinstance(draw, SoftDraw) for draw in draws)
    graded = any(draw.au_intensity for draw in draws)
    return ("counted", *(("log_odds",) if soft else ()), *(("grades",) if graded else ()))


def read_as(fitted: Annotator, reading: str, weight: float, cross: float | None = None) -> Annotator:
    """Return an annotator whose draws are read in one of the `readings`, and these weights (`believe`)."""
    kept = {name: getattr(fitted, name) if name == reading else {} for name in ("log_odds", "grades")}
    own = {source: read_as(each, reading, weight, cross) for source, each in fitted.by_source.items()}
    return replace(fitted, weight=weight, cross=cross, by_source=own, **kept)


def half(subject: str) -> int:
    """Return on which side, 0 or 1, a subject falls."""
    return hashlib.sha256(f"pilot\0{subject}".encode()).digest()[0] % 2


def with_thresholds(annotator: Annotator, pilot: Sequence[Masked]) -> Annotator:
    """Return the annotator with each AU's threshold at the largest expected F1 over the pilot's posteriors."""
    beliefs: dict[int, list[float]] = {au: [] for au in ACTION_UNITS}
    for masked in pilot:
        for au, p in annotator.posterior(masked.known, masked.draws).action_units.items():
            beliefs[au].append(p)
    thresholds = {au: f1_threshold(values) for au, values in beliefs.items()}
    return replace(annotator, thresholds=thresholds)


def mean_of_told(values_NX: Array) -> Array:
    """Return the mean of each row's values that are not NaN, (N,); NaN where all are."""
    told_NX = ~np.isnan(values_NX)
    number_N = told_NX.sum(axis=1)
    mean_N: Array = np.where(told_NX, values_NX, 0.0).sum(axis=1) / np.maximum(number_N, 1)
    return np.where(number_N > 0, mean_N, np.nan)


def log_losses(beliefs: Beliefs, truth: Table) -> Array:
    """Return the negative log-probability of N images' true labels: of the expression, the AUs (their mean), valence
    and arousal, (N, 4); NaN where the truth is unknown. Of valence and arousal it is that of a density.
    """
    loss_NX = np.full((len(beliefs.p_NE), 4), np.nan)
    rows_N = truth.expression_NE.any(axis=1)
    p_N = (beliefs.p_NE * truth.expression_NE).sum(axis=1)
    loss_NX[rows_N, 0] = -np.log(np.maximum(p_N[rows_N], SMALLEST))
    told_NA = ~np.isnan(truth.units_NA)
    right_NA = np.where(truth.units_NA == 1, beliefs.active_NA, 1 - beliefs.active_NA)
    logs_NA = np.where(told_NA, -np.log(np.maximum(right_NA, SMALLEST)), 0.0)
    rows_N = told_NA.any(axis=1)
    loss_NX[rows_N, 1] = logs_NA.sum(axis=1)[rows_N] / told_NA.sum(axis=1)[rows_N]
    loss_NX[:, 2:] = -log_normal(truth.va_ND, beliefs.mean_ND, beliefs.sd_ND)
    return loss_NX


def error(labels: Labels, truth: Labels) -> float | None:
    """Return the share of wrong labels among those that `truth` knows, in [0, 1], descriptions weighing the same.

    Valence and arousal are wrong when they are not `near` it. None where `truth` knows nothing that was labelled.
    """
    parts: list[float] = []
    if truth.expression is not None and labels.expression is not None:
        parts.append(float(labels.expression != truth.expression))
    units = labels.action_units or {}
    wrong = [units[au] != active for au, active in (truth.action_units or {}).items() if au in units]
    if wrong:
        parts.append(float(np.mean(wrong)))
    off = [
        not near(said, value)
        for name in ("valence", "arousal")
        if (value := getattr(truth, name)) is not None and (said := getattr(labels, name)) is not None
    ]
    if off:
        parts.append(float(np.mean(off)))
    return float(np.mean(parts)) if parts else None


def conformal_threshold(
    scores: Sequence[float], losses: Sequence[float], alpha: float, bound: float = 1.0
) -> float | None:
    """Return the largest tau at which stopping wherever score <= tau keeps the risk at `alpha`; None if none does.

    Conformal risk control (Angelopoulos et al. 2022): with n exchangeable images and losses in [0, bound], the largest
    tau with (n R(tau) + bound) / (n + 1) <= alpha has expected risk <= alpha on the next one. An image that goes on
    loses nothing, so the empirical risk R grows with tau.
    """
    order = np.argsort(np.asarray(scores, dtype=float), kind="stable")
    ranked = np.asarray(scores, dtype=float)[order]
    total = np.cumsum(np.asarray(losses, dtype=float)[order])
    n, allowed = len(ranked), None
    for place in range(n):
        if (total[place] + bound) / (n + 1) > alpha:
            break
        # Equal scores stop together.
        if place == n - 1 or ranked[place + 1] > ranked[place]:
            allowed = float(ranked[place])
    return allowed


def channels(
    pilot: Sequence[Masked], couplings: Couplings, towards: Annotator | None = None, images: float = FEW
) -> Annotator:
    """Return the annotator whose channels, of every reading, are fitted to the pilot; its weights are not.

    Args:
        pilot: its rows.
        couplings: how labels hang together.
        towards: the annotator on more images than these, towards which every channel is pulled ...
        images: ... as if by so many of each expression, of each AU that is active and inactive, and of valence and
            arousal.
    """
    answered = [m for m in pilot if m.draws]
    named = [(m.truth.expression, votes(m.draws)) for m in answered if m.truth.expression is not None]
    active, inactive = (_units(answered, side, towards, images) for side in (True, False))
    truths, counts = [truth for truth, _ in named], [said for _, said in named]
    return Annotator(
        couplings=couplings,
        weight=1.0,
        active=active,
        inactive=inactive,
        votes_EE=fit_votes(truths, counts) if towards is None else fit_votes(truths, counts, towards.votes_EE, images),
        valence=_channel(answered, "valence", towards, images),
        arousal=_channel(answered, "arousal", towards, images),
        thresholds=dict.fromkeys(ACTION_UNITS, 0.5),
        log_odds=_log_odds(answered, towards, images),
        grades=_grades(answered, towards, images),
    )


def _units(
    pilot: Sequence[Masked], truly: bool, towards: Annotator | None, images: float
) -> Mapping[int, BetaBinomial]:
    counts: dict[int, list[tuple[float, int]]] = {au: [] for au in ACTION_UNITS}
    for masked in pilot:
        p_said = [p_active(draw) for draw in masked.draws]
        for au, active in (masked.truth.action_units or {}).items():
            said = [p[au] for p in p_said if au in p]
            if active is truly and said:
                counts[au].append((sum(said), len(said)))
    everything = [pair for pairs in counts.values() for pair in pairs]
    if towards is not None:
        before = towards.active if truly else towards.inactive
        return {au: fit_beta_binomial(*_columns(pairs), before[au], images) for au, pairs in counts.items()}
    pooled = fit_beta_binomial(*_columns(everything))
    return {au: fit_beta_binomial(*_columns(pairs), towards=pooled) for au, pairs in counts.items()}


def _log_odds(pilot: Sequence[Masked], towards: Annotator | None, images: float) -> Mapping[int, Channel]:
    """Fit each AU's channel, pulled towards that of all AUs as if by `FEW` images; soft draws only."""
    said: dict[int, list[tuple[float, list[float]]]] = {au: [] for au in ACTION_UNITS}
    for masked in pilot:
        p_said = [p_active(draw) for draw in masked.draws if isinstance(draw, SoftDraw)]
        for au, active in (masked.truth.action_units or {}).items():
            if p := [p[au] for p in p_said if au in p]:
                said[au].append((float(active), log_odds(p).tolist()))
    pooled = _channel_of([pair for pairs in said.values() for pair in pairs])
    fitted = {}
    for au, pairs in said.items():
        positive = sum(truth for truth, _ in pairs)
        own = min(positive, len(pairs) - positive)
        before, few = (pooled, FEW) if towards is None else (towards.log_odds[au], images)
        fitted[au] = _between(_channel_of(pairs), before, own / (own + few))
    return fitted


def _grades(pilot: Sequence[Masked], towards: Annotator | None, images: float) -> Mapping[int, GradeChannel]:
    """Fit what each grade of each AU has meant; empty without graded draws."""
    said: dict[int, list[tuple[bool, list[float]]]] = {au: [] for au in ACTION_UNITS}
    for masked in pilot:
        given = [draw.au_intensity for draw in masked.draws if draw.au_intensity]
        for au, active in (masked.truth.action_units or {}).items():
            if grades := [by_au[au] for by_au in given if au in by_au]:
                said[au].append((active, grades))
    if not any(said.values()):
        return {}
    return fit_grades(said, FEW) if towards is None else fit_grades(said, images, towards.grades)


def _channel_of(pairs: Sequence[tuple[float, Sequence[float]]]) -> Channel:
    return fit_channel([truth for truth, _ in pairs], [values for _, values in pairs])


def _between(own: Channel, other: Channel, share: float) -> Channel:
    """Return a channel of which `share` is `own`."""
    return Channel(*(share * a + (1 - share) * b for a, b in zip(own, other, strict=True)))


def _columns(pairs: Sequence[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _channel(pilot: Sequence[Masked], name: str, towards: Annotator | None, images: float) -> Channel:
    def given(draws: Sequence[Labels]) -> list[float]:
        return [value for draw in draws if (value := getattr(draw, name)) is not None]

    pairs = [(getattr(m.truth, name), given(m.draws)) for m in pilot]
    told = [(truth, said) for truth, said in pairs if truth is not None and said]
    own = _channel_of(told)
    return own if towards is None else _between(own, getattr(towards, name), len(told) / (len(told) + images))


Risk = Callable[[Labels, Sequence[Labels]], float]


def expected_error(annotator: Annotator) -> Risk:
    """Return the rule's risk: the share of wrong labels that the posterior itself expects, in [0, 1]."""

    def risk(known: Labels, draws: Sequence[Labels]) -> float:
        belief = annotator.posterior(known, draws)
        labels = annotator.decide(belief)
        parts: list[float] = []
        if belief.expression is not None and labels.expression is not None:
            parts.append(1 - belief.expression[labels.expression])
        if belief.action_units:
            called = labels.action_units or {}
            parts.append(float(np.mean([1 - p if called[au] else p for au, p in belief.action_units.items()])))
        off = [annotator.miss(belief, name) for name in ("valence", "arousal") if getattr(belief, name) is not None]
        if off:
            parts.append(float(np.mean(off)))
        return float(np.mean(parts)) if parts else 0.0

    return risk
