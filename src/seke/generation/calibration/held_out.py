"""What chosen arms believe of the pilot's rows where they were fitted without their subjects, asked and not asked."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.generation.calibration import annotator_by_source
from seke.generation.calibration.annotator_model import Annotator, Beliefs, Heard, believe, mixed, nothing_heard
from seke.generation.calibration.arms import Arm, Calibration
from seke.generation.calibration.fit import channels, read_as
from seke.generation.calibration.patterns import Pattern
from seke.generation.calibration.study import NOBODY, Option, Study
from seke.generation.calibration.witnesses import together

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "expression": ("p_NE",),
    "va": ("mean_ND", "sd_ND"),
    "au": ("active_NA",),
}


def beliefs_of(study: Study, calibration: Calibration) -> tuple[Beliefs, Beliefs]:
    """Return what the arms believe of the study's rows, where they have answers and where nobody was asked.

    Each row is read by what the other half of the subjects has taught; NaN where a pattern has no arm.
    """
    both = nothing_believed(len(study.rows)), nothing_believed(len(study.rows))
    fits: dict[Any, Annotator] = {}
    for side, (held_out_N, _, _) in enumerate(study.sides):
        for pattern, arms in calibration.arms.items():
            rows_N = held_out_N & study.of_pattern(pattern)
            for name, arm in arms.items() if rows_N.any() else ():
                for found, asked in zip(both, (True, False), strict=True):
                    believed = _believed(study, side, pattern, arm, rows_N, asked, fits)
                    for column in _COLUMNS[name]:
                        getattr(found, column)[rows_N] = getattr(believed, column)
    return both


def nothing_believed(rows: int) -> Beliefs:
    """Return beliefs that are all NaN."""
    return Beliefs(*(np.full((rows, size), np.nan) for size in (len(EXPRESSIONS), len(ACTION_UNITS), 2, 2)))


def _believed(
    study: Study,
    side: int,
    pattern: Pattern,
    arm: Arm,
    rows_N: NDArray[np.bool_],
    asked: bool,
    fits: dict[Any, Annotator],
) -> Beliefs:
    """Return the average of what an arm's readers believe of some rows."""
    _, links, witnessed = study.sides[side]
    known = study.known.where(rows_N)
    there = [Heard(*(column[rows_N] for column in heard)) for heard in witnessed]
    each = []
    for reader in arm.readers:
        option, couplings = reader.option, links
        heard = nothing_heard(int(rows_N.sum()))
        if option.prompt != NOBODY:
            fitted = _fitted(study, side, pattern, option, fits)
            couplings = fitted.couplings
            if asked:
                said = study.answers[option.prompt, option.draws].where(rows_N)
                read = read_as(fitted, option.reading, 1.0)
                heard = annotator_by_source.heard(read, said, study.sources_N[rows_N])
        each.append(believe(couplings, known, together(heard, there, option.powers), option.weight, option.cross))
    return mixed(each, [reader.share for reader in arm.readers])


def _fitted(study: Study, side: int, pattern: Pattern, option: Option, fits: dict[Any, Annotator]) -> Annotator:
    """Return the annotator whose channels are fitted to the other side, to one pattern's rows if these are enough, or
    by sources.
    """
    held_out_N, links, _ = study.sides[side]
    own = pattern if option.channels == "own" else None
    key = side, option.prompt, option.channels, own
    if key not in fits:
        rows_N = ~held_out_N if own is None else ~held_out_N & study.of_pattern(own)
        lessons = study.lessons(option.prompt, rows_N if rows_N.any() else ~held_out_N)
        fits[key] = channels(lessons, links)
        if (images := study.pulls.get(option.channels)) is not None:
            fits[key] = annotator_by_source.with_sources(fits[key], lessons, study.own, images)
    return fits[key]
