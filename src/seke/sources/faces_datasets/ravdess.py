"""RAVDESS (Livingstone & Russo, PLoS ONE 2018): 24 actors say, or sing, two sentences in eight emotions.

    <anywhere>/02-01-06-01-02-01-12.mp4
               modality (01 full, 02 video only, 03 sound) - channel (01 speech, 02 song) - emotion - intensity
               (01 normal, 02 strong) - statement - repetition - actor

A recording is there with and without its sound; one of the two is taken. Calm is none of our expressions. Actors are
subjects, so that splits keep them apart; the owners have decided no split.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Unpack

from seke.core import file_tree
from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base.clip_source import ClipSettings, ClipSource
from seke.sources.base.split import Listed

CODES: Final = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
"""The emotions 01 to 08."""
CHANNELS: Final = ("speech", "song")
INTENSITIES: Final = ("normal", "strong")
STATEMENTS: Final = ("Kids are talking by the door", "Dogs are sitting by the door")
NAME: Final = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")
SOUND: Final = "03"


class RAVDESS(ClipSource):
    """One record for each recording, subject `Actor_01`, with the emotion that was acted.

    `channels`: which of speech and song. `calm`: neutral, or None: such clips are rejected.

    Raises:
        UserError: see `ClipSource`; if a channel is none, or no recording is below the root.
    """

    name = "ravdess"

    def __init__(
        self,
        root: str | None,
        channels: Sequence[str] = ("speech",),
        calm: str | None = None,
        **settings: Unpack[ClipSettings],
    ) -> None:
        super().__init__(root, **settings)
        if not channels or isinstance(channels, str) or set(channels) - set(CHANNELS):
            raise UserError("source.channels", channels, "no such channels", "use [speech], [song] or [speech, song]")
        if calm not in (None, "neutral"):
            raise UserError("source.calm", calm, "calm can be no other expression", "use neutral or null")
        self.channels, self.calm = tuple(channels), calm

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """Nothing: a file's name is all that is said of it."""
        return {}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every recording of the channels, and a rejection for calm ones and videos of other names.

        Raises:
            UserError: if there is none.
        """
        found: dict[str, Path] = {}
        strange: list[Path] = []
        for path in file_tree.walk(self.root, *VIDEOS, leave=self.drawn):
            if (name := NAME.fullmatch(path.stem)) and name[1] != SOUND:
                before = found.get(path.stem[3:])
                if before is None or before.stem[:2] < name[1]:  # without its sound it is the smaller file
                    found[path.stem[3:]] = path
            elif not name:
                strange.append(path)
        if not found:
            raise file_tree.missing(self.root, "01-01-03-01-01-01-01.mp4")
        for key, path in sorted(found.items(), key=lambda item: (item[0][-2:], item[0])):
            channel, emotion, intensity, statement, repetition, actor = (int(part) for part in key.split("-"))
            if CHANNELS[channel - 1] not in self.channels:
                continue
            word = CODES[emotion - 1]
            expression = self.calm if word == "calm" else word
            if expression is None:
                yield self.no_label(key, f"{self.relative(path)}: calm, which is none of the eight expressions")
                continue
            attributes = {
                "emotion": word,
                "channel": CHANNELS[channel - 1],
                "intensity": INTENSITIES[intensity - 1],
                "statement": STATEMENTS[statement - 1],
                "repetition": repetition,
                "sex": "male" if actor % 2 else "female",
            }
            subject = f"Actor_{actor:02d}"
            yield self.clip(key, path, Labels(expression=expression), self.split(subject), subject, attributes)
        for path in strange:
            yield self.no_label(self.relative(path), "its name is not seven numbers joined by -")
