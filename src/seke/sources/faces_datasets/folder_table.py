"""The table of a folder of pictures: what is known about each of them, read as people and programs write it.

    image,subject,expression,valence,arousal,AU1,AU12,AU12_r,attributes.face
    a/01.jpg,anna,happiness,0.7,0.4,0,1,3.5,12 30 80 80

Text in any usual encoding and separator, or a sheet of Excel (`table_file`); columns by their names (`table_columns`);
cells read whole (`table_cells`). All that is wrong is said at once; what was understood is said as well (`Summary`).
Whether an action unit occurs and how strong it is are two columns, and neither is made of the other unless
`source.au_threshold` says from where on it occurs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from seke.core.affect import STRONGEST
from seke.core.class_words import Vocabulary
from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.escape import FORMULA as FORMULAS
from seke.core.escape import one_line
from seke.core.records import Labels
from seke.core.table_columns import (
    ATTRIBUTE,
    INTENSITY,
    SHARE,
    SUCCESS,
    Column,
    Header,
    columns_named,
    picture_column,
    read_header,
)
from seke.sources.base import label_text
from seke.sources.base.table_file import TableFile, open_table
from seke.sources.base.tables import Bad, RowError, TableError
from seke.sources.faces_datasets import table_cells
from seke.sources.faces_datasets.table_cells import GRADED, CellError, Cells

UNKNOWN: Final = "unknown"
FACE: Final = "face"
"""The attribute that other commands crop to."""
REMEDY: Final = "correct the table; an empty cell means unknown"
MOST_ROWS: Final = 2_000_000
LOOKED_AT: Final = 50
"""Rows by whose cells the column of pictures is known."""
TWENTIETH: Final = 20
HALF: Final = 2
KINDS: Final = 12
"""Kinds of mistakes that an error lists, each with the first of its cells."""
ALIKE: Final = 12
"""Further cells that it shows of each kind: a sheet of a dozen rows is corrected at one go."""
DIFFERING: Final = 3
"""Labels that are shown of two rows that disagree."""
UNIT: Final = re.compile(r"AU\d+")
"""Our name of a column that says whether an action unit occurs."""
OCCURRENCE: Final = "AU"
"""The scale of columns that say whether an action unit occurs."""
FEELINGS: Final = ("valence", "arousal")
FEW: Final = 3
"""Numbers of which it is told if none lies below 0, where half of the scale does."""


class Known(NamedTuple):
    """One row of a table."""

    line: int
    subject: str | None
    labels: Labels
    attributes: dict[str, Any]


class TableSettings(NamedTuple):
    """How a table is to be read; each setting is called `source.` and its name."""

    columns: Mapping[str, str | None] = {}
    """Our names of columns and the table's titles; see `table_columns.checked_columns`."""
    classes: object = None
    """Names of expressions beyond the lexicon's, or a convention for numbers; see `class_words.Vocabulary`."""
    au_threshold: float | None = None
    encoding: str | None = None
    sheet: str | None = None
    ranges: Mapping[str, tuple[float, float]] = {}
    """From where to where valence and arousal go in the table, where not from -1 to 1; see `checked_ranges`."""


@dataclass
class Table:
    """What is known about pictures, and what was understood."""

    rows: dict[str, Known] = field(default_factory=dict)
    """By the image that a row names, or the number of its frame."""
    bad: list[Bad] = field(default_factory=list)
    """Rows that cannot be right."""
    contradicted: dict[str, str] = field(default_factory=dict)
    """Images whose rows say different things, and what: which of them is right nobody can tell."""
    summary: list[str] = field(default_factory=list)
    """Lines for a person."""
    frames: bool = False
    """Whether rows name frames by their numbers."""


def read_tables(files: Sequence[Path], settings: TableSettings) -> Table:
    """Return the rows of one table, or of several, of which one without pictures is about the picture of its own name.

    Raises:
        UserError: naming file, line, column and what is accepted, with all that is wrong in a file: if a column cannot
            be right, if numbers have another scale, or if half of the rows are bad.
    """
    if len(files) == 1:
        return _Reader(files[0], settings, own_name=False).read()
    together = Table()
    for file in files:
        one = _Reader(file, settings, own_name=True).read()
        for image, row in one.rows.items():
            if image in together.rows and not _same(together.rows[image], row):
                differing = difference(together.rows[image], row)
                together.contradicted[image] = f"{file.name} and an earlier table disagree ({differing})"
            else:
                together.rows[image] = row
        together.bad += one.bad
        together.contradicted |= one.contradicted
        together.frames = together.frames or one.frames
        if file == files[0]:
            together.summary += one.summary
    spoilt = len(together.bad) + len(together.contradicted)
    told = f"{len(files)} tables: {len(together.rows)} pictures, {spoilt} rows not used; of the first one:"
    together.summary.insert(0, told)
    return together


