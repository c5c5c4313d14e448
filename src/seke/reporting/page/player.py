"""Clips that the page plays: small frames inline, and beside each the labels at that moment.

Played are the videos whose labels are drawn over time, frame by frame, and records that are clips themselves, whose
labels hold for all of their frames. Frames are made like every other picture of a report: small, each once, and none
where `gallery.thumbnails=null` leaves the pictures out.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from seke.core.clip_frames import FrameChoice, chosen
from seke.core.records import InstructionRecord
from seke.reporting.data import films
from seke.reporting.data.collect import InspectedRun
from seke.reporting.data.runs import Pictured
from seke.reporting.data.tables import MISSING, signed
from seke.reporting.page.gallery import json_markup
from seke.reporting.render.over_time import INFERRED
from seke.reporting.render.pictures import Pictures, data_uri

MOST: Final = 96
"""Frames of a video that travel in the page, evenly spread."""
SHOWN: Final = 4
"""Records that are clips themselves, of which so many are played."""


class Played(NamedTuple):
    """What is played of one video."""

    title: str
    times: tuple[float | None, ...]
    """Of its frames, in seconds, ascending; None where nothing says how fast it runs."""
    pictures: tuple[Pictured, ...]
    rows: tuple[InstructionRecord, ...]
    """Whose labels are shown beside each frame."""


def played(inspected: InspectedRun) -> list[Played]:
    """Return the videos that are drawn over time, then the first records of each source that are clips themselves."""
    found = []
    for film in films.chosen(inspected.run.instructions):
        places = chosen(FrameChoice(MOST), film.times)
        rows = tuple(film.rows[place] for place in places)
        times = tuple(film.times[place] for place in places)
        pictures = tuple(inspected.picture(row) for row in rows)
        found.append(Played(f"{film.source}: {film.video}", times, pictures, rows))
    return found + [_of_record(row) for row in _clips(inspected.run.instructions)]


def _clips(rows: Sequence[InstructionRecord]) -> list[InstructionRecord]:
    """Return up to `SHOWN` records with frames; the sources take turns."""
    of: dict[str, int] = {}
    ranked = []
    for place, row in enumerate(rows):
        if row.clip is not None and len(row.clip.frames) > 1:
            of[row.source] = of.get(row.source, 0) + 1
            ranked.append((of[row.source], place, row))
    return [row for *_, row in sorted(ranked, key=lambda entry: entry[:2])[:SHOWN]]


def _of_record(row: InstructionRecord) -> Played:
    assert row.clip is not None
    places = chosen(FrameChoice(MOST), [None] * len(row.clip.frames))
    clip = row.clip.of(places)
    unknown = (None,) * len(places)
    pictures = tuple(map(Pictured, clip.frames, clip.sha256 or unknown))
    times = clip.times or unknown
    return Played(f"{row.source}: {row.id}", times, pictures, (row,) * len(places))


class Player:
    """The videos of one generation, to be made the page's data once their pictures are made."""

    def __init__(self, inspected: InspectedRun | None, pictures: Pictures) -> None:
        """Ask for the pictures of the frames.

        Args:
            inspected: the generation and the folder of its pictures; None: nothing is played.
            pictures: those of the whole report.
        """
        self._played, self._pictures = played(inspected) if inspected else [], pictures
        root = inspected.image_root if inspected else None
        self._numbers = [pictures.add(root, each.pictures) for each in self._played]

    @property
    def titles(self) -> list[tuple[str, int]]:
        """What each video is called, and how many of its frames are shown; nothing in a report without pictures."""
        return [(each.title, len(own)) for each, own in zip(self._played, self._numbers, strict=True) if own]

    def data(self) -> Markup:
        """Return the videos as JSON: of each its times, its frames (a data URI, or [why there is none]), its labels."""
        return json_markup(
            [
                {
                    "title": each.title,
                    "times": [None if time is None else round(time, 3) for time in each.times],
                    "frames": [self._frame(number) for number in own],
                    "labels": [said(row) for row in each.rows],
                }
                for each, own in zip(self._played, self._numbers, strict=True)
                if own
            ]
        )

    def _frame(self, number: int) -> str | list[str]:
        problem = self._pictures.problem(number)
        return [problem] if problem else data_uri(self._pictures.data(number))


def said(row: InstructionRecord) -> list[Any]:
    """Return the labels of a frame in words, each with who gave it, and whether its labels come from its neighbours.

    [[text, origin | null] of expression, valence and arousal, [[text, origin | null] of each active AU], inferred]
    """
    scalars = [
        [MISSING if value is None else value if isinstance(value, str) else signed(value), getattr(row.origin, field)]
        for field in ("expression", "valence", "arousal")
        for value in (getattr(row.labels, field),)
    ]
    units = [[f"AU{au}", row.origin.action_units.get(str(au))] for au in row.labels.active]
    return [*scalars, units, INFERRED in row.flags]
