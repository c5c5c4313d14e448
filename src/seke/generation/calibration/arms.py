"""Arms: how each description is labelled where the same is known, chosen by what foretells held-out human labels best.

An arm says whether the annotator is shown what is known, how many of its draws are read, and how: counted, by their
log-odds, by what each grade has meant (`annotator_model`); by channels of the pattern alone or of all patterns; and how
far known labels and other answers count (`believe`). Or that nobody is asked, because the annotator adds nothing to
what known labels say by themselves.

Each candidate is fitted on one half of the pilot's subjects and judged on the other, by the logarithm of the
probability that it gives the masked labels. Both looking and not looking are chosen on the half on which they are not
judged: the best of a hundred seems better than it is. A request has to be worth its cost: looking has to beat not
looking beyond doubt (`gain`) in one description, of the pattern itself or, where it is ahead there, of all patterns
together. What is answered beside it, at no cost, is read wherever it seems to help. The best option decides what is
requested; what is read is an average over all that may be the best (`averaging`), among them that nobody is asked.

Witnesses that cost nothing (`witnesses`) are heard beside the annotator, and where nobody is asked: asking has to beat
not asking with them. One is heard in a description if it makes labels foretold better beyond doubt, beside those that
are heard already; each to the power that foretells them best. Draws that are there already cost nothing either
(`Settings.paid`): they are read beside the witnesses as far as that foretells held-out labels better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS
from seke.core.label_prior import Array, tabulate
from seke.core.records import Labels
from seke.generation.asked import Asked
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.annotator_model import (
    Annotator,
    Heard,
    Masked,
    answers,
    believe,
    nothing_heard,
)
from seke.generation.calibration.gain import Gain
from seke.generation.calibration.patterns import Demand, Pattern, asked_of, pattern_of
from seke.generation.calibration.posterior import Posterior, f1_threshold
from seke.generation.calibration.study import (
    DESCRIPTIONS,
    HIDDEN,
    NOBODY,
    SHOWN,
    Cell,
    Links,
    Option,
    Settings,
    Study,
    with_draws,
)
from seke.generation.calibration.witnesses import Witness, together


class Reader(NamedTuple):
    """One of the options that an arm averages over."""

    option: Option
    annotator: Annotator
    """Fitted to the whole pilot."""
    share: float
    """Of the average, in (0, 1]."""

    @property
    def hears(self) -> tuple[str, int, str, str]:
        """Return what its likelihoods depend on: readers that differ in weights alone share them."""
        return self.option.prompt, self.option.draws, self.option.reading, self.option.channels

    def heard(self, draws: Mapping[str, Sequence[Labels]], source: str | None = None) -> Heard:
        """Return the likelihoods of the draws of one image of a source; nothing where it was not asked about."""
        if self.option.prompt == NOBODY or self.option.prompt not in draws:
            return nothing_heard(1)
        return self.annotator.of(source).heard(answers([draws[self.option.prompt][: self.option.draws]]))


@dataclass(frozen=True)
class Arm:
    """How one description is labelled in one pattern."""

    option: Option
    """The best one: what is requested."""
    annotator: Annotator
    """Fitted to the whole pilot, as `option` reads it."""
    readers: tuple[Reader, ...]
    """What is read: the options that may be the best, among those that need no other request nor more draws."""
    labels: int
    """Pilot images of this very pattern with a human label of the description."""
    learnt_on: Pattern | None
    """The pattern that the arm is chosen on, this one if it has labels enough; None: all patterns together."""
    judged: int
    """Pilot images that it is chosen on."""
    loss: float | None
    """Mean negative log-probability of their masked labels; None where there is none."""
    gain: Gain | None
    """By how much that is less than without looking; None where too little is known to tell ..."""
    losses: Mapping[str, float]
    """... and the least that each prompt reached, `NOBODY` among them."""
    thin: bool
    """Whether this pattern has too few labels of the description."""
    by_source: Gain | None = None
    """By how much reading the annotator by sources lowers the loss; None where all sources are read alike."""

    @property
    def looks(self) -> bool:
        """Whether the annotator is asked."""
        return self.option.prompt != NOBODY

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the sources in which the annotator is read, wholly or in part, by habits of its own there."""
        return tuple(sorted({source for read in self.readers for source in read.annotator.by_source}))

    @property
    def powers(self) -> tuple[float, ...]:
        """How far each witness counts, over what is read."""
        each = zip(*(read.option.powers for read in self.readers), strict=True)
        return tuple(sum(read.share * power for read, power in zip(self.readers, one, strict=True)) for one in each)

    def posterior(
        self,
        known: Labels,
        asked: Asked,
        draws: Mapping[str, Sequence[Labels]],
        witnessed: Sequence[Heard] = (),
        source: str | None = None,
    ) -> Posterior:
        """Return the average of what its readers make of known labels, of the draws under each prompt, and of what
        each witness says, of an image of this source.
        """
        heard: dict[Any, Heard] = {}
        for reader in self.readers:
            if reader.hears not in heard:
                heard[reader.hears] = reader.heard(draws, source)
        rows = Heard(*map(np.concatenate, zip(*(heard[reader.hears] for reader in self.readers), strict=True)))
        rows = together(rows, witnessed, list(zip(*(reader.option.powers for reader in self.readers), strict=True)))
        weight_K, cross_K, share_K = np.array(
            [(reader.option.weight, reader.option.cross, reader.share) for reader in self.readers]
        ).T
        beliefs = believe(self.annotator.couplings, tabulate([known]), rows, weight_K, cross_K)
        return beliefs.averaged(share_K).of(0, asked.expression, asked.action_units, (asked.valence, asked.arousal))


