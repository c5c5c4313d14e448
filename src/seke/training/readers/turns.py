"""Parser of conversations as LLaVA, ShareGPT, TRL, Hugging Face and Qwen-VL write them, and of their pictures.

    LLaVA, ShareGPT    {"conversations": [{"from": "human", "value": "<image> Who?"}, ...], "image": "a.jpg" | [...]}
    TRL, LlamaFactory  {"messages": [{"role": "user", "content": "<image> Who?"}, ...], "images": ["a.jpg", ...]}
    Hugging Face       {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", ...}]}, ...], ...}
    Qwen-VL            "Picture 1: <img>a.jpg</img> Who?"

What is not understood whole is refused: a model must never be trained on the words about a picture without it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core.records import Labels
from seke.models.protocol import Role
from seke.training.readers.row import Keep, Row, Turn, UnusableError, exchange, json_type, keep_only, text_of

PLACEHOLDER: Final = "<image>"
ROLES: Final[dict[str, Role]] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "model": "assistant", "system": "system",
}  # fmt: skip
TURN: Final = ("from", "role", "value", "content")
"""Keys of a turn that are read."""
TURNS: Final = ("conversations", "messages")
"""Keys of a row that hold its turns."""
CLIP: Final = "<video>"
PICTURES: Final = ("image", "images")
"""Keys of a row that name its pictures."""
VIDEOS: Final = ("video", "videos")
"""Keys of a row that name its clip."""
MOVING: Final = (*VIDEOS, "audio", "audios")
"""Keys of a row that name what no model here takes, or not every reader."""
BETWEEN: Final = re.compile(r"(<image>|<img>.*?</img>)", re.DOTALL)
"""The places of pictures in a text."""
FOREIGN: Final = re.compile(
    r"<\s{0,3}/?(?:(?P<moving>video|audio|speech)(?:[-_ ]?(?:\d+|here|placeholder))?"
    r"|(?:start_of_|end_of_)?(?:image|img)(?:[-_ ]?(?:\d+|here|placeholder|token|pad|patch|soft_token))?"
    r"|im_(?:patch|start|end)|\|(?:image|vision|video|audio|media)\w*\|)\s{0,3}>"
    r"|<img\s[^<>]{0,500}>|!\[[^\[\]]{0,500}\]\([^()]{1,500}\)|\[(?:image|img|picture)\]",
    re.IGNORECASE,
)
"""Places of pictures, clips and sounds in the formats of other programs, HTML and Markdown."""
UNLEARNT: Final = ("weight", "loss", "train", "learn")
"""Keys by which other programs say of an answer that it must not be learnt."""
SAME: Final = (("from", "role"), ("value", "content"))
"""Keys of a turn that mean the same."""
DEEPEST: Final = 6
"""Levels of a row in which a name of a picture is looked for."""
FILE: Final = re.compile(
    r"\.(?:jpe?g|png|bmp|gif|webp|tiff?|jfif|heic|heif|avif|mp4|avi|mkv|mov|webm|npy|pt)$", re.IGNORECASE
)
NAMING: Final = re.compile(r"image|img|picture|photo|pixel|video|frame|media|visual", re.IGNORECASE)
"""Keys that may name a picture; with `FILE`, only looked at where a row would else be trained on without any."""


class Conversation(NamedTuple):
    """A conversation and what its pictures are called, in the order of their places."""

    turns: tuple[Turn, ...]
    pictures: tuple[str, ...]


def of_clip(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a row about one clip as if that were a picture, at the places of either; None where it is about none.

    Raises:
        UnusableError: if it names several, or pictures as well.
    """
    named = [key for key in VIDEOS if not _empty(raw.get(key))]
    if not named:
        return None
    if len(named) == 2 or (isinstance(raw[named[0]], list) and len(raw[named[0]]) > 1):
        raise UnusableError("video", f"several clips ({', '.join(named)}); a row may show one")
    if any(not _empty(raw.get(key)) for key in PICTURES):
        raise UnusableError("video", "a clip and pictures in one row")
    kept = {key: held for key, held in raw.items() if key not in VIDEOS}
    turns = {key: list(map(_with_place, raw[key])) for key in TURNS if isinstance(raw.get(key), list)}
    return kept | turns | {"image": raw[named[0]]}


def _with_place(turn: Any) -> Any:
    """Return a turn of the user with the place of a picture for that of its clip."""
    if not isinstance(turn, dict) or ROLES.get(str(turn.get("from", turn.get("role"))).strip().lower()) != "user":
        return turn
    return {key: _as_picture(held) if key in ("value", "content") else held for key, held in turn.items()}


def _as_picture(held: Any) -> Any:
    if isinstance(held, str):
        return held.replace(CLIP, PLACEHOLDER)
    if isinstance(held, list):
        return [_as_picture(part) for part in held]
    if isinstance(held, dict) and held.get("type") == "video":
        return {"type": "image", **({"image": held["video"]} if held.get("video") else {})}
    return held | {"text": _as_picture(held["text"])} if isinstance(held, dict) and "text" in held else held


