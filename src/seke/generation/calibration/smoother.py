"""The smoother: what frames of a video say about each other's labels, where human labels show that it helps.

What is believed of a frame by itself (`posterior`) is divided by what would be if nobody had been asked, which leaves
what the annotator says of it. What it says of the other frames reaches this one through `over_time`; what known labels
say of a description stays where it is, for in all frames of a face they say it again. (Of valence and arousal, whose
beliefs are no ratios of densities, everything reaches the others but what is believed of any frame.)

What others say counts to a power: an annotator that misreads a face misreads
it in the next frame, too, so that ten frames are worth less than ten. Or, with the same aim, what the errors of a
video's frames have in common is summed over (`film_offset`). Human labels count in full. Powers, whether there are
offsets, and whether anything is smoothed at all, are decided by held-out human labels of the pilot's videos, per source
and description: not smoothing has to be beaten beyond doubt (`gain`). Frames are left out only in sources where that,
with what is smoothed in their stead, is no worse than asking about every frame and not smoothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.label_prior import AUS, Array, Couplings, Table, tabulate
from seke.core.records import Labels
from seke.generation.calibration import change_rates, pilot
from seke.generation.calibration.annotator_model import Beliefs, Masked
from seke.generation.calibration.change_rates import NUGGET, Rates, Video, moments
from seke.generation.calibration.film_offset import (
    SUREST,
    Mask,
    Offsets,
    both,
    chain_beliefs,
    evidence_of,
    gaussian_beliefs,
    heard_va,
    learn,
)
from seke.generation.calibration.fit import log_losses
from seke.generation.calibration.gain import Gain, discovery_level, gain
from seke.generation.calibration.over_time import Gaussian, gaps, gaussian_messages, markov_messages
from seke.generation.calibration.patterns import IN_WORDS
from seke.generation.calibration.study import DESCRIPTIONS, Study, by_description

POWERS: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
"""To which other frames' words may count; with 0 human labels alone inform their neighbours."""
OFFSET_POWERS: Final = (0.25, 0.5, 1.0)
"""The same where errors that a video's frames share are summed over."""
FEWEST_SUBJECTS: Final = 5
"""A source with labels of fewer is judged with all others: of two or three nothing is beyond doubt."""
FILE: Final = "smoothing.json"


class Option(NamedTuple):
    """A way to smooth a description."""

    power: float
    """To which other frames' words count."""
    offset: bool
    """Whether errors that a video's frames share are summed over."""
    haste: float = 1.0
    """By how much labels change faster than learnt."""


OPTIONS: Final = (*(Option(power, False) for power in POWERS), *(Option(power, True) for power in OFFSET_POWERS))
HASTY: Final = tuple(option._replace(haste=haste) for haste in (2.0, 4.0) for option in OPTIONS)
"""For valence and arousal as well: where they hold for a while and then leap, no Ornstein-Uhlenbeck process is right,
and the likeliest one goes by the many frames that hold."""


