"""Names of the eight expressions where one word is a picture's class: folder names, cells of tables.

Free text is another matter (`seke.answers.extract`): here a name is known as a whole, or it is refused with the nearest
one. Numbers mean another expression in every dataset, so they are read by a convention that somebody states.
"""

import difflib
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Final

from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError

NAMES: Final[Mapping[str, str]] = {
    name: expression
    for expression, names in {
        "neutral": "neutral neutrality",
        "happiness": "happiness happy joy joyful",
        "sadness": "sadness sad",
        "surprise": "surprise surprised",
        "fear": "fear fearful afraid scared",
        "disgust": "disgust disgusted",
        "anger": "anger angry",
        "contempt": "contempt contemptuous",
    }.items()
    for name in names.split()
}
"""Expressions by the words that datasets use for them, in lower case."""
NO_CLASS: Final = frozenset(("other", "others", "none", "uncertain", "unknown", "no-face", "noface", "no face"))
"""Names of classes that are no expression: their pictures are rejected and counted."""
CONVENTIONS: Final[Mapping[str, Mapping[int, str | None]]] = {
    "raf_db": dict(
        enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1)
    ),
    "affectnet": dict(
        enumerate(
            ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt", None, None, None)
        )
    ),
    "fer2013": dict(enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"))),
    "ck_plus": dict(
        enumerate(("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"))
    ),
}  # fmt: skip
"""What each dataset's numbers mean; None is a class that is no expression."""
ENDS: Final[Mapping[str, tuple[int, tuple[int, ...]]]] = {
    "raf_db": (1, (7,)), "affectnet": (0, (6, 7, 8, 9, 10)), "fer2013": (0, (6,)), "ck_plus": (0, (7,)),
}  # fmt: skip
"""Where each convention begins, and where it may end: AffectNet is often cut down to seven or eight classes. Folders of
CK+ begin at 0 or 1, since no peak frame is neutral."""

Classes = str | Mapping[str, str | None] | None
"""The setting `source.classes`: a convention, names (or numbers) of one's own, or None for the words alone."""


class Vocabulary:
    """The names of classes that are known: our words, and what `source.classes` adds to them.

    Raises:
        UserError: if the setting is no convention and no mapping to expressions.
    """

    def __init__(self, classes: object) -> None:
        self.convention = classes if isinstance(classes, str) else None
        self.own: dict[str, str | None] = {}
        if self.convention is not None and self.convention not in CONVENTIONS:
            known = ", ".join(CONVENTIONS)
            remedy = f"use {known}, or names of your own: {{joie: happiness}}"
            raise UserError("source.classes", classes, "no such convention", remedy)
        if classes is None or self.convention:
            return
        if not isinstance(classes, Mapping):
            raise UserError("source.classes", classes, "not a convention or names", "set raf_db, or {0: neutral, ...}")
        for name, expression in classes.items():
            if expression is not None and expression not in EXPRESSIONS:
                problem = "none of the eight expressions"
                raise UserError(f"source.classes.{name}", expression, problem, f"use {', '.join(EXPRESSIONS)} or null")
            self.own[bare(str(name))] = expression

    def knows(self, name: str) -> bool:
        """Whether a folder called `name` is a class."""
        plain = bare(name)
        if plain in self.own or plain in NAMES or plain in NO_CLASS:
            return True
        number = _number(plain)
        return number is not None and self.convention is not None and number in CONVENTIONS[self.convention]

    def expression(self, name: str) -> str | None:
        """Return the expression of a class that is known; None for one that is none."""
        plain = bare(name)
        if plain in self.own:
            return self.own[plain]
        number = _number(plain)
        if number is not None and self.convention is not None:
            return CONVENTIONS[self.convention][number]
        return NAMES.get(plain)

    def check_numbers(self, names: Collection[str]) -> None:
        """Make sure that the numbers among all names of a dataset are those of the stated convention.

        Raises:
            UserError: if they are numbers and no convention is stated, or if they begin or end elsewhere.
        """
        numbers = sorted(
            {n for name in names if (plain := bare(name)) not in self.own and (n := _number(plain)) is not None}
        )
        if not numbers:
            return
        spelt = ", ".join(map(str, numbers[:12]))
        if self.convention is None:
            problem = f"classes called {spelt}: numbers mean other expressions in every dataset"
            remedy = f"set source.classes={', '.join(CONVENTIONS)} or say each, as in '{{{numbers[0]}: neutral, ...}}'"
            raise UserError("source.classes", None, problem, remedy)
        begin, ends = ENDS[self.convention]
        begins = (begin, 1) if self.convention == "ck_plus" else (begin,)
        if numbers[0] not in begins or numbers[-1] not in ends:
            problem = (
                f"its classes go from {begin} to {' or '.join(map(str, ends[:2]))}, those here are {spelt}: "
                "another convention, or one with a class left out"
            )
            raise UserError("source.classes", self.convention, problem, "say what each means: '{0: neutral, ...}'")

    def nearest(self, name: str) -> str | None:
        """Return the known word that is spelt most like `name`, if one is."""
        near = difflib.get_close_matches(bare(name)[:64], NAMES, 1, 0.6)
        return near[0] if near else None


def bare(name: str) -> str:
    """Return a class name in lower case, composed, without a number before it.

    >>> bare("3_Happy"), bare("07"), bare("No-Face")
    ('happy', '7', 'no-face')
    """
    plain = unicodedata.normalize("NFC", name).strip().lower()
    plain = re.sub(r"^\d+[\s_.-]+(?=\D)", "", plain)
    return plain.lstrip("0") or "0" if plain.isascii() and plain.isdigit() else plain


def word(name: str) -> str | None:
    """Return the expression that a word names, None where it names none.

    >>> word(" Angry"), word("joie")
    ('anger', None)
    """
    plain = unicodedata.normalize("NFC", name).strip().lower()
    return NAMES.get(plain)


def _number(plain: str) -> int | None:
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 5 else None
