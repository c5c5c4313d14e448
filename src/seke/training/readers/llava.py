"""LLaVA conversations, ours or anybody's: a .jsonl file, or a .json file that is one list.

    {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image> Who?"}, {"from": "gpt", ...}]}

The other forms in which the field writes conversations are read as well (turns.py). Our instructions also carry
`labels`, which serve `keep`, the `sha256` of the picture that they are about, and `clip`, whose frames are shown in the
picture's place. A row with a "video" in place of the "image" is about that clip. Other keys are let be.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from seke.core import images
from seke.core.clip_frames import ClipError, FrameChoice, chosen, pace
from seke.core.clips import Job
from seke.core.records import Clip, Labels, Rejection
from seke.core.setting_checks import check_whole
from seke.training.readers.clips import frames_folder
from seke.training.readers.find import missing
from seke.training.readers.objects import objects
from seke.training.readers.row import (
    Keep,
    Row,
    UnusableError,
    as_object,
    json_type,
    keep_only,
    row_id,
    row_or_rejection,
)
from seke.training.readers.turns import of_clip, parse_conversation

SHOWN: Final = 8
"""Frames of a video, where no setting says how many."""


class Llava:
    """Reads instructions of a generate run, or any file in LLaVA's format.

    Args:
        without: sources whose rows are left out, as if the file did not hold them (leave one dataset out).
        kinds: kinds of instruction (`attributes.kind`) that are kept; None: all.
        shown: frames of a clip; 1: the row's own picture in its place; None: all that the row names, 8 of a video.
        every: seconds between them; None: they are spread evenly.
        frames: folder for frames of videos; None: `frames` beside the file.

    Raises:
        UserError: if `shown` or `every` is out of range.
    """

    def __init__(
        self,
        without: Sequence[str] = (),
        kinds: Sequence[str] | None = None,
        shown: int | None = None,
        every: float | None = None,
        frames: str | None = None,
    ) -> None:
        self.without, self.kinds = frozenset(without), None if kinds is None else frozenset(kinds)
        check_whole("data.reader.shown", shown, 1, 256, optional=True)
        self.shown, self.frames = shown, frames
        self.choice = FrameChoice(max(shown or SHOWN, 2), every=every, argument="data.reader.shown")

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
            name = row_id(raw, where)
            yield row_or_rejection(path, where, name, partial(self._row, path, raw, name, root, keep))

    def _row(self, path: Path, raw: Any, name: str, root: Path, keep: Keep) -> Row:
        """Return the row of one object, about a clip if it has one."""
        resolve = partial(images.resolve, root)
        if (still := of_clip(as_object(raw))) is not None:
            return self._of_video(conversation(still, name, resolve, keep), frames_folder(path, self.frames))
        row = conversation(raw, name, resolve, keep)
        clip = _clip(raw)
        if not clip.frames or self.shown == 1:
            return row
        if len(row.images) != 1:
            raise UnusableError("video", f"a clip and {len(row.images)} pictures in one row")
        numbers: Sequence[int] = range(len(clip.frames))
        try:
            if self.shown or self.choice.every:
                wanted = replace(self.choice, shown=max(self.shown or len(clip.frames), 2))
                numbers = chosen(wanted, clip.times or [None] * len(clip.frames))
        except ClipError as error:
            raise UnusableError("clip", str(error)) from None
        if len(numbers) < 2:
            raise UnusableError("clip", "it has 1 frame: no clip")
        shown = clip.of(numbers)
        files, between = tuple(map(resolve, shown.frames)), (pace(shown.times),)
        digests = shown.sha256 or ()
        return replace(row, images=files, clips=(len(files),), between=between, sha256=None, frames_sha256=digests)

    def _of_video(self, row: Row, folder: Path) -> Row:
        """Return a row whose picture is a video as one about a clip of it."""
        if self.shown == 1:
            raise UnusableError("video", "data.reader.shown=1, and a video has no picture of its own")
        [video] = row.images
        short = hashlib.sha256(str(video).encode()).hexdigest()[:8]
        job = Job(video, folder / f"{video.stem}-{short}", self.choice, argument="data.reader.frames")
        return replace(row, images=(), film=job, sha256=None)

    def _wanted(self, raw: Any) -> bool:
        if not isinstance(raw, dict):
            return True  # no row, for `made` to tell
        attributes, source = raw.get("attributes"), raw.get("source")
        kind = attributes.get("kind") if isinstance(attributes, dict) else None
        out = isinstance(source, str) and source in self.without
        return not out and (self.kinds is None or (isinstance(kind, str) and kind in self.kinds))


def conversation(
    raw: Any, name: str, picture: Callable[[str], Path], keep: Keep = "all", labels: Labels | None = None
) -> Row:
    """Return the row of one object.

    Args:
        raw: the object.
        name: the row's id.
        picture: finds the file of an `image`.
        keep: which description the last answer is rewritten to.
        labels: what the rewriting draws on; None: the object's own `labels`.

    Raises:
        ImageError, UnusableError: if the row cannot be used.
    """
    said = parse_conversation(as_object(raw))
    turns = said.turns if keep == "all" else keep_only(said.turns, _own(raw) if labels is None else labels, keep)
    files = tuple(picture(image) for image in said.pictures)
    digest = raw.get("sha256") if len(files) == 1 else None
    if digest is not None and not isinstance(digest, str):
        raise UnusableError("form", f"sha256 is {json_type(digest)}, not text")
    source, split = (str(raw.get(key) or "") for key in ("source", "split"))
    return Row(name, turns, files, None, digest, source, split, _face(raw, name) if len(files) == 1 else None)


def _face(raw: dict[str, Any], name: str) -> tuple[int, int, int, int] | None:
    """Return where the face is that a row is about, which those who annotated it were shown."""
    attributes = raw.get("attributes")
    return images.face_box(attributes.get("face"), name) if isinstance(attributes, dict) else None


def _clip(raw: dict[str, Any]) -> Clip:
    """Return a row's `clip`, one without frames where there is none."""
    try:
        return Clip.model_validate(raw.get("clip") or {"video": "none"})
    except ValidationError as error:
        first = error.errors()[0]
        raise UnusableError("form", f"{'.'.join(map(str, ('clip', *first['loc'])))}: {first['msg']}") from None


def _own(raw: dict[str, Any]) -> Labels:
    try:
        return Labels.model_validate(raw.get("labels") or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("labels", *first["loc"])))
        raise UnusableError("keep", f"{where}: {first['msg']}") from None