def checked_ranges(ranges: object) -> dict[str, tuple[float, float]]:
    """Return the setting `source.ranges`: from where to where valence and arousal go in the table.

    Raises:
        UserError: if it is no mapping of them to two numbers, the lower one first.
    """
    if ranges is None:
        return {}
    example = "set for example {valence: [1, 9], arousal: [0, 1]}"
    if not isinstance(ranges, Mapping):
        raise UserError("source.ranges", ranges, "no ranges of valence and arousal", example)
    checked: dict[str, tuple[float, float]] = {}
    for name, ends in ranges.items():
        if name not in FEELINGS:
            raise UserError(f"source.ranges.{name}", ends, "neither valence nor arousal", example)
        pair = list(ends) if isinstance(ends, Sequence) and not isinstance(ends, str) else []
        if len(pair) != 2 or not all(type(end) in (int, float) for end in pair) or not pair[0] < pair[1]:
            raise UserError(f"source.ranges.{name}", ends, "not two numbers, the lower one first", example)
        checked[name] = (float(pair[0]), float(pair[1]))
    return checked


def named_image(cell: str) -> str:
    r"""Return the path that a cell names a picture by, with slashes; empty where it names none.

    >>> named_image(" .\\a\\b.jpg "), named_image("'=a.jpg")
    ('a/b.jpg', '=a.jpg')
    """
    text = table_cells.stripped(cell)
    if text[:1] == "'" and text[1:2] in FORMULAS:
        text = text[1:]  # how tables of ours keep a name from being a formula
    return PurePosixPath(text.replace("\\", "/")).as_posix() if text else ""


class _Kind:
    """Mistakes of one kind: the first, some others and their number."""

    def __init__(self, first: str, column: str) -> None:
        self.first, self.column, self.others, self.number = first, column, list[str](), 1

    def __str__(self) -> str:
        more = f" and {self.number - 1 - len(self.others)} more" if self.number - 1 > len(self.others) else ""
        return self.first + (f" (so {', '.join(self.others)}{more})" if self.others else "")


