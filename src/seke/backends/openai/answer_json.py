"""Search for the one JSON answer in what a model wrote, whatever stands around it.

    <think>...</think>      thoughts: never read for an answer, unless one that never ends holds it at its end
    ```json {...} ```       fences, sentences and marks around the JSON object do not matter
    {'a': 1,}               Python's quotes, a comma too many, line breaks in a string: read where they mean one thing
    {...} ... {...}         two different objects that both fit are no answer: nobody knows which one was meant

Nothing is completed or guessed: what is cut off is not read, and a name that is given two values has none.
"""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from seke.backends.openai.json_schema import adjusted
from seke.core.json_schema import mismatch

_EXAMPLE: Final = re.compile(
    r"\b(?:examples?|e\.g|for instance|hypothetical(?:ly)?|placeholders?|template|sample"
    r"|not my answer|if i (?:had|were|could)|would (?:have )?look(?:ed)? like)\b[^{}]{0,80}$",
    re.IGNORECASE,
)
"""Words before an object that is shown and not meant."""
_NOT_MEANT: Final = re.compile(r"example|draft|template|previous|schema|format|hypothe|alternative", re.IGNORECASE)
"""Names of objects inside another one that are not its answer."""
_BRACES: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[{}]', re.DOTALL)
_SURPLUS: Final = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\Z))|,(?=\s*[}\]])|\+(?=[0-9])', re.DOTALL)
"""Strings, and outside of them what JSON does not have: a comma before a bracket, a plus sign."""
_CURLY: Final = str.maketrans("“”", '""')
MOST_OBJECTS: Final = 64
"""In one text; what comes after them is not looked at."""
MOST_WITHIN: Final = 200
"""Values in one object that are looked through for the answer."""
LONGEST_LITERAL: Final = 20_000
"""Characters that are tried as Python's notation."""


class Found(NamedTuple):
    """A JSON object in a text."""

    value: dict[str, Any]
    text: str
    """As it stands there."""
    start: int


class Match(NamedTuple):
    """An object that satisfies a schema."""

    value: Any
    text: str
    """It in JSON: as it was said, where that is JSON and needs no change."""
    start: int
    end: int
    """Where it stands; the text may have been written otherwise there."""


def objects(text: str) -> Iterator[Found]:
    """Yield the JSON objects in `text`, outermost ones only, up to one that does not end."""
    at = text.find("{")
    for _ in range(MOST_OBJECTS):
        if at < 0:
            return
        value, end = _object(text, at)
        if end is None:
            return  # what stands in an object that was cut off is a part of it, and no answer
        if value is not None:
            yield Found(value, text[at:end], at)
        at = text.find("{", end)


def matches(text: str, schema: Mapping[str, Any]) -> list[Match]:
    """Return the different objects in `text` that satisfy a `strict` schema, by themselves or inside another one."""
    fitting: list[Match] = []
    for shown in objects(text):
        if _EXAMPLE.search(text[max(shown.start - 200, 0) : shown.start].rpartition("\n\n")[2]):
            continue
        end = shown.start + len(shown.text)
        for value in [shown.value] if mismatch(adjusted(shown.value, schema), schema) is None else _within(shown.value):
            right = adjusted(value, schema)
            if mismatch(right, schema) is not None or any(same(right, other.value) for other in fitting):
                continue
            kept = value is shown.value and right == value and _is_json(shown.text)
            written = shown.text if kept else json.dumps(right, ensure_ascii=False)
            fitting.append(Match(right, written, shown.start, end))
    return fitting


def same(one: Any, other: Any) -> bool:
    """Return whether two values say the same; 1 and true do not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def problem(text: str, schema: Mapping[str, Any]) -> str:
    """Return why `text` holds no answer."""
    shown = list(objects(text))
    broken = shown and mismatch(adjusted(shown[-1].value, schema), schema)
    if broken:
        return broken
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    return "no JSON object of that form"


def ends_with(text: str, fit: Match) -> bool:
    """Return whether nothing is said after `fit` but fences and tags."""
    return re.fullmatch(r"(?:\s|`{3}|</?\w{1,20}>|<\|\w{1,20}\|>)*", text[fit.end :]) is not None


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these names and values.

    Raises:
        ValueError: if a name has two different values.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and not same(found[name], value):
            raise ValueError(f"{name!a} has two values")
        found[name] = value
    return found


def refuse_nan(name: str) -> None:
    """Refuse NaN and Infinity, which Python's reader takes.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is no number")


def _object(text: str, at: int) -> tuple[dict[str, Any] | None, int | None]:
    """Return the object at the brace `at`, None if it is none, and the place after it, None if it has no end."""
    try:
        value, end = _JSON.raw_decode(text, at)
    except (ValueError, RecursionError):
        closed = _closed(text, at)
        return (None if closed is None else _loose(text[at:closed])), closed
    return value, end


def _closed(text: str, at: int) -> int | None:
    depth = 0
    for sign in _BRACES.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(sign[0], 0)
        if depth == 0:
            return sign.end()
    return None


def _loose(text: str) -> dict[str, Any] | None:
    """Return an object that is nearly JSON, where it can mean only one thing."""
    if '"' not in text:
        text = text.translate(_CURLY)
    for read in (_without_surplus, _literal):
        try:
            # Through JSON once more: nothing but its values may be in the result.
            value = json.loads(json.dumps(read(text), allow_nan=False))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _without_surplus(text: str) -> Any:
    return _JSON.decode(_SURPLUS.sub(lambda sign: sign[1] or "", text))


def _literal(text: str) -> Any:
    """Read Python's notation."""
    if len(text) > LONGEST_LITERAL:
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings that mean nothing
        tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            names = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if len(set(names)) < len(names):
                raise ValueError("a name occurs twice")
    return ast.literal_eval(tree)


def _within(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects inside an object: {"answer": {...}}, {"arguments": "{...}"}."""
    waiting, seen = [value], 0
    while waiting and seen < MOST_WITHIN:
        outer = waiting.pop(0)
        for name, inner in outer.items() if isinstance(outer, dict) else enumerate(outer):
            seen += 1
            if _NOT_MEANT.search(str(name)):
                continue
            if isinstance(inner, str) and inner.lstrip()[:1] == "{":
                inner = next((found.value for found in objects(inner) if found.text == inner.strip()), None)
            if isinstance(inner, dict):
                yield inner
            if isinstance(inner, dict | list):
                waiting.append(inner)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


_JSON: Final = json.JSONDecoder(object_pairs_hook=unique_names, parse_constant=refuse_nan, strict=False)