class _ParsedTurn(NamedTuple):
    role: Role
    text: str
    places: tuple[str | None, ...]
    """Of every picture its name, or None: the row's next one."""


def parse_conversation(raw: dict[str, Any]) -> Conversation:
    """Return the conversation of a row.

    Raises:
        UnusableError: if it is none, or anything in it is not understood or not supported; it says which.
    """
    for key in MOVING:
        if not _empty(raw.get(key)):
            raise UnusableError(key.removesuffix("s"), f"`{key}` is given; only pictures are supported")
    turns = [*_system(raw), *(_turn(number, turn) for number, turn in enumerate(_listed(raw), start=1))]
    _check_order(turns)
    given = pictures(raw)
    if not given and not any(turn.places for turn in turns):
        _check_blind(raw)
    return _placed(turns, given)


def pictures(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a row's `image` or `images` names.

    Raises:
        UnusableError: if it names none in a way that is known, or the two differ.
    """
    found = [_names(raw[key], key) for key in PICTURES if not _empty(raw.get(key))]
    if len(found) == 2 and found[0] != found[1]:
        raise UnusableError("image", "`image` and `images` name different pictures")
    return found[0] if found else ()


def _names(value: Any, key: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(_name(one, f"`{key}`" if one is value else f"`{key}` {k}") for k, one in enumerate(listed, start=1))


def _name(value: Any, what: str) -> str:
    """Return the file name that stands for a picture: itself, or the `path` of a Hugging Face picture."""
    if isinstance(value, dict):
        if value.get("bytes") is not None:
            raise UnusableError("image", f"{what} holds a picture's bytes; only files are supported")
        value = next((value[key] for key in ("path", "image", "url") if value.get(key) is not None), value)
    name = text_of(value, what, "image").removeprefix("file://")
    if not name:
        raise UnusableError("image", f"{what} is empty")
    if re.match(r"data:|[a-z][a-z0-9+.-]*://", name, re.IGNORECASE):
        raise UnusableError("image", f"{what} is no file but an address ({name[:40]}); only files are supported")
    return name


def _listed(raw: dict[str, Any]) -> list[Any]:
    """Return the turns of a row, as they stand."""
    found = [key for key in TURNS if not _empty(raw.get(key))]
    if len(found) == 2:
        raise UnusableError("form", "it has both conversations and messages")
    if found:
        value = raw[found[0]]
        if not isinstance(value, list):
            raise UnusableError("form", f"`{found[0]}` is {json_type(value)}, not a list of turns")
        return value
    if isinstance(raw.get("prompt"), list) and isinstance(raw.get("completion"), list):  # TRL's other form
        return [*raw["prompt"], *raw["completion"]]
    if any(key in raw for key in TURNS):
        raise UnusableError("form", "the conversation is empty")
    raise UnusableError("form", f"no conversations or messages in it; its keys are {', '.join(map(str, raw))}")


def _system(raw: dict[str, Any]) -> Iterator[_ParsedTurn]:
    """Yield ShareGPT's system prompt, which stands beside the turns."""
    if not _empty(raw.get("system")):
        yield _ParsedTurn("system", text_of(raw["system"], "`system`"), ())


def _turn(number: int, raw: Any) -> _ParsedTurn:
    """Return one turn, whether its keys are from and value or role and content."""
    if not isinstance(raw, dict):
        raise UnusableError("form", f"turn {number} is {json_type(raw)}, not an object")
    for one, other in SAME:
        if one in raw and other in raw and raw[one] != raw[other]:
            raise UnusableError("form", f"turn {number} has `{one}` and `{other}`, which differ")
    speaker = raw.get("from", raw.get("role"))
    role = ROLES.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        said = repr(speaker[:40]) if isinstance(speaker, str) else json_type(speaker)
        raise UnusableError("form", f"turn {number} is said by {said}; known are {', '.join(ROLES)}")
    for key in (*PICTURES, *MOVING):
        if not _empty(raw.get(key)):
            raise UnusableError(key.removesuffix("s"), f"turn {number} has `{key}` of its own, beside its text")
    _check_blind({key: held for key, held in raw.items() if key not in TURN}, f"turn {number}: ")
    off = next((key for key in UNLEARNT if raw.get(key) in (0, False) and raw.get(key) is not None), None)
    if off and role == "assistant":
        raise UnusableError("answer", f"turn {number} has {off}={raw[off]}: not to be learnt, which is not supported")
    value = raw["value"] if "value" in raw else raw.get("content")
    listed = value if isinstance(value, list) else [value]
    parts = [_part(part, f"turn {number}") for part in listed]
    text = "\n".join(filter(None, (text for text, _ in parts)))
    places = tuple(place for _, held in parts for place in held)
    if places and role != "user":
        raise UnusableError("form", f"turn {number} of the {role} has a picture; only the user's may")
    return _ParsedTurn(role, text, places)


def _part(part: Any, what: str) -> tuple[str, tuple[str | None, ...]]:
    """Return text and pictures of a part of a turn: a string, or an object as the Hugging Face and OpenAI write it."""
    if not isinstance(part, dict):
        return _text(part, what)
    sort = part.get("type")
    if sort == "text" or (sort is None and "text" in part):
        return _text(part.get("text"), what)
    if sort == "image":
        named = [part[key] for key in ("image", "path") if not _empty(part.get(key))]
        return "", (_name(named[0], f"the picture of {what}") if named else None,)
    if sort == "image_url":
        return "", (_name(part.get("image_url"), f"the picture of {what}"),)
    reason = sort if sort in MOVING else "form"
    shown = sort if isinstance(sort, str) else json_type(sort)
    raise UnusableError(reason, f"{what} has a part of type {shown[:40]}; only text and image are supported")


def _text(value: Any, what: str) -> tuple[str, tuple[str | None, ...]]:
    """Return a text without the places of pictures in it, and these."""
    pieces = BETWEEN.split(text_of(value, what))
    named = (piece.removeprefix("<img>").removesuffix("</img>") for piece in pieces[1::2])
    places = tuple(None if name == PLACEHOLDER else _name(name, f"<img> of {what}") for name in named)
    text = "".join(pieces[::2]).strip()
    if found := FOREIGN.search(text):
        reason = "video" if (found["moving"] or "").lower() == "video" else "form"
        raise UnusableError(reason, f"{what} has {found[0]}, which is no place of a picture here; use <image>")
    return text, places


def _check_order(turns: list[_ParsedTurn]) -> None:
    roles = [turn.role for turn in turns]
    if "assistant" not in roles:
        raise UnusableError("answer", "no answer of the assistant in it")
    if "user" not in roles[: roles.index("assistant")]:
        raise UnusableError("form", "the assistant answers before the user has asked")
    if any(turn.role == "assistant" and not turn.text for turn in turns):
        raise UnusableError("answer", "an answer of the assistant is empty")


def _check_blind(raw: Mapping[str, Any], where: str = "") -> None:
    """Refuse a row without a picture, or a turn, of which some key, however deep, looks as if there were one."""
    for path, value in _leaves({key: held for key, held in raw.items() if key not in (*PICTURES, *TURNS, "id")}):
        first, nested, _ = path.partition(".")
        text = isinstance(value, str) and value.strip()
        file = text and FILE.search(text)
        if file or (text and NAMING.search(path)) or (nested and NAMING.search(first)):
            problem = f"{where}`{path}` may name a picture, which is read from the row's `image` or `images` only"
            raise UnusableError("image", problem)


def _leaves(value: Any, path: str = "", deep: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the texts and numbers in a value with the keys that lead to them; the items of a list have the list's."""
    if isinstance(value, Mapping) and deep < DEEPEST:
        for key, held in value.items():
            yield from _leaves(held, f"{path}.{key}" if path else str(key), deep + 1)
    elif isinstance(value, list) and deep < DEEPEST:
        for held in value:
            yield from _leaves(held, path, deep + 1)
    else:
        yield path, value


def _placed(turns: list[_ParsedTurn], given: tuple[str, ...]) -> Conversation:
    """Give every place its picture; without a place they come first, as in LLaVA's own loader."""
    places = [place for turn in turns for place in turn.places]
    named = tuple(place for place in places if place is not None)
    if not places and given:
        first = next(k for k, turn in enumerate(turns) if turn.role == "user")
        turns[first] = turns[first]._replace(places=(None,) * len(given))
        places = [None] * len(given)
    if len(places) == len(named) and named == given:  # named twice, in the text and beside it
        given = ()
    if len(places) - len(named) != len(given):
        shown = f"{len(places)} place(s) of pictures for {len(given) + len(named)} picture(s)"
        raise UnusableError("image", shown)
    left = iter(given)
    shown_in_order = tuple(next(left) if place is None else place for place in places)
    return Conversation(tuple(Turn(turn.role, turn.text, len(turn.places)) for turn in turns), shown_in_order)


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def question_and_answer(
    row: Mapping[str, Any],
    name: str,
    picture: Callable[[str], Path],
    question: Any,
    answer: Any,
    labels: Labels,
    keep: Keep,
) -> Row:
    """Return the row of one question about the pictures that a row names, and its answer.

    Args:
        row: names the pictures under `PICTURES`.
        name: of the row.
        picture: where a picture lies.
        question: its text; places of pictures in it are dropped, for all pictures stand before it.
        answer: its text.
        labels: of the row, for `keep`.
        keep: see `keep_only`.

    Raises:
        UnusableError: if no picture is named, or question or answer is no text.
    """
    files = tuple(picture(image) for image in pictures(row))
    if not files:
        raise UnusableError("image", "no image named")
    asked = text_of(question, "the question").replace(PLACEHOLDER, "")
    return Row(name, keep_only(exchange(asked, answer, len(files)), labels, keep), files)