class Mistakes:
    """All that is wrong with a table, cells of one column and kind together, or of one kind that columns share."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], _Kind] = {}

    def add(self, line: int | None, column: str, error: CellError) -> None:
        """Take in what is wrong with a cell, with a column (`error` names no cell) or with the table (no column)."""
        at = [f"line {line}"] * (line is not None) + [f"column {column}"] * bool(column)
        key = ("", error.kind) if error.kind else (column, error.problem)
        kind = self.kinds.get(key)
        if kind is None:
            text = f"{', '.join(at)}: {error}" if column else ", ".join([*at, str(error)])
            self.kinds[key] = _Kind(text, column)
            return
        kind.number += 1
        if len(kind.others) < ALIKE:
            where = f"line {line}" if column == kind.column else f"line {line}, column {column}"
            kind.others.append(where + (f" {error.cell!r}{error.hint}" if error.cell else ""))

    def drop(self, kind: str) -> None:
        """Leave out what is wrong with cells of a kind that columns share: it is told in another way."""
        self.kinds.pop(("", kind), None)

    def __str__(self) -> str:
        more = len(self.kinds) - KINDS
        return " | ".join([*map(str, islice(self.kinds.values(), KINDS)), *[f"{more} more kinds"] * (more > 0)])


class _Reader:
    """Reads one table."""

    def __init__(self, file: Path, settings: TableSettings, own_name: bool) -> None:
        self.file, self.settings, self.own_name = file, settings, own_name
        self.mistakes, self.table = Mistakes(), Table()
        self.scales = _Scales((), settings)
        self.counts: Counter[str] = Counter()
        self.graded: set[str] = set()
        self.film: Column | None = None
        """The column that names videos, where rows are about their frames."""

    def read(self) -> Table:
        """Return the table.

        Raises:
            UserError: see `read_tables`.
        """
        try:
            if self.settings.au_threshold is not None:
                self.graded = self._graded(self._open())
            self._read(self._open())
        except TableError as error:
            self.mistakes.add(None, "", CellError(str(error)))
            raise self._refusal() from error
        return self.table

    def _open(self) -> TableFile:
        how = self.settings
        return open_table(self.file, how.encoding, how.sheet, lambda row: columns_named(row, how.columns))

    def _graded(self, opened: TableFile) -> set[str]:
        """Return the action units' columns with other numbers than 0 and 1, which alone a threshold is about."""
        rows = iter(opened.rows)
        _, titles = next(rows, (1, []))
        if isinstance(titles, RowError):
            return set()
        units = [column for column in read_header(titles, self.settings.columns).columns if UNIT.fullmatch(column.name)]
        graded = set()
        for _, cells in rows:
            if isinstance(cells, RowError):
                continue
            for column in units:
                value = table_cells.spelt(cells[column.place].strip(), True) if column.place < len(cells) else None
                if value is not None and value not in (0, 1):
                    graded.add(column.name)
        return graded

    def _read(self, opened: TableFile) -> None:
        rows = iter(opened.rows)
        line, titles = next(rows, (1, []))
        if isinstance(titles, RowError):
            raise TableError(f"line {line}, {titles}")
        ahead = list(islice(rows, LOOKED_AT))
        header = self._header(line, titles, [cells for _, cells in ahead if isinstance(cells, list)])
        stated = "affectnet" if header.openface3 and self.settings.classes is None else self.settings.classes
        self.cells = Cells(Vocabulary(stated), self.settings.au_threshold)
        self.width, self.columns = len(titles), header.columns
        self.scales = _Scales(header.columns, self.settings)
        self.table.frames = header.named("image") is None and header.named("frame") is not None
        wrong = bool(header.mistakes)
        for line, cells in chain(ahead, rows):
            self._take(line, cells)
            if self.counts["rows"] > MOST_ROWS:
                raise TableError(f"line {line}, more than {MOST_ROWS:,} rows")
        if (problem := self.scales.problem()) and OCCURRENCE in self.scales.other:
            self.mistakes.drop(GRADED)
        if wrong or problem or (self._spoilt and self._spoilt * HALF >= self.counts["rows"]):
            raise self._refusal(problem)
        self.table.summary += [_on_one_line(line) for line in self._summary(opened.form, header)]

    @property
    def _spoilt(self) -> int:
        return len(self.table.bad) + len(self.table.contradicted)

    def _header(self, line: int, titles: list[str], ahead: Sequence[Sequence[str]]) -> Header:
        """Return what the columns are; mistakes in them are noted."""
        wanted = self.settings.columns
        header = read_header(titles, wanted)
        own = self.own_name or any(header.named(name) for name in ("image", "frame"))
        if not own and "image" not in wanted and (title := picture_column(titles, ahead)):
            header = read_header(titles, {**wanted, "image": title})
        film = header.named("image")
        if film and picture_column([film.title], [row[film.place : film.place + 1] for row in ahead], VIDEOS):
            of_frames = read_header(titles, {**wanted, "image": None})  # py-feat's `input`, the same in every row
            if of_frames.named("frame"):
                header, self.film = of_frames, film
        for title, problem in header.mistakes:
            self.mistakes.add(line, title, CellError(problem))
        if not own and not header.named("image"):
            there = ", ".join(header.unread[:KINDS])
            say = f"; say which one of {there} it is: 'source.columns={{image: {header.unread[0]}}}'" if there else ""
            say += ", or give source.labels a folder of tables that are called like their pictures" * header.labelled
            header.mistakes.append(("image", "no such column"))
            self.mistakes.add(line, "image", CellError(f"no such column{say}"))
        elif not header.labelled and header.unread and not header.mistakes:
            problem = f"no label among the columns ({', '.join(header.unread[:KINDS])}); say which one is what"
            problem += (
                f": 'source.columns={{expression: {header.unread[0]}}}', or {{attributes.x: ...}} of what is none"
            )
            header.mistakes.append(("", problem))
            self.mistakes.add(line, "", CellError(problem))
        return header

    def _take(self, line: int, cells: list[str] | RowError) -> None:
        """Take in a row: it is known, stands twice, or is bad."""
        self.counts["rows"] += 1
        if isinstance(cells, RowError):
            self._reject(line, [("", CellError(str(cells)))])
            return
        self.scales.add(line, cells)
        if any(cell.strip() for cell in cells[self.width :]):
            problem = (
                f"{len(cells)} cells under {self.width} columns (text with commas, decimal ones too, needs quotes)"
            )
            self._reject(line, [("", CellError(problem))])
            return
        row = {column: cells[column.place] for column in self.columns if column.place < len(cells)}
        if self.film and self.film.place < len(cells):
            row[self.film] = cells[self.film.place]
        image, problems = self._image(row)
        known = self._known(line, row, problems)
        before = self.table.rows.get(image) if image else None
        if problems:
            self._reject(line, problems)
        elif before is None:
            self.table.rows[image] = known
        elif _same(before, known):
            self.counts["doubled"] += 1
        else:
            told = f"lines {before.line} and {line} disagree ({difference(before, known)})"
            self.mistakes.add(None, "", CellError(f"{told}, both about {image[:80]}"))
            self.table.contradicted[image] = told

    def _reject(self, line: int, problems: Sequence[tuple[str, CellError]]) -> None:
        for column, error in problems:
            self.mistakes.add(line, column, error)
        told = "; ".join(f"column {column}: {error}" if column else str(error) for column, error in problems)
        self.table.bad.append(Bad(self.file, line, told))

    def _image(self, row: Mapping[Column, str]) -> tuple[str, list[tuple[str, CellError]]]:
        """Return how a row names its picture, and what is wrong with that."""
        for column, cell in row.items():
            if column.name == "image" and column != self.film:
                image = named_image(cell)
                return image, [] if image else [(column.title, CellError("empty"))]
        if not self.table.frames:
            return self.file.stem, []
        for column, cell in row.items():
            if column.name == "frame":
                number = label_text.whole(cell.strip())
                if number is None or number < 0:
                    return "", [(column.title, CellError("is no number of a frame", cell.strip()))]
                film = PurePosixPath(named_image(row.get(self.film, ""))).stem if self.film else ""
                film = film or (self.file.stem if self.own_name else "")
                return f"{film}/{number}" if film else str(number), []
        return "", [("frame", CellError("empty"))]

    def _known(self, line: int, row: Mapping[Column, str], problems: list[tuple[str, CellError]]) -> Known:
        """Return what a row says; what is wrong with its cells goes to `problems`."""
        subject: str | None = None
        said: dict[str, Any] = {}
        units: dict[int, bool | None] = {}
        intensity: dict[int, float] = {}
        shares: dict[str, float] = {}
        attributes: dict[str, Any] = {}
        for column, cell in row.items():
            name = column.name
            try:
                if name == "expression":
                    said[name] = self.cells.expression(cell)
                elif name in FEELINGS:
                    said[name] = self.cells.feeling(cell, *self.settings.ranges.get(name, (-1, 1)))
                elif name.startswith("AU") and name.endswith(INTENSITY):
                    if (value := self.cells.number(cell, 0, STRONGEST, "intensity")) is not None:
                        intensity[int(name[2 : -len(INTENSITY)])] = value
                elif name.startswith("AU"):
                    units[int(name[2:])] = self.cells.occurs(cell, name, name in self.graded)
                elif name.startswith(SHARE):
                    if (value := self.cells.number(cell, 0, 100)) is not None:
                        shares[name.removeprefix(SHARE)] = value
                elif name == "subject":
                    subject = table_cells.person(self.cells.known(cell)) or None
                elif name.startswith(ATTRIBUTE) and (text := cell.strip()):
                    key = name.removeprefix(ATTRIBUTE)
                    attributes[key] = table_cells.box(text) if key == FACE else text
                elif name == SUCCESS and self.cells.number(cell, 0, 1) == 0:
                    self.counts["no face"] += 1
                    return Known(line, subject, Labels(), attributes)
            except CellError as error:
                problems.append((column.title, error))
        if shares:
            said["expression"] = self._largest(shares)
        if self.settings.au_threshold is not None:
            for au, value in intensity.items():
                units.setdefault(au, value >= self.settings.au_threshold)
        present = {au: active for au, active in units.items() if active is not None}
        return Known(
            line, subject, Labels(**said, action_units=present or None, au_intensity=intensity or None), attributes
        )

    def _largest(self, shares: Mapping[str, float]) -> str | None:
        most = max(shares.values())
        largest = [expression for expression, share in shares.items() if share == most]
        if len(largest) > 1:
            self.counts["tied"] += 1
        return largest[0] if len(largest) == 1 else None

    def _summary(self, form: str, header: Header) -> Iterator[str]:
        """Yield what was understood, in lines."""
        counts, rows = self.counts, self.table.rows.values()
        yield f"{self.file.name}: {form}; {counts['rows']} rows, {self._spoilt} of them not used"
        yield f"  columns: {', '.join(_column(column) for column in header.columns)}" + (
            "" if header.named("image") or self.table.frames else f"; the picture is called {self.file.stem}"
        )
        if header.unread:
            meant = "" if len(header.unread) > KINDS else "; 'source.columns={<ours>: <title>}' reads one"
            yield f"  columns that are not read: {_some(header.unread, KINDS)}{meant}"
        if subjects := {row.subject for row in rows if row.subject}:
            yield f"  subjects: {len(subjects)}" + _nearly_the_same(subjects)
        if read := {word: said for word, said in self.cells.words.items() if word != said}:
            yield f"  words: {_some([f'{word} -> {said or UNKNOWN}' for word, said in read.items()], KINDS)}"
        if any(column.name.startswith(SHARE) for column in header.columns):
            tied = f"; no single largest one in {counts['tied']} rows, unknown there" if counts["tied"] else ""
            yield f"  expression: the one of the largest share{tied}"
        if missing := self.cells.missing:
            markers = [f"{text} ({number})" for text, number in missing.items()]
            yield f"  read as unknown, beside empty cells: {_some(markers, KINDS)}"
        for name in FEELINGS:
            values = [getattr(row.labels, name) for row in rows]
            if name not in self.settings.ranges and (told := _never_negative(name, values)):
                yield told
        if counts["no face"]:
            yield f"  no face found (success 0), so nothing is known: {counts['no face']} rows"
        if counts["doubled"]:
            yield f"  rows that repeat an earlier one: {counts['doubled']}"
        if never := _never_absent(rows):
            yield f"  {never} never 0: an empty cell is unknown, not absent; write 0 where it does not occur"
        said = [f"{image[:80]}: {problem}" for image, problem in self.table.contradicted.items()]
        said += [f"line {bad.line}, {bad.problem}" for bad in self.table.bad]
        for line in said[:KINDS]:
            yield f"  not used: {line}"
        if (more := len(said) - KINDS) > 0:
            yield f"  not used: {more} more, see rejected.jsonl"

    def _refusal(self, problem: str = "") -> UserError:
        bad, rows = self._spoilt, self.counts["rows"]
        share = f"{bad} of {rows} rows are bad: " if bad > 1 else ""
        return UserError(
            "source.labels", self.file, share + " | ".join(filter(None, (problem, str(self.mistakes)))), REMEDY
        )


