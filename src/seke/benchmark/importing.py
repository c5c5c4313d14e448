"""Answers made elsewhere, as JSON Lines or CSV: our own rows, or any keys or columns that `predictions_fields` maps.

    predictions_fields={id: name, text: response}                           what a system said; the judge reads it
    predictions_fields={id: file, expression: emotion, valence: v, arousal: a, action_units: aus}
    predictions_fields={id: file, action_units: {1: AU01, 2: AU02}}         one column of 0 and 1 an action unit

A label that is out of range, or none that we know, is unanswered: never clipped, never guessed, but counted and said.
"""

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from seke import answers
from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.benchmark.answer import Answer
from seke.errors import UserError
from seke.records import Labels

FIELDS: Final = ("id", "text", "expression", "valence", "arousal", "action_units")
"""What can be mapped; the last four are labels, and are there instead of a text."""
NONE_ACTIVE: Final = ("none", "-", "[]", "{}")
"""How a cell says that no action unit is active; an empty cell says nothing."""
TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
SHOWN: Final = 80
"""Characters of an id, or of a list of columns, that an error echoes."""
_NUMBER: Final = re.compile(r"(?:AU)?\s*0*(\d+)", re.IGNORECASE)


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
            there is no row at all.
    """
    is_csv = path.suffix.lower() == ".csv"
    wanted = None if fields is None else _checked(fields)
    troubles: Counter[str] = Counter()
    found: dict[str, Answer] = {}
    scored = known if wanted_ids is None else wanted_ids
    for line, row in _csv_rows(path) if is_csv else _json_rows(path):
        odd: Counter[str] = Counter()
        mapped = wanted or (_named_alike(row, path) if is_csv else None)
        answer = _native(row, path, line, odd) if mapped is None else _mapped(row, mapped, path, line, odd)
        if answer.id in found:
            raise UserError("predictions", path, f"id {_short(answer.id)!r} is answered twice", "keep one row per id")
        if answer.id not in known:
            problem = f"id {_short(answer.id)!r} is not among the records"
            raise UserError("predictions", path, problem, "give the records= it was made from")
        found[answer.id] = answer
        troubles.update(odd if answer.id in scored else ())
    if not found:
        raise UserError("predictions", path, "holds no row", "give a row for each record that was answered")
    kept = {id_: answer for id_, answer in found.items() if id_ in scored}
    return Imported(kept, tuple(f"{times} x {what}: unanswered" for what, times in sorted(troubles.items())))


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    mapped = {str(name): source for name, source in fields.items() if source is not None}
    for name in mapped:
        if name not in FIELDS:
            raise UserError(f"predictions_fields.{name}", mapped[name], "no such field", f"use {', '.join(FIELDS)}")
    if "id" not in mapped or len(mapped) < 2:
        raise UserError("predictions_fields", mapped, "does not say where id and answers are", "give id and text")
    if "text" in mapped and len(mapped) > 2:
        raise UserError(
            "predictions_fields", mapped, "maps a text and labels, too", "map one of them: labels are read from a text"
        )
    return mapped


def _named_alike(row: Mapping[str, Any], path: Path) -> dict[str, str]:
    mapped = {name: name for name in FIELDS if name in row}
    if "id" not in mapped or len(mapped) < 2:
        raise UserError(
            "predictions", path, f"has the columns {_short(', '.join(row))}, not id and text (or labels)",
            'say which are which: predictions_fields="{id: ..., text: ...}"',
        )  # fmt: skip
    return {"id": "id", "text": "text"} if "text" in mapped else mapped


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            filled = filter(None, rows)
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


def _native(row: dict[str, Any], path: Path, line: int, troubles: Counter[str]) -> Answer:
    if row.get("text") is None:
        row = {key: value for key, value in row.items() if key != "text"}
    try:
        return Answer.model_validate_json(json.dumps(row))
    except ValidationError as error:
        where = [".".join(map(str, one["loc"])) for one in error.errors()]
        if not isinstance(row.get("labels"), dict) or not all(each.startswith("labels.") for each in where):
            raise _broken(path, line, f"field {where[0]}: {error.errors()[0]['msg']}") from None
    rest = {key: value for key, value in row.items() if key != "labels"}
    answer = Answer.model_validate_json(json.dumps(rest))
    return answer.model_copy(update={"labels": _labels(row["labels"], troubles)})


def _mapped(row: Mapping[str, Any], fields: Mapping[str, Any], path: Path, line: int, troubles: Counter[str]) -> Answer:
    def cell(key: Any) -> Any:
        if key not in row:
            raise _broken(path, line, f"no {key!r} among {_short(', '.join(map(str, row)))}")
        return row[key]

    id_ = cell(fields["id"])
    if id_ is None or not str(id_).strip():
        raise _broken(path, line, f"no id in {fields['id']!r}")
    if "text" in fields:
        said = cell(fields["text"])
        return Answer(id=str(id_), text="" if said is None else str(said))
    given = {
        name: {au: cell(column) for au, column in source.items()} if isinstance(source, Mapping) else cell(source)
        for name, source in fields.items()
        if name != "id"
    }
    return Answer(id=str(id_), labels=_labels(given, troubles))


def _labels(given: Mapping[str, Any], troubles: Counter[str]) -> Labels:
    """Return what of the given labels can be one; `troubles` counts the rest."""
    return Labels(
        expression=_expression(given.get("expression"), troubles),
        valence=_unit("valence", given.get("valence"), troubles),
        arousal=_unit("arousal", given.get("arousal"), troubles),
        action_units=_action_units(given.get("action_units"), troubles) or None,
    )


def _expression(value: Any, troubles: Counter[str]) -> str | None:
    if _blank(value):
        return None
    word = str(value).strip().lower()
    found = word if word in EXPRESSIONS else answers.extract(f"Expression: {word}").expression
    if found is None:
        troubles["expression that is none of the eight"] += 1
    return found


def _unit(name: str, value: Any, troubles: Counter[str]) -> float | None:
    if _blank(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        troubles[f"{name} that is no number"] += 1
        return None
    if math.isnan(number):
        return None
    if not -1 <= number <= 1:
        troubles[f"{name} out of [-1, 1]"] += 1
        return None
    return number


def _action_units(value: Any, troubles: Counter[str]) -> dict[int, bool]:
    """Read {1: true, 2: 0}, which says nothing of others, or a list of the active ones, which says that others are not.

    A list is JSON's, or a cell such as "AU1, AU04", "1 4" or "none".
    """
    if isinstance(value, Mapping):
        stated = {number: _active(said, troubles) for number, said in _numbered(value.items(), troubles)}
        return {au: active for au, active in stated.items() if active is not None}
    if _blank(value):
        return {}
    if isinstance(value, str):
        value = [] if value.strip().lower() in NONE_ACTIVE else re.split(r"[\s,;|+/]+", value.strip(" []()"))
    listed = value if isinstance(value, list) else [value]
    active = [au for au, _ in _numbered(((each, True) for each in listed), troubles)]
    if listed and not active:
        return {}
    return {au: au in active for au in ACTION_UNITS}


def _numbered(pairs: Any, troubles: Counter[str]) -> Iterator[tuple[int, Any]]:
    for name, said in pairs:
        number = _NUMBER.fullmatch(str(name).strip(" '\""))
        if number is None or int(number[1]) not in ACTION_UNITS:
            troubles["action unit that is none of the 17"] += 1
        else:
            yield int(number[1]), said


def _active(said: Any, troubles: Counter[str]) -> bool | None:
    if _blank(said):
        return None
    word = str(said).strip().lower()
    if word not in TRUE + FALSE:
        troubles["action unit that is neither 0 nor 1"] += 1
        return None
    return word in TRUE


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _broken(path: Path, line: int, problem: str) -> UserError:
    return UserError("predictions", path, f"line {line}: {problem}", "mend the file, or see predictions_fields")
