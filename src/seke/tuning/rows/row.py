"""The seam between a dataset's own files and training: what every reader yields, and what readers share.

    files of a dataset -> Reader.read -> Row: turns of a conversation and its pictures, or a Rejection that says why not

A reader lists: it opens label files and folders, never a picture or a video. The frame of a video that a row needs is
named in the row and taken from the video when the row is drawn (clips.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.answers import describe
from seke.errors import UserError
from seke.images import ImageError
from seke.records import Labels, RecordError, Rejection

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


class Say(NamedTuple):
    """One turn of a row: who, what, and how many images stand before the text."""

    role: str
    text: str
    images: int


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
    turns: tuple[Say, ...]
    images: tuple[Path, ...]
    frame: Frame | None = None
    """How the row's only image comes into being where its file may not be there yet."""
    sha256: str | None = None
    """Of the row's only image when its labels were made, where the row says so."""


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


def made(file: Path, where: str, name: str, make: Callable[[], Row]) -> Row | Rejection:
    """Return the row that `make` makes, or the rejection `name` that it ends in.

    Raises:
        RecordError: if what stands at `where` of `file` has not the form of this dataset's rows.
    """
    try:
        return make()
    except (ImageError, OSError) as error:  # OSError: a name that is too long for any file
        return Rejection(id=name, reason="image", detail=str(error))
    except UnusableError as error:
        return Rejection(id=name, reason=error.reason, detail=str(error))
    except UserError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"no field {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:120]
        raise RecordError(file, f"{where}, no row of this dataset ({problem})") from error


def exchange(question: str, answer: str, images: int = 1) -> tuple[Say, ...]:
    """Return the conversation of one question and its answer.

    Raises:
        UnusableError: if there is no answer.
    """
    if not answer.strip():
        raise UnusableError("answer", "no answer to learn")
    return Say("user", plain(question), images), Say("assistant", plain(answer), 0)


def plain(text: str) -> str:
    """Return `text` trimmed, if a tokenizer can read it.

    Raises:
        ValueError: if it holds half a character (a lone surrogate, which JSON can spell).
    """
    text.encode()
    return text.strip()


def kept(turns: tuple[Say, ...], labels: Labels, keep: Keep) -> tuple[Say, ...]:
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


def expression(word: str) -> str | None:
    """Return which of the eight expressions `word` names; None where it names none of them.

    >>> expression("Sad"), expression("fear"), expression("worried")
    ('sadness', 'fear', None)
    """
    noun = NOUNS.get(word.strip().lower(), word.strip().lower())
    return noun if noun in EXPRESSIONS else None


def active(names: list[str]) -> dict[int, bool] | None:
    """Return a list of active action units as labels; what is not in the list is unknown, other AUs are left out.

    >>> active(["AU1", "au04", "12", "AU43"])
    {1: True, 4: True, 12: True}
    """
    numbers = [name.strip().upper().removeprefix("AU") for name in names]
    units = [int(number) for number in numbers if number.isascii() and number.isdigit()]
    return {au: True for au in sorted(units) if au in ACTION_UNITS} or None
