"""The pilot's study: every way of labelling a description, fitted to one half of the subjects and judged on the other.

What `arms` chooses among, and the held-out losses that it chooses by.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS
from seke.core.label_prior import INDEX, Array, Couplings, tabulate
from seke.core.records import Labels
from seke.generation.asked import FIELDS
from seke.generation.calibration import annotator_by_source
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.annotator_model import (
    Annotator,
    Beliefs,
    Heard,
    Masked,
    answers,
    believe,
    mixed,
    nothing_heard,
)
from seke.generation.calibration.averaging import shares
from seke.generation.calibration.fit import WEIGHTS, channels, log_losses, mean_of_told, read_as, readings
from seke.generation.calibration.gain import Gain, discovery_level, gain
from seke.generation.calibration.patterns import Pattern, named
from seke.generation.calibration.sides import two_sides
from seke.generation.calibration.witnesses import powers_of, together

SHOWN: Final = "shown"
HIDDEN: Final = "hidden"
NOBODY: Final = "nobody"
CROSS: Final = (0.0, 0.5, 1.0)
"""How far an answer about one description may count for another."""
DESCRIPTIONS: Final = tuple(FIELDS)
_UNKNOWN: Final = Gain(0.0, float("inf"), 0)
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
    """"own": fitted to this pattern; "pooled": to all that were asked with such a prompt; one of
    `annotator_by_source.PULLS`: to each source, pulled towards the pooled ones."""
    weight: float
    cross: float
    powers: tuple[float, ...] = ()
    """How far each witness counts (`witnesses`)."""

    @property
    def name(self) -> str:
        """What it is in words, for calibration.json."""
        heard = f", witnesses {' '.join(map(str, self.powers))}" if self.powers else ""
        if self.prompt == NOBODY:
            others = f", other answers {self.cross}" if any(self.powers) else ""
            return f"not looking, couplings {self.weight}{others}{heard}"
        return (
            f"known labels {self.prompt}, {self.draws} draws, {self.reading}, {self.channels} channels, "
            f"couplings {self.weight}, other answers {self.cross}{heard}"
        )


class Informant(Protocol):
    """Who says something about the pilot's images: a witness, or an annotator that is read beside others."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def in_pilot(self, rows: Sequence[Masked], without: Collection[str]) -> Heard:
        """Return what it says of each row, read by what all subjects but these have taught."""
        ...


class Settings(NamedTuple):
    """What arms there may be."""

    draws: Sequence[int]
    """Numbers of draws to choose from."""
    prompts: Sequence[str] = (SHOWN, HIDDEN)
    may_skip: bool = True
    """Whether nobody need be asked where that is as good."""
    paid: Mapping[Pattern, Mapping[str, int]] | None = None
    """The prompts whose draws are there already in each pattern, and how many; None: a request costs what it costs."""


def with_draws(masked: Masked, prompt: str) -> Masked:
    """Return a row with its draws under a prompt alone."""
    return masked.model_copy(update={"draws": draws_of(masked, prompt)})


def draws_of(masked: Masked, prompt: str) -> Sequence[Labels]:
    """Return a row's draws under a prompt; where nothing is known the two prompts are one."""
    return masked.hidden_draws if prompt == HIDDEN and masked.hidden_draws else masked.draws


