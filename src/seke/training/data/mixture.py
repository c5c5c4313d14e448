"""Training data: one instruction set or a weighted mixture, each part with the reader of its format (readers/).

    data.path, data.mixture -> parts -> rows, drawn down to a part's `limit` -> dataset.py

Rows stream: none of them is kept here. The draw is seeded and made among the rows that a reader finds usable; a drawn
row whose picture turns out to be broken is rejected by name and never replaced.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from seke.core import plugins, runs
from seke.core.clip_frames import ClipError, pace
from seke.core.clips import NOTE, Job, Shown, decode_all
from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.core.limit import checked, group_of, places, places_of_share
from seke.core.records import Rejection
from seke.core.setting_checks import check_between, check_whole
from seke.training.readers.clips import fetch
from seke.training.readers.llava import Llava
from seke.training.readers.row import KEPT, Keep, Reader, Row, Turn, rejected

INSTRUCTIONS: Final = "instructions.jsonl"
MOST_WORKERS: Final = 8
"""A rank's processes that decode; more only wait for the disk."""
ENTRY: Final = {"path", "reader", "weight", "limit", "keep", "image_root"}
"""What an entry of a mixture may set."""
SPEAKERS: Final = ("system", "user", "assistant")
"""The roles that turns may have."""


BLOCK: Final = 64
"""Rows whose videos are decoded together."""
TEST: Final = frozenset(("test", "tests", "testing", "tst", "eval", "evaluation", "holdout", "heldout"))
"""What rows call the split that models are scored on."""


class Part(NamedTuple):
    """One part of a mixture, taken `weight` times (2.5 is twice, and a seeded half once more)."""

    name: str
    argument: str
    """The setting that names it."""
    path: Path
    """A file or the folder of a dataset."""
    root: Path
    """The folder that images are relative to."""
    reader: Reader
    files: list[Path]
    """The label files whose content decides the rows."""
    manifest: Mapping[str, Any]
    """Of the run that made the rows, beside the first of these files; empty where there is none."""
    weight: float
    limit: int | None
    keep: Keep
    watched: bool = False
    """Whether the loss is watched on it and nothing is trained on it."""
    share: float | None = None
    """Of its usable rows, in (0, 1], where no number of them is set."""


