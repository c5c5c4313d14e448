"""Posterior risk: how many labels of a row are probably wrong, and would be corrected by a person who looks at it.

A person who looks at a face confirms all its labels, so what a look corrects is the sum over the labels that the
machine gave, each wrong with probability 1 - p, where p is its `confidence`: of the expression that it is right, of
an AU that it is as it was called, of valence and arousal that they are within `rules.NEAR` of the truth. A label
called against the odds, as one below half is where a threshold for F1 calls it active, is wrong with more than one
half: that counts, too.

Where a row has no confidence (only calibrated annotators state one), the spread of its draws stands in, normalised to
[0, 1] (`generation.seke.uncertainty`). That orders rows by doubt, but is no probability: `Risk.stated` tells.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.audit import Audited
from seke.core.records import Description, InstructionRecord, Labels, Origins
from seke.core.rules import near

DESCRIPTIONS: Final[tuple[Description, ...]] = ("expression", "action_units", "valence", "arousal")


class Risk(NamedTuple):
    """Of one row and one description."""

    labels: int
    """Labels that the machine gave: 0 or 1, of AUs up to 17."""
    wrong: float | None
    """How many of them are expected to be wrong; None where nothing tells. 0 where the machine gave none."""
    stated: bool
    """Whether that follows from stated confidences alone."""


NONE: Final = Risk(0, 0.0, True)


def risks(row: InstructionRecord | Audited) -> dict[Description, Risk]:
    """Return the risk of each description of a row."""
    confidence = row.confidence or {}
    found: dict[Description, Risk] = {}
    for name in DESCRIPTIONS:
        spread = getattr(row.uncertainty, name)
        if name == "action_units":
            found[name] = _units(row, confidence.get(name), spread)
        elif getattr(row.origin, name) != "generated":
            found[name] = NONE
        else:
            sure = confidence.get(name)
            found[name] = Risk(1, spread if sure is None else 1.0 - float(sure), sure is not None)
    return found


def expected(found: Mapping[Description, Risk]) -> float | None:
    """Return how many labels of a row a look is expected to correct, in [0, 20]; None where nothing tells of any."""
    known = [risk.wrong for risk in found.values() if risk.labels and risk.wrong is not None]
    return sum(known) if known else None


def corrections(machine: Labels, human: Labels, origin: Origins) -> dict[Description, tuple[int, int]]:
    """Return by description how many of the machine's labels a person found wrong, and how many the machine gave.

    Valence and arousal are wrong where they are not `near` what the person says. A label of which the person says
    nothing does not count.
    """
    found: dict[Description, tuple[int, int]] = {}
    for name in DESCRIPTIONS:
        if name == "action_units":
            said, true = machine.action_units or {}, human.action_units or {}
            units = [int(au) for au, by in origin.action_units.items() if by == "generated"]
            judged = [said[au] != true[au] for au in units if au in said and au in true]
        else:
            before, after = getattr(machine, name), getattr(human, name)
            known = getattr(origin, name) == "generated" and before is not None and after is not None
            differs = before != after if name == "expression" else known and not near(before, after)
            judged = [bool(differs)] if known else []
        found[name] = (sum(judged), len(judged))
    return found


def ranks(wrong_N: Sequence[float | None], total_N: Sequence[float | None], ties_N: Sequence[int]) -> NDArray[np.int64]:
    """Return the place of each record, 0 for the least risk to N - 1 for the greatest, without ties.

    What is unknown has the greatest risk. Of equal risks the one with the greater `total_N` over all descriptions has
    the greater place, and after that `ties_N` decides: numbers that say nothing of the record, nor of its audit.
    """
    first = np.array([np.inf if wrong is None else wrong for wrong in wrong_N], dtype=np.float64)
    second = np.array([np.inf if total is None else total for total in total_N], dtype=np.float64)
    place_N = np.empty(len(first), dtype=np.int64)
    place_N[np.lexsort((np.asarray(ties_N), second, first))] = np.arange(len(first))
    return place_N


def _units(row: InstructionRecord | Audited, sure: object, spread: float | None) -> Risk:
    units = [au for au, by in row.origin.action_units.items() if by == "generated"]
    stated = sure if isinstance(sure, Mapping) else {}
    each = [1.0 - float(stated[au]) if au in stated else spread for au in units]
    known = [wrong for wrong in each if wrong is not None]
    return Risk(len(units), sum(known) if known or not units else None, all(au in stated for au in units))
