"""Reading of a witness: a table of a specialist, predictions of an evaluate run, labels or draws of a generate run.

    openface.csv, py-feat's, ...    columns by their names (`core.table_columns`) or by the entry's `columns`
    a folder of CSV files           one for each picture, by its name, as OpenFace's FaceLandmarkImg writes
    predictions.jsonl               the labels, and how sure they are where `confidence` says it
    instructions.jsonl              the generated labels alone: those that people gave are no answer
    draws.jsonl                     the share of draws that call a label, those of its pilot.jsonl included, where the
                                    prompt showed no human label: an annotator that was told one repeats it

A row finds its record by its id, or else by the picture: the record whose path ends like the row's, if it is the only
one. A record of which several rows of a table speak, as where there are two faces, is taken as one of which none does.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.class_words import CONVENTIONS, word
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.records import ImageRecord
from seke.core.table_columns import INTENSITY, SUCCESS, Header, checked_columns, read_header, share_of
from seke.generation.witnesses.said import Answer, Said, as_arrays, mean_answer

SETTING: Final = "generator.witnesses"
ANNOTATOR: Final = "backend.path"
"""The setting of a table that is the annotator."""
MOST: Final = 4
"""Witnesses that can be heard at once: every choice of them is tried."""
KEYS: Final = ("path", "name", "columns")
ID: Final = ("id", "recordid")
UNKNOWN: Final = frozenset(("", "na", "nan", "n/a", "none", "null", "-nan", "-nan(ind)", "<na>"))
PREDICTIONS, DRAWS, PILOT = "predictions.jsonl", "draws.jsonl", "pilot.jsonl"
Keyed = tuple[str, Answer]
"""What a row calls its record, and what it says."""


class Entry(NamedTuple):
    """One entry of the setting."""

    name: str
    files: tuple[Path, ...]
    """Read one after the other: the answers of two halves of the records may come from two models."""
    columns: Mapping[str, str | None]
    setting: str = SETTING

    @property
    def columns_setting(self) -> str:
        """The setting that says what its columns are called."""
        return "backend.columns" if self.setting == ANNOTATOR else f"{SETTING}.columns"


class Matched(NamedTuple):
    """A witness's answers about the records, in their order."""

    name: str
    said: Said
    rows: int
    """Rows that say anything."""
    strange: int
    """Rows that fit no record, or several."""
    doubled: int
    """Records of which several rows of a table speak."""

    @property
    def line(self) -> str:
        """What was matched, in words."""
        answered, records = int(self.said.answered_N.sum()), len(self.said.answered_N)
        lacking = f" ({records - answered} without an answer)" if answered < records else ""
        strange = f", {self.strange} rows fit no single record" if self.strange else ""
        doubled = f", {self.doubled} records have several rows, which are not read" if self.doubled else ""
        known = f"{self.rows} rows answer for {answered} of {records} records{lacking}"
        return f"witness {self.name}: {known}{strange}{doubled}"


def entries(setting: object, outputs: Path) -> list[Entry]:
    """Return the entries of `generator.witnesses`, each a path, a run's name, or a mapping with `path`.

    Raises:
        UserError: for an entry that is none, a file that is not there, or a name that is given twice.
    """
    if setting is None or isinstance(setting, str) or not isinstance(setting, Sequence):
        given = [] if setting is None else [setting]
    else:
        given = list(setting)
    if len(given) > MOST:
        raise UserError(SETTING, len(given), f"{MOST} witnesses are the most", "leave out those that say the same")
    found = [_entry(each, outputs) for each in given]
    for name, count in Counter(entry.name for entry in found).items():
        if count > 1:
            problem = "two witnesses have this name"
            raise UserError(SETTING, name, problem, "give each its own, as in {path: a.csv, name: openface}")
    return found


def annotator(table: Mapping[str, Any], outputs: Path) -> Entry:
    """Return the entry of a table that is the annotator.

    Raises:
        UserError: if its path is none, or a column is none of ours.
    """
    return _entry(table, outputs, ANNOTATOR)


def inputs(witnesses: Sequence[Entry]) -> dict[str, Sequence[Path]]:
    """Return the files that each witness is read from, as a run's inputs name them."""
    found: dict[str, Sequence[Path]] = {}
    for entry in witnesses:
        files = [each for file in entry.files for each in (sorted(file.glob("*.csv")) if file.is_dir() else [file])]
        pilots = [file.with_name(PILOT) for file in files if file.name == DRAWS and file.with_name(PILOT).is_file()]
        found[f"witness.{entry.name}"] = [*files, *pilots]
    return found