@dataclass
class Data:
    """What to train on (conf/data/*.yaml)."""

    path: str | None = None
    """Name of a generate run, or a file or folder that `reader` reads."""
    reader: Reader = field(default_factory=Llava)
    """How to read `path` and `validation`, and those parts of a mixture that have no reader of their own."""
    mixture: Mapping[str, Any] | Sequence[Any] = ()
    """Instead of `path`: entries {path, reader, weight, limit, keep, image_root}, named or in a list."""
    validation: str | None = None
    """A second name or file, on which the loss is watched; never trained on."""
    keep: Keep = "all"
    """Answer with this description only, rewritten from the row's labels."""
    label_mask: Literal["answer", "llava_next"] = "answer"
    max_tokens: int = 32768
    """A longer conversation is rejected by name, never cut."""
    group_by_length: bool = True
    """Whether samples of like length are padded together; packs need no padding."""
    pack: bool | Literal["auto"] = "auto"
    """Whether samples share sequences of up to `pack_tokens`, in place of trainer.batch_size padded ones."""
    pack_tokens: int = 16384
    """A longer conversation has a pack to itself."""
    cache: Literal["auto", "states", "disk", "pixels", "none"] = "auto"
    """What is computed once per image and kept: a frozen tower's states (in memory, or on disk for later runs too),
    pixels, or nothing. `auto` decides."""
    cache_dir: str | None = None
    """Where `cache=disk` keeps states; see feature_cache.py."""
    workers: int | None = None
    """Processes a rank that read and decode; None: see `processes`."""
    limit: int | None = None
    """So many rows of each part (`seke.core.limit`); an entry's own `limit` comes first, as do `keep` and
    `image_root`."""
    share: float | None = None
    """Such a share of each part's rows, in (0, 1], in place of `limit`; a smaller one's rows are in a larger one."""
    image_root: str | None = None

    def __post_init__(self) -> None:
        if self.label_mask not in ("answer", "llava_next"):
            raise UserError("data.label_mask", self.label_mask, "no such label mask", "use answer or llava_next")
        if self.cache not in ("auto", "states", "disk", "pixels", "none"):
            raise UserError("data.cache", self.cache, "unknown", "use auto, states, disk, pixels or none")
        if self.cache == "disk" and not self.cache_dir:
            raise UserError("data.cache_dir", self.cache_dir, "data.cache=disk needs a folder", "name one")
        if self.pack not in (True, False, "auto"):
            raise UserError("data.pack", self.pack, "unknown", "use auto, true or false")
        check_whole("data.pack_tokens", self.pack_tokens, 1)
        check_whole("data.max_tokens", self.max_tokens, 1)
        check_whole("data.workers", self.workers, 0, optional=True)
        check_between("data.share", self.share, 0, 1, optional=True)
        if self.share == 0:
            raise UserError("data.share", self.share, "nothing would be trained on", "set for example 0.25")
        if self.share is not None and self.limit is not None:
            raise UserError("data.share", self.share, f"data.limit={self.limit} says how many, too", "set one of them")
        if bool(self.path) == bool(self._entries()):
            raise UserError("data.path", self.path, "not exactly one of path and mixture", "give one of them")
        _check("data", self.keep, self.limit)
        for name, entry in self._entries().items():
            if not isinstance(entry, Mapping) or not {"path"} <= set(entry) <= ENTRY or not entry["path"]:
                raise UserError(f"data.mixture.{name}", entry, "not an entry with a path", f"use {', '.join(ENTRY)}")
            weight = entry.get("weight", 1)
            if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < float("inf"):
                raise UserError(f"data.mixture.{name}.weight", weight, "not above 0", "null instead of a part drops it")
            _check(f"data.mixture.{name}", entry.get("keep") or self.keep, entry.get("limit"))

    def processes(self, decoding: bool, on_gpu: bool, cores: int) -> int:
        """Return how many processes feed a rank: unless set, its share of the cores, at most 8, where a GPU would wait.

        `decoding`: whether images are decoded as training goes on; `cores`: of the machine, divided by its ranks.
        """
        if self.workers is not None:
            return self.workers
        return max(1, min(MOST_WORKERS, cores)) if decoding and on_gpu else 0

    def packed(self, model_packs: bool, on_gpu: bool) -> bool:
        """Return whether batches are packs; `auto`: where the model can keep conversations apart and a GPU trains it.

        Raises:
            UserError: if packs are asked for and the model would mix their conversations up.
        """
        if self.pack is True and not model_packs:
            remedy = "use data.pack=false, or model.attention=sdpa with a LLaVA-OneVision"
            raise UserError("data.pack", True, "this model cannot keep a pack's conversations apart", remedy)
        return model_packs and (on_gpu if self.pack == "auto" else self.pack)

    def sources(self, outputs: Path) -> list[Part]:
        """Find every part's files: names of generate runs, files or folders. Nothing of them is read yet.

        Raises:
            UserError: naming the part that is not there.
        """
        if self.path:
            return [self._part("data0", "data.path", _locate("data.path", str(self.path), outputs), {})]
        prefix = "" if isinstance(self.mixture, Mapping) else "data"
        found = []
        for name, entry in self._entries().items():
            argument = f"data.mixture.{name}"
            path = _locate(f"{argument}.path", str(entry["path"]), outputs)
            found.append(self._part(f"{prefix}{name}", argument, path, entry))
        return found

    def watched(self, outputs: Path) -> Part | None:
        """Return the part on which the loss is watched, whole, or None."""
        if self.validation is None:
            return None
        path = _locate("data.validation", str(self.validation), outputs)
        return self._part("validation", "data.validation", path, {})._replace(limit=None, share=None, watched=True)

    def _entries(self) -> dict[str, Any]:
        entries = self.mixture or {}
        pairs = entries.items() if isinstance(entries, Mapping) else enumerate(entries)
        return {str(name): entry for name, entry in pairs if entry is not None}

    def _part(self, name: str, argument: str, path: Path, entry: Mapping[str, Any]) -> Part:
        reader = entry.get("reader") or self.reader
        plugins.require("data.reader", reader, "files", "read")
        files = reader.files(path)
        manifest = runs.manifest_beside(path if path.is_file() else files[0])
        own_root = path if path.is_dir() else runs.root_by(manifest, path)
        root = Path(entry.get("image_root") or self.image_root or own_root)
        weight, limit, keep = (
            float(entry.get("weight", 1)),
            entry.get("limit") or self.limit,
            entry.get("keep") or self.keep,
        )
        share = None if limit else self.share
        return Part(name, argument, path, root, reader, files, manifest, weight, limit, keep, share=share)


