"""Rows and the Protocol of their readers: from a dataset's own files to conversations with pictures.

    files of a dataset -> Reader.read -> Row: turns of a conversation and its pictures, or a Rejection that says why not

A reader lists: it opens label files and folders, never a picture or a video. The frame of a video that a row needs is
named in the row and taken from the video when the row is drawn (clips.py).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from seke.answers.extract import describe
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.clips import Job
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.images import ImageError
from seke.core.records import Labels, Rejection
from seke.models.protocol import Role
from seke.training.readers.objects import Broken

Item = TypeVar("Item")
Keep = Literal["all", "expression", "va", "au"]
KEPT: Final[dict[str, tuple[str, ...]]] = {
    "expression": ("expression",),
    "va": ("valence", "arousal"),
    "au": ("action_units",),
}
NOUNS: Final = {
    "happy": "happiness", "sad": "sadness", "surprised": "surprise", "fearful": "fear", "disgusted": "disgust",
    "angry": "anger", "contemptuous": "contempt",
}  # fmt: skip
"""Adjectives in which datasets name the eight expressions. Worried, doubt, awe and their like are none of the eight."""
LONGEST_ID, LONGEST_DETAIL = 200, 300
"""Characters that a row's id, and what is said of its rejection, have at most; a hostile file may hold megabytes."""


class Turn(NamedTuple):
    """One turn of a row: who, what, and how many images or clips stand before the text."""

    role: Role
    text: str
    images: int


def grouped(items: Sequence[Item], clips: Sequence[int]) -> list[tuple[Item, ...]]:
    """Return what stands at each place: one item of a picture, as many of a clip as it has frames.

    Args:
        items: of all pictures and frames, in order.
        clips: frames of the clip at each place, 0 for a picture; (): pictures everywhere.

    >>> grouped("abcd", (0, 3)), grouped("ab", ())
    ([('a',), ('b', 'c', 'd')], [('a',), ('b',)])
    """
    left = iter(items)
    return [tuple(islice(left, frames or 1)) for frames in clips or (0,) * len(items)]


class Frame(NamedTuple):
    """A picture that is still inside a video."""

    video: Path
    number: int | None
    """Counted from 0; None: the middle one."""
    file: Path
    """Where it is written, once."""


@dataclass(frozen=True)
class Row:
    """One conversation with its image files."""

    id: str
    turns: tuple[Turn, ...]
    images: tuple[Path, ...]
    frame: Frame | None = None
    """How the row's only image comes into being where its file may not be there yet."""
    sha256: str | None = None
    """Of the row's only image when its labels were made, where the row says so."""
    source: str = ""
    """The dataset that it comes from, and below the split of it, where the row says so: a limit keeps their shares."""
    split: str = ""
    face: tuple[int, int, int, int] | None = None
    """Left, top, width and height in pixels of the only image, where the row is about a part of it."""
    clips: tuple[int, ...] = ()
    """How many of `images` are the frames of the clip at each place, 0 for a picture; (): pictures everywhere."""
    frames_sha256: tuple[str, ...] = ()
    """Of each of `images`, the frames of the row's only clip, when its labels were made; (): the row does not say."""
    between: tuple[int, ...] = ()
    """Milliseconds from one frame to the next of each of `clips`, 0 where unknown; (): everywhere."""
    film: Job | None = None
    """The video that the row's only clip is in, where its frames may not be there yet."""

    @property
    def places(self) -> int:
        """How many pictures and clips the row shows."""
        return 1 if self.film is not None else len(self.clips or self.images)


class Reader(Protocol):
    """Reads one kind of instruction set (conf/data/*.yaml: reader)."""

    def files(self, path: Path) -> list[Path]:
        """Return the label files of the dataset at `path` (a file or a folder); their content identifies a run.

        Raises:
            UserError: if there is none.
        """

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the conversations of the dataset at `path`, whose pictures lie below `root`, always in one order.

        With `keep`, the last answer is that description alone, written from the row's labels.

        Raises:
            UserError: at a label file that cannot be read or is not of this kind.
        """


class UnusableError(Exception):
    """A row that is well formed, yet cannot be trained on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def row_or_rejection(file: Path, where: str, name: str, make: Callable[[], Row]) -> Row | Rejection:
    """Return the row that `make` makes, or the rejection `name` that it ends in, whatever stands at `where` of `file`.

    Raises:
        UserError: if a setting is at fault, not the row.
    """
    try:
        return make()
    except UnusableError as error:
        return rejected(name, error.reason, str(error))
    except UserError:
        raise
    except (ImageError, OSError) as error:  # OSError: a name that is too long for any file
        return rejected(name, "image", str(error))
    except Exception as error:  # a file that somebody else wrote may hold anything in any place
        problem = str(error) if isinstance(error, ValueError) else "not of this dataset's form"
        return rejected(name, "form", f"{file.name}, {where}: {problem}")