def smooth(
    beliefs: Beliefs,
    alone: Beliefs,
    known: Table,
    times: Sequence[float],
    rates: Rates,
    options: Mapping[str, Option],
    links: Couplings,
    offsets: Offsets,
) -> Beliefs:
    """Return what is believed of each frame of a video, given all of them.

    Args:
        beliefs: of each frame by itself, T rows; of known labels they are of no account.
        alone: the same if nobody had been asked; where it is the same, nobody was.
        known: human labels of the frames.
        times: of the frames, in seconds, ascending.
        rates: of the video's source.
        options: how each description is smoothed; those that are not in it stay as they are.
        links: base rates.
        offsets: what errors of a video's frames share, for options that ask for it.
    """
    gap_T = gaps(times)
    p_TE, active_TA, mean_TD, sd_TD = beliefs
    shares = {name: offsets.share(name) if option.offset else 0.0 for name, option in options.items()}
    if "expression" in options:
        power, told_T1 = options["expression"].power, np.asarray(known.expression_NE.any(axis=1, keepdims=True))
        rate_1, base_1K = np.array([rates.expression]), links.expression_E[None]
        own_TK, alone_TK = np.maximum(p_TE, SUREST), np.maximum(alone.p_NE, SUREST)
        if shares["expression"]:
            said = own_TK[:, None], alone_TK[:, None], known.expression_NE[:, None], told_T1
            p_TE = chain_beliefs(*said, base_1K, rate_1, gap_T, power, offsets.expression)[:, 0]
        else:
            evidence_TK = np.where(told_T1, known.expression_NE, (own_TK / alone_TK) ** power)
            p_TE = own_TK * markov_messages(evidence_TK[:, None], base_1K, rate_1, gap_T)[:, 0]
            p_TE = p_TE / p_TE.sum(axis=1, keepdims=True)
    if "au" in options:
        power, base_A2, told_TA = options["au"].power, both(links.base_A), ~np.isnan(known.units_NA)
        own_TA2, alone_TA2, human_TA2 = (
            both(active_TA),
            both(alone.active_NA),
            np.stack([known.units_NA == 0, known.units_NA == 1], axis=2).astype(float),
        )
        if shares["au"]:
            said = own_TA2, alone_TA2, human_TA2, told_TA
            joint_TA2 = chain_beliefs(*said, base_A2, rates.units_A, gap_T, power, offsets.units)
        else:
            evidence_TA2 = np.where(told_TA[:, :, None], human_TA2, (own_TA2 / alone_TA2) ** power)
            joint_TA2 = own_TA2 * markov_messages(evidence_TA2, base_A2, rates.units_A, gap_T)
        active_TA = joint_TA2[:, :, 1] / joint_TA2.sum(axis=2)
    if "va" in options:
        shares_D = offsets.va_D if options["va"].offset else np.zeros(2)
        told = known.va_ND, heard_va(beliefs, alone), options["va"].haste * rates.va_D, gap_T
        mean_TD, sd_TD = _smooth_va(mean_TD, sd_TD, *told, options["va"].power, shares_D, links)
    return Beliefs(p_TE, active_TA, mean_TD, sd_TD)


def _smooth_va(
    mean_TD: Array,
    sd_TD: Array,
    human_ND: Array,
    heard_T: Mask,
    rate_D: Array,
    gap_T: Array,
    power: float,
    shares_D: Array,
    links: Couplings,
) -> tuple[Array, Array]:
    """Return mean and standard deviation of valence and arousal of each frame, given all of them; see `smooth`."""
    centre_D, variance_D = moments(links)
    told_TD, precision_TD = ~np.isnan(human_ND), sd_TD**-2.0
    said_TD, pull_TD = evidence_of(mean_TD, sd_TD, centre_D, variance_D)
    human_TD = np.where(told_TD, (np.nan_to_num(human_ND) - centre_D) / NUGGET, 0.0)
    human = Gaussian(np.where(told_TD, 1 / NUGGET, 0.0), human_TD)
    of_people = gaussian_messages(human, variance_D, rate_D, gap_T)
    if shares_D.any():
        how = Gaussian(said_TD, pull_TD), human, heard_T, variance_D, rate_D, gap_T
        off_TD, spread_TD = gaussian_beliefs(*how, shares_D)
        # A frame that says nothing keeps what is believed of it, which may be less sure than what is of any.
        silent_TD = ~told_TD & (said_TD == 0)
        all_TD = 1 / spread_TD - np.where(silent_TD, 1 / variance_D, precision_TD)
        kept_TD = np.where(silent_TD, precision_TD * (mean_TD - centre_D), 0.0)
        mean_TD = centre_D + (kept_TD + off_TD / spread_TD) / np.where(silent_TD, precision_TD + all_TD, 1 / spread_TD)
    else:
        every = Gaussian(np.where(told_TD, 1 / NUGGET, said_TD), human_TD + np.where(told_TD, 0.0, pull_TD))
        of_all = gaussian_messages(every, variance_D, rate_D, gap_T)
        total_TD = precision_TD + of_all.precision_TS
        mean_TD = centre_D + (precision_TD * (mean_TD - centre_D) + of_all.weighted_TS) / total_TD
        all_TD = of_all.precision_TS
    # An error that frames share averages out of no mean, so that it is the certainty that counts to a power.
    more_TD = np.maximum(all_TD - of_people.precision_TS, 0.0)
    sd_TD = (precision_TD + of_people.precision_TS + power * more_TD) ** -0.5
    return mean_TD, sd_TD


