"""Streaming JSON: the rows of a file one at a time, of a list or of JSON Lines, never all in memory.

A row that is damaged, or beyond all measure, stands as `Broken` in its place, and reading goes on behind it: at the
next line, in a list behind its last bracket. Only a list that is no JSON ends the reading, since nobody can tell where
its next row begins.
"""

import json
import re
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from seke.core.records import RecordError

CHUNK: Final = 1 << 20
"""Characters read at a time."""
LONGEST: Final = 16 << 20
"""Characters of a row; a longer one is refused unread."""
LONGEST_MAPPING: Final = 256 << 20
"""The same where the rows are the members of one object."""
MOST_BROKEN: Final = 10_000
"""Lines in a row that are no JSON; after so many the file is none."""
SEPARATOR: Final = re.compile(r"[\s,]*")
LONGEST_WORD: Final = 16
"""Within so many characters of the buffer's end, an error may be nothing but a word cut in two."""
MARK: Final = re.compile(r'\\[\s\S]|\\|["\[\]{}]')
"""What opens and closes in JSON, and what escapes it."""
NOT_UTF8: Final = re.compile(r"[\udc80-\udcff]")
"""What Python makes of bytes that are no UTF-8."""
OTHERS: Final = {
    b"PAR1": "a Parquet file", b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive",
    b"(\xb5/\xfd": "a zstd archive", b"SQLi": "a database", b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text",
}  # fmt: skip
"""How files begin that are no JSON at all."""


class Broken(NamedTuple):
    """What stands where a row should, and why it is none."""

    problem: str


def objects(file: Path, longest: int = LONGEST) -> Iterator[tuple[str, Any]]:
    """Yield ("row <n>", value) of every row of a list, ("line <n>", value) of every row that stands by itself.

    A value is `Broken` where there is none to be had. Several lists in one file are read as one.

    Args:
        file: the file, UTF-8 with or without a byte order mark.
        longest: characters of a row.

    Raises:
        RecordError: if the file cannot be read, is of another kind, or has a list that is not JSON all through; rows
            before that come first.
    """
    try:
        with file.open("rb") as data:
            head = data.peek(4)
            if kind := next((name for start, name in OTHERS.items() if head.startswith(start)), None):
                raise RecordError(file, f"{kind}, no JSON")
            yield from _Values(file, TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape"), longest)
    except OSError as error:
        raise RecordError(file, f"cannot be read ({error.strerror})") from error


def members(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every member of the JSON objects that a file consists of; mostly it is one.

    Raises:
        RecordError: if it is anything else.
    """
    empty = True
    for where, value in objects(file, LONGEST_MAPPING):
        if isinstance(value, Broken):
            raise RecordError(file, f"{where}, {value.problem}")
        if not isinstance(value, dict):
            raise RecordError(file, "not one JSON object")
        empty = False
        yield from value.items()
    if empty:
        raise RecordError(file, "not one JSON object, but empty")


class _Values:
    """The values of an open file; see `objects`."""

    def __init__(self, file: Path, text: TextIO, longest: int) -> None:
        self.file, self.text, self.longest = file, text, longest
        self.buffer, self.at = "", 0
        self.line, self.row = 1, 1
        self.listed = False
        """Whether the values are now those of a list."""
        self.lines = False
        """Whether any has stood by itself: then a list that is damaged is a line that is."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        decoder, broken = json.JSONDecoder(), 0
        while self._begin():
            if self.buffer[self.at] == ("]" if self.listed else "["):
                self.listed, self.at = not self.listed, self.at + 1
                continue
            self.lines = self.lines or not self.listed
            where = f"row {self.row}" if self.listed else f"line {self.line}"
            value = self._value(decoder, where)
            broken = broken + 1 if isinstance(value, Broken) else 0
            if broken > MOST_BROKEN:
                raise RecordError(self.file, f"{where} and {MOST_BROKEN:,} before it, {value.problem}")
            yield where, value
            self.row += 1
        if self.listed and not self.lines:
            raise RecordError(self.file, f"row {self.row}, no JSON (the list has no end)")

    def _begin(self) -> bool:
        """Go on to where the next value begins; return whether there is one."""
        while True:
            match = SEPARATOR.match(self.buffer, self.at)
            self._go(match.end() if match else self.at)
            if self.at < len(self.buffer):
                return True
            if not self._more():
                return False

    def _value(self, decoder: json.JSONDecoder, where: str) -> Any:
        while True:
            try:
                value, end = decoder.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                if len(self.buffer) - self.at > self.longest:
                    return self._passed(where, f"longer than {self.longest:,} characters", damaged=False)
                # Asking for as much again as is left keeps a row of any length linear in it.
                if not _certain(error, self.buffer) and self._more(len(self.buffer) - self.at):
                    continue
                return self._passed(where, f"no JSON ({error.msg})", damaged=True)
            except (RecursionError, ValueError) as error:  # thousands of brackets, a number of thousands of digits
                return self._passed(where, f"no sane JSON ({type(error).__name__})", damaged=False)
            if isinstance(value, int | float) and end == len(self.buffer) and self._more():
                continue  # the number may go on
            spoilt = NOT_UTF8.search(self.buffer, self.at, end)
            self._go(end)
            return Broken("not UTF-8 text") if spoilt else value

    def _passed(self, where: str, problem: str, damaged: bool) -> Broken:
        """Go on behind a value that cannot be had.

        Raises:
            RecordError: if nobody knows where that is.
        """
        if self.listed and not self.lines:
            if damaged or not self._behind_brackets():
                raise RecordError(self.file, f"{where}, {problem}")
        else:
            self.listed = False
            self._next_line()
        return Broken(problem)

    def _next_line(self) -> None:
        while (end := self.buffer.find("\n", self.at)) < 0:
            self.at = len(self.buffer)
            if not self._more():
                return
        self._go(end + 1)

    def _behind_brackets(self) -> bool:
        """Go behind the object or list that begins here, by its brackets alone; return whether it has an end."""
        depth, quoted, at = 0, False, self.at
        if self.buffer[at] not in "[{":
            return False
        while True:
            seen = len(self.buffer)
            for match in MARK.finditer(self.buffer, at):
                mark = match[0]
                if mark == "\\":  # its other half is still in the file
                    seen = match.start()
                    break
                if mark == '"':
                    quoted = not quoted
                elif not quoted and len(mark) == 1:
                    depth += 1 if mark in "[{" else -1
                    if depth == 0:
                        self._go(match.end())
                        return True
            self._go(seen)
            at = 0
            if not self._more():
                return False

    def _go(self, end: int) -> None:
        self.line += self.buffer.count("\n", self.at, end)
        self.at = end

    def _more(self, least: int = 0) -> bool:
        """Read on; what lies before `at` is dropped. Return whether the file has not ended."""
        more = self.text.read(max(CHUNK, least))
        self.buffer, self.at = self.buffer[self.at :] + more, 0
        return bool(more)


def _certain(error: json.JSONDecodeError, buffer: str) -> bool:
    """Whether an error is one, however the file goes on behind the buffer."""
    return not error.msg.startswith("Unterminated string") and error.pos < len(buffer) - LONGEST_WORD
