"""Normalisation of the uncertainty that Algorithm 1 decides by (line 5), which the paper leaves open.

Eq. 4 goes on with probability 1/2 + 1/2 U_max, so that what counts as U = 1 decides whether uncertainty matters at all:

    theoretical   the largest variance that there can be (`uncertainty`). Draws of real annotators stay far below it
    empirical     what the first two draws of a part of the records showed: the 95 % quantile, by description
    none          nothing: U counts as 0, and a coin decides
    {valence: 0.09, ...}   these shares of the largest variance, by description; 1 where none is given

Only the decision is normalised so. The uncertainty of a row, and what the summary is told, stay on the theoretical
scale, and are comparable between runs.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import ImageRecord, Labels, Uncertainty
from seke.generation.outcome import Face
from seke.generation.seke.stopping import INITIAL_DRAWS
from seke.generation.seke.uncertainty import PerAU, uncertainty

FILE: Final = "normalise.json"
"""The scales that a run learnt, for its resume."""
QUANTILE: Final = 0.95
"""Of the uncertainties that the records show: the largest one would be that of a single odd face."""
FEWEST: Final = 20
"""With fewer records than this their 95 % quantile is their maximum."""
NAMED: Final = ("theoretical", "empirical", "none")


class Scales(NamedTuple):
    """The uncertainty of each description, as a share of the largest there can be, that counts as 1."""

    expression: float = 1.0
    valence: float = 1.0
    arousal: float = 1.0
    action_units: float = 1.0

    def largest(self, found: Uncertainty) -> float | None:
        """Return the largest normalised uncertainty in [0, 1]; None where nothing is known.

        >>> u = Uncertainty(expression=0.0, valence=0.03, max=0.03)
        >>> Scales().largest(u), Scales(valence=0.06).largest(u), Scales(valence=0.01).largest(u), NOTHING.largest(u)
        (0.03, 0.5, 1.0, 0.0)
        """
        each = ((getattr(found, name), scale) for name, scale in self._asdict().items())
        return max((min(1.0, value / scale) for value, scale in each if value is not None), default=None)


NOTHING: Final = Scales(*[math.inf] * 4)
"""No uncertainty counts."""


def scales_of(normalise: str | Mapping[str, Any]) -> Scales:
    """Return the scales of a setting; those of `empirical` are the theoretical ones until they are learnt.

    Raises:
        UserError: if it is no way of normalising, or a scale is none.
    """
    if not isinstance(normalise, Mapping):
        if normalise not in NAMED:
            remedy = f"set {', '.join(NAMED)}, or a scale by description such as {{valence: 0.09}}"
            raise UserError("generator.normalise", normalise, "no way of normalising", remedy)
        return NOTHING if normalise == "none" else Scales()
    for name, scale in normalise.items():
        if name not in Scales._fields:
            known = ", ".join(Scales._fields)
            raise UserError(f"generator.normalise.{name}", scale, "no description", f"use {known}")
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
            raise UserError(f"generator.normalise.{name}", scale, "no scale", "set a number above 0, such as 0.09")
    return Scales(**{name: float(scale) for name, scale in normalise.items()})


def observed(draws: Sequence[Sequence[Labels]], per_au: PerAU) -> Scales:
    """Return the 95 % quantile of each description's uncertainty over images, from the first two draws of each.

    That is when Algorithm 1 decides first. A description whose draws never differ, or that was not asked, keeps the
    theoretical scale.
    """
    found = [uncertainty(each[:INITIAL_DRAWS], per_au) for each in draws if len(each) >= INITIAL_DRAWS]
    scales = {}
    for name in Scales._fields:
        values = [value for each in found if (value := getattr(each, name)) is not None]
        reached = float(np.quantile(values, QUANTILE)) or max(values) if values else 0.0
        scales[name] = reached or 1.0
    return Scales(**scales)


def learn(
    records: Sequence[ImageRecord],
    opened: Callable[[ImageRecord], Face | None],
    ask: Callable[[Sequence[Face]], Sequence[Sequence[Labels]]],
    folder: Path,
    *,
    count: int,
    seed: int,
    per_au: PerAU,
) -> Scales:
    """Return the scales that about `count` of the records show, from `folder` if it has them; else keep them there.

    Which ones is decided by hashes of the seed and their ids, so that their order means nothing. What they are asked is
    what they will be asked first of all anyway: with a ledger it is paid for once.

    Raises:
        UserError: if too few records can be asked about.
    """
    file = folder / FILE
    if file.is_file():
        return Scales(**json.loads(file.read_text(encoding="utf-8")))
    chosen = sorted(records, key=lambda record: hashlib.sha256(f"{seed}\0normalise\0{record.id}".encode()).digest())
    faces = [face for record in chosen[:count] if (face := opened(record)) is not None]
    if len(faces) < FEWEST:
        problem, remedy = f"only {len(faces)} records to learn it from", f"give {FEWEST} or more, or set theoretical"
        raise UserError("generator.normalise", "empirical", problem, remedy)
    scales = observed(ask(faces), per_au)
    write_text(file, json.dumps(scales._asdict(), indent=1) + "\n")
    return scales
