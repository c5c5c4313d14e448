"""The part of JSON Schema that answers are held to: written strictly for the server, checked again on our side.

Types object, array, string, number, integer, boolean and null, one or a list of them, with properties, required, items,
enum, minimum and maximum.
"""

import math
from collections.abc import Mapping
from typing import Any

KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` as strict mode wants it: nothing beyond the named properties, every one of them required.

    A property that was optional may be null instead.

    >>> strict({"type": "object", "properties": {"au": {"type": "integer"}}})["properties"]
    {'au': {'type': ['integer', 'null']}}
    """
    written = dict(schema)
    if "items" in written:
        written["items"] = strict(written["items"])
    if "properties" in written:
        required = written.get("required", ())
        inner = {name: strict(value) for name, value in written["properties"].items()}
        written["properties"] = {name: value if name in required else _nullable(value) for name, value in inner.items()}
        written["required"] = list(inner)
        written["additionalProperties"] = False
    return written


def mismatch(value: Any, schema: Mapping[str, Any], name: str = "answer") -> str | None:
    """Return what in `value` breaks a `strict` schema, or None.

    >>> mismatch({"valence": 2}, strict({"properties": {"valence": {"maximum": 1}}, "required": ["valence"]}))
    'valence=2 is more than 1'
    """
    kinds = schema.get("type", list(KINDS))
    if not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return f"{name}={_short(value)} is no {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name}={_short(value)} is none of the values asked for"
    if isinstance(value, str):
        return None if _is_unicode(value) else f"{name} holds half a character"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", -math.inf):
            return f"{name}={_short(value)} is less than {schema['minimum']}"
        if value > schema.get("maximum", math.inf):
            return f"{name}={_short(value)} is more than {schema['maximum']}"
    if isinstance(value, list):
        return _first(mismatch(entry, schema.get("items", {}), name) for entry in value)
    if isinstance(value, dict):
        return _object_mismatch(value, schema)
    return None


def _object_mismatch(value: dict[str, Any], schema: Mapping[str, Any]) -> str | None:
    properties = schema.get("properties", {})
    if absent := [name for name in schema.get("required", ()) if name not in value]:
        return f"no {', '.join(absent)}"
    if surplus := [name for name in value if name not in properties and schema.get("additionalProperties") is False]:
        return f"not asked for {_short(', '.join(surplus))}"
    return _first(mismatch(entry, properties.get(name, {}), name) for name, entry in value.items())


def _first(problems: Any) -> str | None:
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


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds = schema.get("type")
    if kinds is None:
        return dict(schema)
    nullable = {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    return {**nullable, "enum": [*schema["enum"], None]} if "enum" in schema else nullable


def _short(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
