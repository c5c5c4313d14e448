"""CK+ (Lucey et al., CVPRW 2010): the peak frame of every sequence that carries an emotion label.

    cohn-kanade-images/S005/001/S005_001_00000001.png ... S005_001_00000011.png     from neutral to the peak
    Emotion/S005/001/S005_001_00000011_emotion.txt          "   3.0000000e+00", named after the peak frame
    FACS/S005/001/S005_001_00000011_facs.txt                "   9.0000000e+00   0.0000000e+00" for each AU present

Zips and the folders in them are called differently; both are found. A label means the frame it is named after and no
other. Frames before the peak are no faces of their own, as in Table 1: its 327 images are 327 labelled sequences.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.affect import ACTION_UNITS, STRONGEST
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad, check_ids, numbered

IMAGES: Final = ("cohn-kanade-images", "extended-cohn-kanade-images")
EMOTIONS: Final = ("Emotion", "Emotion_labels")
FACS: Final = ("FACS", "FACS_labels")
CODES: Final = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""Expressions by emotion id (facts 1.1); 0 does not occur in the files that are handed out."""
FRAME: Final = re.compile(r"S\d+_\d+_\d+")
"""The stem of a frame: subject, sequence and number in it."""


class Frame(NamedTuple):
    """One image of a sequence."""

    stem: str
    image: str
    """Relative to the root."""


class CKPlus(Licensed):
    """One record for each labelled sequence, subject `S005`, with its FACS coding in `attributes.facs` (AU: intensity).

    With `facs` the coding becomes labels as well, and sequences that have nothing else are used too. FACS coders write
    down every AU they see, so those of the 17 that a file does not name are False; a sequence without a file, or with
    an empty one, keeps no AU.

    Raises:
        UserError: if the images or the emotion labels (with `facs`, the FACS files) are not below `root`.
    """

    name = "ck_plus"

    def __init__(self, root: str | None, facs: bool = False, **split: Unpack[SplitSettings]) -> None:
        super().__init__(root, **split)
        self.facs = facs

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """All emotion files, and all FACS files where there are any."""
        if not self._frames:
            raise file_tree.missing(self.root, f"image in {IMAGES[0]}/")
        found = {"emotions": self._emotion_files, "facs": self._facs_files}
        return {name: list(files.values()) for name, files in found.items() if files}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield the labelled frames, and one rejection for each sequence that nobody labelled.

        Raises:
            UserError: if a label file is no UTF-8 text or a line of it is not what it should be.
        """
        frames, named = self._frames, self._labelled
        bad: list[Bad] = []
        ids: set[int] = set()
        for stem, file in named.items():
            found = [frame for frame in frames.get(_sequence(stem), ()) if frame.stem == stem]
            yield self._record(stem, file, found, ids, bad)
        yield from self.bad_rows(bad)
        check_ids(self.root, ids, 1, len(CODES) - 1)  # 0 does not occur in the files that are handed out
        labelled = {_sequence(stem) for stem in named}
        for sequence in sorted(frames.keys() - labelled):
            peak = frames[sequence][-1]
            yield self.no_label(peak.stem, f"{peak.image}: no emotion label for this sequence")

    def _record(self, stem: str, file: Path, found: Sequence[Frame], ids: set[int], bad: list[Bad]) -> Listed:
        where = self.relative(file)
        if len(found) != 1:
            there = f"more than one: {', '.join(frame.image for frame in found)}" if found else f"no image {stem}"
            return self.no_image(stem, f"{where}: {there}")
        emotion = self._emotion_files.get(stem)
        if emotion and (code := read_id(emotion)) is not None:
            ids.add(code)
        coding = self._coding(stem, bad)
        labels = Labels(
            expression=read_emotion(emotion) if emotion else None,
            action_units=action_units(coding) if self.facs else None,
        )
        subject = _subject(stem)
        attributes = {"facs": {str(au): intensity for au, intensity in coding.items()}} if coding else {}
        empty = f"{where}: no emotion id from 0 to {len(CODES) - 1} in it"
        return self.record(stem, found[0].image, labels, self.split(subject), subject, attributes, empty)

    def _coding(self, stem: str, bad: list[Bad]) -> dict[int, int | None]:
        """Return what a frame's FACS file names; nothing where there is none or it is bad, which is listed."""
        try:
            return read_facs(self._facs_files[stem]) if stem in self._facs_files else {}
        except UserError as error:
            bad.append(Bad(self._facs_files[stem], 0, error.problem))
            return {}

    @cached_property
    def _frames(self) -> dict[str, list[Frame]]:
        """The frames of every sequence, in order."""
        folder = _either(self.root, IMAGES)
        sequences: dict[str, list[Frame]] = {}
        for path in file_tree.walk(folder, *file_tree.IMAGES):
            stem = path.name.rpartition(".")[0].upper()
            frame = Frame(stem, self.relative(path))
            sequences.setdefault(_sequence(stem), []).append(frame)
        return {name: sorted(frames) for name, frames in sequences.items()}

    @cached_property
    def _emotion_files(self) -> dict[str, Path]:
        """The emotion files, by the frame they are named after."""
        found = _label_files(_either(self.root, EMOTIONS), "_emotion.txt")
        if not found:
            raise file_tree.missing(self.root, "Emotion/<subject>/<sequence>/*_emotion.txt")
        return found

    @cached_property
    def _facs_files(self) -> dict[str, Path]:
        """The FACS files, by the frame they are named after."""
        folder = _either(self.root, FACS) if self.facs else file_tree.find(self.root, *FACS)
        return _label_files(folder, "_facs.txt") if folder else {}

    @property
    def _labelled(self) -> dict[str, Path]:
        """The files whose labels are used, by frame: an emotion file comes before a FACS file."""
        used = {**self._facs_files, **self._emotion_files} if self.facs else self._emotion_files
        return dict(sorted(used.items()))