def rejected(name: str, reason: str, detail: str) -> Rejection:
    """Return a rejection of bounded length that any file can hold."""
    return Rejection(id=_bounded(name, LONGEST_ID), reason=reason, detail=_bounded(detail, LONGEST_DETAIL))


def row_id(raw: Any, where: str) -> str:
    """Return a row's `id` if it is a text or a number, else the place it stands at."""
    given = raw.get("id") if isinstance(raw, dict) else None
    known = isinstance(given, str | int | float) and not isinstance(given, bool) and given != ""
    return _bounded(str(given), LONGEST_ID) if known else where


def as_object(raw: Any) -> dict[str, Any]:
    """Return the object that a row is.

    Raises:
        UnusableError: if it is none.
    """
    if isinstance(raw, Broken):
        raise UnusableError("json", raw.problem)
    if not isinstance(raw, dict):
        raise UnusableError("form", f"{json_type(raw)}, not an object")
    return raw


def text_of(value: Any, what: str, reason: str = "form") -> str:
    """Return `value` trimmed, if it is text that a tokenizer can read.

    Args:
        value: anything out of a file.
        what: what it is called in the file, for the message.
        reason: of the rejection, if it is no text.

    Raises:
        UnusableError: if it is anything else, or holds half a character (a lone surrogate, which JSON can spell).
    """
    if not isinstance(value, str):
        raise UnusableError(reason, f"{what} is {json_type(value)}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnusableError("form", f"{what} holds half a character (a lone surrogate)") from None
    if "\0" in value:
        raise UnusableError("form", f"{what} holds a NUL character")
    return value.strip()


def json_type(value: Any) -> str:
    """Return what a JSON value is, in words.

    >>> json_type(None), json_type([1]), json_type({}), json_type(True), json_type(2.5)
    ('null', 'a list', 'an object', 'true or false', 'a number')
    """
    names = ((bool, "true or false"), (int | float, "a number"), (str, "text"), (list, "a list"), (dict, "an object"))
    return next((name for kinds, name in names if isinstance(value, kinds)), "null")


def whole_number(value: Any) -> int | None:
    """Return a whole number, however it is spelt; None if it is none.

    >>> [whole_number(value) for value in (12, "12", 12.0, " 12.0 ", "12b", True, None)]
    [12, 12, 12, 12, None, None, None]
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"\s*([+-]?\d{1,15})(\.0*)?\s*", value, re.ASCII) if isinstance(value, str) else None
    return int(match[1]) if match else None


def exchange(question: Any, answer: Any, images: int = 1) -> tuple[Turn, ...]:
    """Return the conversation of one question and its answer.

    Raises:
        UnusableError: if one of them is no text, or the answer is empty.
    """
    asked, answered = text_of(question, "the question"), text_of(answer, "the answer", "answer")
    if not answered:
        raise UnusableError("answer", "no answer to learn")
    return Turn("user", asked, images), Turn("assistant", answered, 0)


def keep_only(turns: tuple[Turn, ...], labels: Labels, keep: Keep) -> tuple[Turn, ...]:
    """Return `turns` with the last answer rewritten to the description that `keep` names.

    Action units that are known only where they are active make no answer: without a single known absence, a list of
    them would teach that whatever is not listed may be there or not.

    Raises:
        UnusableError: if the description is not known.
    """
    if keep == "all":
        return turns
    wanted = Labels(**{name: getattr(labels, name) for name in KEPT[keep]})
    if wanted.empty:
        raise UnusableError("keep", f"no label for {keep}")
    units = wanted.action_units or {}
    if units and all(units.values()) and len(units) < len(ACTION_UNITS):
        raise UnusableError("keep", "only active action units are given, which others are absent is not known")
    last = max(k for k, turn in enumerate(turns) if turn.role == "assistant")
    return (*turns[:last], turns[last]._replace(text=describe(wanted)), *turns[last + 1 :])


def expression(word: Any) -> str | None:
    """Return which of the eight expressions `word` names; None where it names none of them.

    >>> expression("Sad"), expression("fear"), expression("worried"), expression(3)
    ('sadness', 'fear', None, None)
    """
    said = word.strip().lower() if isinstance(word, str) else ""
    noun = NOUNS.get(said, said)
    return noun if noun in EXPRESSIONS else None


def active_units(names: Any) -> dict[int, bool] | None:
    """Return a list of active action units as labels; what is not in the list is unknown, other AUs are left out.

    >>> active_units(["AU1", "au04", 12, "AU43"]), active_units(None)
    ({1: True, 4: True, 12: True}, None)
    """
    listed = names if isinstance(names, list) else []
    units = {
        whole_number(name.strip().upper().removeprefix("AU") if isinstance(name, str) else name) for name in listed
    }
    return {au: True for au in sorted(ACTION_UNITS) if au in units} or None


def _bounded(text: str, most: int) -> str:
    """Return `text` on one line, no longer than `most`; what does not print, such as half a character, is escaped."""
    line = " ".join(text[: 4 * most].split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return shortened(line, most)