class _Scales:
    """How many rows have a number beyond the range of their column: two and a twentieth show that it has another scale.

    Then the cells that lie within the range do not mean what they seem to: of valences from 1 to 9 only the 1s do. All
    action units have one scale, which does not matter where a threshold is set.
    """

    def __init__(self, columns: Iterable[Column], settings: TableSettings) -> None:
        ends = {f"{OCCURRENCE}{INTENSITY}": (0.0, float(STRONGEST))}
        ends |= {name: settings.ranges.get(name, (-1.0, 1.0)) for name in FEELINGS}
        ends |= {OCCURRENCE: (0.0, 1.0)} if settings.au_threshold is None else {}
        scaled = ((column, re.sub(r"^AU\d+", OCCURRENCE, column.name)) for column in columns)
        self.ends = ends
        self.columns = [(column, scale) for column, scale in scaled if scale in ends]
        self.filled: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        """Our name of the first column with a number beyond its scale."""
        self.example: dict[str, str] = {}

    def add(self, line: int, cells: Sequence[str]) -> None:
        """Take in the cells of a row."""
        filled: set[str] = set()
        beyond: set[str] = set()
        for column, scale in self.columns:
            cell = cells[column.place].strip() if column.place < len(cells) else ""
            if not cell:
                continue
            value = table_cells.spelt(cell)
            filled.add(scale)
            if value is not None and self._is_beyond(scale, value):
                beyond.add(scale)
                self.first.setdefault(scale, column.name)
                self.example.setdefault(scale, f"line {line}, column {column.title}, {cell[:20]}")
        self.filled.update(filled)
        self.beyond.update(beyond)

    @property
    def other(self) -> list[str]:
        """The scales that are other ones than ours."""
        return [
            scale for scale, beyond in self.beyond.items() if beyond > 1 and beyond * TWENTIETH >= self.filled[scale]
        ]

    def problem(self) -> str:
        """Return what is wrong with scales; empty if nothing is."""
        return " | ".join(
            f"{scale} on another scale than {self._accepted(scale)}: {self.beyond[scale]} of {self.filled[scale]} rows "
            f"are beyond, such as {self.example[scale]}{self._remedy(scale)}"
            for scale in self.other
        )

    def _accepted(self, scale: str) -> str:
        return "0 (absent) and 1 (active)" if scale == OCCURRENCE else "{:g} to {:g}".format(*self.ends[scale])

    def _remedy(self, scale: str) -> str:
        if scale == OCCURRENCE:
            told = f"a column of intensities is called {self.first[scale]}{INTENSITY}"
            return f"; {told}; set source.au_threshold= to say from where on it occurs"
        return f"; another one is read by 'source.ranges={{{scale}: [1, 9]}}'" if scale in FEELINGS else ""

    def _is_beyond(self, scale: str, value: float) -> bool:
        if scale == OCCURRENCE:
            return 0 < value <= STRONGEST and value != 1
        low, high = self.ends[scale]
        return not low <= value <= high


