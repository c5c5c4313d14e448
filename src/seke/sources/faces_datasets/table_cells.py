"""Cells of a table of faces: the numbers, truth values, expressions and boxes that they spell, or what is wrong.

A cell is read whole or it is a mistake; nothing is guessed. What people and programs write for "not known" is unknown.
"""

import difflib
import re
import unicodedata
from collections import Counter
from typing import Final

from seke.answers.lexicon import EXPRESSION_OF
from seke.core.affect import EXPRESSIONS, STRONGEST
from seke.core.class_words import CONVENTIONS, Vocabulary
from seke.core.images import ImageError, face_box
from seke.core.table_columns import INTENSITY
from seke.sources.base import label_text
from seke.sources.base.workbook import FORMULA

MISSING: Final = frozenset(
    ("", "na", "n/a", "n.a.", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "-", "--", "–",
     "—", "?", ".", "missing", "unknown", "k.a.", "k. a.")
)  # fmt: skip
"""What Excel, pandas, R, SPSS and people write where they do not know, in lower case."""
TRUE: Final = frozenset(
    ("true", "yes", "y", "x", "✓", "✔", "present", "active", "ja", "wahr", "oui", "vrai", "sí", "verdadero", "vero")
)  # fmt: skip
"""A spreadsheet writes truth values in its user's language."""
FALSE: Final = frozenset(("false", "no", "n", "absent", "inactive", "nein", "falsch", "non", "faux", "falso"))
PERCENT: Final = re.compile(r"(.+?)\s*%")
DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d.*|\d{1,2}:\d\d(:\d\d.*)?|\d{1,2}[./ -]+[^\W\d]{3,}\.?.*|[^\W\d]{3,}\.?[./ -]+\d{1,2}"
)
UNSEEN: Final = re.compile(r"^[\s\u200b-\u200d\u2060\ufeff]+|[\s\u200b-\u200d\u2060\ufeff]+$")
"""Spaces of all kinds around a cell, those without a width included: text from web pages brings them along."""
GRADED: Final = "graded"
"""The kind of a mistake in a column of occurrences that holds grades."""
LONGEST: Final = 40
"""Characters of a cell that an error shows."""


class CellError(ValueError):
    """A cell that cannot be read.

    Args:
        problem: what is wrong with it and what is accepted; the same for all cells of a kind.
        cell: what it says.
        hint: what may be meant by this cell alone.
        kind: what is wrong, if many columns may have it in common and it is told once for all of them; empty: the same
            problem in another column is told by itself.
    """

    def __init__(self, problem: str, cell: str = "", hint: str = "", kind: str = "") -> None:
        shown = f"{cell[:LONGEST]!r} " if cell else ""
        super().__init__(f"{shown}{problem}{hint}")
        self.problem, self.cell, self.hint, self.kind = problem, cell[:LONGEST], hint, kind