class Judged(NamedTuple):
    """What held-out human labels say of one description."""

    option: Option | None
    """The best on all of them; None: nothing was to be judged."""
    gains: Mapping[str, Gain]
    """Of smoothing over not smoothing, by source, where there were labels enough ..."""
    overall: Gain
    """... and in all of them."""
    skipping: Mapping[str, Gain]
    """Of leaving frames out and smoothing over asking about all and not smoothing ..."""
    skipping_overall: Gain
    """... and in all of them."""
    refused: tuple[str, ...]
    """Sources in which it is not smoothed."""


class Lesson(NamedTuple):
    """What the annotator made one believe of a frame of the pilot, whose human labels were masked."""

    beliefs: Beliefs
    """One row ..."""
    alone: Beliefs
    """... and what would be believed if nobody had been asked."""


@dataclass(frozen=True)
class Smoother:
    """What was learnt of labels over time, and where it is used."""

    learnt: change_rates.Learnt
    offsets: Offsets
    links: Couplings
    judged: Mapping[str, Judged]
    sources: tuple[str, ...]
    """Of the videos."""
    every: int
    """Every n-th frame is asked about, where that is allowed."""
    untimed: int = 0
    """Records of videos that say no times; they are labelled as ever."""
    lessons: Mapping[str, Lesson] = field(default_factory=dict)
    """Of the pilot's frames, by their ids: with human labels they tell how the annotator errs in their videos."""

    def options(self, source: str) -> dict[str, Option]:
        """Return how each description is smoothed that is smoothed in a source."""
        return {
            name: judged.option
            for name, judged in self.judged.items()
            if judged.option is not None and source not in judged.refused
        }

    def every_in(self, source: str, asked: Sequence[str]) -> int:
        """Return of how many frames of a source one is asked about, where these descriptions are asked."""
        smoothed = self.options(source)
        for name in asked:
            judged = self.judged[name]
            if name not in smoothed or judged.skipping.get(source, judged.skipping_overall).mean < 0:
                return 1
        return self.every

    def smoothed(self, video: Video, beliefs: Beliefs, alone: Beliefs, known: Table) -> Beliefs:
        """Return what is believed of each frame of a video, given all of them; nothing changes in refused sources.

        Where errors are shared, what the annotator said of the pilot's frames stands beside their human labels, as
        frames of the same moments, and tells of the others how it errs.
        """
        options = self.options(video.source)
        pair, times, frames = [_told(each, self.links) for each in (beliefs, alone)], list(video.times), len(video.ids)
        more = [(place, self.lessons[id_]) for place, id_ in enumerate(video.ids) if id_ in self.lessons]
        if more and any(option.offset for option in options.values()):
            pair, known = _with_lessons(pair, known, more, self.links)
            times += [times[place] for place, _ in more]
        order_T = np.argsort(times, kind="stable")
        own, without = (Beliefs(*(column[order_T] for column in each)) for each in pair)
        when, rates = [times[place] for place in order_T], self.learnt.rates[video.source]
        found = smooth(own, without, known.where(order_T), when, rates, options, self.links, self.offsets)
        return Beliefs(*(column[np.argsort(order_T)[:frames]] for column in found))

    def facts(self) -> str:
        """Return the content of smoothing.json."""
        page: dict[str, Any] = {
            "every": self.every,
            "frames_without_time": self.untimed,
            "human_labels": dict(self.learnt.changes),
            "descriptions": {
                name: {
                    "power": None if judged.option is None else judged.option.power,
                    "offset": None if judged.option is None else judged.option.offset,
                    "rate_factor": None if judged.option is None else judged.option.haste,
                    "shared_by_a_video": round(self.offsets.share(name), 4),
                    "refused": list(judged.refused),
                    "gain": {"all": _row(judged.overall), **{of: _row(each) for of, each in judged.gains.items()}},
                    "gain_of_leaving_out": {
                        "all": _row(judged.skipping_overall),
                        **{of: _row(each) for of, each in judged.skipping.items()},
                    },
                }
                for name, judged in self.judged.items()
            },
            "rates_per_second": {
                source: {
                    "expression": round(rates.expression, 4),
                    "valence": round(float(rates.va_D[0]), 4),
                    "arousal": round(float(rates.va_D[1]), 4),
                    "action_units": {str(au): round(float(r), 4) for au, r in zip(AUS, rates.units_A, strict=True)},
                }
                for source, rates in self.learnt.rates.items()
            },
            "remarks": list(self.remarks()),
        }
        return json.dumps(page, indent=2) + "\n"

    def remarks(self) -> Iterator[str]:
        """Yield what the user should know before the records are annotated, a line each."""
        if self.untimed:
            yield f"{self.untimed} records of videos have no time; their frames are labelled each by itself"
        for name, judged in self.judged.items():
            if name in self.learnt.unknown:
                seen = self.learnt.changes[name]
                yield f"{IN_WORDS[name]} are not smoothed: people's labels show {seen} changes, too few to learn from"
            elif judged.option is None:
                yield f"{IN_WORDS[name]} are not smoothed: no held-out human labels of videos tell whether it helps"
            elif judged.refused:
                where = ", ".join(judged.refused)
                yield f"{IN_WORDS[name]} are not smoothed in {where}: held-out human labels are foretold no better"
        if self.every > 1:
            all_asked = [source for source in self.sources if self.every_in(source, DESCRIPTIONS) == 1]
            if all_asked:
                where = ", ".join(all_asked)
                yield f"in {where} a frame may be left out only where what is asked of it is smoothed, and no worse"


