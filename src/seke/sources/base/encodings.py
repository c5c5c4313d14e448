"""The encoding of a table that somebody saved: by its byte order mark, as UTF-8, or the likeliest of a few others.

Bytes do not say which of the older encodings they are, so the answer may be a guess, and whoever reads the table says
so to its owner (`Encoding.guessed`).
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-32 begins with one of UTF-16, so it goes first."""
LIKELY: Final = ("cp1252", "gb18030", "big5", "cp932", "cp949", "cp1250", "cp1251", "cp1254", "cp1253")
"""What spreadsheets save as where most of them stand; of those that fit equally well the first is taken."""
BLOCK: Final = 2**20
SAMPLE: Final = 2**16
"""Bytes of lines that are not ASCII, by which encodings are told apart."""


class Encoding(NamedTuple):
    """How the bytes of a file become text."""

    name: str
    """As Python's codecs have it."""
    guessed: bool = False
    others: tuple[str, ...] = ()
    """Encodings that fit as well."""


def checked_encoding(argument: str, name: object) -> str | None:
    """Return the setting `argument` as the name of an encoding; None where it is left to be found.

    Raises:
        UserError: if there is no such encoding of text.
    """
    if name is None:
        return None
    try:
        known = codecs.lookup(str(name))
    except (LookupError, ValueError):
        known = None
    if known is None or not known._is_text_encoding:
        raise UserError(argument, name, "no such encoding", f"use utf-8, utf-16, {', '.join(LIKELY)} or null")
    return known.name


def encoding_of(path: Path) -> Encoding:
    """Return the encoding of a text file; bytes that fit none are taken for Western European (cp1252).

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    for mark, name in MARKS:
        if start.startswith(mark):
            return Encoding(name)
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) * 2 > len(zeros) > 0:  # every second byte of Latin letters
            return Encoding(name, guessed=True)
    return Encoding("utf-8") if _is_utf8(path) else _likeliest(b"\n".join(_lines_beyond_ascii(path)))


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines_beyond_ascii(path: Path) -> Iterator[bytes]:
    """Yield the first lines that are not ASCII: in them alone encodings differ."""
    left = SAMPLE
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(SAMPLE)):
            if re.search(rb"[\x80-\xff]", line):
                left -= len(line)
                yield line.rstrip(b"\r\n")


def _likeliest(sample: bytes) -> Encoding:
    from charset_normalizer import from_bytes  # half of a second

    fitting = [
        (match.chaos, -match.coherence, LIKELY.index(name), name)
        for match in from_bytes(sample, cp_isolation=list(LIKELY))
        for name in match.could_be_from_charset
        if name in LIKELY
    ]
    if not fitting:
        return Encoding(LIKELY[0], guessed=True)
    best = min(fitting)
    as_well = sorted(match[2:] for match in fitting if match[:2] == best[:2] and match[3] != best[3])
    different = [name for _, name in as_well if _decoded(sample, name) != _decoded(sample, best[3])]
    return Encoding(best[3], guessed=True, others=tuple(different))


def _decoded(sample: bytes, name: str) -> str:
    return sample.decode(name, errors="replace")
