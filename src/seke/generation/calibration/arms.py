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
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS
from seke.core.label_prior import Array, Couplings, tabulate
from seke.core.records import Labels
from seke.generation.asked import FIELDS, Asked
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.annotator_model import (
    Annotator,
    Heard,
    Masked,
    answers,
    believe,
    nothing_heard,
)
from seke.generation.calibration.averaging import shares
from seke.generation.calibration.fit import WEIGHTS, channels, log_losses, mean_of_told, read_as, readings
from seke.generation.calibration.gain import Gain, gain
from seke.generation.calibration.patterns import Demand, Pattern, asked_of, named, pattern_of
from seke.generation.calibration.posterior import Posterior, f1_threshold

SHOWN: Final = "shown"
HIDDEN: Final = "hidden"
NOBODY: Final = "nobody"
CROSS: Final = (0.0, 0.5, 1.0)
"""How far an answer about one description may count for another."""
DESCRIPTIONS: Final = tuple(FIELDS)
Links = Callable[[Collection[str]], Couplings]
"""Gives the couplings of all labels that may teach but those of these subjects."""


class Option(NamedTuple):
    """One way of labelling a description."""

    prompt: str
    """`SHOWN`, `HIDDEN`, or `NOBODY`: the annotator is not asked."""
    draws: int
    reading: str
    """One of `fit.readings`."""
    channels: str
    """"own": fitted to this pattern; "pooled": to all that were asked with such a prompt."""
    weight: float
    cross: float

    @property
    def name(self) -> str:
        """What it is in words, for calibration.json."""
        if self.prompt == NOBODY:
            return f"not looking, couplings {self.weight}"
        return (
            f"known labels {self.prompt}, {self.draws} draws, {self.reading}, {self.channels} channels, "
            f"couplings {self.weight}, other answers {self.cross}"
        )


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

    def heard(self, draws: Mapping[str, Sequence[Labels]]) -> Heard:
        """Return the likelihoods of one image's draws."""
        if self.option.prompt == NOBODY:
            return nothing_heard(1)
        return self.annotator.heard(answers([draws[self.option.prompt][: self.option.draws]]))


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

    @property
    def looks(self) -> bool:
        """Whether the annotator is asked."""
        return self.option.prompt != NOBODY

    def posterior(self, known: Labels, asked: Asked, draws: Mapping[str, Sequence[Labels]]) -> Posterior:
        """Return the average of what its readers make of known labels and of the draws under each prompt."""
        heard: dict[Any, Heard] = {}
        for reader in self.readers:
            if reader.hears not in heard:
                heard[reader.hears] = reader.heard(draws)
        rows = Heard(*map(np.concatenate, zip(*(heard[reader.hears] for reader in self.readers), strict=True)))
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

    def of(self, known: Labels) -> Mapping[str, Arm]:
        """Return the arm of each description that is asked where this is known."""
        own = pattern_of(known)
        return {name: self._arm(own, name) for name in asked_of(known)}

    def _arm(self, pattern: Pattern, name: str) -> Arm:
        having = [other for other, arms in self.arms.items() if name in arms]
        return self.arms[min(having, key=pattern.distance)][name]

    def posterior(
        self, arms: Mapping[str, Arm], known: Labels, asked: Asked, draws: Mapping[str, Sequence[Labels]]
    ) -> Posterior:
        """Return what known labels and draws say about what is asked, each description by its arm.

        Args:
            arms: of each description asked.
            known: what is known of the image, whatever the prompt showed.
            asked: the labels that are wanted.
            draws: the draws under each prompt.
        """
        return _posterior(arms, known, asked, draws)


def prompts_of(arms: Mapping[str, Arm]) -> dict[str, int]:
    """Return the prompts that a pattern's arms need, and how many draws under each at most."""
    needed: dict[str, int] = {}
    for arm in arms.values():
        if arm.looks:
            needed[arm.option.prompt] = max(needed.get(arm.option.prompt, 0), arm.option.draws)
    return {prompt: needed[prompt] for prompt in (SHOWN, HIDDEN) if prompt in needed}