def fit(
    study: Study,
    asked: Beliefs,
    unasked: Beliefs,
    videos: Sequence[Video],
    labels: Mapping[str, Labels],
    links: Couplings,
    every: int,
    untimed: int = 0,
) -> tuple[Smoother, Array]:
    """Learn rates, choose powers and judge smoothing; return the smoother, and P(AU) of the study's rows by it.

    Args:
        study: of the pilot.
        asked: what is believed of its rows by what other subjects have taught (`held_out`) ...
        unasked: ... and where nobody was asked.
        videos: of all records.
        labels: the human labels that may teach, by record.
        links: base rates.
        every: of how many frames one is to be asked about.
        untimed: records of videos without times.
    """
    learnt = change_rates.learn(videos, labels, links)
    runs = _runs(study.rows, videos)
    own_NX, truth = _losses(study, asked), study.truth
    film_N = np.full(len(study.rows), -1)
    for number, (_, rows) in enumerate(runs):
        film_N[rows] = number
    every_option = (*OPTIONS, *HASTY)
    found = {option: (np.full_like(own_NX, np.nan), np.full_like(own_NX, np.nan)) for option in every_option}
    active = {option: asked.active_NA.copy() for option in OPTIONS}
    for side, (held_out_N, side_links, _) in enumerate(study.sides):
        without = {row.subject for row, held_out in zip(study.rows, held_out_N, strict=True) if held_out}
        rates = change_rates.learn(videos, labels, side_links, without).rates
        offsets = _offsets(asked, unasked, truth, film_N, (film_N >= 0) & ~held_out_N, side_links)
        for video, rows in runs:
            if study.side_N[rows[0]] != side:
                continue
            place_N = np.array(rows)
            known = study.known.where(place_N)
            here, absent = (Beliefs(*(column[place_N] for column in each)) for each in (asked, unasked))
            left_T1 = (np.arange(len(rows)) % every != 0)[:, None]
            half = Beliefs(*(np.where(left_T1, b, a) for a, b in zip(here, absent, strict=True)))
            own, less, alone = (_told(each, side_links) for each in (here, half, absent))
            for option in every_option:
                how = dict.fromkeys(DESCRIPTIONS if option in OPTIONS else ("va",), option), side_links, offsets
                for into, each in zip(found[option], (own, less), strict=True):
                    believed = smooth(each, alone, known, video.times, rates[video.source], *how)
                    losses_NX = by_description(log_losses(believed, truth.where(place_N)))
                    into[place_N] = np.where(np.isnan(own_NX[place_N]), np.nan, losses_NX)
                    if into is found[option][0] and option in OPTIONS:  # thresholds are for what will be labelled
                        active[option][place_N] = believed.active_NA
    source_of = {id_: video.source for video in videos for id_ in video.ids}
    source_N = np.array([source_of.get(row.id, "") for row in study.rows])
    judged = {}
    for column, name in enumerate(DESCRIPTIONS):
        options = every_option if name == "va" else OPTIONS
        lost = {option: tuple(each[:, column] for each in found[option]) for option in options}
        unknown = name in learnt.unknown
        wanted = {video.source for video in videos}
        judged[name] = _judged(study, own_NX[:, column], lost, source_N, unknown, wanted, every > 1)
    offsets = _offsets(asked, unasked, truth, film_N, film_N >= 0, links)
    sources, lessons = tuple(dict.fromkeys(video.source for video in videos)), _lessons(study.rows, asked, unasked)
    smoother = Smoother(learnt, offsets, links, judged, sources, every, untimed, lessons)
    chosen = judged["au"].option
    if chosen is None:
        return smoother, asked.active_NA
    refused_N1 = np.isin(source_N, judged["au"].refused)[:, None]
    return smoother, np.where(refused_N1, asked.active_NA, active[chosen])


