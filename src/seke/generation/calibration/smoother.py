"""The smoother: what frames of a video say about each other's labels, where human labels show that it helps.

What is believed of a frame by itself (`posterior`) is divided by what is believed of any, which leaves what the frame
says. What the other frames say reaches it through `over_time`, to a power: an annotator that misreads a face misreads
it in the next frame, too, so that ten frames are worth less than ten. Human labels count in full. Powers, and whether
anything is smoothed at all, are decided by held-out human labels of the pilot's videos, per source and description: not
smoothing has to be beaten beyond doubt (`gain`). Frames are left out only in sources where that, with what is smoothed
in their stead, is no worse than asking about every frame and not smoothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.label_prior import AUS, Array, Couplings, Table
from seke.core.records import Labels
from seke.generation.calibration import change_rates, pilot
from seke.generation.calibration.annotator_model import Beliefs, Masked
from seke.generation.calibration.change_rates import NUGGET, Rates, Video, moments
from seke.generation.calibration.fit import log_losses
from seke.generation.calibration.gain import Gain, discovery_level, gain
from seke.generation.calibration.over_time import Gaussian, gaps, gaussian_messages, markov_messages
from seke.generation.calibration.patterns import IN_WORDS
from seke.generation.calibration.study import DESCRIPTIONS, Study, by_description

POWERS: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
"""To which other frames' words may count; with 0 human labels alone inform their neighbours."""
FEWEST_SUBJECTS: Final = 5
"""A source with labels of fewer is judged with all others: of two or three nothing is beyond doubt."""
SUREST: Final = 1e-6
"""No state of a frame that people did not label is less probable."""
FILE: Final = "smoothing.json"


def smooth(
    beliefs: Beliefs, known: Table, times: Sequence[float], rates: Rates, powers: Mapping[str, float], links: Couplings
) -> Beliefs:
    """Return what is believed of each frame of a video, given all of them.

    Args:
        beliefs: of each frame by itself, T rows; of known labels they are of no account.
        known: human labels of the frames.
        times: of the frames, in seconds, ascending.
        rates: of the video's source.
        powers: to which other frames' words count, by description; those that are not in it stay as they are.
        links: base rates.
    """
    gap_T = gaps(times)
    p_TE, active_TA, mean_TD, sd_TD = beliefs
    if "expression" in powers:
        rate_1, own_TK = np.array([rates.expression]), np.maximum(p_TE, SUREST)
        evidence_TK = (own_TK / links.expression_E) ** powers["expression"]
        evidence_TK = np.where(known.expression_NE.any(axis=1, keepdims=True), known.expression_NE, evidence_TK)
        message_TK = markov_messages(evidence_TK[:, None], links.expression_E[None], rate_1, gap_T)[:, 0]
        p_TE = own_TK * message_TK
        p_TE = p_TE / p_TE.sum(axis=1, keepdims=True)
    if "au" in powers:
        base_A2 = np.stack([1 - links.base_A, links.base_A], axis=1)
        own_TA = np.clip(active_TA, SUREST, 1 - SUREST)
        own_TA2 = np.stack([1 - own_TA, own_TA], axis=2)
        told_TA = ~np.isnan(known.units_NA)
        human_TA2 = np.stack([1 - known.units_NA, known.units_NA], axis=2)
        evidence_TA2 = np.where(told_TA[:, :, None], human_TA2, (own_TA2 / base_A2) ** powers["au"])
        joint_TA2 = own_TA2 * markov_messages(evidence_TA2, base_A2, rates.units_A, gap_T)
        active_TA = joint_TA2[:, :, 1] / joint_TA2.sum(axis=2)
    if "va" in powers:
        centre_D, variance_D = moments(links)
        told_TD = ~np.isnan(known.va_ND)
        precision_TD = sd_TD**-2.0
        # What a frame says: its belief without what is believed of any; nothing, where it is no surer than that.
        heard_TD = np.maximum(precision_TD - 1 / variance_D, 0.0)
        pull_TD = np.where(heard_TD > 0, precision_TD * (mean_TD - centre_D), 0.0)
        human_TD = np.where(told_TD, (np.nan_to_num(known.va_ND) - centre_D) / NUGGET, 0.0)
        of_people, of_all = (
            gaussian_messages(Gaussian(np.where(told_TD, 1 / NUGGET, p), human_TD + w), variance_D, rates.va_D, gap_T)
            for p, w in ((np.zeros_like(heard_TD), 0.0), (heard_TD, np.where(told_TD, 0.0, pull_TD)))
        )
        total_TD = precision_TD + of_all.precision_TS
        mean_TD = centre_D + (precision_TD * (mean_TD - centre_D) + of_all.weighted_TS) / total_TD
        # An error that frames share averages out of no mean, so that it is the certainty that counts to a power.
        more_TD = np.maximum(of_all.precision_TS - of_people.precision_TS, 0.0)
        sd_TD = (precision_TD + of_people.precision_TS + powers["va"] * more_TD) ** -0.5
    return Beliefs(p_TE, active_TA, mean_TD, sd_TD)


class Judged(NamedTuple):
    """What held-out human labels say of one description."""

    power: float | None
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