def stream(part: Part, seed: int = 0, frames: Path | None = None) -> Iterator[Row | Rejection]:
    """Yield a part's rows, with their pictures on disk, and what cannot be used.

    `frames`: a folder for what is taken from videos now; None: the reader's own.

    A `limit` or `share` costs a second reading of the label files, the first one to count: that is cheaper than keeping
    the rows.
    """
    drawn = None if part.limit is None and part.share is None else _drawn(part, seed)
    wanted = _wanted(part, drawn)
    while block := list(islice(wanted, BLOCK)):
        films = [_placed(found.film, frames) for found in block if isinstance(found, Row) and found.film is not None]
        decoded = decode_all(films)
        for found in block:
            if isinstance(found, Row) and found.film is not None:
                yield _shown(found, next(decoded))
            else:
                yield found if isinstance(found, Rejection) else _fetched(found, frames)


def _wanted(part: Part, drawn: np.ndarray[Any, np.dtype[np.bool_]] | None) -> Iterator[Row | Rejection]:
    """Yield what cannot be used, and of the usable rows those that are drawn; None: all."""
    number = -1
    for found in _read(part):
        number += isinstance(found, Row)
        if isinstance(found, Rejection) or drawn is None or drawn[number]:
            yield found


def _read(part: Part) -> Iterator[Row | Rejection]:
    """Yield a part's rows; one that says of itself that it is of the test side is not trained on."""
    for given in part.reader.read(part.path, part.root, part.keep):
        found = _checked(part.reader, given)
        if isinstance(found, Row) and found.split.strip().lower() in TEST and not part.watched:
            yield rejected(found.id, "held out", f"its split is {found.split}: rows of a test side are not trained on")
        else:
            yield found


def _checked(reader: Reader, found: object) -> Row | Rejection:
    """Return what a reader yields; a row whose turns and pictures do not fit is rejected.

    Raises:
        UserError: if it is neither row nor rejection.
    """
    if isinstance(found, Rejection):
        return found
    if not isinstance(found, Row):
        remedy = "yield a Row for each conversation, or a Rejection that says why it cannot be used"
        raise plugins.broken("data.reader", reader, f"read() yielded {plugins.shown(found)}", remedy)
    if not found.turns or not all(isinstance(turn, Turn) and turn.role in SPEAKERS for turn in found.turns):
        return rejected(found.id, "form", f"turns that are none of {', '.join(SPEAKERS)}: {plugins.shown(found.turns)}")
    if (told := sum(turn.images for turn in found.turns)) != found.places:
        return rejected(found.id, "form", f"{found.places} pictures, and {told} in its turns")
    return found


def _drawn(part: Part, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which of the part's usable rows are drawn; kept in memory are their names, sources and splits."""
    usable = (row for row in _read(part) if isinstance(row, Row))
    known = [(row.id, group_of(row)) for row in usable]
    names, groups = [name for name, _ in known], [group for _, group in known]
    drawn = np.zeros(len(known), dtype=bool)
    if part.limit is not None:
        drawn[places(names, groups, part.limit, seed)] = True
    elif part.share is not None:
        drawn[places_of_share(names, groups, part.share, seed)] = True
    return drawn


def _fetched(row: Row, frames: Path | None = None) -> Row | Rejection:
    """Bring the row's frame out of its video."""
    frame = row.frame
    if frame is None:
        return row
    if frames is not None and not frame.file.is_file():
        frame = frame._replace(file=frames / frame.file.name)
    try:
        fetch(frame)
    except ImageError as error:
        return Rejection(id=row.id, reason="no image", detail=str(error))
    return replace(row, images=(frame.file,), frame=None)


def _placed(film: Job, frames: Path | None) -> Job:
    return film if frames is None or (film.folder / NOTE).is_file() else film._replace(folder=frames / film.folder.name)


def _shown(row: Row, shown: Shown | ClipError) -> Row | Rejection:
    """Put a clip's frames in the place of its video."""
    if isinstance(shown, ClipError):
        return rejected(row.id, "clip", str(shown))
    return replace(row, images=shown.files, clips=(len(shown.files),), between=(pace(shown.times),), film=None)


def _locate(argument: str, reference: str, outputs: Path) -> Path:
    """Return the instructions of a generate run, the file, or the folder, that `reference` names."""
    try:
        return runs.locate(argument, reference, outputs, "generate", INSTRUCTIONS)
    except UserError:
        given = Path(reference)
        if given.is_dir():
            return given
        if len(given.parts) == 1:
            raise
        remedy = "give where it lies, or set paths.data= to where datasets are unpacked"
        raise UserError(argument, reference, "no such file or folder", remedy) from None


def _check(argument: str, keep: Any, limit: Any) -> None:
    if keep not in ("all", *KEPT):
        raise UserError(f"{argument}.keep", keep, "no such description", f"use all, {', '.join(KEPT)}")
    checked(limit, f"{argument}.limit")