class Cell(NamedTuple):
    """A description in a pattern, and the pilot's rows that tell how to label it."""

    place: int
    """Of the description."""
    labels: int
    learnt_on: Pattern | None
    rows_N: NDArray[np.bool_]
    hears: Mapping[str, frozenset[int]] = MappingProxyType({})
    """The witnesses that are heard under each prompt."""
    apart: Mapping[str, Gain] = MappingProxyType({})
    """The prompts under which the annotator is read by sources, and by how much that lowers the loss."""

    @property
    def judged(self) -> int:
        """How many rows there are."""
        return int(self.rows_N.sum())

    def best(
        self, study: "Study", prompt: str, rows_N: NDArray[np.bool_] | None = None, most: int | None = None
    ) -> tuple[Option, float]:
        """Return the option of a prompt with the least mean loss on the cell's rows, or on these of them; of those with
        `most` draws at most.
        """
        rows = self.rows_N if rows_N is None else self.rows_N & rows_N
        offered_K = [
            place for place in self.offered(study, prompt) if most is None or study.options[prompt][place].draws <= most
        ]
        if not rows.any():
            return study.options[prompt][offered_K[-1]], 0.0
        # An option that was not tried on all of the cell's rows (channels of its own in a small pattern) is none: the
        # best on some rows is judged on the others.
        loss_KN = study.losses[prompt][np.array(offered_K), :, self.place]
        tried_K = np.isfinite(loss_KN[:, self.rows_N]).all(axis=1)
        means = np.where(tried_K, loss_KN[:, rows].mean(axis=1), np.nan)
        place = int(np.nanargmin(means))
        return study.options[prompt][offered_K[place]], float(means[place])

    def offered(self, study: "Study", prompt: str) -> list[int]:
        """Return the places of a prompt's options that may be chosen."""
        return study.hearing(prompt, self.hears.get(prompt, frozenset()), prompt in self.apart)

    def averaged(self, study: "Study", option: Option) -> dict[Option, float]:
        """Return the share of each option that is read beside `option`: those of its prompt that need no more draws,
        and those that need nobody.
        """
        if not self.rows_N.any():
            return {option: 1.0}
        offered = dict.fromkeys((option.prompt, NOBODY))
        options = [
            study.options[prompt][place]
            for prompt in offered
            for place in self.offered(study, prompt)
            if study.options[prompt][place].draws <= option.draws
        ]
        loss_KN = np.array([self.each(study, other) for other in options])
        share_K = shares(loss_KN, study.group_N[self.rows_N]).tolist()
        return {other: share for other, share in zip(options, share_K, strict=True) if share}

    def each(self, study: "Study", option: Option) -> Array:
        """Return an option's loss in each of the cell's rows."""
        losses: Array = study.losses[option.prompt][study.places[option], self.rows_N, self.place]
        return losses

    def loss(self, study: "Study", option: Option) -> float:
        """Return an option's mean loss on the cell's rows."""
        return float(self.each(study, option).mean())

    def better(self, study: "Study", option: Option, than: Option) -> bool:
        """Return whether an option's loss is less, beyond doubt."""
        return gain(self.each(study, than) - self.each(study, option), study.group_N[self.rows_N]).sure

    def gain(self, study: "Study", prompt: str) -> Gain:
        """Return by how much looking lowers the loss."""
        return gain(self.less(study, prompt)[self.rows_N], study.group_N[self.rows_N])

    def less(self, study: "Study", prompt: str) -> Array:
        """Return by how much looking lowers the loss in each of the study's rows, (N,); it counts in the cell's alone.

        Both ways are chosen on the half of the subjects that they are not judged on.
        """
        return self._held_out(study, NOBODY) - self._held_out(study, prompt)

    def _held_out(self, study: "Study", prompt: str) -> Array:
        """Return the loss in each of the study's rows of the prompt's option that is best on the other half's."""
        loss_N = np.zeros(len(self.rows_N))
        for side in (0, 1):
            there_N = study.side_N == side
            option, _ = self.best(study, prompt, ~there_N)
            loss_N = np.where(there_N, study.losses[prompt][study.places[option], :, self.place], loss_N)
        return loss_N

    def less_with(self, study: "Study", prompt: str, hearing: frozenset[int], witness: int) -> Array:
        """Return by how much hearing one witness more lowers the loss in each of the study's rows, (N,)."""
        without, beside = (
            self._replace(hears={prompt: heard})._held_out(study, prompt) for heard in (hearing, hearing | {witness})
        )
        return without - beside

    def less_apart(self, study: "Study", prompt: str) -> Array:
        """Return by how much reading the annotator by sources lowers the loss in each of the study's rows, (N,)."""
        alike = self._replace(apart={})._held_out(study, prompt)
        return alike - self._replace(apart={prompt: _UNKNOWN})._held_out(study, prompt)