class Cells:
    """Reads cells, and counts what it read them as.

    Args:
        vocabulary: names of expressions beyond the lexicon's (`source.classes`).
        threshold: the intensity or probability from which an action unit occurs; None: only 0 and 1 say that.
    """

    def __init__(self, vocabulary: Vocabulary, threshold: float | None) -> None:
        self.vocabulary, self.threshold = vocabulary, threshold
        self.missing: Counter[str] = Counter()
        """Markers that were read as unknown, as they are written."""
        self.words: dict[str, str | None] = {}
        """Words for expressions and what they were read as, None where a class is no expression."""

    def known(self, cell: str) -> str:
        """Return a cell stripped, and empty where it says that nothing is known."""
        text = stripped(cell)
        if text.lower() in MISSING:
            if text:
                self.missing[text] += 1
            return ""
        if text == FORMULA:
            raise CellError("a formula whose value is not saved: open the workbook in Excel and save it")
        return text

    def number(self, cell: str, least: float, most: float, kind: str = "") -> float | None:
        """Return the number of a cell, None if it is unknown; a percentage is a hundredth where that may be meant.

        Args:
            cell: the cell.
            least: the least that it may be.
            most: the most.
            kind: of the mistake, see `CellError`.

        Raises:
            CellError: if it is no number of that range.
        """
        text = self.known(cell)
        if not text:
            return None
        value = spelt(text, percent=most <= 1)
        if value is None or not least <= value <= most:
            raise CellError(f"is no number from {least:g} to {most:g}{_date(text)}", text, kind=kind)
        return value

    def feeling(self, cell: str, least: float, most: float) -> float | None:
        """Return valence or arousal, -1 to 1, of a cell on a scale from `least` to `most`; None if it is unknown.

        Raises:
            CellError: if it is no number of that scale.
        """
        value = self.number(cell, least, most)
        return (
            value if value is None or (least, most) == (-1, 1) else round(2 * (value - least) / (most - least) - 1, 6)
        )

    def occurs(self, cell: str, name: str, graded: bool = True) -> bool | None:
        """Return whether an action unit occurs, None if that is unknown.

        Args:
            cell: the cell.
            name: of its column.
            graded: whether the column has other numbers than 0 and 1, so that the threshold counts.

        Raises:
            CellError: if it is neither yes nor no, nor a number that the threshold decides.
        """
        text = self.known(cell)
        if not text:
            return None
        if text.lower() in TRUE or text.lower() in FALSE:
            return text.lower() in TRUE
        value = spelt(text, percent=True)
        if self.threshold is not None and graded and value is not None and 0 <= value <= STRONGEST:
            return value >= self.threshold
        if value not in (0, 1):
            more = f" (a column of intensities is called {name}{INTENSITY}; source.au_threshold= says where yes begins)"
            kind = "occurrence" if value is None else GRADED
            raise CellError(
                "is neither 0 nor 1" + more * (value is not None) + (date := _date(text)), text, kind=kind + date
            )
        return value == 1

    def expression(self, cell: str) -> str | None:
        """Return the expression that a cell names, None if it is unknown or a class that is no expression.

        Raises:
            CellError: if it names none.
        """
        text = self.known(cell)
        if not text:
            return None
        if text not in self.words:
            self.words[text] = self._named(text)
        return self.words[text]

    def _named(self, text: str) -> str | None:
        plain = " ".join(unicodedata.normalize("NFKC", text).lower().split()).rstrip(".!,;:")
        number = label_text.whole(plain)
        if self.vocabulary.knows(name := str(number) if number is not None else plain):
            return self.vocabulary.expression(name)
        if plain in EXPRESSION_OF:
            return EXPRESSION_OF[plain]
        known = f"is none of {', '.join(EXPRESSIONS)}"
        if number is not None:
            others = " or ".join(name for name in CONVENTIONS if name != self.vocabulary.convention)
            raise CellError(f"{known}; numbers mean other classes in every dataset: set source.classes={others}", text)
        near = difflib.get_close_matches(plain[:64], EXPRESSION_OF, 1, 0.75)
        hint = f", did you mean {near[0]}?" if near else ""
        raise CellError(f"{known} (own words: 'source.classes={{joie: happiness}}')", text, hint)


def stripped(cell: str) -> str:
    """Return a cell without the spaces around it, those that nobody sees included."""
    return UNSEEN.sub("", cell)


def spelt(text: str, percent: bool = False) -> float | None:
    """Return the number that a cell spells, with a decimal point or comma; None where it spells none.

    >>> spelt("0,00"), spelt("−1.0"), spelt("０．５"), spelt("75 %", percent=True), spelt("75 %"), spelt("1,2,3")
    (0.0, -1.0, 0.5, 0.75, None, None)
    """
    if text.isascii() and "," not in text and not text.endswith("%"):
        return label_text.number(text)
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    match = PERCENT.fullmatch(plain) if percent else None
    plain = match[1] if match else plain
    value = label_text.number(plain.replace(",", ".") if plain.count(",") == 1 and "." not in plain else plain)
    return value / 100 if match and value is not None else value


def box(cell: str) -> list[int]:
    """Return the box that a cell spells: left, top, width, height, with or without brackets.

    >>> box("[12, 30, 80, 80]"), box("12.0 30 80.4 80")
    ([12, 30, 80, 80], [12, 30, 80, 80])

    Raises:
        CellError: if it spells none.
    """
    numbers = [label_text.number(part) for part in re.split(r"[\s,;]+", cell.strip("[]() "))]
    try:
        found = face_box(numbers, "")
    except ImageError:
        found = None
    if found is None:
        raise CellError("is no box of left, top, width and height in pixels", cell)
    return list(found)


def person(cell: str) -> str:
    """Return a person's name: numbers as they were before a program made fractions of them.

    >>> person(" 3.0 "), person("S003"), person("03")
    ('3', 'S003', '03')
    """
    return re.sub(r"^(\d+)\.0+$", r"\1", unicodedata.normalize("NFC", cell.strip()))


def _date(text: str) -> str:
    """Return what to do about a cell that a spreadsheet took for a day or a time; empty of other cells."""
    return " (a date? spreadsheets take 1.5 for one: format the cells as text)" if DATE.fullmatch(text) else ""
