"""How fast labels change over time, learnt from human labels of neighbouring frames of the same video.

Rates are pooled, then pulled: an action unit's towards that of all action units, a source's towards that of all
sources, each as if the pooled one had been seen in a few changes. Where too few were seen in all, there is no rate.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from seke.core.label_prior import AUS, Array, Couplings, tabulate
from seke.core.records import ImageRecord, Labels
from seke.generation.calibration.over_time import Pairs, gaussian_rate, markov_rate
from seke.generation.calibration.pilot import group

FEWEST_CHANGES: Final = 20
"""Of expressions, or of AUs, that people saw; with fewer nobody knows how fast they change."""
FEWEST_PAIRS: Final = 40
"""Of neighbouring frames with valence, or arousal."""
NUGGET: Final = 0.05**2
"""Variance of people's valence and arousal that has nothing to do with the frame before; chosen."""


class Video(NamedTuple):
    """The records of one video, in the order of time."""

    source: str
    group: str
    ids: tuple[str, ...]
    times: tuple[float, ...]
    """Seconds."""


def videos_of(records: Iterable[ImageRecord]) -> list[Video]:
    """Return the videos whose records all have a time; frames of the same time stand in the order of the records."""
    found: dict[tuple[str, str], list[ImageRecord]] = {}
    for record in records:
        if record.clip is not None:
            found.setdefault((record.source, record.clip.video), []).append(record)
    videos = []
    for (source, _), rows in found.items():
        times = [row.clip.time if row.clip is not None else None for row in rows]
        timed = sorted((time, place) for place, time in enumerate(times) if time is not None)
        if len(timed) == len(rows):
            ids, moments = tuple(rows[place].id for _, place in timed), tuple(time for time, _ in timed)
            videos.append(Video(source, group(rows[0]), ids, moments))
    return videos


class Rates(NamedTuple):
    """Of one source, per second."""

    expression: float
    units_A: Array
    va_D: Array


class Learnt(NamedTuple):
    """The rates of every source, and what there is none of."""

    rates: Mapping[str, Rates]
    changes: Mapping[str, int]
    """How many changes (of valence and arousal: pairs of frames) were seen, of each description."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The descriptions of which too few changes were seen."""
        fewest = {"expression": FEWEST_CHANGES, "va": FEWEST_PAIRS, "au": FEWEST_CHANGES}
        return tuple(name for name, least in fewest.items() if self.changes[name] < least)


def learn(
    videos: Sequence[Video], labels: Mapping[str, Labels], links: Couplings, without: Collection[str] = ()
) -> Learnt:
    """Learn the rates of every source.

    Args:
        videos: of all sources.
        labels: the human labels that may teach, by record.
        links: base rates.
        without: subjects whose labels teach nothing.
    """
    columns = 1 + len(AUS) + 2
    pairs: dict[str, list[list[Pairs]]] = {video.source: [[] for _ in range(columns)] for video in videos}
    mean_D, _ = moments(links)
    for video in videos:
        if video.group in without:
            continue
        table = tabulate(labels.get(id_, Labels()) for id_ in video.ids)
        named_T = table.expression_NE.any(axis=1)
        own, times_T = pairs[video.source], np.array(video.times)
        state_T = table.expression_NE.argmax(axis=1)
        own[0].append(_states(state_T[named_T], links.expression_E, times_T[named_T]))
        for place, value_T in enumerate(table.units_NA.T):
            told_T = np.isfinite(value_T)
            base_2 = np.array([1 - links.base_A[place], links.base_A[place]])
            own[1 + place].append(_states(value_T[told_T].astype(int), base_2, times_T[told_T]))
        for place, value_T in enumerate(table.va_ND.T):
            told_T = np.isfinite(value_T)
            off_T = value_T[told_T] - mean_D[place]
            own[1 + len(AUS) + place].append(Pairs(off_T[:-1], off_T[1:], np.diff(times_T[told_T])))
    by_source = {source: [_joined(each) for each in own] for source, own in pairs.items()}
    every = [_joined([own[place] for own in by_source.values()]) for place in range(columns)]
    return _pulled(by_source, every, links)


def moments(links: Couplings) -> tuple[Array, Array]:
    """Return mean and variance of valence and arousal over all expressions, (D,) each."""
    mean_D = links.expression_E @ links.centre_ED
    square_D = links.expression_E @ (links.spread_ED**2 + links.centre_ED**2)
    return mean_D, square_D - mean_D**2


def _pulled(by_source: Mapping[str, list[Pairs]], every: list[Pairs], links: Couplings) -> Learnt:
    units, dims = slice(1, 1 + len(AUS)), slice(1 + len(AUS), None)
    _, variance_D = moments(links)
    expression = markov_rate(every[0])
    of_all_units = markov_rate(_joined(every[units]))
    unit_A = [markov_rate(pairs, of_all_units) for pairs in every[units]]
    va_D = [gaussian_rate(pairs, v, NUGGET) for pairs, v in zip(every[dims], variance_D, strict=True)]

    def of(own: list[Pairs]) -> Rates:
        return Rates(
            markov_rate(own[0], expression),
            np.array([markov_rate(pairs, rate) for pairs, rate in zip(own[units], unit_A, strict=True)]),
            np.array([
                gaussian_rate(pairs, v, NUGGET, rate)
                for pairs, v, rate in zip(own[dims], variance_D, va_D, strict=True)
            ]),
        )  # fmt: skip

    changes = {
        "expression": round(every[0].changes),
        "va": min(len(pairs.gap_N) for pairs in every[dims]),
        "au": round(sum(pairs.changes for pairs in every[units])),
    }
    return Learnt({source: of(own) for source, own in by_source.items()}, changes)


def _states(state_T: np.ndarray, base_K: Array, times_T: Array) -> Pairs:
    return Pairs((state_T[1:] == state_T[:-1]).astype(float), base_K[state_T[1:]], np.diff(times_T))


def _joined(pairs: Sequence[Pairs]) -> Pairs:
    nothing = Pairs(*(np.zeros(0),) * 3)
    return Pairs(*map(np.concatenate, zip(nothing, *pairs, strict=True)))
