"""MAFW: captions of film clips, in Chinese and English, and the clips' emotions (facts 2.4).

    <path>/labels/Labels/descriptive_text.xlsx   no header: clip, Chinese, English (no neutral clip has a caption)
    <path>/labels/Labels/single-set.xlsx         header; clip ... single_label: 1 to 11, 0 = none
    <path>/.../with_caption/set_1/train.txt      instead: clip TAB label TAB Chinese TAB English, GB18030
    <root>/**/00025.mp4                          the clips, or folders 00025/ of extracted frames: the middle is taken

The set has no question of its own: it is the setting `question`. Three of its classes are none of the eight; they keep
their own word in the answer, and rows of theirs have no label for `keep`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from seke.errors import UserError
from seke.records import Labels, RecordError, Rejection
from seke.tuning.rows.clips import VIDEOS, Clips, cache_of
from seke.tuning.rows.find import below, missing, optional
from seke.tuning.rows.row import Keep, Row, UnusableError, exchange, expression, kept, made

EMOTIONS: Final = (
    "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt",
    "anxiety", "helplessness", "disappointment",
)  # fmt: skip
"""The classes 1 to 11 (facts 1.7)."""
SHEET: Final = "descriptive_text.xlsx"
LABELS: Final = "single-set.xlsx"


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
    first_label: int = 1
    """The number of anger in .txt files (not read where there is a single-set.xlsx); 0 in some copies."""
    frames: str | None = None
    """Folder for frames taken from videos; None: `frames` in the dataset's folder."""

    def __post_init__(self) -> None:
        if self.captions not in ("english", "chinese"):
            raise UserError("data.reader.captions", self.captions, "no such captions", "use english or chinese")
        if "{emotion}" not in self.naming:
            raise UserError("data.reader.naming", self.naming, "no {emotion} in it", "say where the emotion stands")

    def files(self, path: Path) -> list[Path]:
        """Return the files with captions, and single-set.xlsx where there is one."""
        labels = None if path.is_file() else optional(path, LABELS)
        return [*_captioned(path), *([labels] if labels else [])]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per captioned clip, in the order of the files; a clip in several of them counts once."""
        labels = None if path.is_file() else optional(path, LABELS)
        emotions = None if labels is None else _single_labels(labels)
        captions = [(file, caption) for file in _captioned(path) for caption in _captions(file)]
        clips = Clips(root, {_stem(caption.clip) for _, caption in captions}, cache_of(path, self.frames))
        seen: set[str] = set()
        for file, caption in captions:
            clip = _stem(caption.clip)
            if clip in seen:
                continue
            seen.add(clip)
            emotion = emotions.get(clip) if emotions is not None else self._numbered(file, caption)
            yield made(file, caption.where, clip, partial(self._row, caption, emotion, clips, keep))

    def _numbered(self, file: Path, caption: Caption) -> str | None:
        if "compound" in file.parts:  # numbers of pairs of emotions
            return None
        if caption.label == "0" and self.first_label == 1:
            raise RecordError(file, f"{caption.where}: label 0, which begins at 1 (data.reader.first_label=0?)")
        return _emotion(caption.label, self.first_label)

    def _row(self, caption: Caption, emotion: str | None, clips: Clips, keep: Keep) -> Row:
        text: str = getattr(caption, self.captions).strip()
        if not text:
            raise UnusableError("answer", f"no {self.captions} caption")
        answer = text + (" " + self.naming.replace("{emotion}", emotion) if emotion else "")
        labels = Labels(expression=expression(emotion)) if emotion else Labels()
        turns = kept(exchange(self.question, answer), labels, keep)
        picture, frame = clips.picture(_stem(caption.clip))
        return Row(_stem(caption.clip), turns, (picture,), frame)


def _captioned(path: Path) -> list[Path]:
    """Return the sheet of captions, or else the text files with captions, the single emotions' before the pairs'."""
    if path.is_file():
        return [path]
    if (sheet := optional(path, SHEET)) is not None:
        return [sheet]
    texts = [file for file in below(path, "train.txt", "test.txt") if "no_caption" not in file.parts]
    if not texts:
        raise missing(path, SHEET, "with_caption/**/train.txt")
    return sorted(texts, key=lambda file: ("compound" in file.parts, file))


def _captions(file: Path) -> Iterator[Caption]:
    if file.suffix.lower() == ".xlsx":
        for where, (clip, chinese, english) in _three(file, _cells(file)):
            yield Caption(where, clip, "", chinese, english)
        return
    if file.suffix.lower() != ".txt":
        raise RecordError(file, f"neither {SHEET} nor a .txt file with captions")
    for number, line in enumerate(_text(file).splitlines(), start=1):
        fields = line.split("\t", 3)
        if not line.strip() or (number == 1 and not _is_clip(fields[0])):
            continue
        if len(fields) != 4:
            raise RecordError(file, f"line {number}, {len(fields)} fields between tabs, not clip, label, two captions")
        yield Caption(f"line {number}", *(field.strip() for field in fields))


def _three(file: Path, rows: Iterable[Sequence[str]]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for number, cells in enumerate(rows, start=1):
        if not any(cells) or (number == 1 and not _is_clip(cells[0])):
            continue
        clip, chinese, english = [*cells, "", ""][:3]  # empty cells at a row's end are not stored
        if not _is_clip(clip) or _is_clip(chinese):
            raise RecordError(file, f"row {number}, not clip, Chinese, English but {' | '.join(cells)[:80]!r}")
        yield f"row {number}", (clip, chinese, english)


def _single_labels(file: Path) -> dict[str, str | None]:
    rows = _cells(file)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if not {"clip", "single_label"} <= set(header):
        raise RecordError(file, f"no columns clip and single_label but {', '.join(header)[:80]!r}")
    clip, label = header.index("clip"), header.index("single_label")
    return {_stem(cells[clip]): _emotion(cells[label], 1) for cells in rows if len(cells) > max(clip, label)}


def _cells(file: Path) -> Iterator[list[str]]:
    """Yield the rows of a workbook's first sheet as text; an empty cell is an empty string."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError("file", file, "reading it needs openpyxl", "pip install openpyxl") from error
    try:
        book = load_workbook(file, read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        sheet.reset_dimensions()  # some writers record a size that cuts the sheet short
        rows = [["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        book.close()
    except Exception as error:  # a workbook is a zip of XML, whose readers raise nearly anything on hostile input
        raise RecordError(file, f"no readable workbook ({type(error).__name__}: {error})") from error
    yield from rows


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RecordError(file, f"cannot be read ({error.strerror})") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RecordError(file, "neither UTF-8 nor GB18030 text")


def _emotion(number: str, first: int) -> str | None:
    """Return the name of a class; None for 0 (none) and for whatever else is not one of the eleven."""
    match = re.fullmatch(r"(\d{1,2})(\.0*)?", number.strip(), re.ASCII)
    index = int(match[1]) - first if match else -1
    return EMOTIONS[index] if 0 <= index < len(EMOTIONS) else None


def _is_clip(cell: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]*\d(\.\w+)?", cell.strip(), re.ASCII))


def _stem(clip: str) -> str:
    """Return a clip's name without its suffix; a bare number, as a spreadsheet makes of 00025, gets its zeros back."""
    name = clip.strip()
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in VIDEOS else name
    bare = re.fullmatch(r"(\d+)(\.0)?", stem, re.ASCII)
    return bare[1].zfill(5) if bare else stem
