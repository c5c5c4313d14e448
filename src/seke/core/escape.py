r"""Text from elsewhere - of models, servers, label files, file names - where it is printed: shown, never obeyed.

    visible     terminals, messages, logs       markdown    tables and cards
    latex       tables                          csv_cell    tables that a spreadsheet opens

    in_html     pages, as the `finalize` of a Jinja environment whose autoescape does the rest

JSON is escaped by `json`.
"""

import logging
import re
from typing import Final

CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""What moves the cursor, colours, rings, turns the direction of writing, or is half a character."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?%?")
LATEX: Final = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}  # fmt: skip


def visible(text: str) -> str:
    r"""Return `text` with control characters spelt out; line ends and tabs stay.

    >>> visible("\x1b[31mred\x07 \u202etxt.exe")
    '\\x1b[31mred\\x07 \\u202etxt.exe'
    """
    return CONTROLS.sub(_spelt, text)


def one_line(text: str) -> str:
    r"""Return `text` on one line, control characters spelt out.

    >>> one_line("a\n  b\x00")
    'a b\\x00'
    """
    return visible(" ".join(text.split()))


def shortened(text: str, most: int) -> str:
    """Return `text` in at most `most` characters, the last three dots where more were cut off.

    >>> shortened("a few words", 11), shortened("a few words", 9)
    ('a few words', 'a few ...')
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def markdown(text: str) -> str:
    r"""Return `text` as Markdown on one line, in which nothing is markup.

    >>> markdown("<b>\n| *c* f1_macro _d_ ![e](f)")
    '\\<b\\> \\| \\*c\\* f1_macro \\_d\\_ !\\[e\\](f)'
    """
    safe = re.sub(r"([\\`*\[\]<>|~])", r"\\\1", one_line(text))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", safe)


def latex(text: str) -> str:
    r"""Return `text` as LaTeX on one line, in which nothing is a command.

    >>> latex(r"100 % of a_b \input{x}")
    '100 \\% of a\\_b \\textbackslash{}input\\{x\\}'
    """
    return "".join(LATEX.get(sign, sign) for sign in one_line(text))


def in_html(value: object) -> object:
    r"""Return a template's value with control characters spelt out; markup, numbers and the like as they are.

    >>> in_html("\x1b[31mred"), in_html(5)
    ('\\x1b[31mred', 5)
    """
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def csv_cell(text: str) -> str:
    """Return `text` such that a spreadsheet shows it and does not take it for a formula.

    >>> csv_cell("=HYPERLINK(1)"), csv_cell("-0.5"), csv_cell("-cmd"), csv_cell("AU12")
    ("'=HYPERLINK(1)", '-0.5', "'-cmd", 'AU12')
    """
    safe = visible(text).replace("\r", " ")
    runs = safe.lstrip(" ").startswith(FORMULA) and not NUMBER.fullmatch(safe.strip())
    return "'" + safe if runs else safe


def _spelt(sign: re.Match[str]) -> str:
    number = ord(sign[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


class VisibleFormatter(logging.Formatter):
    """Formats log messages, which may quote a server's words, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line with control characters spelt out."""
        return visible(super().format(record))