def _posterior(
    arms: Mapping[str, Arm], known: Labels, asked: Asked, draws: Mapping[str, Sequence[Labels]]
) -> Posterior:
    found: dict[str, Any] = {}
    for name, arm in arms.items():
        belief = arm.posterior(known, asked, draws)
        found |= {of: getattr(belief, of) for of in _PARTS[name]}
    nothing = Posterior(None, {}, None, None)
    return nothing._replace(**found)


_PARTS: Final = {"expression": ("expression",), "va": ("valence", "arousal"), "au": ("action_units",)}
"""The parts of a posterior that belong to each description."""


class Settings(NamedTuple):
    """What arms there may be."""

    draws: Sequence[int]
    """Numbers of draws to choose from."""
    prompts: Sequence[str] = (SHOWN, HIDDEN)
    may_skip: bool = True
    """Whether nobody need be asked where that is as good."""


def choose(
    pilot: Sequence[Masked],
    demand: Mapping[Pattern, Demand],
    links: Links,
    settings: Settings,
) -> Calibration:
    """Choose and fit the arms of every pattern.

    Args:
        pilot: its rows, asked pattern by pattern.
        demand: the patterns of the records to annotate.
        links: gives couplings.
        settings: what there is to choose from.
    """
    rows = [m for m in pilot if m.draws and (HIDDEN not in settings.prompts or m.known.empty or m.hidden_draws)]
    study = _Study(rows, links, settings)
    arms = {
        pattern: _arms_of(study, pattern, tuple(name for name in DESCRIPTIONS if name in asked.asked))
        for pattern, asked in demand.items()
    }
    return Calibration(arms, demand, study.thresholds(arms, demand))


def _arms_of(study: "_Study", pattern: Pattern, names: Sequence[str]) -> dict[str, Arm]:
    """Choose one pattern's arms: of the two prompts the one that serves all descriptions best, and the other one beside
    it only for a description in which it is better beyond doubt: it costs a second request.
    """
    cells = {name: study.cell(pattern, name) for name in names}
    prompts = study.settings.prompts if any(pattern) else study.settings.prompts[:1]
    totals = {prompt: sum(cell.best(study, prompt)[1] for cell in cells.values()) for prompt in prompts}
    main = min(prompts, key=totals.__getitem__)
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
    chosen = {}
    for name, cell in cells.items():
        option, found = best[name], gains[name]
        if study.settings.may_skip and cell.judged >= pilot_study.FEWEST and name not in worth:
            # A request that another description is worth costs nothing more where its answers are read for this, too.
            free = [prompt for prompt in asked if cell.gain(study, prompt).mean > 0]
            option, _ = min((cell.best(study, prompt) for prompt in free or [NOBODY]), key=lambda least: least[1])
            if free:
                found = cell.gain(study, option.prompt)
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
            gain=found if known and found.subjects > 1 else None,
            losses=losses if known else {},
            thin=cell.labels < pilot_study.FEWEST,
        )
    return chosen


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
    return [_with_draws(m, prompt) for m in rows]


def _with_draws(masked: Masked, prompt: str) -> Masked:
    return masked.model_copy(update={"draws": _draws(masked, prompt)})


def _draws(masked: Masked, prompt: str) -> Sequence[Labels]:
    """Return a row's draws under a prompt; where nothing is known the two prompts are one."""
    return masked.hidden_draws if prompt == HIDDEN and masked.hidden_draws else masked.draws