class Study:
    """The pilot as arrays, and the held-out loss of every option in every row."""

    def __init__(
        self, rows: Sequence[Masked], links: Links, settings: Settings, witnesses: Sequence[Informant] = ()
    ) -> None:
        self.rows, self.links, self.settings, self.witnesses = rows, links, settings, witnesses
        sides = two_sides(m.subject for m in rows)
        self.side_N = np.array([sides[m.subject] for m in rows], dtype=int)
        self.patterns = [named(m.pattern or "nothing") for m in rows]
        subjects = {name: place for place, name in enumerate(dict.fromkeys(m.subject for m in rows))}
        self.group_N = np.array([subjects[m.subject] for m in rows], dtype=int)
        self.known, self.truth = tabulate(m.known for m in rows), tabulate(m.truth for m in rows)
        self.readings = readings(rows)
        self.answers = {
            (prompt, draws): answers([draws_of(m, prompt)[:draws] for m in rows])
            for prompt in settings.prompts
            for draws in settings.draws
        }
        self.sources_N, self.own = annotator_by_source.sources_of(rows), annotator_by_source.apart(rows)
        self.pulls = annotator_by_source.PULLS if self.own else {}
        self._all = links(())
        self._fits: dict[tuple[str, str, Pattern | None], Annotator] = {}
        powers = powers_of(len(witnesses))
        self.options: dict[str, list[Option]] = {
            NOBODY: [
                Option(NOBODY, 0, "", "", weight, cross, each)
                for each, weight, cross in product(powers, WEIGHTS, CROSS)
                if any(each) or not cross  # where nothing is heard there is nothing to count for others
            ]
        }
        for prompt in settings.prompts:
            # Without known labels in the prompt it is the same annotator in all patterns.
            kinds = (*(("pooled", "own") if prompt == SHOWN else ("pooled",)), *self.pulls)
            ways = list(product(settings.draws, self.readings, kinds, WEIGHTS, CROSS))
            self.options[prompt] = [Option(prompt, *way, powers=each) for each in powers for way in ways]
        self.places = {option: place for options in self.options.values() for place, option in enumerate(options)}
        self.losses = {
            prompt: np.full((len(options), len(rows), len(DESCRIPTIONS)), np.nan)
            for prompt, options in self.options.items()
        }
        self._levels: dict[str, float] = {}
        self._hearing: dict[tuple[str, frozenset[int], bool], list[int]] = {}
        self._gains: dict[tuple[int, str, frozenset[int], int], Gain] = {}
        self._hears: dict[tuple[int, bytes], dict[str, frozenset[int]]] = {}
        self._apart: dict[tuple[int, bytes, str], Gain] = {}
        self._apart_levels: dict[str, float] = {}
        self.active = {
            prompt: np.full((len(options), len(rows), len(ACTION_UNITS)), np.nan)
            for prompt, options in self.options.items()
        }
        self.sides: list[tuple[NDArray[np.bool_], Couplings, list[Heard]]] = []
        """Which rows are held out, and what all others have taught: couplings, and what each witness says."""
        for side in (0, 1):
            self._judge(side)

    def lessons(self, prompt: str, rows_N: NDArray[np.bool_]) -> list[Masked]:
        """Return these rows with their draws under a prompt."""
        return [with_draws(m, prompt) for m, wanted in zip(self.rows, rows_N, strict=True) if wanted]

    def of_pattern(self, pattern: Pattern) -> NDArray[np.bool_]:
        """Return which rows are of a pattern, (N,)."""
        return np.array([own == pattern for own in self.patterns], dtype=bool)

    def _judge(self, side: int) -> None:
        """Fill in the losses of the rows on one side, by what is fitted to the other."""
        held_out_N = self.side_N == side
        if not held_out_N.any():
            return
        without = {m.subject for m, held_out in zip(self.rows, held_out_N, strict=True) if held_out}
        links = self.links(without)
        self.witnessed = [witness.in_pilot(self.rows, without) for witness in self.witnesses]
        self.sides.append((held_out_N, links, self.witnessed))
        known, truth = self.known.where(held_out_N), self.truth.where(held_out_N)
        nothing = nothing_heard(len(truth.va_ND))
        for place, option in enumerate(self.options[NOBODY]):
            heard = together(nothing, self._witnessed(held_out_N), option.powers)
            beliefs = believe(links, known, heard, option.weight, option.cross)
            self.losses[NOBODY][place, held_out_N] = by_description(log_losses(beliefs, truth))
            self.active[NOBODY][place, held_out_N] = beliefs.active_NA
        for prompt in self.settings.prompts:
            pooled = channels(self.lessons(prompt, ~held_out_N), links)
            self._try(prompt, "pooled", pooled, held_out_N)
            for kind, images in self.pulls.items():
                fitted = annotator_by_source.with_sources(pooled, self.lessons(prompt, ~held_out_N), self.own, images)
                self._try(prompt, kind, fitted, held_out_N)
            for pattern in dict.fromkeys(self.patterns) if prompt == SHOWN else ():
                own_N = self.of_pattern(pattern)
                if min((own_N & held_out_N).sum(), (own_N & ~held_out_N).sum()) >= pilot_study.FEWEST // 2:
                    lessons = self.lessons(prompt, own_N & ~held_out_N)
                    self._try(prompt, "own", channels(lessons, links), own_N & held_out_N)

    def _try(self, prompt: str, kind: str, fitted: Annotator, rows_N: NDArray[np.bool_]) -> None:
        known, truth = self.known.where(rows_N), self.truth.where(rows_N)
        for draws, reading in product(self.settings.draws, self.readings):
            said = annotator_by_source.heard(
                read_as(fitted, reading, 1.0), self.answers[prompt, draws].where(rows_N), self.sources_N[rows_N]
            )
            for powers in powers_of(len(self.witnesses)):
                heard = together(said, self._witnessed(rows_N), powers)
                for weight, cross in product(WEIGHTS, CROSS):
                    option = Option(prompt, draws, reading, kind, weight, cross, powers)
                    beliefs = believe(fitted.couplings, known, heard, weight, cross)
                    loss_NX = by_description(log_losses(beliefs, truth))
                    self.losses[prompt][self.places[option], rows_N] = loss_NX
                    self.active[prompt][self.places[option], rows_N] = beliefs.active_NA

    def _witnessed(self, rows_N: NDArray[np.bool_]) -> list[Heard]:
        """Return what each witness says of these rows, by channels that the side they are on has not taught."""
        return [Heard(*(column[rows_N] for column in heard)) for heard in self.witnessed]

    def believed(self, shares: Mapping[Option, float], rows_N: NDArray[np.bool_]) -> Beliefs:
        """Return what an average of options that ask nobody makes of these rows, by what other subjects have taught.

        Args:
            shares: of each option.
            rows_N: which rows; the others are NaN.
        """
        sizes = (len(INDEX), len(ACTION_UNITS), 2, 2)
        found = Beliefs(*(np.full((len(self.rows), size), np.nan) for size in sizes))
        for held_out_N, links, witnessed in self.sides:
            here_N = rows_N & held_out_N
            nothing, known = nothing_heard(int(here_N.sum())), self.known.where(here_N)
            there = [Heard(*(column[here_N] for column in heard)) for heard in witnessed]
            each = [
                believe(links, known, together(nothing, there, option.powers), option.weight, option.cross)
                for option in shares
            ]
            for column, values in zip(found, mixed(each, [*shares.values()]), strict=True):
                column[here_N] = values
        return found

    def hearing(self, prompt: str, witnesses: frozenset[int], apart: bool = False) -> list[int]:
        """Return the places of a prompt's options that hear none but these witnesses, and read the annotator by sources
        only if told to.
        """
        key = prompt, witnesses, apart
        if key not in self._hearing:
            self._hearing[key] = [
                place
                for place, option in enumerate(self.options[prompt])
                if (apart or option.channels not in self.pulls)
                and all(not power or number in witnesses for number, power in enumerate(option.powers))
            ]
        return self._hearing[key]

    def heard_in(self, cell: Cell) -> Cell:
        """Return a cell with the witnesses that are heard there: each that helps beyond doubt beside those before it,
        in the cell itself or in all patterns, and is ahead in the cell; the one that helps most first. Then with the
        prompts under which the annotator is read by sources, for which the same holds.
        """
        key = cell.place, cell.rows_N.tobytes()
        if key not in self._hears:
            self._hears[key] = {prompt: self._heard(cell, prompt) for prompt in self.options} if self.witnesses else {}
        heard = cell._replace(hears=self._hears[key])
        gains = {prompt: self._by_source(heard, prompt) for prompt in self.settings.prompts} if self.pulls else {}
        return heard._replace(apart={prompt: found for prompt, found in gains.items() if found is not None})

    def _by_source(self, cell: Cell, prompt: str) -> Gain | None:
        """Return by how much reading the annotator by sources helps in a cell; None where that is not sure."""
        own = self._gain_apart(cell, prompt)
        if own.mean <= 0:
            return None
        if prompt not in self._apart_levels:
            tests = [
                self._gain_apart(each, prompt) for place in range(len(DESCRIPTIONS)) for each in self._cells(place)
            ]
            self._apart_levels[prompt] = discovery_level([each.p for each in tests if each.mean or each.standard_error])
        everywhere = self._in_all(cell.place, lambda each: each.less_apart(self, prompt))
        return own if min(own.p, everywhere.p) <= self._apart_levels[prompt] else None

    def _gain_apart(self, cell: Cell, prompt: str) -> Gain:
        """Return by how much reading the annotator by sources lowers the loss in a cell."""
        key = cell.place, cell.rows_N.tobytes(), prompt
        if key not in self._apart:
            less_N = cell.less_apart(self, prompt)
            self._apart[key] = gain(less_N[cell.rows_N], self.group_N[cell.rows_N])
        return self._apart[key]

    def _heard(self, cell: Cell, prompt: str) -> frozenset[int]:
        heard = frozenset[int]()
        while cell.rows_N.any():
            helping: dict[int, float] = {}
            for witness in range(len(self.witnesses)):
                if witness not in heard:
                    own, level = self._gain(cell, prompt, heard, witness), self._level(prompt)
                    if own.mean > 0 and (
                        own.p <= level or self._everywhere(cell.place, prompt, heard, witness).p <= level
                    ):
                        helping[witness] = own.mean
            if not helping:
                break
            heard |= {max(helping, key=helping.__getitem__)}
        return heard

    def _level(self, prompt: str) -> float:
        """Return the p-value up to which a witness is heard, for all witnesses, descriptions and patterns together: by
        what each of them adds alone, so that of all that is heard one in twenty adds nothing at most.
        """
        if prompt not in self._levels:
            alone, tests = frozenset[int](), list[Gain]()
            for witness, place in product(range(len(self.witnesses)), range(len(DESCRIPTIONS))):
                tests += [self._gain(cell, prompt, alone, witness) for cell in self._cells(place)]
                tests.append(self._everywhere(place, prompt, alone, witness))
            # A witness that says nothing of a description is not tried there.
            self._levels[prompt] = discovery_level([each.p for each in tests if each.mean or each.standard_error])
        return self._levels[prompt]

    def _gain(self, cell: Cell, prompt: str, heard: frozenset[int], witness: int) -> Gain:
        """Return by how much one witness more lowers the loss in a cell."""
        less_N = cell.less_with(self, prompt, heard, witness)
        return gain(less_N[cell.rows_N], self.group_N[cell.rows_N])

    def _cells(self, place: int) -> list[Cell]:
        """Return the cells in which a description is judged: patterns with enough labels, or all together."""
        told_N = np.isfinite(self.losses[NOBODY][0, :, place]) if len(self.rows) else np.zeros(0, dtype=bool)
        rows = {pattern: told_N & self.of_pattern(pattern) for pattern in dict.fromkeys(self.patterns)}
        found = [
            Cell(place, 0, pattern, rows_N) for pattern, rows_N in rows.items() if rows_N.sum() >= pilot_study.FEWEST
        ]
        return found or ([Cell(place, 0, None, told_N)] if told_N.any() else [])

    def _everywhere(self, place: int, prompt: str, heard: frozenset[int], witness: int) -> Gain:
        """Return by how much one witness more lowers the loss in a description of all patterns."""
        key = place, prompt, heard, witness
        if key not in self._gains:
            self._gains[key] = self._in_all(place, lambda cell: cell.less_with(self, prompt, heard, witness))
        return self._gains[key]

    def _in_all(self, place: int, less: Callable[[Cell], Array]) -> Gain:
        """Return the gain in a description over the rows of all patterns, each of which makes its own choice."""
        less_N = np.full(len(self.rows), np.nan)
        for pattern in dict.fromkeys(self.patterns):
            rows_N = self.of_pattern(pattern) & np.isfinite(self.losses[NOBODY][0, :, place])
            less_N[rows_N] = less(Cell(place, 0, pattern, rows_N))[rows_N]
        told_N = np.isfinite(less_N)
        return gain(less_N[told_N], self.group_N[told_N])

    def cell(self, pattern: Pattern, name: str) -> Cell:
        """Return the rows on which to choose how `pattern` labels a description: its own if they are enough, those of
        the nearest pattern that has enough, or all.
        """
        place = DESCRIPTIONS.index(name)
        told_N = np.isfinite(self.losses[NOBODY][0, :, place]) if len(self.rows) else np.zeros(0, dtype=bool)
        rows = {other: told_N & self.of_pattern(other) for other in dict.fromkeys([pattern, *self.patterns])}
        enough = [other for other, rows_N in rows.items() if rows_N.sum() >= pilot_study.FEWEST]
        labels = int(rows[pattern].sum())
        if not enough:
            return self.heard_in(Cell(place, labels, None, told_N))
        nearest = min(enough, key=lambda other: (pattern.distance(other), -rows[other].sum()))
        return self.heard_in(Cell(place, labels, nearest, rows[nearest]))

    def sees(self, name: str, prompt: str) -> bool:
        """Return whether looking beats not looking beyond doubt in a description of all patterns."""
        place = DESCRIPTIONS.index(name)
        return self._in_all(place, lambda cell: self.heard_in(cell).less(self, prompt)).sure

    def fitted(self, pattern: Pattern, option: Option) -> Annotator:
        """Return an option's annotator, fitted to the whole pilot."""
        prompt = SHOWN if option.prompt == NOBODY and SHOWN in self.settings.prompts else option.prompt
        rows_N = self.of_pattern(pattern) if option.channels == "own" else np.ones(len(self.rows), dtype=bool)
        key = prompt, option.channels, pattern if option.channels == "own" else None
        if key not in self._fits:
            lessons = self.lessons(prompt, rows_N)
            fitted, images = channels(lessons, self._all), self.pulls.get(option.channels)
            if images is not None:
                fitted = annotator_by_source.with_sources(fitted, lessons, self.own, images)
            self._fits[key] = fitted
        return read_as(self._fits[key], option.reading, option.weight, option.cross)


def by_description(loss_NX: Array) -> Array:
    """Return the losses of expression, AUs, valence and arousal as those of the three `DESCRIPTIONS`."""
    return np.column_stack((loss_NX[:, 0], mean_of_told(loss_NX[:, 2:]), loss_NX[:, 1]))
