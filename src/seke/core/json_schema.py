"""Check of a JSON value against a schema: the subset of JSON Schema in which models are asked.

Types object, array, string, number, integer, boolean and null, one or a list of them, with properties, required,
additionalProperties, items, enum, minimum and maximum.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from seke.core.escape import shortened

KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def mismatch(value: Any, schema: Mapping[str, Any], name: str = "answer") -> str | None:
    """Return what in `value` breaks a schema, or None.

    >>> mismatch({"valence": 2}, {"properties": {"valence": {"maximum": 1}}})
    'valence=2 is more than 1'
    """
    kinds = kinds_of(schema)
    if not any(_is(value, kind) for kind in kinds):
        return f"{name}={_short(value)} is no {' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name}={_short(value)} is none of the values asked for"
    if isinstance(value, str):
        return None if _is_unicode(value) else f"{name} holds half a character"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value:  # NaN, which no bound catches
            return f"{name} is no number"
        if value < schema.get("minimum", -math.inf):
            return f"{name}={_short(value)} is less than {schema['minimum']}"
        if value > schema.get("maximum", math.inf):
            return f"{name}={_short(value)} is more than {schema['maximum']}"
    if isinstance(value, list):
        return _first(mismatch(entry, schema.get("items", {}), name) for entry in value)
    if isinstance(value, dict):
        return _object_mismatch(value, schema)
    return None


def kinds_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema allows, all of them where it names none."""
    kinds = schema.get("type", list(KINDS))
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _object_mismatch(value: dict[str, Any], schema: Mapping[str, Any]) -> str | None:
    properties = schema.get("properties", {})
    if absent := [name for name in schema.get("required", ()) if name not in value]:
        return f"no {', '.join(absent)}"
    if surplus := [name for name in value if name not in properties and schema.get("additionalProperties") is False]:
        return f"not asked for {_short(', '.join(surplus))}"
    return _first(mismatch(entry, properties.get(name, {}), name) for name, entry in value.items())


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _is(value: Any, kind: str) -> bool:
    # A bool is an int to Python, and to nobody else.
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_unicode(text: str) -> bool:
    """Return whether `text` can be written down: half a surrogate pair, which JSON's escapes allow, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    return shortened(ascii(value) if isinstance(value, str) else repr(value), 60)
