"""The subset of JSON Schema that answers are held to: written strictly for the server, checked again on our side.

A server that does not enforce a schema lets a model spell a value in its own way; `adjusted` turns what can mean only
one thing into what was asked for, `mismatch` says what is wrong with the rest.

"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from seke.core.affect import ACTION_UNITS, FACS_LETTERS, STRONGEST
from seke.core.json_schema import kinds_of, mismatch

NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
UNIT: Final = re.compile(r"(?:(?:AU|action[ _-]?unit)[ _-]*)?0*([0-9]{1,3})(?:\.0+)?(?:\W+(.+))?", re.IGNORECASE)
"""An action unit's number, perhaps with its name: "AU06", "12 (Lip Corner Puller)"."""
TRUE_OR_FALSE: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
LONGEST: Final = 4000
"""Characters of a string that is looked into for another type's value."""


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


def adjusted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return `value` as a `strict` schema wants it, where it can mean only one thing; what cannot stays as it is.

    A number or a truth value in quotes, "AU06" for 6, FACS's letters for intensities, a list in a string, another case
    of a word or a name, names that were not asked for. No number is rounded or moved into a range, and no word is taken
    for another one.

    >>> adjusted({"Valence": " +0.5", "note": ""}, strict({"properties": {"valence": {"type": "number"}}}))
    {'valence': 0.5}
    """
    kinds = kinds_of(schema)
    if isinstance(value, str) and "string" in kinds:
        return _word(value, schema.get("enum", ()))
    if isinstance(value, str):
        return _from_text(value.strip(), schema, kinds)
    if isinstance(value, bool) and "boolean" not in kinds and set(schema.get("enum", ())) == {0, 1}:
        return int(value)
    if isinstance(value, float) and "number" not in kinds and "integer" in kinds and value.is_integer():
        return int(value)
    if isinstance(value, int) and kinds == ["boolean"] and value in (0, 1):
        return bool(value)
    if isinstance(value, list) and "array" in kinds:
        return [adjusted(entry, schema.get("items", {})) for entry in value]
    if isinstance(value, dict) and "array" in kinds and "object" not in kinds:
        return _flags(value, schema)
    return _adjusted_object(value, schema) if isinstance(value, dict) and "object" in kinds else value


def _word(text: str, words: Any) -> str:
    """Return the one of `words` that differs from `text` in nothing but case, space and the signs around it."""
    if text in words:
        return text
    same = [word for word in words if isinstance(word, str) and _plain(word) == _plain(text)]
    return same[0] if len(same) == 1 else text


def _from_text(text: str, schema: Mapping[str, Any], kinds: list[str]) -> Any:
    """Return the value of another type that a string holds, or the string."""
    if len(text) > LONGEST:
        return text
    if text[:1] in ("{", "[") and not {"object", "array"}.isdisjoint(kinds):
        try:
            return adjusted(json.loads(text), schema)
        except (ValueError, RecursionError):
            return text
    items = schema.get("items", {})
    if "array" in kinds and text and ("enum" in items or "string" not in kinds_of(items)):
        parts = [adjusted(part, items) for part in re.split(r"\s*[,;]\s*", text)]
        return parts if all(mismatch(part, items) is None for part in parts) else text
    if set(schema.get("enum", ())) == {0, 1} or kinds == ["boolean"]:
        flag = TRUE_OR_FALSE.get(text.lower())
        return text if flag is None else flag if kinds == ["boolean"] else int(flag)
    if "number" in kinds and NUMBER.fullmatch(text):
        return float(text)
    if "integer" in kinds and schema.get("maximum") == STRONGEST and text.upper() in FACS_LETTERS:
        return FACS_LETTERS[text.upper()]
    if "integer" in kinds and (unit := UNIT.fullmatch(text)) and (named := unit[2]) is None:
        return int(unit[1])
    if "integer" in kinds and unit and _letters(ACTION_UNITS.get(int(unit[1]), "")) == _letters(named):
        return int(unit[1])
    return text


def _flags(value: dict[str, Any], schema: Mapping[str, Any]) -> Any:
    """Return which entries of a list an object calls true, {"AU6": true, "AU12": false}, if it speaks of them all."""
    items = schema.get("items", {})
    flags = {adjusted(name, items): adjusted(flag, {"type": "boolean"}) for name, flag in value.items()}
    complete = len(flags) == len(value) and set(flags) == set(items.get("enum", ()))
    if not complete or not all(isinstance(flag, bool) for flag in flags.values()):
        return value
    return [entry for entry, flag in flags.items() if flag]


def _adjusted_object(value: dict[str, Any], schema: Mapping[str, Any]) -> Any:
    properties = schema.get("properties", {})
    spelt: dict[str, list[str]] = {}
    for name in properties:
        spelt.setdefault(_name(name), []).append(name)
    written: dict[str, Any] = {}
    for name, entry in value.items():
        meant = [name] if name in properties else spelt.get(_name(name), [])
        if len(meant) != 1:
            if schema.get("additionalProperties") is not False:
                written[name] = entry
            continue
        right = adjusted(entry, properties[meant[0]])
        if meant[0] in written and json.dumps(written[meant[0]]) != json.dumps(right):
            return value  # one name with two values; `mismatch` names the other spelling
        written[meant[0]] = right
    optional = [name for name, of in properties.items() if name not in written and "null" in of.get("type", ())]
    return {**written, **dict.fromkeys(optional)}


def _name(text: str) -> str:
    unit = UNIT.fullmatch(text.strip())
    return f"au {int(unit[1])}" if unit and unit[2] is None else _plain(text)


def _plain(text: str) -> str:
    """Return a word or name without case, without quotes or a full stop around it, words apart by one space."""
    return re.sub(r"[\s_-]+", " ", text.strip(" \t\r\n\"'`*.")).casefold()


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds = schema.get("type")
    if kinds is None:
        return dict(schema)
    nullable = {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    return {**nullable, "enum": [*schema["enum"], None]} if "enum" in schema else nullable
