"""LLaVA conversations, ours or anybody's: a .jsonl file, or a .json file that is one list.

    {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image> Who?"}, {"from": "gpt", ...}]}

`image` may be a list, or missing. Our instructions also carry `labels`, which serve `keep`, and the `sha256` of the
picture that they are about. Other keys are let be.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from seke import images
from seke.records import Labels, Rejection
from seke.tuning.rows.find import missing
from seke.tuning.rows.objects import objects
from seke.tuning.rows.row import Keep, Row, Say, kept, made, plain

PLACEHOLDER: Final = "<image>"
ROLES: Final = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class Llava:
    """Reads instructions of a generate run, or any file in LLaVA's format.

    Args:
        without: sources whose rows are left out, as if the file did not hold them (leave one dataset out).
        kinds: kinds of instruction (`attributes.kind`) that are kept; None: all.
    """

    def __init__(self, without: Sequence[str] = (), kinds: Sequence[str] | None = None) -> None:
        self.without, self.kinds = frozenset(without), None if kinds is None else frozenset(kinds)

    def files(self, path: Path) -> list[Path]:
        """Return the file itself."""
        if not path.is_file():
            raise missing(path, "instructions.jsonl")
        return [path]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the file's conversations."""
        for where, raw in objects(path):
            if not self._wanted(raw):
                continue
            name = called(raw, where)
            yield made(path, where, name, partial(conversation, raw, name, partial(images.resolve, root), keep))

    def _wanted(self, raw: Any) -> bool:
        if not isinstance(raw, dict):
            return True  # a mistake of the file's, for `made` to tell
        kind = (raw.get("attributes") or {}).get("kind")
        return raw.get("source") not in self.without and (self.kinds is None or kind in self.kinds)


def called(raw: Any, where: str) -> str:
    """Return a row's `id`, or, where it has none, the place it stands at."""
    return str(raw["id"] if isinstance(raw, dict) and raw.get("id") is not None else where)


def conversation(
    raw: dict[str, Any], name: str, picture: Callable[[str], Path], keep: Keep = "all", labels: Labels | None = None
) -> Row:
    """Return the row of one LLaVA object.

    Args:
        raw: the object.
        name: the row's id.
        picture: finds the file of an `image`.
        keep: which description the last answer is rewritten to.
        labels: what the rewriting draws on; None: the object's own `labels`.

    Raises:
        ImageError, UnusableError: if the row cannot be used.
        KeyError, TypeError, ValueError: if it is no conversation.
    """
    turns = tuple(_say(turn) for turn in raw["conversations"])
    if not any(turn.role == "assistant" and turn.text for turn in turns):
        raise ValueError("no answer of the assistant in it")
    if keep != "all":
        turns = kept(turns, labels if labels is not None else Labels.model_validate(raw.get("labels") or {}), keep)
    given = raw.get("image") or []
    files = tuple(picture(image) for image in ([given] if isinstance(given, str) else given))
    digest = raw.get("sha256") if len(files) == 1 else None
    return Row(name, placed(turns, len(files)), files, sha256=digest if isinstance(digest, str) else None)


def placed(turns: tuple[Say, ...], pictures: int) -> tuple[Say, ...]:
    """Return `turns` with a place for each picture; LLaVA's own loader puts them first where the text places none.

    Raises:
        ValueError: if the text places more or fewer.
    """
    places = sum(turn.images for turn in turns)
    if places == 0 and pictures:
        first = next((k for k, turn in enumerate(turns) if turn.role == "user"), None)
        if first is None:
            raise ValueError("no turn of the user in it")
        return (*turns[:first], turns[first]._replace(images=pictures), *turns[first + 1 :])
    if places != pictures:
        raise ValueError(f"{places} image placeholders for {pictures} images")
    return turns


def _say(turn: dict[str, str]) -> Say:
    role, text = ROLES[turn["from"]], plain(turn["value"])
    # As LLaVA-NeXT does, a turn's placeholders move to its front.
    return Say(role, text.replace(PLACEHOLDER, "").strip(), text.count(PLACEHOLDER) if role == "user" else 0)