class _Cell(NamedTuple):
    """A description in a pattern, and the pilot's rows that tell how to label it."""

    place: int
    """Of the description."""
    labels: int
    learnt_on: Pattern | None
    rows_N: NDArray[np.bool_]

    @property
    def judged(self) -> int:
        return int(self.rows_N.sum())

    def best(self, study: "_Study", prompt: str, rows_N: NDArray[np.bool_] | None = None) -> tuple[Option, float]:
        """Return the option of a prompt with the least mean loss on the cell's rows, or on these of them."""
        rows = self.rows_N if rows_N is None else self.rows_N & rows_N
        options = study.options[prompt]
        if not rows.any():
            return options[-1], 0.0
        # An option that was not tried on all rows (channels of its own in a small pattern) is none.
        means = study.losses[prompt][:, rows, self.place].mean(axis=1)
        place = int(np.nanargmin(means))
        return options[place], float(means[place])

    def averaged(self, study: "_Study", option: Option) -> dict[Option, float]:
        """Return the share of each option that is read beside `option`: those of its prompt that need no more draws,
        and those that need nobody.
        """
        if not self.rows_N.any():
            return {option: 1.0}
        offered = dict.fromkeys((option.prompt, NOBODY))
        options = [other for prompt in offered for other in study.options[prompt] if other.draws <= option.draws]
        loss_KN = np.array([self.each(study, other) for other in options])
        share_K = shares(loss_KN, study.group_N[self.rows_N]).tolist()
        return {other: share for other, share in zip(options, share_K, strict=True) if share}

    def each(self, study: "_Study", option: Option) -> Array:
        """Return an option's loss in each of the cell's rows."""
        losses: Array = study.losses[option.prompt][study.places[option], self.rows_N, self.place]
        return losses

    def loss(self, study: "_Study", option: Option) -> float:
        """Return an option's mean loss on the cell's rows."""
        return float(self.each(study, option).mean())

    def better(self, study: "_Study", option: Option, than: Option) -> bool:
        """Return whether an option's loss is less, beyond doubt."""
        return gain(self.each(study, than) - self.each(study, option), study.group_N[self.rows_N]).sure

    def gain(self, study: "_Study", prompt: str) -> Gain:
        """Return by how much looking lowers the loss."""
        return gain(self.less(study, prompt)[self.rows_N], study.group_N[self.rows_N])

    def less(self, study: "_Study", prompt: str) -> Array:
        """Return by how much looking lowers the loss in each of the study's rows, (N,); it counts in the cell's alone.

        Both ways are chosen on the half of the subjects that they are not judged on.
        """
        less_N = np.zeros(len(self.rows_N))
        for side in (0, 1):
            there_N = study.side_N == side
            for of, sign in ((NOBODY, 1), (prompt, -1)):
                option, _ = self.best(study, of, ~there_N)
                losses = study.losses[of][study.places[option], :, self.place]
                less_N = np.where(there_N, less_N + sign * losses, less_N)
        return less_N


def two_sides(subjects: Iterable[str]) -> dict[str, int]:
    """Return the side, 0 or 1, of each subject: dealt out in turn, a source's subjects in the order of their hashes."""

    def key(name: str) -> tuple[str, bytes]:
        return name.partition("/")[0], hashlib.sha256(f"sides\0{name}".encode()).digest()

    return {name: place % 2 for place, name in enumerate(sorted(set(subjects), key=key))}


