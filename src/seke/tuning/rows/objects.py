"""The rows of a JSON file one at a time: a list, or objects one after the other (JSON Lines), never all in memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from seke.records import RecordError

CHUNK: Final = 1 << 20
"""Characters read at a time."""
SEPARATOR: Final = re.compile(r"[\s,]*")
LONGEST_WORD: Final = 16
"""Within so many characters of the buffer's end, an error may be nothing but a word cut in two."""


def objects(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield ("row <n>", value) of every row of a list, ("line <n>", value) of every row that stands by itself.

    Raises:
        RecordError: if the file cannot be read, is not UTF-8, or is not JSON all through; rows before that come first.
    """
    try:
        with file.open(encoding="utf-8-sig") as text:
            yield from _values(file, text)
    except UnicodeDecodeError as error:
        raise RecordError(file, f"not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise RecordError(file, f"cannot be read ({error.strerror})") from error


def mapping(file: Path) -> dict[str, Any]:
    """Return the one JSON object that a file consists of.

    Raises:
        RecordError: if it is anything else.
    """
    first = next(objects(file), ("", None))[1]
    if not isinstance(first, dict):
        raise RecordError(file, "not one JSON object")
    return first


def _values(file: Path, text: TextIO) -> Iterator[tuple[str, Any]]:
    decoder = json.JSONDecoder()
    buffer, at, line, row = text.read(CHUNK), 0, 1, 1
    listed = buffer.lstrip().startswith("[")
    if listed:
        at = buffer.index("[") + 1
        line += buffer.count("\n", 0, at)
    while True:
        begin = _after(SEPARATOR, buffer, at)
        line += buffer.count("\n", at, begin)
        at = begin
        if listed and buffer.startswith("]", at):
            return
        where = f"row {row}" if listed else f"line {line}"
        try:
            value, end = decoder.raw_decode(buffer, at)
        except json.JSONDecodeError as error:
            # Asking for as much again as is left keeps a row of any length linear in it.
            more = "" if _certain(error, buffer) else text.read(max(CHUNK, len(buffer) - at))
            if more:
                buffer, at = buffer[at:] + more, 0
                continue
            if at == len(buffer) and not listed:
                return
            raise RecordError(file, f"{where}, no JSON ({error.msg})") from error
        except (RecursionError, ValueError) as error:  # thousands of brackets, a number of thousands of digits
            raise RecordError(file, f"{where}, no sane JSON ({type(error).__name__})") from error
        yield where, value
        row += 1
        line += buffer.count("\n", at, end)
        at = end


def _certain(error: json.JSONDecodeError, buffer: str) -> bool:
    """Whether an error is one, however the file goes on behind the buffer."""
    return not error.msg.startswith("Unterminated string") and error.pos < len(buffer) - LONGEST_WORD


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
