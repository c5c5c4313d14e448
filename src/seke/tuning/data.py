"""Instruction rows -> token ids, label masks and images, ready for the loader.

rows of instructions.jsonl (or any LLaVA conversation data) -> keep= -> encode -> Sample; what cannot be used is
rejected by name. Lengths are exact, and no sample is ever cut.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from seke import images, runs
from seke.answers import describe
from seke.errors import UserError
from seke.records import Labels, RecordError, Rejection

Keep = Literal["all", "expression", "va", "au"]
KEPT: dict[str, tuple[str, ...]] = {
    "expression": ("expression",),
    "va": ("valence", "arousal"),
    "au": ("action_units",),
}
PLACEHOLDER = "<image>"
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class Say(NamedTuple):
    """One turn of a row: who, what, and how many images stand before the text."""

    role: str
    text: str
    images: int


@dataclass(frozen=True)
class Row:
    """One conversation with its image files."""

    id: str
    turns: tuple[Say, ...]
    images: tuple[Path, ...]


class Source(NamedTuple):
    """One part of a mixture: a file of rows, taken `weight` times (2.5 is twice, and half of the rows once more)."""

    file: Path
    weight: float = 1.0


@dataclass
class Data:
    """What to train on (conf/data/*.yaml)."""

    path: str | None = None
    """Name of a generate run, or a .jsonl or .json file of LLaVA conversations."""
    mixture: Sequence[dict[str, Any]] = ()
    """Instead of `path`: a list of {path, weight}."""
    validation: str | None = None
    """A second name or file, on which the loss is watched; never trained on."""
    keep: Keep = "all"
    """Answer with this description only, rewritten from the row's labels."""
    label_mask: Literal["answer", "llava_next"] = "answer"
    max_tokens: int = 32768
    """A longer conversation is rejected by name, never cut."""
    group_by_length: bool = True
    cache: Literal["auto", "states", "pixels", "none"] = "auto"
    """What is computed once per image and kept: a frozen tower's states, pixels, or nothing. `auto` decides."""
    workers: int = 0
    limit: int | None = None
    image_root: str | None = field(default=None)

    def __post_init__(self) -> None:
        if self.keep not in ("all", *KEPT):
            raise UserError("data.keep", self.keep, "no such description", f"use all, {', '.join(KEPT)}")
        if self.label_mask not in ("answer", "llava_next"):
            raise UserError("data.label_mask", self.label_mask, "no such label mask", "use answer or llava_next")
        if self.cache not in ("auto", "states", "pixels", "none"):
            raise UserError("data.cache", self.cache, "unknown", "use auto, states, pixels or none")
        if bool(self.path) == bool(self.mixture):
            raise UserError("data.path", self.path, "not exactly one of path and mixture", "give one of them")
        for part in self.mixture:
            if not {"path"} <= set(part) <= {"path", "weight"} or part.get("weight", 1) <= 0:
                raise UserError("data.mixture", part, "not {path, weight > 0}", "give a path and a positive weight")

    def sources(self, outputs: Path) -> list[Source]:
        """Find the files: names of generate runs, or paths."""
        if self.path:
            return [Source(_locate("data.path", self.path, outputs))]
        return [
            Source(_locate("data.mixture", part["path"], outputs), float(part.get("weight", 1.0)))
            for part in self.mixture
        ]

    def read(self, sources: Sequence[Source], seed: int = 0) -> tuple[list[Row], list[Rejection]]:
        """Read all rows of a mixture in order; what has no usable answer or image is rejected."""
        rows: list[Row] = []
        rejected: list[Rejection] = []
        for source in sources:
            root = runs.image_root(source.file, self.image_root)
            taken: list[Row] = []
            for found in read_rows(source.file, root, self.keep):
                if isinstance(found, Rejection):
                    rejected.append(found)
                else:
                    taken.append(found)
            whole, part = divmod(source.weight, 1)
            extra = Random(f"{seed} {source.file.name}").sample(taken, round(part * len(taken)))
            rows += [*taken * int(whole), *extra]
        return (rows[: self.limit] if self.limit is not None else rows), rejected


def _locate(argument: str, reference: str, outputs: Path) -> Path:
    return runs.locate(argument, reference, outputs, "generate", "instructions.jsonl")


def read_rows(file: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
    """Yield the rows of a .jsonl file, or of a .json file that is one list, as LLaVA writes it.

    Raises:
        RecordError: at a line that is no JSON object or no conversation; a missing image is a `Rejection` instead.
    """
    for number, raw in _objects(file):
        try:
            yield _row(raw, number, root, keep)
        except images.ImageError as error:
            yield Rejection(id=str(raw.get("id", number)), reason="image", detail=str(error))
        except _NothingToKeepError as error:
            yield Rejection(id=str(raw.get("id", number)), reason="keep", detail=str(error))
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            first = " ".join(str(error).split())[:120]
            raise RecordError(file, f"line {number}, no LLaVA conversation ({first})") from error


class _NothingToKeepError(Exception):
    """A row without the description that `data.keep` asks for."""


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        if file.suffix == ".json":
            yield from enumerate(json.loads(file.read_text(encoding="utf-8-sig")), start=1)
            return
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordError(file, f"line {error.lineno}, no JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise RecordError(file, f"not UTF-8 text ({error.reason})") from error


def _row(raw: dict[str, Any], number: int, root: Path, keep: Keep) -> Row:
    turns = tuple(_say(turn) for turn in raw["conversations"])
    if not any(turn.role == "assistant" and turn.text for turn in turns):
        raise ValueError("no answer of the assistant in it")
    if keep != "all":
        turns = _kept(turns, raw, keep)
    given = raw.get("image") or []
    files = tuple(images.resolve(root, image) for image in ([given] if isinstance(given, str) else given))
    places = sum(turn.images for turn in turns)
    if places == 0 and files:  # LLaVA's own loader puts the image first when the text does not place it
        first = next(k for k, turn in enumerate(turns) if turn.role == "user")
        turns = (*turns[:first], turns[first]._replace(images=len(files)), *turns[first + 1 :])
    elif places != len(files):
        raise ValueError(f"{places} image placeholders for {len(files)} images")
    return Row(str(raw.get("id", number)), turns, files)


def _say(turn: dict[str, str]) -> Say:
    role, text = ROLES[turn["from"]], turn["value"]
    # As LLaVA-NeXT does, a turn's placeholders move to its front.
    return Say(role, text.replace(PLACEHOLDER, "").strip(), text.count(PLACEHOLDER) if role == "user" else 0)


def _kept(turns: tuple[Say, ...], raw: dict[str, Any], keep: Keep) -> tuple[Say, ...]:
    if "labels" not in raw:
        raise ValueError(f"keep={keep} needs labels")
    labels = Labels.model_validate(raw["labels"])
    kept = Labels(**{name: getattr(labels, name) for name in KEPT[keep]})
    if kept.empty:
        raise _NothingToKeepError(f"no label for {keep}")
    last = max(k for k, turn in enumerate(turns) if turn.role == "assistant")
    return (*turns[:last], turns[last]._replace(text=describe(kept)), *turns[last + 1 :])
