"""The class that a free answer names: one of several, each with its words; what the answer denies does not count."""

import re
from collections.abc import Mapping
from typing import Final

_WORD: Final = re.compile(r"[a-z]+(?:'t)?|[.;!?]")
_NOT: Final = ("not", "no", "never", "without", "neither", "nor", "instead", "than")
_TURN: Final = ("but", "it", "this", "rather", ".", ";", "!", "?")
"""Where a denial ends."""
_JOIN: Final = ("or", "and", "nor")
_REACH: Final = 3
"""Words after a "not", or after a denied class, among which another class is denied, too."""


def named_class(text: str, class_of: Mapping[str, str], form: re.Pattern[str]) -> str | None:
    """Return the one class that a text names, or None if it names none or several.

    Args:
        text: the answer.
        class_of: the class that each lower-case word stands for.
        form: what stands before the answer proper; what follows its last occurrence counts before all else.

    >>> named_class("Not a park. Scene: beach", {"park": "park", "beach": "beach"}, re.compile("scene:", re.IGNORECASE))
    'beach'
    """
    parts = form.split(text)
    for part in [*parts[:0:-1], text]:
        found = _mentioned(part.lower().replace("’", "'"), class_of)
        if found:
            return found[0] if len(set(found)) == 1 else None
    return None


def _mentioned(text: str, class_of: Mapping[str, str]) -> list[str]:
    """Return the classes that a lower-case text names and does not deny."""
    found, denied = [], 0
    for word in _WORD.findall(text):
        of_class = class_of.get(word)
        if of_class and not denied:
            found.append(of_class)
        if word in _NOT or word.endswith("n't") or (of_class and denied):
            denied = _REACH
        elif word in _TURN:
            denied = 0
        elif word not in _JOIN:
            denied = max(denied - 1, 0)
    return found
