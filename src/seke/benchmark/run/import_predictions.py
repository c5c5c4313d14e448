"""Answers made elsewhere, as JSON Lines or CSV: our own rows, or any keys or columns that `predictions_fields` maps.

    predictions_fields={id: name, text: response}                           what a system answered; the judge reads it
    predictions_fields={id: file, expression: emotion, valence: v, arousal: a, action_units: aus}
    predictions_fields={id: file, action_units: {1: AU01, 2: AU02}}         one column of 0 and 1 an action unit
    predictions_fields={id: file, au_intensity: {1: AU01_r, 2: AU02_r}}     one column of intensities, 0 to 5

Columns called as OpenFace calls them, AU01_c (occurrence) and AU01_r (intensity), need no mapping.

A label that is out of range, or none that we know, is unanswered: never clipped, never guessed, but counted and
reported (`label_cells`).
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError

from seke.benchmark.answer import Answer
from seke.benchmark.run import label_cells
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.records import Labels

UNITS: Final = "action_units"
INTENSITY: Final = "au_intensity"
BY_UNIT: Final = {UNITS: "c", INTENSITY: "r"}
"""What may have a column for each action unit, and how OpenFace ends the names of such columns."""
UNIT_COLUMN: Final = "{}.{}"
"""Where a row's cells have that of one action unit with a column of its own."""
LABELS: Final = ("expression", "valence", "arousal", UNITS, INTENSITY)
FIELDS: Final = ("id", "text", *LABELS)
"""What can be mapped; labels are there instead of a text."""
MOST_OTHERS: Final = 10
"""Keys of other labels than ours that are reported."""
SHOWN: Final = 80
"""Characters of an id, or of a list of columns, that an error echoes."""
_short = partial(shortened, most=SHOWN + len("..."))

Value = TypeVar("Value")
Cells = Mapping[str, Any]
"""The label cells of a row, by the label's name, as the file has them."""


class Imported(NamedTuple):
    """What a file holds."""

    answers: dict[str, Answer]
    """By id."""
    remarks: tuple[str, ...]
    """What of it could not be taken as it stands."""


def read(
    path: Path, known: set[str], fields: Mapping[str, Any] | None = None, wanted_ids: set[str] | None = None
) -> Imported:
    """Return the answers of a file by id.

    Args:
        path: a .csv with a header line, or JSON Lines.
        known: the records' ids.
        fields: our `FIELDS` -> the file's keys; None takes keys that are called as ours (in JSON Lines: rows of
            answers.jsonl, predictions.jsonl or instructions.jsonl).
        wanted_ids: those of the records that are scored; what other rows say is neither returned nor counted. None:
            all of `known`.

    Raises:
        UserError: at a broken row, an unknown key, an id answered twice, or one that is not among the records; if
            there is no row at all, or nothing in any that could be an answer.
    """
    is_csv = path.suffix.lower() == ".csv"
    rows = list(_csv_rows(path) if is_csv else _json_rows(path))
    if not rows:
        raise UserError("predictions", path, "holds no row", "give a row for each record that was answered")
    wanted = _by_name(rows, path, is_csv) if fields is None else _checked(fields)
    # Of keys that nobody has mapped, a row may leave those out that it has nothing to say of.
    blank = dict.fromkeys(_label_keys(wanted)) if fields is None and wanted is not None else {}
    found: dict[str, Answer] = {}
    given: list[Cells] = []
    for line, row in rows:
        answer, cells = _native(row, path, line) if wanted is None else _mapped(blank | row, wanted, path, line)
        if answer.id in found:
            raise UserError("predictions", path, f"id {_short(answer.id)!r} is answered twice", "keep one row per id")
        if answer.id not in known:
            problem = f"id {_short(answer.id)!r} is not among the records"
            raise UserError("predictions", path, problem, "give the records= it was made from")
        found[answer.id] = answer
        given.append(cells)
    scored = known if wanted_ids is None else wanted_ids
    read_labels, troubles = _labels(given, [id_ in scored for id_ in found])
    labelled = zip(found.items(), read_labels, strict=True)
    kept = {id_: answer.model_copy(update={"labels": labels}) for (id_, answer), labels in labelled if id_ in scored}
    remarks = [f"{times} x {what}: unanswered" for what, times in sorted(troubles.items())]
    return Imported(kept, (*_unread(rows, wanted), *remarks))


