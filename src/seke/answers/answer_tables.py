"""Tables in an answer, rewritten as one line a row: "| AU4 | brows down | absent |" becomes "AU4: absent".

Only tables whose header says what their columns hold are rewritten; all others are left as they were. Everything here
works on text, before it is split into tokens, and takes time linear in it.
"""

import re
from collections.abc import Sequence
from typing import Final

_UNIT: Final = re.compile(r"(?:AU|action unit) ?[-_]?0?[0-9]{1,2}(?:_[rc])?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,2}\b")
_VALUE: Final = re.compile(
    r"[-+]?[0-9.]*%?|[A-Ex✓✔✅☑✗✘❌✖×–—]|yes|no|true|false|present|absent|active|inactive|none|n/?a", re.IGNORECASE
)
_RULE: Final = re.compile(r"[\s|:+=-]+")
_WORDS: Final = re.compile(r"[a-z#]+")
_LISTED: Final = re.compile(r"^AU[0-9_a-z ]*,[^:\n]*$", re.IGNORECASE | re.MULTILINE)
"""The header of a table whose columns are separated by commas."""
_MARKS: Final = frozenset(["x", "X", "✓", "✔", "✅", "☑", "yes", "Yes", "true", "True", "1", "•", "●", "+"])
_AFFIRMING: Final = {
    "present", "active", "observed", "detected", "visible", "presence", "occurrence", "activated",
}  # fmt: skip
_DENYING: Final = frozenset(["absent", "inactive", "unobserved", "undetected"])
_VERDICTS: Final = {"yes": "present", "no": "absent", "y": "present", "n": "absent"}
"""What a column is for whose title is a verdict."""
_VALUED: Final = {
    "status", "state", "verdict", "result", "decision", "activation", "activity", "intensity", "score", "value",
    "probability", "level", "rating", "strength", "answer", "coding",
}  # fmt: skip
_UNITS: Final = frozenset(["au", "aus", "unit", "units", "facs"])
_FEELINGS: Final = frozenset(["emotion", "emotions", "expression", "expressions"])
_RECORD: Final = frozenset(["expression", "emotion", "valence", "arousal"])
_SIDES: Final = frozenset(["left", "right"])
_NOTHING: Final = frozenset({"", "-", "–", "—", "?", "/", "n/a", "N/A"})
"""Cells that hold no value."""


def tables_as_lines(text: str) -> str:
    r"""Return `text` with the rows of its tables as lines of their own: "AU4: absent".

    >>> tables_as_lines("| AU | Present | Absent |\n|---|---|---|\n| AU1 | x | |")
    'AU1: active'
    """
    if "\n" not in text:
        return text
    if "|" not in text and "\t" not in text:
        return _with_tables(text, ",") if "," in text and _LISTED.search(text) else text
    return _with_tables(text, "|" if "|" in text else "\t")


def _with_tables(text: str, bar: str) -> str:
    out: list[str] = []
    block: list[str] = []
    for line in [*text.split("\n"), ""]:
        if bar in line:
            block.append(line)
            continue
        if block:
            out += _rows_as_lines(block, bar)
            block = []
        out.append(line)
    return "\n".join(out[:-1])


def _rows_as_lines(lines: list[str], bar: str) -> list[str]:
    """Return the rows of one table as sentences; the lines as they are if its header is not understood."""
    rows = [_cells(line, bar) for line in lines if not _RULE.fullmatch(line)]
    if len(rows) < 2:
        return lines
    header, *body = rows
    titles = [frozenset(_WORDS.findall(_VERDICTS.get(title.lower(), title.lower()))) for title in header]
    if sum(_UNIT.fullmatch(title) is not None for title in header) > 1:
        if not all(_VALUE.fullmatch(cell) for row in body for cell in row[1:]):
            return lines
        return [
            f"{title}: {'active' if cell in {'x', 'X'} else cell}"
            for row in body
            for title, cell in zip(header, row, strict=False)
            if cell
        ]
    if len(body) == 1 and sum(not title.isdisjoint(_RECORD) for title in titles) > 1:
        return [f"{title}: {cell}" for title, cell in zip(header, body[0], strict=False) if cell]
    columns = _Columns(titles)
    if not columns.understood:
        return lines
    return [sentence for row in body for sentence in columns.sentences([*row, *[""] * (len(header) - len(row))])]


def _cells(line: str, bar: str) -> list[str]:
    stripped = line.strip(" ")
    stripped = stripped.removeprefix(bar).removesuffix(bar) if bar == "|" else stripped
    return [cell.strip(" *`") for cell in stripped.split(bar)]


class _Columns:
    """What the columns of a table hold, by the words of their titles."""

    def __init__(self, titles: Sequence[frozenset[str]]) -> None:
        self.units = _first(titles, _UNITS)
        feelings = _first(titles, _FEELINGS)
        self.subject = self.units if self.units is not None else feelings
        rest = [
            (place, title)
            for place, title in enumerate(titles)
            if place != self.subject or (len(titles) == 2 and title & (_AFFIRMING | _DENYING))
        ]
        denies = {"not", "no"} | _DENYING
        self.denied = [place for place, title in rest if title & denies and title & (_DENYING | _AFFIRMING)]
        self.affirmed = [place for place, title in rest if title & _AFFIRMING and place not in self.denied]
        self.valued = [place for place, title in rest if title & _VALUED]
        self.sides = [place for place, title in rest if title & _SIDES]
        both = bool(self.affirmed and self.denied)
        if both and len(titles) == 2:  # "| Present AUs | Absent AUs |"
            self.subject = None
        if self.subject is None:
            self.understood = both and len(titles) == 2
        else:
            self.understood = both or bool(self.affirmed or self.valued) or len(self.sides) == 2

    def sentences(self, row: Sequence[str]) -> list[str]:
        """Return what a row says."""
        if self.subject is None:
            return [f"Active: {row[self.affirmed[0]]}.", f"Inactive: {row[self.denied[0]]}."]
        who = row[self.subject]
        if self.subject == self.units and _NUMBER.match(who):
            who = f"AU{who}"
        value = self._value(row)
        return [f"{who}: {value}"] if who and value not in _NOTHING else []

    def _value(self, row: Sequence[str]) -> str:
        if self.affirmed and self.denied:
            marks = {row[place] in _MARKS for place in self.affirmed}, {row[place] in _MARKS for place in self.denied}
            return {(True, False): "active", (False, True): "inactive"}.get((True in marks[0], True in marks[1]), "")
        if self.affirmed or self.valued:
            value = row[(self.affirmed or self.valued)[0]]
            return "active" if value in {"x", "X"} else value
        sides = [row[place].lower() for place in self.sides]
        return "yes" if "yes" in sides or "x" in sides else "no" if sides == ["no", "no"] else ""


def _first(titles: Sequence[frozenset[str]], words: frozenset[str]) -> int | None:
    return next((place for place, title in enumerate(titles) if title & words), None)
