"""A table in a file, whatever saved it: comma, semicolon or tab, in any usual encoding, or a sheet of Excel."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.sources.base import workbook
from seke.sources.base.encodings import Encoding, encoding_of
from seke.sources.base.tables import LONGEST_LINE, RowError, TableError, read_csv

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
NAMED_SEPARATOR: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line of some files that Excel reads: it is no row but names the separator."""
Rows = Iterator[tuple[int, list[str] | RowError]]
"""The line number and the cells of each row."""


class TableFile(NamedTuple):
    """A table that is open: its first row names the columns."""

    form: str
    """How it was read, in words: encoding and separator, or the sheet."""
    rows: Iterator[tuple[int, list[str]]] | Rows
    """The rows that hold anything. They raise TableError where the table cannot be read further."""


def open_table(
    path: Path, encoding: str | None, sheet: str | None, is_header: Callable[[Sequence[str]], bool]
) -> TableFile:
    """Open a table by what is in the file; its name's ending counts for nothing.

    Args:
        path: the file.
        encoding: that of its text; None: found (`encodings`).
        sheet: the sheet of a workbook; None: see `workbook.sheet_rows`.
        is_header: whether a row names the columns of the table that is wanted.

    Raises:
        TableError: if it cannot be read.
        UserError: if it is not clear which sheet is meant.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(workbook.OLE))
        if workbook.is_workbook(start):
            name, sheet_rows = workbook.sheet_rows(path, sheet, is_header)
            return TableFile(f"sheet {name}", sheet_rows)
        found = Encoding(encoding) if encoding else encoding_of(path)
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})") from error
    lines = enumerate(_lines(path, found))
    above, first = next(filter(_is_filled, lines), (0, ""))
    if named := NAMED_SEPARATOR.fullmatch(first):
        separator = named[1]
        above, first = next(filter(_is_filled, lines), (0, ""))
    else:
        separator = max(SEPARATORS, key=lambda mark: _cells_of(first, mark))
    rows = _filled(read_csv(path, chain([first] if first else [], (line for _, line in lines)), separator))
    form = f"{_said(found)}, {SEPARATORS.get(separator, f'separated by {separator}')}"
    return TableFile(form, ((line + above, cells) for line, cells in rows))


def _is_filled(line: tuple[int, str]) -> bool:
    return line[1].strip() != ""


def _cells_of(line: str, separator: str) -> int:
    """Return how many cells a line has, quotes heeded."""
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


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
