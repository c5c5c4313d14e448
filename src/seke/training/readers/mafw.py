"""MAFW: captions of film clips, in Chinese and English, and the clips' emotions (facts 2.4).

    <path>/labels/Labels/descriptive_text.xlsx   no header: clip, Chinese, English (no neutral clip has a caption)
    <path>/labels/Labels/single-set.xlsx         header; clip ... single_label: 1 to 11, 0 = none
    <path>/.../with_caption/set_1/train.txt      instead: clip TAB label TAB Chinese TAB English, GB18030
    <root>/**/00025.mp4                          the clips, or folders 00025/ of extracted frames: the middle is
                                                 taken, or with `shown` so many frames of all

The set has no question of its own: it is the setting `question`. Three of its classes are none of the eight; they keep
their own word in the answer, and rows of theirs have no label for `keep`. Where anger is 0 in place of 1, every label
would be another's: the numbers of a whole file must fit, and what fits both ways is asked for. test.txt is left out.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from zipfile import ZipFile

from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.records import Labels, RecordError, Rejection
from seke.core.setting_checks import check_whole
from seke.training.readers.clips import Clips, choice_of, frames_folder
from seke.training.readers.find import below, missing, optional, told
from seke.training.readers.row import (
    Keep,
    Row,
    UnusableError,
    exchange,
    expression,
    keep_only,
    rejected,
    row_or_rejection,
    whole_number,
)

EMOTIONS: Final = (
    "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt",
    "anxiety", "helplessness", "disappointment",
)  # fmt: skip
"""The classes 1 to 11 (facts 1.7)."""
SHEET: Final = "descriptive_text.xlsx"
LABELS: Final = "single-set.xlsx"
TWO: Final = "two"
"""In the place of the emotion of a clip that is listed with two."""
MOST_ROWS, MOST_COLUMNS, LARGEST_BOOK = 200_000, 50, 512 << 20
"""Of a workbook: rows, columns, and bytes once unpacked. MAFW has ten thousand rows."""


class Caption(NamedTuple):
    """One captioned clip."""

    where: str
    clip: str
    label: str
    """The number of its class, or nothing."""
    chinese: str
    english: str


@dataclass(frozen=True)
class Mafw:
    """Reads MAFW's captions."""

    question: str
    naming: str
    """The sentence that follows the caption where the emotion is known; `{emotion}` is its place."""
    captions: Literal["english", "chinese"] = "english"
    first_label: int | None = None
    """The number of anger, 0 or 1; None: 1, unless a file's numbers may as well begin at 0."""
    frames: str | None = None
    """Folder for frames taken from videos; None: `frames` in the dataset's folder."""
    shown: int | None = None
    """Frames of a clip; None: its middle one alone."""
    every: float | None = None
    """Seconds between them; None: they are spread evenly."""
    fold: int | None = None
    """The official fold whose test clips are left out, for `benchmark=mafw` to ask about; None: no clip is."""

    def __post_init__(self) -> None:
        choice_of(self.shown, every=self.every)
        check_whole("data.reader.fold", self.fold, 1, 5, optional=True)
        if self.captions not in ("english", "chinese"):
            raise UserError("data.reader.captions", self.captions, "no such captions", "use english or chinese")
        if "{emotion}" not in self.naming:
            raise UserError("data.reader.naming", self.naming, "no {emotion} in it", "say where the emotion stands")
        if self.first_label not in (None, 0, 1):
            raise UserError("data.reader.first_label", self.first_label, "neither 0 nor 1", "use 0, 1 or null")

    def files(self, path: Path) -> list[Path]:
        """Return the files with captions, single-set.xlsx where there is one, and the fold's list of test clips."""
        labels = None if path.is_file() else optional(path, LABELS)
        return [*_captioned(path)[0], *([labels] if labels else []), *self._test_lists(path)]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per captioned clip, in the order of the files; a clip in several of them counts once."""
        labels = None if path.is_file() else optional(path, LABELS)
        files, held_out = _captioned(path)
        yield from told(path, held_out)
        emotions = None if labels is None else self._single_labels(labels)
        found = [(file, caption) for file in files for caption in _captions(file)]
        captions = [(file, caption) for file, caption in found if isinstance(caption, Caption)]
        yield from (caption for _, caption in found if isinstance(caption, Rejection))
        # The numbers of a compound file are those of pairs of emotions.
        labelled = [] if emotions is not None else [(f, c) for f, c in captions if "compound" not in f.parts]
        first = self._first((f"{file.name}: {caption.where}", caption.label) for file, caption in labelled)
        clips = Clips(root, {_stem(caption.clip) for _, caption in captions}, frames_folder(path, self.frames))
        seen: set[str] = set()
        tested = {
            _stem(line.split()[0]) for file in self._test_lists(path) for line in _text(file) if line and line.strip()
        }
        for file, caption in captions:
            clip = _stem(caption.clip)
            if clip in seen:
                continue
            seen.add(clip)
            if clip in tested:
                yield rejected(clip, "held out", f"a test clip of fold {self.fold}")
                continue
            if emotions is not None:
                emotion = emotions.get(clip)
            else:
                emotion = None if "compound" in file.parts else _emotion(caption.label, first)
            if emotion == TWO:
                yield rejected(clip, "two labels", f"{LABELS} gives it two emotions")
            else:
                yield row_or_rejection(file, caption.where, clip, partial(self._row, caption, emotion, clips, keep))

    def _test_lists(self, path: Path) -> list[Path]:
        """Return the fold's list of test clips, wherever it lies.

        Raises:
            UserError: if there is none.
        """
        if self.fold is None:
            return []
        folder = path.parent if path.is_file() else path
        name = f"set_{self.fold}"
        found = [file for file in below(folder, "test.txt") if file.parent.name == name and "single" in file.parts]
        if not found:
            raise missing(folder, f"single/no_caption/{name}/test.txt")
        return found[:1]

    def _first(self, labels: Iterable[tuple[str, str]], none: bool = False) -> int:
        """Return the number of anger.

        Args:
            labels: all labels of the dataset, each after the place where it stands.
            none: whether 0 may stand for no emotion where anger is 1.

        Raises:
            UserError: if the labels contradict the setting, or do not tell.
        """
        argument, said, last = "data.reader.first_label", self.first_label, len(EMOTIONS)
        seen: dict[int, str] = {}
        for where, label in labels:
            number = whole_number(label)
            if (number is None and label.strip() and label.strip().lower() not in EMOTIONS) or (
                number is not None and not 0 <= number <= last
            ):
                raise UserError(argument, said, f"{where}: label {label[:40]!r}, none of 0 to {last}", "fix the file")
            if number is not None:
                seen.setdefault(number, where)
        if last in seen and said == 0:
            raise UserError(argument, said, f"{seen[last]}: label {last}, so labels begin at 1", "set 1")
        if last in seen and 0 in seen and not none:
            raise UserError(argument, said, f"{seen[0]}: label 0 beside label {last}", "fix the file")
        if 0 in seen and last not in seen and (said is None or (said == 1 and not none)):
            also = ", or data.reader.first_label=1 if 0 means none" if none else ""
            problem = f"{seen[0]}: label 0 and no label {last}, so labels seem to begin at 0"
            raise UserError(argument, said, problem, f"set data.reader.first_label=0{also}")
        return 1 if said is None else said

    def _single_labels(self, file: Path) -> dict[str, str | None]:
        rows = _cells(file)
        header = [cell.strip().lower() for cell in next(rows, [])]
        if not {"clip", "single_label"} <= set(header):
            raise RecordError(file, f"no columns clip and single_label but {', '.join(header)[:80]!r}")
        clip, label = header.index("clip"), header.index("single_label")
        listed = [(_stem(cells[clip]), cells[label]) for cells in rows if len(cells) > max(clip, label)]
        first = self._first(((f"{file.name}: {name}", text) for name, text in listed), none=True)
        labels: dict[str, str | None] = {}
        for name, text in listed:
            emotion = _emotion(text, first)
            labels[name] = emotion if labels.get(name, emotion) == emotion else TWO
        return labels

    def _row(self, caption: Caption, emotion: str | None, clips: Clips, keep: Keep) -> Row:
        text: str = getattr(caption, self.captions).strip()
        if not text:
            raise UnusableError("answer", f"no {self.captions} caption")
        answer = text + (" " + self.naming.replace("{emotion}", emotion) if emotion else "")
        labels = Labels(expression=expression(emotion)) if emotion else Labels()
        turns = keep_only(exchange(self.question, answer), labels, keep)
        return clips.row(_stem(caption.clip), turns, None, choice_of(self.shown, every=self.every))


def _captioned(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the sheet of captions, or else the text files with captions, the single emotions' before the pairs'.

    Second come the text files of the test sides, which are not read.
    """
    if path.is_file():
        return [path], []
    if (sheet := optional(path, SHEET)) is not None:
        return [sheet], []
    texts = [file for file in below(path, "train.txt", "test.txt") if "no_caption" not in file.parts]
    held_out = [file for file in texts if file.name.lower() == "test.txt"]
    train = [file for file in texts if file not in held_out]
    if not train:
        raise missing(path, SHEET, "with_caption/**/train.txt")
    return sorted(train, key=lambda file: ("compound" in file.parts, file)), held_out