@dataclass(frozen=True)
class Calibration:
    """The arms of every pattern of the records to annotate."""

    arms: Mapping[Pattern, Mapping[str, Arm]]
    demand: Mapping[Pattern, Demand]
    thresholds: Mapping[int, float]
    """An AU whose posterior exceeds this is called active (`f1_threshold`)."""
    witnesses: Sequence[Witness] = ()

    def of(self, known: Labels) -> Mapping[str, Arm]:
        """Return the arm of each description that is asked where this is known."""
        own = pattern_of(known)
        return {name: self.arm(own, name) for name in asked_of(known)}

    def arm(self, pattern: Pattern, name: str) -> Arm:
        """Return the arm of a description in a pattern, or in the nearest one that has it."""
        having = [other for other, arms in self.arms.items() if name in arms]
        return self.arms[min(having, key=pattern.distance)][name]

    def posterior(
        self,
        arms: Mapping[str, Arm],
        known: Labels,
        asked: Asked,
        draws: Mapping[str, Sequence[Labels]],
        witnessed: Sequence[Heard] = (),
        source: str | None = None,
    ) -> Posterior:
        """Return what known labels and draws say about what is asked, each description by its arm.

        Args:
            arms: of each description asked.
            known: what is known of the image, whatever the prompt showed.
            asked: the labels that are wanted.
            draws: the draws under each prompt.
            witnessed: what each witness says of the image.
            source: the image's; None: the annotator is read as in all sources.
        """
        found: dict[str, Any] = {}
        for name, arm in arms.items():
            belief = arm.posterior(known, asked, draws, witnessed, source)
            found |= {of: getattr(belief, of) for of in _PARTS[name]}
        nothing = Posterior(None, {}, None, None)
        return nothing._replace(**found)


def prompts_of(arms: Mapping[str, Arm]) -> dict[str, int]:
    """Return the prompts that a pattern's arms need, and how many draws under each at most."""
    needed: dict[str, int] = {}
    for arm in arms.values():
        if arm.looks:
            needed[arm.option.prompt] = max(needed.get(arm.option.prompt, 0), arm.option.draws)
    return {prompt: needed[prompt] for prompt in (SHOWN, HIDDEN) if prompt in needed}


_PARTS: Final = {"expression": ("expression",), "va": ("valence", "arousal"), "au": ("action_units",)}
"""The parts of a posterior that belong to each description."""


def choose(
    pilot: Sequence[Masked],
    demand: Mapping[Pattern, Demand],
    links: Links,
    settings: Settings,
    witnesses: Sequence[Witness] = (),
) -> Calibration:
    """Choose and fit the arms of every pattern.

    Args:
        pilot: its rows, asked pattern by pattern.
        demand: the patterns of the records to annotate.
        links: gives couplings.
        settings: what there is to choose from; without a prompt nobody is asked.
        witnesses: what is known of each record at no cost.
    """
    return chosen(Study(answered(pilot, settings.prompts), links, settings, witnesses), demand, witnesses)


def chosen(study: Study, demand: Mapping[Pattern, Demand], witnesses: Sequence[Witness] = ()) -> Calibration:
    """Choose and fit the arms of every pattern by what a study has found (`choose`)."""
    arms = {
        pattern: _arms_of(study, pattern, tuple(name for name in DESCRIPTIONS if name in asked.asked))
        for pattern, asked in demand.items()
    }
    return Calibration(arms, demand, _thresholds(study, arms, demand), witnesses)


