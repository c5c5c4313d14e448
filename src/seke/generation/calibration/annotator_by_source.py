"""The annotator's habits in each source: its own channels, pulled towards those of all sources together.

What a vision LLM calls fear in posed portraits it may call surprise in films; in one laboratory's pictures it sees AU4
that is not there. So each source with enough masked labels of several people has a confusion of expressions, rates of
right and wrong answers about AUs, and a bias and slope of valence and arousal of its own, pulled towards the pooled
ones as if these were so many images. How strongly is one of the things that held-out labels of other subjects choose
(`study`), and that any source has habits of its own at all has to be sure: else all sources are read alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.core.records import Labels
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.annotator_model import Annotator, Answers, Heard, Masked
from seke.generation.calibration.fit import channels

PULLS: Final[Mapping[str, float]] = {"source-10": 10.0, "source-50": 50.0}
"""Kinds of channels, and for how many images the pooled ones count in them."""
Apart = Mapping[str, frozenset[str]]
"""The descriptions in which each source may have habits of its own."""
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "expression": ("votes_EE",),
    "va": ("valence", "arousal"),
    "au": ("active", "inactive", "log_odds", "grades"),
}
"""What of an `Annotator` is about which description."""


def apart(rows: Sequence[Masked]) -> Apart:
    """Return the descriptions in which sources may have habits of their own; empty where all rows are of one source.

    A source needs `pilot.FEWEST` masked labels of a description, of two or more subjects: of one person alone nobody
    can tell the source's habits from those towards that face.
    """
    by_source: dict[str, list[Masked]] = {}
    for row in rows:
        by_source.setdefault(row.source or "", []).append(row)
    if len(by_source) < 2:
        return {}
    found = {source: _told_enough(own) for source, own in by_source.items() if source}
    return {source: told for source, told in found.items() if told}


def with_sources(pooled: Annotator, rows: Sequence[Masked], own: Apart, images: float) -> Annotator:
    """Return the pooled annotator with that of each source, fitted to these rows and pulled towards it."""
    fitted = {}
    for source, names in own.items():
        if lessons := [row for row in rows if row.source == source]:
            found = channels(lessons, pooled.couplings, pooled, images)
            as_all = {part: getattr(pooled, part) for name in _PARTS.keys() - names for part in _PARTS[name]}
            fitted[source] = replace(found, **as_all)
    return replace(pooled, by_source=fitted)


def heard(annotator: Annotator, said: Answers, sources_N: NDArray[Any]) -> Heard:
    """Return the likelihoods of N images' answers, each read as the annotator is in its source."""
    found = annotator.heard(said)
    for source, own in annotator.by_source.items():
        rows_N = sources_N == source
        if rows_N.any():
            for column, values in zip(found, own.heard(said.where(rows_N)), strict=True):
                column[rows_N] = values
    return found


def sources_of(rows: Sequence[Masked]) -> NDArray[Any]:
    """Return the source of each row, "" where it is not known."""
    return np.array([row.source or "" for row in rows], dtype=object)


def _told_enough(rows: Sequence[Masked]) -> frozenset[str]:
    found = []
    for name in _PARTS:
        subjects = [row.subject for row in rows if _told(row.truth, name)]
        if len(subjects) >= pilot_study.FEWEST and len(set(subjects)) > 1:
            found.append(name)
    return frozenset(found)


def _told(truth: Labels, name: str) -> bool:
    told = {
        "expression": truth.expression is not None,
        "va": truth.valence is not None or truth.arousal is not None,
        "au": bool(truth.action_units),
    }
    return told[name]