def _captions(file: Path) -> Iterator[Caption | Rejection]:
    """Yield the file's captions, and what stands in the place of one.

    Raises:
        RecordError: if the first row is of another form: then the file is.
    """
    rows = _sheet(file) if file.suffix.lower() == ".xlsx" else _lines(file)
    good = False
    for found in rows:
        if isinstance(found, Rejection) and not good:
            raise RecordError(file, f"{found.id.removeprefix(file.stem).strip()}, {found.detail}")
        good = True
        yield found


def _lines(file: Path) -> Iterator[Caption | Rejection]:
    if file.suffix.lower() != ".txt":
        raise RecordError(file, f"neither {SHEET} nor a .txt file with captions")
    for number, line in enumerate(_text(file), start=1):
        where = f"line {number}"
        if line is None:
            yield rejected(f"{file.stem} {where}", "form", "neither UTF-8 nor GB18030 text")
            continue
        words = line.split("\t", 3)
        if not line.strip() or (number == 1 and not _is_clip(words[0])):
            continue
        if len(words) == 4 and _is_clip(words[0]):
            yield Caption(where, *(word.strip() for word in words))
        else:
            problem = f"{len(words)} fields between tabs, not clip, label, two captions"
            yield rejected(f"{file.stem} {where}", "form", problem)