def _never_negative(name: str, values: Iterable[float | None]) -> str:
    """Return a word about valences or arousals that may be from 0 to 1, since none is below 0; empty if some are."""
    known = [value for value in values if value is not None]
    if len(known) < FEW or min(known) < 0 or max(known) == 0:
        return ""
    told = f"  {name} goes from {min(known):g} to {max(known):g} and is never below 0; ours goes from -1 to 1"
    return f"{told}: if that of the table goes from 0 to 1, set 'source.ranges={{{name}: [0, 1]}}'"


def _same(one: Known, other: Known) -> bool:
    return one[1:] == other[1:]


def difference(one: Known, other: Known) -> str:
    """Say what two rows about one picture disagree on; empty if on nothing."""
    if _same(one, other):
        return ""
    pairs: dict[str, tuple[object, object]] = {"subject": (one.subject, other.subject)}
    for name in ("expression", "valence", "arousal"):
        pairs[name] = getattr(one.labels, name), getattr(other.labels, name)
    for name, of in (("AU{}", "action_units"), (f"AU{{}}{INTENSITY}", "au_intensity")):
        first, second = (dict(getattr(row.labels, of) or {}) for row in (one, other))
        pairs |= {name.format(au): (first.get(au), second.get(au)) for au in {**first, **second}}
    pairs |= {f"{ATTRIBUTE}{key}": (one.attributes.get(key), other.attributes.get(key)) for key in other.attributes}
    differing = [f"{name} {_value(a)} and {_value(b)}" for name, (a, b) in pairs.items() if a != b]
    return ", ".join(differing[:DIFFERING]) or "attributes"


