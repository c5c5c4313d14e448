"""Which of one image's labels are asked: those that no human gave."""

from typing import NamedTuple

from seke.core.affect import ACTION_UNITS
from seke.core.records import Labels


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
