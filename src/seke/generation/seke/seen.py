"""What is known of a face before its annotation is decided, and how that is told in its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seke.core.records import Labels
from seke.generation.asked import FIELDS, Asked
from seke.generation.calibration.arms import Arm
from seke.generation.calibration.posterior import Posterior, confidence
from seke.generation.outcome import Face
from seke.generation.seke.sampling import Bill, Sampled
from seke.generation.seke.schema import Unusable

NOT_LOOKING: Final = "not_looking"
"""The flag of a row for which nobody was asked; `not_looking_au` and the like where that holds for a description."""
THIN: Final = "thin_pilot"
"""The flag of a row whose pattern of known labels had too few images in the pilot."""


@dataclass
class Seen:
    """What is known of a face before it is decided: human labels, draws, and what is believed."""

    face: Face
    manual: Labels
    asked: Asked
    prior: Labels
    """What of `manual` may be used."""
    arms: Mapping[str, Arm]
    thresholds: Mapping[int, float]
    bill: Bill
    drawn: Mapping[str, Sampled] = field(default_factory=dict)
    belief: Posterior | None = None
    told: bool = True
    """Whether an annotator was shown what is known."""
    flags: Sequence[str] | None = None
    """How labels were chosen; None: as its arms say."""
    smoothed: bool = False
    """Whether its neighbours in a video were heard."""
    failure: Unusable | None = None
    """Why no annotator could be heard."""


def together(drawn: Mapping[str, Sampled]) -> Sampled:
    """Return the draws of all prompts; how much they disagree is said of the first one's."""
    if not drawn:
        return Sampled()
    first = next(iter(drawn.values()))
    failures = [sampled.failure for sampled in drawn.values() if sampled.failure]
    draws = [draw for sampled in drawn.values() for draw in sampled.draws]
    return Sampled(draws, first.uncertainty, failures[0] if failures else None)


def confidences(arms: Mapping[str, Arm], belief: Posterior | None, labels: Labels) -> dict[str, Any] | None:
    """Return how probable each label is, as far as the pilot could tell."""
    if belief is None:
        return None
    untold = {field for name, arm in arms.items() if not arm.judged for field in FIELDS[name]}
    return {name: value for name, value in confidence(belief, labels).items() if name not in untold} or None


def flags_of(arms: Mapping[str, Arm]) -> list[str]:
    """Return the flags that say how a record's labels were chosen."""
    flags = [THIN] if any(arm.thin for arm in arms.values()) else []
    unlooked = [name for name, arm in arms.items() if not arm.looks]
    if unlooked and len(unlooked) == len(arms):
        return [*flags, NOT_LOOKING]
    return [*flags, *(f"{NOT_LOOKING}_{name}" for name in unlooked)]