def read_emotion(file: Path) -> str | None:
    """Return the expression of an emotion file; None where its first number is no emotion id.

    Raises:
        UserError: if the file is no UTF-8 text.
    """
    code = read_id(file)
    return CODES[code] if code is not None and 0 <= code < len(CODES) else None


def read_id(file: Path) -> int | None:
    """Return the first number of an emotion file; None where there is no whole one.

    Raises:
        UserError: if the file is no UTF-8 text.
    """
    words = " ".join(label_text.lines(file)).split()
    return label_text.whole(words[0]) if words else None


def read_facs(file: Path) -> dict[int, int | None]:
    """Return the AUs of a FACS file with their intensities as given: 0 for not scored, 1 to 5; None for any other.

    Raises:
        UserError: if the file is no UTF-8 text, or if a line is not an AU and its intensity. What a file does not
            name was not seen, so that without that line the others would say too little.
    """
    coding: dict[int, int | None] = {}
    for line, text in numbered(file):
        cells = text.split()
        au = label_text.whole(cells[0])
        if len(cells) != 2 or au is None:
            raise label_text.damaged(file, line, f"{text[:80]!r} is not an AU and its intensity")
        intensity = label_text.whole(cells[1])
        # 1 is A and 5 is E; 0 stands for an AU that is present but was not scored.
        coding[au] = intensity if intensity is not None and 0 <= intensity <= STRONGEST else None
    return coding


def action_units(coding: Mapping[int, int | None]) -> dict[int, bool] | None:
    """Return which of the 17 AUs a FACS coding names: it is complete, what it does not name was not seen.

    >>> [au for au, active in action_units({4: 2, 25: 0, 43: 0}).items() if active]
    [4, 25]
    """
    return {au: au in coding for au in ACTION_UNITS} if coding else None


def _either(root: Path, names: Sequence[str]) -> Path:
    # One name after the other: the zip's own folder lies around the one that is meant.
    return next((found for name in names if (found := file_tree.find(root, name))), None) or file_tree.required(
        root, *names
    )


def _label_files(folder: Path, ending: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in file_tree.walk(folder, ending):
        stem = file.name[: -len(ending)].upper()
        if not FRAME.fullmatch(stem):
            raise label_text.damaged(file, None, f"not called <subject>_<sequence>_<frame>{ending}")
        if stem in files:
            raise label_text.damaged(file, None, f"there is {files[stem]} for the same frame")
        files[stem] = file
    return files


def _sequence(stem: str) -> str:
    return stem.rpartition("_")[0] or stem


def _subject(stem: str) -> str:
    return stem.partition("_")[0]