def _judged(
    study: Study,
    own_N: Array,
    lost: Mapping[Option, tuple[Array, ...]],
    source_N: NDArray[np.str_],
    unknown: bool,
    sources: set[str],
    leaving_out: bool,
) -> Judged:
    """Choose a description's option on each half for the other; judge there, source by source."""
    rows_N = np.isfinite(own_N) & np.isfinite(next(iter(lost.values()))[0])
    nothing = Gain(0.0, float("inf"), 0)
    if unknown or rows_N.sum() < pilot.FEWEST:
        return Judged(None, {}, nothing, {}, nothing, tuple(sorted(sources)))

    def best(where_N: NDArray[np.bool_]) -> Option:
        return min(lost, key=lambda option: float(lost[option][leaving_out][where_N].sum()))

    less_N, skipped_N = np.zeros_like(own_N), np.zeros_like(own_N)
    for side in (0, 1):
        here_N, taught_N = rows_N & (study.side_N == side), rows_N & (study.side_N != side)
        option = best(taught_N)
        less_N[here_N] = (own_N - lost[option][0])[here_N]
        skipped_N[here_N] = (own_N - lost[option][1])[here_N]

    def of(values_N: Array, where_N: NDArray[np.bool_]) -> Gain:
        return gain(values_N[where_N], study.group_N[where_N])

    own = {str(name): rows_N & (source_N == name) for name in np.unique(source_N[rows_N])}
    enough = {
        name: where_N
        for name, where_N in own.items()
        if where_N.sum() >= pilot.FEWEST and len(np.unique(study.group_N[where_N])) >= FEWEST_SUBJECTS
    }
    gains = {name: of(less_N, where_N) for name, where_N in enough.items()}
    level, overall = discovery_level([each.p for each in gains.values()]), of(less_N, rows_N)
    bad = {name for name, each in gains.items() if each.mean <= 0 or each.p > level}
    if not overall.sure:
        bad |= sources - set(gains)
    skipping = {name: of(skipped_N, where_N) for name, where_N in enough.items()}
    return Judged(best(rows_N), gains, overall, skipping, of(skipped_N, rows_N), tuple(sorted(bad)))


