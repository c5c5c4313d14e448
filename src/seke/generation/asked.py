"""Which of one image's labels are asked: those that no human gave, or that are hidden to be judged."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import Labels

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "expression": ("expression",),
    "va": ("valence", "arousal"),
    "au": ("action_units", "au_intensity"),
}
"""The names of the three descriptions, and the label fields of each."""


def fields(hide: Sequence[str]) -> tuple[str, ...]:
    """Return the label fields that `generator.hide` names.

    Raises:
        UserError: if there is no such description.
    """
    if unknown := [name for name in hide if name not in FIELDS]:
        raise UserError("generator.hide", unknown[0], "no such description", f"hide any of {', '.join(FIELDS)}")
    return tuple(field for name in hide for field in FIELDS[name])


class Asked(NamedTuple):
    """The labels that are asked about one image."""

    expression: bool
    valence: bool
    arousal: bool
    action_units: tuple[int, ...]

    @property
    def anything(self) -> bool:
        """Whether there is anything to ask."""
        return any(self)


def missing(labels: Labels) -> Asked:
    """Return what `labels` leaves unknown among expression, valence, arousal and the 17 AUs."""
    known = labels.action_units or {}
    return Asked(
        labels.expression is None,
        labels.valence is None,
        labels.arousal is None,
        tuple(au for au in ACTION_UNITS if au not in known),
    )