def answered(pilot: Sequence[Masked], prompts: Sequence[str]) -> list[Masked]:
    """Return the pilot's rows with answers under each prompt; all of them where nobody is asked."""
    return [m for m in pilot if not prompts or (m.draws and (HIDDEN not in prompts or m.known.empty or m.hidden_draws))]


def _arms_of(study: Study, pattern: Pattern, names: Sequence[str]) -> dict[str, Arm]:
    """Choose one pattern's arms."""
    cells = {name: study.cell(pattern, name) for name in names}
    paid = study.settings.paid
    picked = _paid(study, cells, paid.get(pattern, {})) if paid is not None else _worth_asking(study, cells, pattern)
    chosen = {}
    for name, cell in cells.items():
        option, found = picked[name]
        prompts = _prompts(study, pattern)
        known = cell.judged > 0
        losses = {prompt: cell.best(study, prompt)[1] for prompt in (*prompts, NOBODY)}
        chosen[name] = Arm(
            option=option,
            annotator=study.fitted(cell.learnt_on or pattern, option),
            readers=tuple(
                Reader(read, study.fitted(cell.learnt_on or pattern, read), share)
                for read, share in cell.averaged(study, option).items()
            ),
            labels=cell.labels,
            learnt_on=cell.learnt_on,
            judged=cell.judged,
            loss=cell.loss(study, option) if known else None,
            gain=found if known and prompts and found.subjects > 1 else None,
            losses=losses if known else {},
            thin=cell.labels < pilot_study.FEWEST,
            by_source=cell.apart.get(option.prompt),
        )
    return chosen


def _prompts(study: Study, pattern: Pattern) -> Sequence[str]:
    return study.settings.prompts if any(pattern) else study.settings.prompts[:1]


def _paid(study: Study, cells: Mapping[str, Cell], paid: Mapping[str, int]) -> dict[str, tuple[Option, Gain]]:
    """Choose each description's option where these prompts' draws cost nothing: the one of the least held-out loss.

    Nobody has to prove anything: what is read is an average with not looking, by what foretells held-out labels.
    """
    picked = {}
    for name, cell in cells.items():
        offered = [cell.best(study, prompt, most=draws) for prompt, draws in (paid or {NOBODY: 0}).items()]
        option, _ = min(offered, key=lambda each: each[1])
        picked[name] = option, cell.gain(study, option.prompt)
    return picked


def _worth_asking(study: Study, cells: Mapping[str, Cell], pattern: Pattern) -> dict[str, tuple[Option, Gain]]:
    """Choose each description's option: of the two prompts the one that serves all descriptions best, and the other one
    beside it only for a description in which it is better beyond doubt, since it costs a second request.
    """
    prompts = _prompts(study, pattern)
    totals = {prompt: sum(cell.best(study, prompt)[1] for cell in cells.values()) for prompt in prompts}
    main = min(prompts, key=totals.__getitem__, default=NOBODY)
    best = {}
    for name, cell in cells.items():
        best[name], _ = cell.best(study, main)
        for other in prompts:
            rival, _ = cell.best(study, other)
            if other != main and cell.better(study, rival, best[name]):
                best[name] = rival
    gains = {name: cell.gain(study, best[name].prompt) for name, cell in cells.items()}
    worth = {
        name for name, found in gains.items() if found.sure or (found.mean > 0 and study.sees(name, best[name].prompt))
    }
    asked = {best[name].prompt for name in worth}
    picked = {}
    for name, cell in cells.items():
        option, found = best[name], gains[name]
        if study.settings.may_skip and cell.judged >= pilot_study.FEWEST and name not in worth:
            # A request that another description is worth costs nothing more where its answers are read for this, too.
            free = [prompt for prompt in asked if cell.gain(study, prompt).mean > 0]
            option, _ = min((cell.best(study, prompt) for prompt in free or [NOBODY]), key=lambda least: least[1])
            if free:
                found = cell.gain(study, option.prompt)
        picked[name] = option, found
    return picked


