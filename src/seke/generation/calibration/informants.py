"""An annotator read as an informant: like a witness, beside other annotators and where it is one of several choices.

Its own pilot chooses how it is read (`arms`): by which prompt, which channels. What it says then are log-likelihoods
like any witness's, so that several annotators are combined as witnesses are, each to the power that foretells held-out
labels best beside the others: two that err alike are worth hardly more than one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seke.core.records import Labels
from seke.generation.calibration import annotator_by_source
from seke.generation.calibration.annotator_model import Annotator, Heard, Masked, answers, nothing_heard
from seke.generation.calibration.arms import Arm, prompts_of
from seke.generation.calibration.fit import channels, read_as
from seke.generation.calibration.patterns import Pattern, named
from seke.generation.calibration.study import Links, Option, draws_of, with_draws

PARTS: dict[str, tuple[str, ...]] = {
    "expression": ("votes_NE",),
    "va": ("mean_ND", "sd_ND"),
    "au": ("active_NA", "inactive_NA"),
}
"""What of `Heard` is about which description."""


@dataclass(frozen=True)
class Informant:
    """One annotator, its pilot, and how it is read in each pattern."""

    name: str
    rows: Sequence[Masked]
    """Its pilot."""
    arms: Mapping[Pattern, Mapping[str, Arm]]
    """All of which look."""
    links: Links
    draws: int
    """How many of its draws are read."""
    _fits: dict[Any, Annotator] = field(default_factory=dict)

    def prompts(self, pattern: Pattern) -> dict[str, int]:
        """Return the prompts that it is asked by in a pattern, and the number of draws."""
        return dict.fromkeys(prompts_of(self.arms[pattern]), self.draws)

    def heard(self, pattern: Pattern, draws: Mapping[str, Sequence[Labels]], source: str | None = None) -> Heard:
        """Return what it says of one image of a source, by all that its pilot has taught."""
        found = nothing_heard(1)._asdict()
        said = {prompt: answers([given[: self.draws]]) for prompt, given in draws.items()}
        for name, arm in self.arms[pattern].items():
            if arm.option.prompt in said:
                found |= _part(name, arm.annotator.of(source).heard(said[arm.option.prompt]))
        return Heard(**found)

    def in_pilot(self, rows: Sequence[Masked], without: Collection[str]) -> Heard:
        """Return what it says of each of its pilot's rows, by what all subjects but these have taught."""
        found = nothing_heard(len(rows))._asdict()
        found = {name: column.copy() for name, column in found.items()}
        sources_N = annotator_by_source.sources_of(rows)
        patterns = [named(row.pattern or "nothing") for row in rows]
        for pattern in dict.fromkeys(patterns):
            places = [place for place, own in enumerate(patterns) if own == pattern]
            for name, arm in self.arms.get(pattern, {}).items():
                said = answers([draws_of(rows[place], arm.option.prompt)[: self.draws] for place in places])
                annotator = self._fitted(pattern, arm.option, without)
                heard = annotator_by_source.heard(annotator, said, sources_N[places])
                for part, column in _part(name, heard).items():
                    found[part][places] = column
        return Heard(**found)

    def _fitted(self, pattern: Pattern, option: Option, without: Collection[str]) -> Annotator:
        own = pattern if option.channels == "own" else None
        key = own, option.prompt, option.channels, frozenset(without)
        if key not in self._fits:
            lessons = [
                with_draws(row, option.prompt)
                for row in self.rows
                if row.subject not in without and (own is None or named(row.pattern or "nothing") == own)
            ]
            fitted = channels(lessons, self.links(without))
            if (images := annotator_by_source.PULLS.get(option.channels)) is not None:
                apart = annotator_by_source.apart(self.rows)
                fitted = annotator_by_source.with_sources(fitted, lessons, apart, images)
            self._fits[key] = fitted
        return read_as(self._fits[key], option.reading, 1.0)


def _part(name: str, heard: Heard) -> dict[str, np.ndarray]:
    return {part: getattr(heard, part) for part in PARTS[name]}
