"""Label files as text: their lines, the numbers and codes that cells spell, and the error of a file that is damaged."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from seke.core.errors import UserError

LARGEST: Final = 32 * 2**20
"""Bytes of a label file that is read at once; the largest that is known, WEBEmo's list, has about half as many."""


def damaged(file: Path, line: int | None, problem: str) -> UserError:
    """Return the error of a label file whose structure is not what its dataset promises."""
    where = f"{file}, line {line}" if line else str(file)
    return UserError("source.root", where, problem, "unpack the dataset anew or repair the file")


def lines(file: Path) -> list[str]:
    """Return the lines of a label file, stripped; with or without a byte order mark, whatever its line ends.

    Raises:
        UserError: if it cannot be read, is larger than any label file, or is not UTF-8 text.
    """
    try:
        if not file.is_file():
            raise damaged(file, None, "no such file")  # nor a pipe, which would be waited for
        if file.stat().st_size > LARGEST:
            raise damaged(file, None, f"larger than a label file ({file.stat().st_size:,} bytes)")
        return [line.strip() for line in file.read_bytes().decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise damaged(file, None, f"not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise damaged(file, None, f"cannot be read ({error.strerror})") from error


def number(text: str) -> float | None:
    """Return the number that `text` spells, None where it spells none or one that is not finite.

    >>> number(" 0.5 "), number("1_0"), number("nan")
    (0.5, None, None)
    """
    if "_" in text or not text.isascii():  # a number to Python alone
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


@lru_cache(maxsize=2**16)  # label files repeat a few codes and frame numbers a million times
def whole(text: str) -> int | None:
    """Return the whole number that `text` spells, be it `5` or `5.0000000e+00`; None where it spells none."""
    value = number(text)
    return int(value) if value is not None and value == int(value) else None


def within(value: float | None) -> float | None:
    """Return valence or arousal if it lies in [-1, 1]; anything else is unknown, never clipped."""
    return value if value is not None and -1 <= value <= 1 else None


def coded_units(values: Mapping[int, str]) -> dict[int, bool] | None:
    """Return the AUs coded 1 or 0; any other code (9, -1, an empty cell) leaves its AU out: unknown is not absent."""
    units = {au: code == 1 for au, text in values.items() if (code := whole(text)) in (0, 1)}
    return units or None