def _sheet(file: Path) -> Iterator[Caption | Rejection]:
    for number, cells in enumerate(_cells(file), start=1):
        if not any(cells) or (number == 1 and not _is_clip(cells[0])):
            continue
        clip, chinese, english = [*cells, "", ""][:3]  # empty cells at a row's end are not stored
        where = f"row {number}"
        if _is_clip(clip) and not _is_clip(chinese):
            yield Caption(where, clip, "", chinese, english)
        else:
            problem = f"not clip, Chinese, English but {' | '.join(cells)[:80]!r}"
            yield rejected(f"{file.stem} {where}", "form", problem)


def _cells(file: Path) -> Iterator[list[str]]:
    """Yield the rows of a workbook's first sheet as text; an empty cell is an empty string.

    Raises:
        RecordError: if it is no workbook, or a larger one than anybody would fill with labels.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError("file", file, "reading it needs openpyxl", "pip install openpyxl") from error
    rows: list[list[str]] = []
    try:
        with ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > LARGEST_BOOK:
            raise RecordError(file, f"{size:,} bytes unpacked, more than {LARGEST_BOOK:,}")
        book = load_workbook(file, read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        sheet.reset_dimensions()  # some writers record a size that cuts the sheet short
        for row in sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS):
            rows.append(["" if cell is None else str(cell) for cell in row])
            if len(rows) > MOST_ROWS:  # one stray cell far below makes rows of all that lies between
                raise RecordError(file, f"more than {MOST_ROWS:,} rows")
        book.close()
    except RecordError:
        raise
    except Exception as error:  # a workbook is a zip of XML, whose readers raise nearly anything on hostile input
        raise RecordError(file, f"no readable workbook ({type(error).__name__}: {error})") from error
    yield from rows


def _text(file: Path) -> list[str | None]:
    """Return the lines of a text file; None in the place of one that is of neither encoding."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RecordError(file, f"cannot be read ({error.strerror})") from error
    with suppress(UnicodeDecodeError):
        return list(data.decode("utf-8-sig").splitlines())
    return [_decoded(line) for line in data.splitlines()]


def _decoded(line: bytes) -> str | None:
    for encoding in ("gb18030", "utf-8-sig"):
        with suppress(UnicodeDecodeError):
            return line.decode(encoding)
    return None


def _emotion(number: str, first: int) -> str | None:
    """Return the name of a class, given as its number or its name; None where it is none of the eleven, as 0 may be."""
    if number.strip().lower() in EMOTIONS:
        return number.strip().lower()
    found = whole_number(number)
    index = -1 if found is None else found - first
    return EMOTIONS[index] if 0 <= index < len(EMOTIONS) else None


def _is_clip(cell: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]*\d(\.\w+)?", cell.strip(), re.ASCII))


def _stem(clip: str) -> str:
    """Return a clip's name without its suffix; a bare number, as a spreadsheet makes of 00025, gets its zeros back."""
    name = clip.strip()
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in VIDEOS else name
    bare = re.fullmatch(r"(\d+)(\.0)?", stem, re.ASCII)
    return bare[1].zfill(5) if bare else stem
