"""MAFW (Liu et al., ACM MM 2022): clips of films with one of eleven emotions, in five official folds.

    Train & Test Set/single/no_caption/set_1/train.txt, test.txt     "00001.mp4 anger", or its number from 1 to 11
    data/clips/00001.mp4                                             the clips, or
    data/frames/00001/                                               folders of extracted frames

Three of the eleven are no expression of ours: such clips have `attributes.emotion`, which `benchmark=mafw` scores, and
no expression. No subjects are known; the owners' folds are kept. The captions are instruction data: `data=mafw`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Unpack

from seke.core import file_tree
from seke.sources.base import label_text
from seke.sources.base.clip_source import ClipSettings, places
from seke.sources.base.folded_clips import FoldedClips
from seke.sources.base.folds import Fold, Listing
from seke.sources.base.tables import Bad, RowError, check_ids, numbered, parsed_rows

EMOTIONS: Final = (
    "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt",
    "anxiety", "helplessness", "disappointment",
)  # fmt: skip
"""The classes 1 to 11."""
FOLDERS: Final = ("clips", "frames")
"""Of clips; the first that is there and holds any is taken, for a video says how fast it runs."""
SET: Final = re.compile(r"set_([1-5])", re.IGNORECASE)


class MAFW(FoldedClips):
    """The clips with one emotion; without `images` those in data/clips, or data/frames where there are none."""

    name = "mafw"

    def __init__(
        self, root: str | None, fold: Fold = 1, images: str | None = None, **settings: Unpack[ClipSettings]
    ) -> None:
        settings.setdefault("frames", "drawn_frames")  # for data/frames may be the dataset's
        super().__init__(root, fold, images, **settings)

    @cached_property
    def lists(self) -> dict[tuple[int, bool], Path]:
        """The list of each fold and side (True: test) of single emotions."""
        base = file_tree.required(self.root, "no_caption")
        found: dict[tuple[int, bool], Path] = {}
        for folder in sorted(file_tree.below(self.root, re.compile(r"^(data|frames|clips)$"), file_tree.DEPTH + 3)):
            of_set, parents = SET.fullmatch(folder.name), [part.lower() for part in folder.parts]
            if of_set and "no_caption" in parents and "compound" not in parents:
                for entry in file_tree.files(folder, ".txt"):
                    if (side := entry.name.lower()) in ("train.txt", "test.txt"):
                        found.setdefault((int(of_set[1]), side == "test.txt"), Path(entry.path))
        if not found:
            raise file_tree.missing(base, "single/no_caption/set_1/test.txt")
        return dict(sorted(found.items()))

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folders of clips, those of videos first."""
        names = (self.images.split("/")[-1],) if self.images else FOLDERS
        found = [folder for name in names if (folder := file_tree.find(self.root, name, skip=FOLDERS))]
        if not found:
            raise file_tree.missing(self.root, f"folder {' or '.join(names)}")
        return tuple(found)

    def named(self, folder: Path) -> Mapping[str, Path]:
        """Return the clips by their names, padded with zeros as the lists have it."""
        return {name.zfill(5): path for name, path in places(folder, self.drawn).items()}

    def listed(self, bad: list[Bad]) -> Mapping[str, Listing]:
        """Return what the lists say of each clip; rows that are none go to `bad`.

        Raises:
            UserError: as `read_list` does, or if there are numbers of another dataset.
        """
        clips: dict[str, Listing] = {}
        ids: set[int] = set()
        for (fold, test), file in self.lists.items():
            for line, (key, emotion) in read_list(file, bad, ids):
                where = f"{self.relative(file)}, line {line}"
                clips.setdefault(key, Listing()).add(emotion, fold, test, where)
        check_ids(self.root, ids, 1, len(EMOTIONS))
        return clips


def read_list(file: Path, bad: list[Bad], ids: set[int]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield line, clip and emotion of each row of a list; one that is not these two goes to `bad`, numbers to `ids`.

    Raises:
        UserError: if it is no UTF-8 text; at bad rows as `parsed_rows` does.
    """

    def parse(text: str) -> tuple[str, str]:
        cells = text.replace("\t", " ").split()
        code = label_text.whole(cells[-1])
        if code is not None:
            ids.add(code)
        name = EMOTIONS[code - 1] if code is not None and 1 <= code <= len(EMOTIONS) else cells[-1].lower()
        if len(cells) != 2 or (name not in EMOTIONS and code != 0):
            raise RowError(f"{text[:60]!r} is not the name of a clip and one of the eleven emotions")
        return cells[0].rpartition(".")[0] or cells[0], name

    rows = list(numbered(file))
    if rows and rows[0][1].lower().startswith(("clip", "video", "name")):
        rows = rows[1:]  # some copies begin with a header
    yield from parsed_rows(file, rows, parse, bad)
