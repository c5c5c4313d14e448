"""Tables of any origin, row by row: a bad row is rejected and counted, a file of bad rows is not what it was taken for.

A cell that nobody can read spoils its row and no other; a third or a half of all rows means that columns are shifted,
that the file is another one, or that it was cut, and then nothing of it is believed.
"""

import csv
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from seke.core.affect import STRONGEST
from seke.core.errors import UserError
from seke.sources.base import label_text

Cells = TypeVar("Cells")
Row = TypeVar("Row")

LONGEST_LINE: Final = 2**20
"""Characters; a longer line is cut, and its pieces are bad rows."""
HALF: Final = 2
THIRD: Final = 3


class RowError(ValueError):
    """A row of a label file that is not what it should be."""


class TableError(ValueError):
    """A table that cannot be read as a whole."""


class Bad(NamedTuple):
    """A row that is rejected."""

    file: Path
    line: int
    problem: str


def parsed_rows(
    file: Path,
    rows: Iterable[tuple[int, Cells]],
    parse: Callable[[Cells], Row],
    bad: list[Bad] | None,
    share: int = HALF,
) -> Iterator[tuple[int, Row]]:
    """Yield the line and what `parse` makes of each row; one at which it raises a RowError is appended to `bad`.

    Raises:
        UserError: naming the first bad row, as soon as all rows are known, if one in `share` is bad or more; at once,
            if there is no list to append to.
    """
    first: Bad | None = None
    total = spoilt = 0
    for line, cells in rows:
        total += 1
        try:
            row = parse(cells)
        except RowError as error:
            problem = Bad(file, line, str(error))
            if bad is None:
                raise label_text.damaged(file, line, problem.problem) from None
            first, spoilt = first or problem, spoilt + 1
            bad.append(problem)
        else:
            yield line, row
    if first is not None and spoilt * share >= total:
        others = f" (and {spoilt - 1} of {total - 1} other rows are bad)" if spoilt > 1 else ""
        raise label_text.damaged(file, first.line, first.problem + others)


def read_csv(file: Path, lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, list[str] | RowError]]:
    """Yield the line number and the cells of each row; a RowError where a row is none that the csv module can read.

    Raises:
        UserError: if a quote that is never closed swallows the rows behind it.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        before = reader.line_num
        try:
            cells: list[str] | RowError = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > before + 1 or "unexpected end of data" in str(error):
                raise label_text.damaged(file, before + 1, f"a quote is never closed ({error})") from error
            cells = RowError(str(error))
        yield reader.line_num, cells


def check_ids(where: Path, seen: Collection[int], first: int, last: int) -> None:
    """Refuse ids that are all one off: those of a dataset that counts its classes from `first` to `last`.

    Raises:
        UserError: if the number before the first one is seen and the last is not, or the other way round.
    """
    for beyond, end in ((first - 1, last), (last + 1, first)):
        if beyond in seen and end not in seen:
            problem = f"it has a class {beyond} and none {end}, and classes go from {first} to {last}: another order"
            raise UserError("source.root", where, problem, "use the label files of the release")


def intensities(file: Path, bad: list[Bad] | None = None) -> dict[int, int | None]:
    """Return the AU intensity, 0 to 5, of each frame of a file with lines "frame,intensity"; None for any other code.

    A line that is not two columns with a frame number, or whose frame stands already, goes to `bad`.

    Raises:
        UserError: if the file is empty; at bad lines as `parsed_rows` does.
    """
    found: dict[int, int | None] = {}

    def parse(text: str) -> tuple[int, int | None]:
        cells = text.split(",")
        frame = label_text.whole(cells[0])
        if len(cells) != 2 or frame is None:
            raise RowError(f"{text[:40]!r} is not a frame number and an intensity")
        if frame in found:
            raise RowError(f"frame {frame} stands in an earlier line already")
        intensity = label_text.whole(cells[1])
        return frame, intensity if intensity is not None and 0 <= intensity <= STRONGEST else None

    for _, (frame, intensity) in parsed_rows(file, numbered(file), parse, bad):
        found[frame] = intensity
    if not found:
        raise label_text.damaged(file, None, "there is no line in it")
    return found


def numbered(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a label file that are not empty, with their numbers."""
    yield from ((line, text) for line, text in enumerate(label_text.lines(file), start=1) if text)