def _entry(given: Any, outputs: Path, setting: str = SETTING) -> Entry:
    fields = given if isinstance(given, Mapping) else {"path": given}
    if strange := [str(key) for key in fields if key not in KEYS]:
        raise UserError(f"{SETTING}.{strange[0]}", fields[strange[0]], "no such setting", f"use {', '.join(KEYS)}")
    paths = fields.get("path")
    listed = list(paths) if isinstance(paths, Sequence) and not isinstance(paths, str) else [paths]
    if not listed or not all(isinstance(path, str) and path for path in listed):
        shown = paths if setting == ANNOTATOR else given
        raise UserError(setting, shown, "names no file", "give a table, a run's name, or {path: table.csv}")
    files = tuple(_located(str(path), outputs, setting) for path in listed)
    found = Entry(str(fields.get("name") or _name(str(listed[0]))), files, {}, setting)
    return found._replace(columns=checked_columns(fields.get("columns"), found.columns_setting))


def _located(path: str, outputs: Path, setting: str) -> Path:
    """Return the file or folder of tables that an entry names, be it by a run's name."""
    own = Path(path).expanduser()
    runs = (outputs / "evaluate" / path / PREDICTIONS, outputs / "generate" / path / DRAWS)
    for folder in (own, *(run.parent for run in runs)):
        for file in (PREDICTIONS, DRAWS):
            if (folder / file).is_file():
                return folder / file
    if own.is_file() or (own.is_dir() and any(own.glob("*.csv"))):
        return own
    problem = f"neither a table nor a finished run with {PREDICTIONS} or {DRAWS}"
    raise UserError(setting, path, problem, "give the path of a CSV or JSON Lines file, or a run's name")


def _name(path: str) -> str:
    """Return what a witness is called whose entry does not say it: by its file, or the folder of a run's."""
    own = PurePosixPath(path)
    return own.parent.name if own.name in (PREDICTIONS, DRAWS) and own.parent.name else own.stem or own.name


def matched(entry: Entry, records: Sequence[ImageRecord]) -> Matched:
    """Return what a witness says about the records.

    Raises:
        UserError: if it cannot be read, says nothing of what there is to say, or speaks of none of the records.
    """
    by_id = {record.id: place for place, record in enumerate(records)}
    by_stem: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        by_stem.setdefault(PurePosixPath(record.image).stem.lower(), []).append(place)
    answers: dict[int, Answer] = {}
    doubled: set[int] = set()
    rows = strange = 0
    example = ""
    for file in entry.files:
        for key, answer in _read(file, entry):
            if answer.empty:
                continue
            rows, example = rows + 1, example or key
            row = by_id[key] if key in by_id else _by_picture(key, by_stem, records)
            if row is None:
                strange += 1
            elif row in answers:
                doubled.add(row)
            else:
                answers[row] = answer
    shown = ", ".join(map(str, entry.files))
    if not rows:
        problem = "says nothing about any face: no AUs, expressions, valence or arousal"
        raise UserError(entry.setting, shown, problem, "name its columns, as in {path: ..., columns: {AU12: smile}}")
    if not answers:
        problem = (
            f"none of its {rows} rows is about a record: the first is about {shortened(example, 80)}, "
            f"the first record is {records[0].id} with the picture {records[0].image}"
        )
        raise UserError(entry.setting, shown, problem, "give a table of these records' ids or picture names")
    said = as_arrays([None if place in doubled else answers.get(place) for place in range(len(records))])
    return Matched(entry.name, said, rows, strange, len(doubled))


def _by_picture(key: str, by_stem: Mapping[str, Sequence[int]], records: Sequence[ImageRecord]) -> int | None:
    """Return the one record whose picture's path ends most like `key`; endings of file names do not count."""
    path = PurePosixPath(key.replace("\\", "/"))
    candidates = by_stem.get(path.stem.lower(), by_stem.get(path.name.lower(), ()))
    if len(candidates) == 1:
        return candidates[0]
    own = [part.lower() for part in path.parent.parts[::-1]]

    def shared(place: int) -> int:
        parts = [part.lower() for part in PurePosixPath(records[place].image).parent.parts[::-1]]
        return next((n for n, (a, b) in enumerate(zip(own, parts, strict=False)) if a != b), min(len(own), len(parts)))

    lengths = [shared(place) for place in candidates]
    most = max(lengths, default=0)
    best = [place for place, length in zip(candidates, lengths, strict=True) if length == most]
    return best[0] if len(best) == 1 and most else None


def _read(file: Path, entry: Entry) -> Iterator[Keyed]:
    try:
        if file.suffix.lower() == ".jsonl":
            yield from _rows_of_a_run(file, entry)
        elif file.is_dir():
            for each in sorted(file.glob("*.csv")):
                yield from _rows_of_a_table(each, entry, alone=True)
        else:
            yield from _rows_of_a_table(file, entry)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            entry.setting, file, f"cannot be read: {error}", "give a CSV or JSON Lines file in UTF-8"
        ) from error


