"""Text on the command line that Hydra's grammar must not see: names and paths are what the shell passes, as one word.

source.root=/data/Fotos (2024), #1      a comma, brackets, spaces, #, ~, = and other alphabets need no second quotes
name=1e5                                the name "1e5"
source.columns={expression: Gefühl}     titles of columns, likewise
-m model.path=a,b                       in a sweep a comma parts the cells: a path with one is quoted within the word
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from seke.core.errors import UserError

NAMES: Final = (
    "name", "path", "model", "root", "records", "predictions", "compare", "review", "run", "runs", "labels", "template",
    "file", "folder", "ledger", "truth", "image", "cache_dir", "image_root", "validation", "sheet", "world", "release",
)  # fmt: skip
"""Last words of settings that are text even where they look like a number: a run may be called 007."""
MAPPINGS: Final = re.compile(r"(.+\.)?(columns|classes|splits)")
"""Mappings of words from a person's own files."""
SWEEPS: Final = re.compile(
    r"(choice|range|interval|glob|shuffle|sort|tag|int|float|str|bool|json_str|extend_list)\(.*\)", re.DOTALL
)
"""What Hydra calculates."""
UNQUOTED: Final = re.compile(r"""(?:[^,'"]|'[^']*'|"[^"]*"|['"])*""", re.DOTALL)
"""A part of a sweep, to the next comma outside of quotes."""


def is_sweep(words: Sequence[str]) -> bool:
    """Whether a command line asks for several runs."""
    return any(word in ("-m", "--multirun") or word.lower() == "hydra.mode=multirun" for word in words)


def quoted(key: str, value: str, sweeping: bool = False) -> str:
    """Return the value of a setting as Hydra is to read it; only what it would read otherwise is quoted.

    >>> quoted("source.root", "/ä, b"), quoted("name", "1e5"), quoted("name", "demo"), quoted("size", "1e5")
    ("'/ä, b'", "'1e5'", 'demo', '1e5')
    >>> quoted("name", "1e5,b,true", sweeping=True), quoted("name", "null"), quoted("runs", "[a,b]")
    ("'1e5',b,'true'", 'null', '[a,b]')

    Raises:
        UserError: for a path with a comma in a sweep, which would part it.
    """
    if MAPPINGS.fullmatch(key) and value.startswith("{"):
        return value if _is_read(value) else _in_quotes(value)
    if not is_text(key):
        plain = not _is_read(value) and not re.match(r"""[\['"{(]|.*\$\{""", value)
        return _in_quotes(value) if plain else value
    if value == "null" or SWEEPS.fullmatch(value) or _is_quoted(value) or (value[:1] in ("[", "{") and _is_read(value)):
        return value
    if not sweeping or "," not in value:
        return _text(value)
    if Path(value).expanduser().exists():
        remedy = f"quote it within the word: '{key}={_in_quotes(value, Quote.double)}'"
        raise UserError(key, value, "with -m a comma parts the cells of a sweep, and this is one path", remedy)
    parts = [match for match in UNQUOTED.findall(value) if match]
    return ",".join(part if _is_quoted(part) else _text(part) for part in parts)


def sweep_hint(words: Sequence[str], line: str) -> str:
    """Return what an error about a name or path with a comma has to add where no sweep was asked for.

    >>> sweep_hint(["model.path=a,b"], "model.path=a,b: no such run; run that first")
    ' (to take a, b in turn, add -m)'
    """
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        if "," in value and is_text(key) and line.startswith(f"{key}={value}:") and not is_sweep(words):
            return f" (to take {', '.join(value.split(','))} in turn, add -m)"
    return ""


def mapping(key: str, value: object) -> dict[str, str | None] | None:
    """Return a mapping that `quoted` has made text of; None of anything else.

    >>> mapping("source.columns", "{image: Bild, expression: 'Gefühl, laut'}")
    {'image': 'Bild', 'expression': 'Gefühl, laut'}

    Raises:
        UserError: if it is no mapping of words to words.
    """
    if not MAPPINGS.fullmatch(key) or not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        read = yaml.load(value, yaml.BaseLoader)  # all text: a column may be called No
    except yaml.YAMLError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(word, str) for pair in read.items() for word in pair):
        raise UserError(key, value, "no mapping of words", "write {word: word, word: null}, words with signs in quotes")
    return {word: None if other in ("null", "~", "") else other for word, other in read.items()}


def is_text(key: str) -> bool:
    """Whether a setting is a name or a path."""
    return key.rpartition(".")[2] in NAMES or key.startswith("paths.")


@cache
def parser() -> OverridesParser:
    """Return Hydra's parser of words."""
    return OverridesParser.create()


def _text(value: str) -> str:
    """Quote text unless Hydra reads it as it is; a path in one's home begins with ~/."""
    text = str(Path(value).expanduser()) if value == "~" or value.startswith("~/") else value
    return text if "\\" not in text and _value(text) == text else _in_quotes(text)  # \, is a comma to Hydra


def _in_quotes(text: str, mark: Quote = Quote.single) -> str:
    return str(QuotedString(text=text, quote=mark).with_quotes())


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" and isinstance(_value(value), str)


def _is_read(value: str) -> bool:
    return _value(value) is not None or value in ("null", "")


def _value(value: str) -> Any:
    """Return what Hydra makes of a value; None where it is null or breaks its grammar."""
    try:
        return parser().parse_override(f"key={value}").value()
    except HydraException:
        return None
