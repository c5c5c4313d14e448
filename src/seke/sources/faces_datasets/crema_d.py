"""CREMA-D (Cao et al., IEEE TAC 2014): 91 actors say twelve sentences in six emotions; a crowd said what it saw.

    VideoFlash/1001_DFA_ANG_XX.flv          actor, sentence, emotion, level (LO, MD, HI, XX: unspecified)
    processedResults/summaryTable.csv       FileName, VoiceVote, FaceVote, MultiModalVote: A, D, F, H, N, S; ties "A:D"
    VideoDemographics.csv                   ActorID, Age, Sex, Race, Ethnicity

The repository keeps its videos by git-lfs: a plain download has text files in their place, which are rejected by name.
Actors are subjects; the owners have decided no split.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Unpack

from seke.core import file_tree
from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.clip_source import ClipSettings, ClipSource
from seke.sources.base.split import Listed
from seke.sources.base.tables import RowError, read_csv

NAME: Final = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", re.IGNORECASE)
ACTED: Final[Mapping[str, str]] = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
}  # fmt: skip
VOTED: Final[Mapping[str, str]] = {word[0]: name for word, name in ACTED.items()}
LEVELS: Final[Mapping[str, str | None]] = {"LO": "low", "MD": "medium", "HI": "high", "XX": None, "X": None}
"""X: as one file of the release is called."""
VOTES: Final[Mapping[str, str]] = {"face": "facevote", "multimodal": "multimodalvote"}
"""The columns of what was voted for when the face was seen, without and with its voice."""
LABELS: Final = ("acted", *VOTES)
TABLE: Final = "summaryTable.csv"
PEOPLE: Final = "VideoDemographics.csv"


class CremaD(ClipSource):
    """One record for each clip, subject `1001`, with the emotion that was acted or that most people saw.

    `label`: acted (by the file's name), face or multimodal (the crowd's vote; a tie is no label).

    Raises:
        UserError: see `ClipSource`; if `label` is none, its table is missing or damaged, or no clip is below the root.
    """

    name = "crema_d"

    def __init__(self, root: str | None, label: str = "acted", **settings: Unpack[ClipSettings]) -> None:
        super().__init__(root, **settings)
        if label not in LABELS:
            raise UserError("source.label", label, "no such label", f"use {', '.join(LABELS)}")
        self.label = label

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The tables that are there: votes, where they are the label, and what is known of the actors."""
        votes = {"votes": self._table} if self.label in VOTES else {}
        return {**votes, **({"actors": self._people} if self._people else {})}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every clip, and a rejection for ties, votes without a clip, and videos of other names.

        Raises:
            UserError: if there is no clip, or a table is not what it should be.
        """
        found = {path.stem.upper(): path for path in file_tree.walk(self.root, *VIDEOS, leave=self.drawn)}
        named = {stem: name for stem in found if (name := NAME.fullmatch(stem)) and name[3] in ACTED}
        if not named:
            raise file_tree.missing(self.root, "VideoFlash/1001_DFA_ANG_XX.flv")
        votes = self._column(self._table, "filename", VOTES[self.label]) if self.label in VOTES else {}
        people = self._actors()
        for stem, name in sorted(named.items()):
            subject, acted = name[1], ACTED[name[3]]
            expression: str | None = acted
            if self.label in VOTES:
                vote = votes.get(stem, "")
                expression = VOTED.get(vote.strip().upper())
                if expression is None:
                    why = f"votes tie: {vote}" if ":" in vote else f"{TABLE} has no vote for it"
                    yield self.no_label(stem, why)
                    continue
            attributes: dict[str, Any] = {"emotion": expression, "acted": acted, "sentence": name[2]}
            if level := LEVELS.get(name[4]):
                attributes["level"] = level
            attributes |= people.get(subject, {})
            yield self.clip(stem, found[stem], Labels(expression=expression), self.split(subject), subject, attributes)
        for stem in sorted(found.keys() - named.keys()):
            yield self.no_label(self.relative(found[stem]), "its name is not actor_sentence_emotion_level")
        for stem in sorted(votes.keys() - found.keys()):
            yield self.no_image(stem, f"{TABLE} names it, and no video is called so")

    @cached_property
    def _table(self) -> Path:
        return file_tree.required(self.root, TABLE, folder=False)

    @cached_property
    def _people(self) -> Path | None:
        return file_tree.find(self.root, PEOPLE, folder=False)

    def _actors(self) -> dict[str, dict[str, str]]:
        """Return age, sex, race and ethnicity of each actor, as far as they are told."""
        if self._people is None:
            return {}
        columns = {key: self._column(self._people, "actorid", key) for key in ("age", "sex", "race", "ethnicity")}
        actors = {actor for column in columns.values() for actor in column}
        return {
            actor: {key: value.lower() for key, column in columns.items() if (value := column.get(actor, "").strip())}
            for actor in actors
        }

    def _column(self, file: Path, key: str, value: str) -> dict[str, str]:
        """Return one column of a table by another.

        Raises:
            UserError: if the table lacks either, or a row is damaged.
        """
        rows = read_csv(file, label_text.lines(file))
        line, header = next(rows, (1, []))
        names = [] if isinstance(header, RowError) else [name.strip().lower() for name in header]
        if not {key, value} <= set(names):
            raise label_text.damaged(file, line, f"the header is {','.join(names)[:60]!r}, without {key} or {value}")
        found: dict[str, str] = {}
        for line, cells in rows:
            if isinstance(cells, RowError) or len(cells) not in (0, len(names)):
                raise label_text.damaged(file, line, f"no row of {len(names)} columns")
            if cells:
                found[cells[names.index(key)].strip().upper()] = cells[names.index(value)]
        return found
