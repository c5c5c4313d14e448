"""A table in a file, whatever saved it: comma, semicolon or tab, in any usual encoding, or a sheet of Excel."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.sources.base import workbook
from seke.sources.base.encodings import Encoding, encoding_of
from seke.sources.base.tables import LONGEST_LINE, RowError, TableError, read_csv

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
NAMED_SEPARATOR: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line of some files that Excel reads: it is no row but names the separator."""
LOOKED_AT: Final = 20
"""Lines, or rows of a sheet, among which the titles are looked for: people write what the table is about above them."""
Rows = Iterator[tuple[int, list[str] | RowError]]
"""The line number and the cells of each row."""


class TableFile(NamedTuple):
    """A table that is open: its first row names the columns."""

    form: str
    """How it was read, in words: encoding and separator, or the sheet."""
    rows: Iterator[tuple[int, list[str]]] | Rows
    """The rows that hold anything. They raise TableError where the table cannot be read further."""
    sheet: str | None = None
    """The name of the sheet, if it is a workbook."""


def open_table(path: Path, encoding: str | None, sheet: str | None, named: Callable[[Sequence[str]], int]) -> TableFile:
    """Open a table by what is in the file; its name's ending counts for nothing.

    Args:
        path: the file.
        encoding: that of its text; None: found (`encodings`).
        sheet: the sheet of a workbook; None: see `workbook.sheet_rows`.
        named: how many columns of the table that is wanted a row names, 0 if the one that it cannot be without is not
            among them. The first row that names two or more is the header; without one it is the first row.

    Raises:
        TableError: if it cannot be read.
        UserError: if it is not clear which sheet is meant.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(workbook.OLE))
        if workbook.is_workbook(start):
            name, sheet_rows = workbook.sheet_rows(path, sheet, named, LOOKED_AT)
            return TableFile(f"sheet {name}", sheet_rows, name)
        found = Encoding(encoding) if encoding else encoding_of(path)
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})") from error
    lines = enumerate(_lines(path, found))
    above, first = next(filter(_is_filled, lines), (0, ""))
    separators: Sequence[str] = tuple(SEPARATORS)
    if stated := NAMED_SEPARATOR.fullmatch(first):
        separators = (stated[1],)
        above, first = next(filter(_is_filled, lines), (0, ""))
    ahead = [first, *(line for _, line in islice(lines, LOOKED_AT - 1))] if first else []
    header = next((place for place, line in enumerate(ahead) if named(_parted(line, separators)[1]) > 1), 0)
    separator = _parted(ahead[header] if ahead else "", separators)[0]
    rows = _filled(read_csv(path, chain(ahead[header:], (line for _, line in lines)), separator))
    form = f"{_said(found)}, {SEPARATORS.get(separator, f'separated by {separator}')}"
    form += f", titles in line {above + header + 1}" * (header > 0)
    return TableFile(form, ((line + above + header, cells) for line, cells in rows))


def _is_filled(line: tuple[int, str]) -> bool:
    return line[1].strip() != ""


def _parted(line: str, separators: Sequence[str]) -> tuple[str, list[str]]:
    """Return the separator that parts a line into most cells, quotes heeded, and these cells."""
    parted = [(separator, _cells_of(line, separator)) for separator in separators]
    return max(parted, key=lambda pair: len(pair[1]))


def _cells_of(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    try:
        with path.open(encoding=encoding.name, newline="") as text:
            yield from iter(partial(text.readline, LONGEST_LINE), "")
    except (UnicodeError, LookupError) as error:
        reason = getattr(error, "reason", error)
        raise TableError(f"not {encoding.name} text ({reason}); set source.encoding, or save it in UTF-8") from error
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})") from error


def _filled(rows: Rows) -> Rows:
    try:
        yield from (row for row in rows if isinstance(row[1], RowError) or any(cell.strip() for cell in row[1]))
    except UserError as error:  # a quote that is never closed
        where = str(error.value).rpartition(", line ")[2]
        raise TableError(f"line {where}, {error.problem}") from None


def _said(encoding: Encoding) -> str:
    name = encoding.name.upper() if encoding.name.startswith("u") else encoding.name
    name = name.removesuffix("-SIG")
    if not encoding.guessed:
        return name
    others = f"; {', '.join(encoding.others[:2])} would do as well" if encoding.others else ""
    return f"{name} (guessed{others}: set source.encoding if names look wrong)"