def single(annotator: Annotator, demand: Mapping[Pattern, Demand], draws: int) -> Calibration:
    """Return arms that all read `draws` by one annotator, with known labels shown: pilots of earlier versions."""
    option = Option(SHOWN, draws, "", "pooled", annotator.weight, annotator.weight)
    readers = (Reader(option, annotator, 1.0),)
    arm = Arm(option, annotator, readers, 0, None, 1, None, None, {}, thin=False)
    arms = {pattern: dict.fromkeys(asked.asked, arm) for pattern, asked in demand.items()}
    return Calibration(arms, demand, annotator.thresholds)


def looking(calibration: Calibration, draws: int, twice: bool) -> Calibration:
    """Return the same with arms that take all draws, for an estimate of what an annotator worth asking would cost.

    Args:
        calibration: what was chosen, on whatever a made-up annotator said.
        draws: how many there are.
        twice: whether a second prompt, without known labels, is needed for one description, the dearest case.
    """

    def prompt(pattern: Pattern, place: int) -> str:
        return HIDDEN if twice and any(pattern) and place else SHOWN

    def asking(arm: Arm, prompt: str) -> Arm:
        option = arm.option._replace(prompt=prompt, draws=draws)
        return replace(arm, option=option, readers=(Reader(option, arm.annotator, 1.0),))

    arms = {
        pattern: {name: asking(arm, prompt(pattern, place)) for place, (name, arm) in enumerate(arms.items())}
        for pattern, arms in calibration.arms.items()
    }
    return replace(calibration, arms=arms)


def taught(pilot: Sequence[Masked], pattern: Pattern, prompt: str) -> list[Masked]:
    """Return what a stopping rule may learn from: the pattern's rows, all where these are few, by their draws."""
    own = [m for m in pilot if m.pattern == pattern.name]
    rows = own if len(own) >= pilot_study.FEWEST else pilot
    return [with_draws(m, prompt) for m in rows]


def _thresholds(
    study: Study, arms: Mapping[Pattern, Mapping[str, Arm]], demand: Mapping[Pattern, Demand]
) -> dict[int, float]:
    """Return each AU's threshold at the largest expected F1 over the records to annotate.

    Each row of the pilot stands for the records of its pattern that ask for the AU, and counts for as many of them
    as fall to it. It is what the arms say of it where they were fitted without it: of the images that it is fitted
    to a posterior is surer.
    """
    active_NA = np.full((len(study.rows), len(ACTION_UNITS)), np.nan)
    for pattern in demand:
        if arm := arms[pattern].get("au"):
            rows_N = study.of_pattern(pattern)
            active_NA[rows_N] = _held_out(study, arm, rows_N)
    return thresholds_of(study, active_NA, demand)


def thresholds_of(study: Study, active_NA: Array, demand: Mapping[Pattern, Demand]) -> dict[int, float]:
    """Return each AU's threshold at the largest expected F1 over the records to annotate.

    Args:
        study: of the pilot.
        active_NA: what is believed of its rows' AUs by what was fitted without them; NaN where nothing is.
        demand: the patterns of the records.
    """
    weight_NA = np.zeros_like(active_NA)
    asked_NA = np.isnan(study.known.units_NA)
    for pattern, wanted in demand.items():
        if "au" in wanted.asked:
            rows_N = study.of_pattern(pattern)
            records_A = np.array([wanted.units.get(au, 0) for au in ACTION_UNITS])
            weight_NA[rows_N] = records_A / np.maximum(asked_NA[rows_N].sum(axis=0), 1)
    told_NA = asked_NA & np.isfinite(active_NA)
    # Where nobody says how many records ask for an AU, or no row is an example of them, all rows count the same.
    weight_NA = np.where((weight_NA * told_NA).any(axis=0), weight_NA, 1.0) * told_NA
    return {
        au: f1_threshold(active_N[weight_N > 0].tolist(), weight_N[weight_N > 0].tolist())
        for au, active_N, weight_N in zip(ACTION_UNITS, active_NA.T, weight_NA.T, strict=True)
    }


def _held_out(study: Study, arm: Arm, rows_N: NDArray[np.bool_]) -> Array:
    """Return what an arm says of AUs, (rows, A), where it was fitted without them; NaN where it was not tried."""
    active_KNA = np.array([study.active[read.option.prompt][study.places[read.option], rows_N] for read in arm.readers])
    share_KNA = np.array([read.share for read in arm.readers])[:, None, None] * np.isfinite(active_KNA)
    total_NA = share_KNA.sum(axis=0)
    active_NA: Array = np.nansum(share_KNA * active_KNA, axis=0) / np.where(total_NA > 0, total_NA, np.nan)
    return active_NA