@dataclass(frozen=True)
class Smoother:
    """What was learnt of labels over time, and where it is used."""

    learnt: change_rates.Learnt
    links: Couplings
    judged: Mapping[str, Judged]
    sources: tuple[str, ...]
    """Of the videos."""
    every: int
    """Every n-th frame is asked about, where that is allowed."""
    untimed: int = 0
    """Records of videos that say no times; they are labelled as ever."""

    def powers(self, source: str) -> dict[str, float]:
        """Return the power of each description that is smoothed in a source."""
        return {
            name: judged.power
            for name, judged in self.judged.items()
            if judged.power is not None and source not in judged.refused
        }

    def every_in(self, source: str, asked: Sequence[str]) -> int:
        """Return of how many frames of a source one is asked about, where these descriptions are asked."""
        smoothed = self.powers(source)
        for name in asked:
            judged = self.judged[name]
            if name not in smoothed or judged.skipping.get(source, judged.skipping_overall).mean < 0:
                return 1
        return self.every

    def smoothed(self, video: Video, beliefs: Beliefs, known: Table) -> Beliefs:
        """Return what is believed of each frame of a video, given all of them; nothing changes in refused sources."""
        powers = self.powers(video.source)
        told = _told(beliefs, self.links)
        return smooth(told, known, video.times, self.learnt.rates[video.source], powers, self.links)

    def facts(self) -> str:
        """Return the content of smoothing.json."""
        page: dict[str, Any] = {
            "every": self.every,
            "frames_without_time": self.untimed,
            "human_labels": dict(self.learnt.changes),
            "descriptions": {
                name: {
                    "power": judged.power,
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
            elif judged.power is None:
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
    found = {power: (np.full_like(own_NX, np.nan), np.full_like(own_NX, np.nan)) for power in POWERS}
    active = {power: asked.active_NA.copy() for power in POWERS}
    for side, (held_out_N, side_links, _) in enumerate(study.sides):
        without = {row.subject for row, held_out in zip(study.rows, held_out_N, strict=True) if held_out}
        rates = change_rates.learn(videos, labels, side_links, without).rates
        for video, rows in runs:
            if study.side_N[rows[0]] != side:
                continue
            place_N = np.array(rows)
            known = study.known.where(place_N)
            here, absent = (Beliefs(*(column[place_N] for column in each)) for each in (asked, unasked))
            left_T1 = (np.arange(len(rows)) % every != 0)[:, None]
            half = Beliefs(*(np.where(left_T1, b, a) for a, b in zip(here, absent, strict=True)))
            for power in POWERS:
                powers = dict.fromkeys(DESCRIPTIONS, power)
                for into, each in zip(found[power], (here, half), strict=True):
                    told = _told(each, side_links)
                    believed = smooth(told, known, video.times, rates[video.source], powers, side_links)
                    losses_NX = by_description(log_losses(believed, truth.where(place_N)))
                    into[place_N] = np.where(np.isnan(own_NX[place_N]), np.nan, losses_NX)
                active[power][place_N] = believed.active_NA  # thresholds are for what will be labelled
    source_of = {id_: video.source for video in videos for id_ in video.ids}
    source_N = np.array([source_of.get(row.id, "") for row in study.rows])
    judged = {}
    for column, name in enumerate(DESCRIPTIONS):
        lost = {power: tuple(each[:, column] for each in both) for power, both in found.items()}
        unknown = name in learnt.unknown
        wanted = {video.source for video in videos}
        judged[name] = _judged(study, own_NX[:, column], lost, source_N, unknown, wanted, every > 1)
    smoother = Smoother(learnt, links, judged, tuple(dict.fromkeys(v.source for v in videos)), every, untimed)
    chosen = judged["au"].power
    if chosen is None:
        return smoother, asked.active_NA
    refused_N1 = np.isin(source_N, judged["au"].refused)[:, None]
    return smoother, np.where(refused_N1, asked.active_NA, active[chosen])


def _judged(
    study: Study,
    own_N: Array,
    lost: Mapping[float, tuple[Array, ...]],
    source_N: NDArray[np.str_],
    unknown: bool,
    sources: set[str],
    leaving_out: bool,
) -> Judged:
    """Choose a description's power on each half for the other; judge there, source by source."""
    rows_N = np.isfinite(own_N) & np.isfinite(next(iter(lost.values()))[0])
    nothing = Gain(0.0, float("inf"), 0)
    if unknown or rows_N.sum() < pilot.FEWEST:
        return Judged(None, {}, nothing, {}, nothing, tuple(sorted(sources)))

    def best(where_N: NDArray[np.bool_]) -> float:
        return min(lost, key=lambda power: float(lost[power][leaving_out][where_N].sum()))

    less_N, skipped_N = np.zeros_like(own_N), np.zeros_like(own_N)
    for side in (0, 1):
        here_N, taught_N = rows_N & (study.side_N == side), rows_N & (study.side_N != side)
        power = best(taught_N)
        less_N[here_N] = (own_N - lost[power][0])[here_N]
        skipped_N[here_N] = (own_N - lost[power][1])[here_N]

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