def _label_keys(mapped: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that hold labels."""
    for name in LABELS:
        source = mapped.get(name, name)
        yield from source.values() if isinstance(source, Mapping) else (source,)


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    mapped = {str(name): source for name, source in fields.items() if source is not None}
    for name in mapped:
        if name not in FIELDS:
            raise UserError(f"predictions_fields.{name}", mapped[name], "no such field", f"use {', '.join(FIELDS)}")
    for field in BY_UNIT:
        if isinstance(by_unit := mapped.get(field), Mapping):
            mapped[field] = {_unit(field, name, column): column for name, column in by_unit.items()}
    if "id" not in mapped or len(mapped) < 2:
        raise UserError("predictions_fields", mapped, "does not say where id and answers are", "give id and text")
    if "text" in mapped and len(mapped) > 2:
        raise UserError(
            "predictions_fields", mapped, "maps a text and labels, too", "map one of them: labels are read from a text"
        )
    return mapped


def _unit(field: str, name: object, column: object) -> int:
    number = label_cells.facs(str(name))
    if number is None or number not in ACTION_UNITS:
        problem = f"names a column for {name}, which is none of the 17 action units"
        raise UserError(f"predictions_fields.{field}.{name}", column, problem, "leave it out")
    return number


def _by_name(rows: Sequence[tuple[int, Cells]], path: Path, is_csv: bool) -> dict[str, Any] | None:
    """Return which keys are called as ours; None where the rows are our own, whose labels lie in `labels`.

    Labels beside a text are read where no row has a text.

    Raises:
        UserError: if there is no id, or nothing that could be an answer.
    """
    keys = list(dict.fromkeys(key for _, row in rows for key in row))
    if not is_csv and ("labels" in keys or "status" in keys):
        return None
    mapped: dict[str, Any] = {name: name for name in FIELDS if name in keys}
    for field, ending in BY_UNIT.items():
        if field not in mapped and (by_unit := _openface(keys, ending)):
            mapped[field] = by_unit
    if "text" in mapped and len(mapped) > 2:
        in_text = any(row.get("text") not in (None, "") for _, row in rows)
        mapped = {name: key for name, key in mapped.items() if name == "id" or (name == "text") == in_text}
    if "id" in mapped and len(mapped) > 1:
        return mapped if is_csv or "text" not in mapped else None
    if not is_csv and keys == ["id"]:
        return None
    problem = f"has the columns {_short(', '.join(keys))}, not id and text (or labels)"
    raise UserError("predictions", path, problem, 'say which are which: predictions_fields="{id: ..., text: ...}"')


def _openface(keys: Iterable[str], ending: str) -> dict[int, str]:
    """Return the keys of our action units that are called as OpenFace calls them, with this ending."""
    found = ((key, re.fullmatch(rf"AU([0-9]{{2}})_{ending}", str(key).strip())) for key in keys)
    return {unit: key for key, match in found if match and (unit := int(match[1])) in ACTION_UNITS}


def _unread(rows: Iterable[tuple[int, Cells]], mapped: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a remark on labels that stand beside the texts and are not read."""
    if mapped is None or "text" in mapped:
        beside = [name for name in LABELS if any(row.get(name) not in (None, "") for _, row in rows)]
        if beside:
            yield f"{', '.join(beside)} beside the texts: not read, labels are read from the texts"
    if mapped is None:
        inside = (row["labels"] for _, row in rows if isinstance(row.get("labels"), dict))
        others = Counter(str(key) for labels in inside for key in labels if key not in LABELS)
        yield from (
            f"{times} x {_short(key)!r} in labels, which is none of ours: not read"
            for key, times in sorted(others.items())[:MOST_OTHERS]
        )


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            delimiter = max(",;\t", key=first.count)  # as spreadsheets of other languages write it
            file.seek(0)
            rows = csv.reader(file, strict=True, delimiter=delimiter)
            filled = (cells for cells in rows if any(cell.strip() for cell in cells))
            columns = [name.strip() for name in next(filled, [])]
            for name, times in Counter(filter(None, columns)).items():
                if times > 1:
                    raise _broken(path, 1, f"{times} columns are called {_short(name)!r}")
            for cells in filled:
                if len(cells) != len(columns):
                    raise _broken(path, rows.line_num, "another number of cells than the header")
                yield rows.line_num, dict(zip(columns, cells, strict=True))
    except UnicodeDecodeError as error:
        raise UserError("predictions", path, f"no CSV in UTF-8 ({error})", "save it as such") from error
    except csv.Error as error:
        remedy = f"close all quotes; a cell holds at most {csv.field_size_limit():,} characters"
        raise UserError("predictions", path, f"line {rows.line_num}: no CSV ({error})", remedy) from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _object(line, path, number)
    except UnicodeDecodeError as error:
        raise UserError("predictions", path, f"no JSON Lines in UTF-8 ({error})", "give .jsonl or .csv") from error


def _object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise _broken(path, number, f"no JSON Lines ({error.msg} at character {error.pos + 1})") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets as deep
        raise _broken(path, number, f"no JSON Lines ({error})") from None
    if not isinstance(row, dict):
        raise _broken(path, number, "no JSON object")
    return row


def _native(row: Cells, path: Path, line: int) -> tuple[Answer, Cells]:
    """Return one of our own rows and its labels."""
    labels = row.get("labels")
    rest = {key: value for key, value in row.items() if key != "labels" and not (key == "text" and value is None)}
    if labels is not None and not isinstance(labels, dict):
        raise _broken(path, line, "field labels: not an object")
    return _answer(rest, path, line), labels or {}


def _answer(fields: Cells, path: Path, line: int) -> Answer:
    try:
        return Answer.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        raise _broken(path, line, f"field {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _mapped(row: Cells, fields: Mapping[str, Any], path: Path, line: int) -> tuple[Answer, Cells]:
    def cell(key: Any) -> Any:
        if key not in row:
            raise _broken(path, line, f"no {key!r} among {_short(', '.join(map(str, row)))}")
        return row[key]

    id_ = cell(fields["id"])
    if id_ is None or not str(id_).strip():
        raise _broken(path, line, f"no id in {fields['id']!r}")
    if "text" in fields:
        text = cell(fields["text"])
        return _answer({"id": str(id_), "text": "" if text is None else str(text)}, path, line), {}
    given = {name: cell(source) for name, source in fields.items() if name != "id" and not isinstance(source, Mapping)}
    by_unit = {
        UNIT_COLUMN.format(name, au): cell(column)
        for name, source in fields.items()
        if isinstance(source, Mapping)
        for au, column in source.items()
    }
    return _answer({"id": str(id_)}, path, line), given | by_unit


def _labels(given: Sequence[Cells], counts: Sequence[bool]) -> tuple[list[Labels], Counter[str]]:
    """Return the labels of every row, column by column, and how often what went wrong in the rows that count."""

    def cells(name: str) -> list[Any]:
        return [row.get(name) for row in given]

    expression = label_cells.expressions(cells("expression"))
    valence, arousal = (label_cells.numbers(name, cells(name)) for name in ("valence", "arousal"))
    lists = label_cells.unit_lists(cells(UNITS))
    maps = label_cells.intensity_maps(cells(INTENSITY))
    by_unit = label_cells.unit_columns({au: cells(UNIT_COLUMN.format(UNITS, au)) for au in ACTION_UNITS})
    graded = label_cells.intensity_columns({au: cells(UNIT_COLUMN.format(INTENSITY, au)) for au in ACTION_UNITS})
    labels = [
        Labels(
            expression=felt,
            valence=v,
            arousal=a,
            action_units=listed or _stated(by_unit, row),
            au_intensity=mapped or _stated(graded, row),
        )
        for row, (felt, v, a, listed, mapped) in enumerate(
            zip(expression.values, valence.values, arousal.values, lists.values, maps.values, strict=True)
        )
    ]
    columns: tuple[label_cells.Column[Any], ...] = (expression, valence, arousal, lists, maps)
    columns += (*by_unit.values(), *graded.values())
    return labels, sum((column.counted(counts) for column in columns), Counter[str]())


def _stated(by_unit: Mapping[int, label_cells.Column[Value]], row: int) -> dict[int, Value] | None:
    stated = ((au, column.values[row]) for au, column in by_unit.items())
    return {au: value for au, value in stated if value is not None} or None


def _broken(path: Path, line: int, problem: str) -> UserError:
    return UserError("predictions", path, f"line {line}: {problem}", "correct the file, or see predictions_fields")