def _runs(rows: Sequence[Masked], videos: Sequence[Video]) -> list[tuple[Video, list[int]]]:
    """Return the pilot's rows of each video and pattern, in the order of time, each record once."""
    place = {id_: (number, time) for number, video in enumerate(videos) for id_, time in zip(*video[2:], strict=True)}
    runs: dict[tuple[int, str | None], dict[str, tuple[float, int]]] = {}
    for row, masked in enumerate(rows):
        if masked.id in place:
            number, time = place[masked.id]
            runs.setdefault((number, masked.pattern), {}).setdefault(masked.id, (time, row))
    found = []
    for (number, _), run in runs.items():
        ordered = sorted(run.values())
        times, numbers = tuple(time for time, _ in ordered), [row for _, row in ordered]
        found.append((videos[number]._replace(ids=tuple(rows[row].id for row in numbers), times=times), numbers))
    return found


def _losses(study: Study, beliefs: Beliefs) -> Array:
    """Return the loss of each row and description; NaN where there is no truth or no belief."""
    losses: Array = by_description(log_losses(beliefs, study.truth))
    return losses


def _offsets(
    asked: Beliefs,
    alone: Beliefs,
    truth: Table,
    film_N: NDArray[np.int_],
    rows_N: NDArray[np.bool_],
    links: Couplings,
) -> Offsets:
    """Return what errors of a film's frames share, learnt from some of the rows."""
    here, without = (Beliefs(*(column[rows_N] for column in each)) for each in (asked, alone))
    return learn(here, without, truth.where(rows_N), film_N[rows_N], links)


def _lessons(rows: Sequence[Masked], asked: Beliefs, alone: Beliefs) -> dict[str, Lesson]:
    """Return what is believed of each frame of the pilot by itself, once each."""
    lessons: dict[str, Lesson] = {}
    for row, masked in enumerate(rows):
        pair = (Beliefs(*(column[row : row + 1] for column in each)) for each in (asked, alone))
        lessons.setdefault(masked.id, Lesson(*pair))
    return lessons


def _with_lessons(
    pair: Sequence[Beliefs], known: Table, more: Sequence[tuple[int, Lesson]], links: Couplings
) -> tuple[list[Beliefs], Table]:
    """Return a video's frames, and after them what the annotator said of those, by place, that people labelled."""
    there = known.where(np.array([place for place, _ in more], dtype=int))
    named_N1, told_ND = there.expression_NE.any(axis=1, keepdims=True), ~np.isnan(there.va_ND)
    told = (named_N1, ~np.isnan(there.units_NA), told_ND, told_ND)
    found = []
    for each, lessons in zip(pair, zip(*(lesson for _, lesson in more), strict=True), strict=True):
        said = map(np.concatenate, zip(*lessons, strict=True))
        of_told = Beliefs(*(np.where(of, column, np.nan) for of, column in zip(told, said, strict=True)))
        found.append(Beliefs(*map(np.concatenate, zip(each, _told(of_told, links), strict=True))))
    return found, Table(*map(np.concatenate, zip(known, tabulate([Labels()] * len(more)), strict=True)))


def _told(beliefs: Beliefs, links: Couplings) -> Beliefs:
    """Return the same with what is believed of any frame in place of NaN, where no belief is needed."""
    centre_D, variance_D = moments(links)
    nothing = (links.expression_E, links.base_A, centre_D, np.sqrt(variance_D))
    return Beliefs(*(np.where(np.isnan(each), any_, each) for each, any_ in zip(beliefs, nothing, strict=True)))


def _row(found: Gain) -> dict[str, Any]:
    known = np.isfinite(found.standard_error)
    return {
        "mean": round(found.mean, 4),
        "standard_error": round(found.standard_error, 4) if known else None,
        "subjects": found.subjects,
    }