def _rows_of_a_table(file: Path, entry: Entry, alone: bool = False) -> Iterator[Keyed]:
    """Yield the rows of a CSV file; `alone`: it is about the picture of its own name."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        first = lines.readline()
        lines.seek(0)
        rows = csv.reader(lines, delimiter=max(",;\t", key=first.count))
        titles = next(rows, [])
        header = read_header(titles, entry.columns, entry.columns_setting)
        if entry.columns and (wrong := [f"{title!r}: {problem}" for title, problem in header.mistakes]):
            raise UserError(entry.columns_setting, file, wrong[0], "name the columns as the table's first row has them")
        plain = [title.strip().lower().replace("_", "").replace(" ", "") for title in titles]
        key_at = next((place for place, title in enumerate(plain) if title in ID), None)
        if key_at is None and (image := header.named("image")):
            key_at = image.place
        if key_at is None and not alone:
            shown = ", ".join(title.strip()[:30] for title in titles[:8])
            problem = f"no column says which picture a row is about (there are {shown}, ...)"
            raise UserError(entry.setting, file, problem, "name it, as in {path: ..., columns: {image: <title>}}")
        for row in rows:
            if any(cell.strip() for cell in row):
                key = row[key_at].strip() if key_at is not None and key_at < len(row) else file.stem
                yield key, _of_cells(row, header)


def _of_cells(row: Sequence[str], header: Header) -> Answer:
    """Return what a row's cells say; nothing where OpenFace found no face."""
    answer = Answer()
    told: dict[str, float] = {}
    for column in header.columns:
        cell = row[column.place].strip() if column.place < len(row) else ""
        if cell.lower() in UNKNOWN:
            continue
        if column.name == "expression":
            named = word(cell)
            if named is None and header.openface3 and cell.isdigit():
                named = CONVENTIONS["affectnet"].get(int(cell))
            if named is not None:
                answer.shares = {expression: float(expression == named) for expression in EXPRESSIONS}
            continue
        if (number := _number(cell)) is not None:
            told[column.name] = number
    if told.get(SUCCESS, 1.0) == 0:
        return Answer()
    for au in ACTION_UNITS:
        graded, occurs = told.get(f"AU{au}{INTENSITY}"), told.get(f"AU{au}")
        if graded is not None:
            answer.units[au] = graded
        if occurs is not None:
            (answer.units if graded is None else answer.occurs)[au] = occurs
    shares = {expression: value for name, value in told.items() if (expression := share_of(name)) is not None}
    if shares:
        answer.shares = shares
    answer.valence, answer.arousal = told.get("valence"), told.get("arousal")
    return answer


def _number(cell: str) -> float | None:
    try:
        value = float(cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell)
    except ValueError:
        return None
    return value if abs(value) < 1e6 else None


def _rows_of_a_run(file: Path, entry: Entry) -> Iterator[Keyed]:
    """Yield the rows of a run's file; all that draws say of a record in one, the first answer to each question."""
    drawn: dict[str, Answer] = {}
    beside = [file.with_name(PILOT)] if file.name == DRAWS and file.with_name(PILOT).is_file() else []
    for each in (file, *beside):
        for row in _json_rows(each, entry):
            key = str(row["id"])
            if "draws" not in row:
                yield key, _of_labels(row)
            elif given := _unprompted(row):
                drawn.setdefault(key, Answer()).fill(mean_answer(given))
    yield from drawn.items()


def _unprompted(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the draws of a row for which the prompt showed no human label: of a trace or of a pilot."""
    shown = row.get("prior") or row.get("known") or {}
    told = any(value is not None for value in shown.values())
    return list(row.get("hidden_draws") or ()) if told else list(row["draws"])


def _of_labels(row: Mapping[str, Any]) -> Answer:
    """Return a row's labels, those of an instruction without what people gave, as sure as its confidence says."""
    labels, origin, sure = row.get("labels") or {}, row.get("origin") or {}, row.get("confidence") or {}
    by_au = origin.get("action_units") or {}
    answer = Answer()
    sure_of = sure.get("action_units") or {}
    for au, active in (labels.get("action_units") or {}).items():
        if by_au.get(au) != "manual":
            p = float(sure_of.get(au, 1.0))
            answer.units[int(au)] = p if active else 1 - p
    named = labels.get("expression")
    if named is not None and origin.get("expression") != "manual":
        p = float(sure.get("expression", 1.0))
        rest = (1 - p) / (len(EXPRESSIONS) - 1)
        answer.shares = {expression: p if expression == named else rest for expression in EXPRESSIONS}
    for name in ("valence", "arousal"):
        if labels.get(name) is not None and origin.get(name) != "manual":
            setattr(answer, name, float(labels[name]))
    return answer


def _json_rows(file: Path, entry: Entry) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict) or "id" not in row or not ("labels" in row or "draws" in row):
                problem = f"line {number} is no row of {PREDICTIONS}, instructions.jsonl or {DRAWS}"
                raise UserError(entry.setting, file, problem, "give such a file, or a CSV table")
            yield row