class _Study:
    """The pilot as arrays, and the held-out loss of every option in every row."""

    def __init__(self, rows: Sequence[Masked], links: Links, settings: Settings) -> None:
        self.rows, self.links, self.settings = rows, links, settings
        sides = two_sides(m.subject for m in rows)
        self.side_N = np.array([sides[m.subject] for m in rows], dtype=int)
        self.patterns = [named(m.pattern or "nothing") for m in rows]
        subjects = {name: place for place, name in enumerate(dict.fromkeys(m.subject for m in rows))}
        self.group_N = np.array([subjects[m.subject] for m in rows], dtype=int)
        self.known, self.truth = tabulate(m.known for m in rows), tabulate(m.truth for m in rows)
        self.readings = readings(rows)
        self.answers = {
            (prompt, draws): answers([_draws(m, prompt)[:draws] for m in rows])
            for prompt in settings.prompts
            for draws in settings.draws
        }
        self._all = links(())
        self._fits: dict[tuple[str, Pattern | None], Annotator] = {}
        self.options: dict[str, list[Option]] = {NOBODY: [Option(NOBODY, 0, "", "", weight, 0.0) for weight in WEIGHTS]}
        for prompt in settings.prompts:
            # Without known labels in the prompt it is the same annotator in all patterns.
            kinds = ("pooled", "own") if prompt == SHOWN else ("pooled",)
            ways = product(settings.draws, self.readings, kinds, WEIGHTS, CROSS)
            self.options[prompt] = [Option(prompt, *way) for way in ways]
        self.places = {option: place for options in self.options.values() for place, option in enumerate(options)}
        self.losses = {
            prompt: np.full((len(options), len(rows), len(DESCRIPTIONS)), np.nan)
            for prompt, options in self.options.items()
        }
        self.active = {
            prompt: np.full((len(options), len(rows), len(ACTION_UNITS)), np.nan)
            for prompt, options in self.options.items()
        }
        for side in (0, 1):
            self._judge(side)

    def _lessons(self, prompt: str, rows_N: NDArray[np.bool_]) -> list[Masked]:
        return [_with_draws(m, prompt) for m, wanted in zip(self.rows, rows_N, strict=True) if wanted]

    def of_pattern(self, pattern: Pattern) -> NDArray[np.bool_]:
        """Return which rows are of a pattern, (N,)."""
        return np.array([own == pattern for own in self.patterns], dtype=bool)

    def _judge(self, side: int) -> None:
        """Fill in the losses of the rows on one side, by what is fitted to the other."""
        held_out_N = self.side_N == side
        if not held_out_N.any():
            return
        links = self.links({m.subject for m, held_out in zip(self.rows, held_out_N, strict=True) if held_out})
        known, truth = self.known.where(held_out_N), self.truth.where(held_out_N)
        for place, option in enumerate(self.options[NOBODY]):
            beliefs = believe(links, known, nothing_heard(len(truth.va_ND)), option.weight, 0.0)
            self.losses[NOBODY][place, held_out_N] = _by_description(log_losses(beliefs, truth))
            self.active[NOBODY][place, held_out_N] = beliefs.active_NA
        for prompt in self.settings.prompts:
            pooled = channels(self._lessons(prompt, ~held_out_N), links)
            self._try(prompt, "pooled", pooled, held_out_N)
            for pattern in dict.fromkeys(self.patterns) if prompt == SHOWN else ():
                own_N = self.of_pattern(pattern)
                if min((own_N & held_out_N).sum(), (own_N & ~held_out_N).sum()) >= pilot_study.FEWEST // 2:
                    lessons = self._lessons(prompt, own_N & ~held_out_N)
                    self._try(prompt, "own", channels(lessons, links), own_N & held_out_N)

    def _try(self, prompt: str, kind: str, fitted: Annotator, rows_N: NDArray[np.bool_]) -> None:
        known, truth = self.known.where(rows_N), self.truth.where(rows_N)
        for draws, reading in product(self.settings.draws, self.readings):
            heard = read_as(fitted, reading, 1.0).heard(self.answers[prompt, draws].where(rows_N))
            for weight, cross in product(WEIGHTS, CROSS):
                option = Option(prompt, draws, reading, kind, weight, cross)
                beliefs = believe(fitted.couplings, known, heard, weight, cross)
                loss_NX = _by_description(log_losses(beliefs, truth))
                self.losses[prompt][self.places[option], rows_N] = loss_NX
                self.active[prompt][self.places[option], rows_N] = beliefs.active_NA

    def cell(self, pattern: Pattern, name: str) -> _Cell:
        """Return the rows on which to choose how `pattern` labels a description: its own if they are enough, those of
        the nearest pattern that has enough, or all.
        """
        place = DESCRIPTIONS.index(name)
        told_N = np.isfinite(self.losses[NOBODY][0, :, place]) if len(self.rows) else np.zeros(0, dtype=bool)
        rows = {other: told_N & self.of_pattern(other) for other in dict.fromkeys([pattern, *self.patterns])}
        enough = [other for other, rows_N in rows.items() if rows_N.sum() >= pilot_study.FEWEST]
        labels = int(rows[pattern].sum())
        if not enough:
            return _Cell(place, labels, None, told_N)
        nearest = min(enough, key=lambda other: (pattern.distance(other), -rows[other].sum()))
        return _Cell(place, labels, nearest, rows[nearest])

    def sees(self, name: str, prompt: str) -> bool:
        """Return whether looking beats not looking beyond doubt in a description of all patterns."""
        place = DESCRIPTIONS.index(name)
        less_N = np.full(len(self.rows), np.nan)
        for pattern in dict.fromkeys(self.patterns):
            rows_N = self.of_pattern(pattern) & np.isfinite(self.losses[NOBODY][0, :, place])
            less_N[rows_N] = _Cell(place, 0, pattern, rows_N).less(self, prompt)[rows_N]
        told_N = np.isfinite(less_N)
        return gain(less_N[told_N], self.group_N[told_N]).sure

    def fitted(self, pattern: Pattern, option: Option) -> Annotator:
        """Return an option's annotator, fitted to the whole pilot."""
        prompt = SHOWN if option.prompt == NOBODY and SHOWN in self.settings.prompts else option.prompt
        rows_N = self.of_pattern(pattern) if option.channels == "own" else np.ones(len(self.rows), dtype=bool)
        key = prompt, pattern if option.channels == "own" else None
        if key not in self._fits:
            self._fits[key] = channels(self._lessons(prompt, rows_N), self._all)
        return read_as(self._fits[key], option.reading, option.weight, option.cross)

    def thresholds(
        self, arms: Mapping[Pattern, Mapping[str, Arm]], demand: Mapping[Pattern, Demand]
    ) -> dict[int, float]:
        """Return each AU's threshold at the largest expected F1 over the records to annotate.

        Each row of the pilot stands for the records of its pattern that ask for the AU, and counts for as many of them
        as fall to it. It is what the arms say of it where they were fitted without it: of the images that it is fitted
        to a posterior is surer.
        """
        active_NA = np.full((len(self.rows), len(ACTION_UNITS)), np.nan)
        weight_NA = np.zeros_like(active_NA)
        asked_NA = np.isnan(self.known.units_NA)
        for pattern, wanted in demand.items():
            if arm := arms[pattern].get("au"):
                rows_N = self.of_pattern(pattern)
                active_NA[rows_N] = self._held_out(arm, rows_N)
                records_A = np.array([wanted.units.get(au, 0) for au in ACTION_UNITS])
                weight_NA[rows_N] = records_A / np.maximum(asked_NA[rows_N].sum(axis=0), 1)
        told_NA = asked_NA & np.isfinite(active_NA)
        # Where nobody says how many records ask for an AU, or no row is an example of them, all rows count the same.
        weight_NA = np.where((weight_NA * told_NA).any(axis=0), weight_NA, 1.0) * told_NA
        return {
            au: f1_threshold(active_N[weight_N > 0].tolist(), weight_N[weight_N > 0].tolist())
            for au, active_N, weight_N in zip(ACTION_UNITS, active_NA.T, weight_NA.T, strict=True)
        }

    def _held_out(self, arm: Arm, rows_N: NDArray[np.bool_]) -> Array:
        """Return what an arm says of AUs, (rows, A), where it was fitted without them; NaN where it was not tried."""
        active_KNA = np.array(
            [self.active[read.option.prompt][self.places[read.option], rows_N] for read in arm.readers]
        )
        share_KNA = np.array([read.share for read in arm.readers])[:, None, None] * np.isfinite(active_KNA)
        total_NA = share_KNA.sum(axis=0)
        active_NA: Array = np.nansum(share_KNA * active_KNA, axis=0) / np.where(total_NA > 0, total_NA, np.nan)
        return active_NA


def _by_description(loss_NX: Array) -> Array:
    """Return the losses of expression, AUs, valence and arousal as those of the three `DESCRIPTIONS`."""
    return np.column_stack((loss_NX[:, 0], mean_of_told(loss_NX[:, 2:]), loss_NX[:, 1]))
