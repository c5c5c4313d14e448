"""Films of a generation: the rows of one video in the order of time, and which of them are worth a drawing."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from seke.core.records import InstructionRecord

FEWEST: Final = 3
"""Frames of a video whose labels over time are drawn."""
SHOWN: Final = 4
"""Videos that a page draws."""


class Film(NamedTuple):
    """One video."""

    source: str
    video: str
    times: tuple[float, ...]
    """Of the frames, in seconds, ascending."""
    rows: tuple[InstructionRecord, ...]

    @property
    def changes(self) -> int:
        """How often expressions and action units differ from those of the frame before."""
        return sum(
            (before.labels.expression != after.labels.expression)
            + len(set(before.labels.active) ^ set(after.labels.active))
            for before, after in pairwise(self.rows)
        )


def films(rows: Sequence[InstructionRecord]) -> list[Film]:
    """Return the videos with `FEWEST` frames or more whose times are known and that have labels."""
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for place, row in enumerate(rows):
        if row.clip is not None and row.clip.time is not None and not row.labels.empty:
            found.setdefault((row.source, row.clip.video), []).append((row.clip.time, place))
    return [
        Film(source, video, tuple(time for time, _ in sorted(each)), tuple(rows[place] for _, place in sorted(each)))
        for (source, video), each in found.items()
        if len(each) >= FEWEST
    ]


def chosen(rows: Sequence[InstructionRecord]) -> list[Film]:
    """Return up to `SHOWN` films: of each source in turn the one in which most changes."""
    ranked = sorted(films(rows), key=lambda film: (-film.changes, film.source, film.video))
    by_source: dict[str, list[Film]] = {}
    for film in ranked:
        by_source.setdefault(film.source, []).append(film)
    turns = [(turn, place, film) for place, each in enumerate(by_source.values()) for turn, film in enumerate(each)]
    return [film for *_, film in sorted(turns, key=lambda entry: entry[:2])[:SHOWN]]
