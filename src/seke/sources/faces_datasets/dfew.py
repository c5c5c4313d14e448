"""DFEW (Jiang et al., ACM MM 2020): clips of films, each with one of seven expressions, in five official folds.

    EmoLabel_DataSplit/train(single-labeled)/set_1.csv     "video_name,label"; label 1 to 7, 0 = no single label
    EmoLabel_DataSplit/test(single-labeled)/set_1.csv      the fold's test clips; no clip is tested twice
    Clip/clip_224x224/00001/00001_00001.jpg                the face in every frame, or jpg_256, or, of the same clips,
    Clip/clip_224x224_avi/00001.avi                        videos of these faces,
    Clip/original/1.mp4                                    the shots of the films, or
    Clip/clip_224x224_16f/00001/1.jpg                      16 frames that were interpolated in time

and the authors' own repository has label/single_trainset_1.csv and data/00001/ in their place. Clips are called by
their number, with or without zeros. Nobody says who is seen: no split can keep people apart, the owners' is kept.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from seke.core import file_tree
from seke.sources.base import label_text
from seke.sources.base.clip_source import places
from seke.sources.base.folded_clips import FoldedClips
from seke.sources.base.folds import Listing
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad, RowError, check_ids, parsed_rows, read_csv

LISTS: Final = ("EmoLabel_DataSplit", "label")
FOLDERS: Final = ("clip_224x224", "jpg_256", "clip_224x224_avi", "original", "clip_224x224_16f")
"""Of clips; the first that is there is taken. All frames are better than some, faces than whole shots."""
PLAIN: Final = "data"
"""The same in the authors' repository."""
FILE: Final = re.compile(r"(?:single_(train|test))?set_?([1-5])\.csv", re.IGNORECASE)
SIDE: Final = re.compile(r"^(train|test)", re.IGNORECASE)
CODES: Final[Mapping[int, str]] = {
    1: "happiness", 2: "sadness", 3: "neutral", 4: "anger", 5: "surprise", 6: "disgust", 7: "fear",
}  # fmt: skip
"""Expressions by label, as the authors' README has them."""


class DFEW(FoldedClips):
    """The single-labelled clips; `images` names their folder (clip_224x224, original, ...)."""

    name = "dfew"

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every clip of the fold; where all are wanted, a rejection for those that no list names as well.

        Raises:
            UserError: if a list is no table of names and labels, or the fold's is not there.
        """
        yield from super().rows(run_path)
        if self.fold == "all":
            for key in sorted(self.there.keys() - self.listed([]).keys()):
                yield self.no_label(key, "no list of single-labelled clips names it")

    def emotion(self, label: str) -> str | None:
        """Return the expression of a label from 1 to 7."""
        return CODES.get(int(label))

    @cached_property
    def lists(self) -> dict[tuple[int, bool], Path]:
        """The list of each fold and side (True: test)."""
        found: dict[tuple[int, bool], Path] = {}
        folder = file_tree.required(self.root, *LISTS)
        for path in file_tree.walk(folder, ".csv"):
            name = FILE.fullmatch(path.name)
            side = (name[1] if name and name[1] else None) or ((of := SIDE.search(path.parent.name)) and of[1])
            if name and side and "multi" not in path.parent.name.lower():
                found.setdefault((int(name[2]), side.lower() == "test"), path)
        if not found:
            raise file_tree.missing(folder, "test(single-labeled)/set_1.csv")
        return dict(sorted(found.items()))

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folder of clips."""
        if self.images:
            return (file_tree.required(self.root, *self.images.split("/")[-1:], skip=FOLDERS),)
        if found := file_tree.find(self.root, *FOLDERS, skip=FOLDERS):
            return (found,)
        for entries in file_tree.levels(self.root):
            for entry in entries:
                if entry.name.lower() == PLAIN and file_tree.is_folder(entry):
                    return (Path(entry.path),)
        raise file_tree.missing(self.root, f"folder {' or '.join(FOLDERS)}")

    def named(self, folder: Path) -> Mapping[str, Path]:
        """Return the clips by their numbers, of five digits."""
        found = places(folder, self.drawn)
        return {f"{int(name):05d}": path for name, path in found.items() if name.isascii() and name.isdecimal()}

    def listed(self, bad: list[Bad]) -> Mapping[str, Listing]:
        """Return what the lists say of each clip; rows that are none go to `bad`.

        Raises:
            UserError: as `read_list` does, or if there are labels of another dataset.
        """
        clips: dict[str, Listing] = {}
        ids: set[int] = set()
        for (fold, test), file in self.lists.items():
            for line, (number, label) in read_list(file, bad):
                where = f"{self.relative(file)}, line {line}"
                clips.setdefault(f"{number:05d}", Listing()).add(str(label), fold, test, where)
                ids.add(label)
        check_ids(self.root, ids, 1, len(CODES))
        return clips


def read_list(file: Path, bad: list[Bad]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield line, clip and label of each row of a list; one that is not two whole numbers goes to `bad`.

    Raises:
        UserError: if it is no UTF-8 text, if its header does not name video_name and label; as `parsed_rows` does.
    """
    rows = read_csv(file, label_text.lines(file))
    line, header = next(rows, (1, []))
    names = [] if isinstance(header, RowError) else [name.strip().lower() for name in header]
    if not {"video_name", "label"} <= set(names):
        raise label_text.damaged(file, line, f"the header is {','.join(names)[:60]!r}, not video_name,label")
    clip, label = names.index("video_name"), names.index("label")
    seen: dict[int, int] = {}

    def parse(cells: list[str] | RowError) -> tuple[int, int]:
        if isinstance(cells, RowError):
            raise cells
        found = [label_text.whole(cells[k]) for k in (clip, label)] if len(cells) == len(names) else []
        number, code = found if found else (None, None)
        if number is None or code is None or not 0 <= code <= len(CODES):
            raise RowError(f"{','.join(cells)[:40]!r} is not the number of a clip and a label from 0 to {len(CODES)}")
        if seen.setdefault(number, code) != code:
            raise RowError(f"clip {number} stands above with label {seen[number]}")
        return number, code

    yield from parsed_rows(file, ((line, cells) for line, cells in rows if cells != []), parse, bad)