def _value(value: object) -> str:
    return UNKNOWN if value is None else str(int(value) if isinstance(value, bool) else value)[:40]


def _on_one_line(line: str) -> str:
    """Return a line of the summary without what its titles and cells may hold: line ends, control characters."""
    return line[: len(line) - len(line.lstrip())] + one_line(line)


def _column(column: Column) -> str:
    return column.title if column.title == column.name else f"{column.title} -> {column.name}"


def _nearly_the_same(subjects: Iterable[str]) -> str:
    """Return a warning of people who differ by the case of their names only."""
    folded: dict[str, list[str]] = {}
    for subject in sorted(subjects):
        folded.setdefault(subject.casefold(), []).append(subject)
    twins = [" and ".join(names) for names in folded.values() if len(names) > 1]
    return f"; {_some(twins, DIFFERING)} count as different people" if twins else ""


def _never_absent(rows: Iterable[Known]) -> str:
    """Return the action units that some rows call active, none absent, and some leave unknown."""
    counts: Counter[tuple[int, bool]] = Counter()
    labelled = [units for row in rows if (units := row.labels.action_units)]
    for units in labelled:
        counts.update(units.items())
    never = (
        au for au, active in sorted(counts) if active and not counts[au, False] and counts[au, True] < len(labelled)
    )
    return _some([f"AU{au}" for au in never], KINDS)


def _some(texts: Sequence[str], most: int) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
