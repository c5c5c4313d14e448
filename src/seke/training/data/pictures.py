"""Pictures of a training set, each looked at once: whether it can be read, its size, and what is kept of it.

A frame of a clip is a picture of its own here: what several clips show is decoded, and seen by a frozen tower, once.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from seke.core import images
from seke.core.errors import UserError
from seke.models.protocol import LoadedVLM, Pixels, ReadsClips, Size, TrainableVLM, clip_size, is_clip
from seke.training.data.feature_cache import Entry, StateStore
from seke.training.readers.row import Row, grouped

if TYPE_CHECKING:
    from PIL.Image import Image

CROWD: Final = 64
"""Images that the tower sees together."""


class Vision(NamedTuple):
    """One image or clip: its crops (N, 3, S, S), or, precomputed, the tower's states of them (N, P, D)."""

    values: Tensor
    size: Size


def size_at(place: Sequence[Size]) -> Size:
    """Return the size of the picture at a place of a conversation, or of the clip that these frames make.

    >>> size_at([(480, 640)]), size_at([(1, 480, 640), (1, 480, 640)])
    ((480, 640), (2, 480, 640))
    """
    return (sum(size[0] for size in place), *place[0][1:]) if is_clip(place[0]) else place[0]


def vision_at(place: Sequence[Vision]) -> Vision:
    """Return the picture at a place of a conversation, or the clip that these frames make."""
    if len(place) == 1:
        return place[0]
    return Vision(torch.cat([frame.values for frame in place]), size_at([frame.size for frame in place]))


NOTHING: Final = Vision(torch.empty(0), (0, 0))
"""What is kept of a broken image: its number stays taken."""


class ImageFile(NamedTuple):
    """An image file that a row names."""

    file: str
    sha256: str | None
    """Of the file that the row's labels were made of; None where the row does not say."""
    face: tuple[int, int, int, int] | None = None
    """The part of it that the row is about."""
    frame: int = 0
    """How many frames the clip has that it is shown as a frame of; 0: it is no frame."""
    between: int = 0
    """Milliseconds from one frame of that clip to the next; 0: unknown."""

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.file).name

    def read(self) -> tuple[bytes, str]:
        """Return the file's bytes and their sha256.

        Raises:
            ImageError: if it cannot be read, or is another one by now.
        """
        return images.read_unchanged(Path(self.file), self.name, self.sha256)

    def picture(self) -> "Image":
        """Return the decoded picture.

        Raises:
            ImageError: if it cannot be read, is another one by now, or none at all.
        """
        return images.shown(self.read()[0], self.name, self.face)


def lost_picture(error: images.ImageError) -> UserError:
    """Return the line about a picture that is no more what it was when training began.

    A loader's worker hands on no more of an error than its text, with a traceback before it.
    """
    said = str(error).rpartition("ImageError: ")[2].strip()
    name = re.split(r": | changed after ", said, maxsplit=1)[0]
    remedy = "put the picture back, then run the same command again to go on"
    return UserError("image", name, f"lost while it was trained on ({said})", remedy)


def image_files(row: Row) -> list[ImageFile]:
    """Return what a row wants of its image files."""
    paces = row.between or (0,) * len(row.clips)
    places = zip(row.clips, paces, strict=True)
    frame = [(n, pace) for n, pace in places for _ in range(n or 1)] or [(0, 0)] * len(row.images)
    digests = row.frames_sha256 or (row.sha256,) * len(row.images)
    return [
        ImageFile(str(file), digest, row.face, *of) for file, digest, of in zip(row.images, digests, frame, strict=True)
    ]


def look_at(loaded: LoadedVLM, wanted: ImageFile, picture: "Image") -> Pixels:
    """Return a picture as the tower sees it, alone or as a frame of a clip.

    Raises:
        UserError: if it is a frame and the model reads no clips.
    """
    if not wanted.frame:
        return loaded.pixels(picture)
    if not isinstance(loaded, ReadsClips):
        remedy = "use a LLaVA-OneVision or a Qwen-VL, or data.reader.shown=1 for the one picture of each clip"
        raise UserError("model.path", loaded.name, "this family reads no clips", remedy)
    found = loaded.frame(picture, wanted.frame)
    return found._replace(size=clip_size(1, found.size, wanted.between))


class Pictures:
    """The images of a set, each looked at once: its size, or why it cannot be used, and what is kept of it."""

    def __init__(self, loaded: TrainableVLM, cache: str) -> None:
        self.loaded, self.cache = loaded, cache
        self.wanted: list[ImageFile] = []
        """By number."""
        self.kept: list[Vision] = []
        self.sizes: list[Size] = []
        self.crops: list[int] = []
        self.broken: dict[int, str] = {}
        self._index: dict[ImageFile, int] = {}

    @property
    def files(self) -> list[str]:
        """The images' files, by number."""
        return [wanted.file for wanted in self.wanted]

    def numbers(self, row: Row) -> tuple[int, ...]:
        """Return the numbers of a row's images, which must have been looked at."""
        return tuple(self._index[wanted] for wanted in self._files(row))

    def _files(self, row: Row) -> list[ImageFile]:
        """Return what a row wants; of whatever clip it is, a frame is one picture where it is seen by itself."""
        files = image_files(row)
        if not isinstance(self.loaded, ReadsClips) or not self.loaded.frame_by_frame:
            return files
        return [wanted._replace(frame=1, between=0) if wanted.frame else wanted for wanted in files]

    def look(self, rows: Iterable[Row]) -> None:
        """Decode the files that are new here: a broken one is to be found now, not in the training's third hour."""
        new = [
            each for each in dict.fromkeys(each for row in rows for each in self._files(row)) if each not in self._index
        ]
        for start in range(0, len(new), CROWD):
            crowd = new[start : start + CROWD]
            with ThreadPoolExecutor() as pool:
                seen = list(pool.map(self._attempt, crowd))
            for wanted, found in zip(crowd, self._finished(crowd, seen), strict=True):
                self._add(wanted, found)

    def open(self, number: int) -> Vision:
        """Return an image as it was kept, or decode it.

        Raises:
            ImageError: if it has changed since it was looked at.
        """
        wanted = self.wanted[number]
        return self.kept[number] if self.kept else Vision(*look_at(self.loaded, wanted, wanted.picture()))

    def seen(self, numbers: Sequence[int], clips: Sequence[int]) -> int:
        """Return how many crops of these images the tower has to see in training: none where its states are kept.

        Args:
            numbers: of pictures and frames.
            clips: frames of the clip at each place, see `grouped`.
        """
        if self.cache in ("states", "disk"):
            return 0
        places = grouped(numbers, clips)
        return sum(
            sum(self.loaded.seen_together(sum(self.crops[n] for n in place), size_at([self.sizes[n] for n in place])))
            for place in places
        )

    def _add(self, wanted: ImageFile, found: Vision | str) -> None:
        number = self._index[wanted] = len(self.wanted)
        self.wanted.append(wanted)
        if isinstance(found, str):
            self.broken[number] = found
        self.sizes.append((0, 0) if isinstance(found, str) else found.size)
        self.crops.append(0 if isinstance(found, str) else self.loaded.crops(found.size))
        if self.cache in ("states", "pixels"):
            self.kept.append(NOTHING if isinstance(found, str) else found)

    def _finished(self, crowd: Sequence[ImageFile], seen: Sequence[Vision | str]) -> Sequence[Vision | str]:
        return self._states(seen) if self.cache == "states" else seen

    def _attempt(self, wanted: ImageFile) -> Vision | str:
        try:
            return self._seen(wanted.picture(), wanted, whole=self.cache != "none")
        except images.ImageError as error:
            return str(error)

    def _seen(self, picture: "Image", wanted: ImageFile, whole: bool) -> Vision:
        """Return a picture's crops, or, unless `whole`, its size alone."""
        size = self._read(wanted, (picture.height, picture.width))
        whole = whole or (wanted.frame > 0 and not isinstance(self.loaded, ReadsClips))  # which refuses it
        return Vision(*look_at(self.loaded, wanted, picture)) if whole else Vision(NOTHING.values, size)

    def _read(self, wanted: ImageFile, size: Size) -> Size:
        """Return the size of a picture, or of a frame as a clip of one.

        Raises:
            ImageError: if the family does not read pictures of this size.
        """
        frame = clip_size(1, size, wanted.between)
        try:
            if not wanted.frame:
                self.loaded.image_tokens(size)
            elif isinstance(self.loaded, ReadsClips):
                if self.cache in ("states", "disk") and not self.loaded.frame_by_frame:
                    problem = "this family sees the frames of a clip two at a time, so that none has states of its own"
                    raise UserError("data.cache", self.cache, problem, "set data.cache=pixels or none")
                self.loaded.image_tokens(clip_size(wanted.frame, size, wanted.between))
        except images.ImageError as error:
            raise images.ImageError(f"{wanted.name}: {error}") from error
        return frame if wanted.frame else size

    @torch.no_grad()
    def _states(self, seen: Sequence[Vision | str]) -> list[Vision | str]:
        whole = [found for found in seen if isinstance(found, Vision)]
        if not whole:
            return list(seen)
        crops = torch.cat([vision.values for vision in whole])
        counts, sizes = [len(vision.values) for vision in whole], [vision.size for vision in whole]
        states = self.loaded.see(crops.to(self.loaded.model.device, self.loaded.model.dtype), counts, sizes).cpu()
        split = iter(torch.split(states, counts))
        return [Vision(next(split).clone(), f.size) if isinstance(f, Vision) else f for f in seen]


class StoredPictures(Pictures):
    """The same with a frozen tower's states on disk, where an earlier run may have left them; in memory are none."""

    def __init__(self, loaded: TrainableVLM, store: StateStore) -> None:
        super().__init__(loaded, "disk")
        self.store = store
        self._digests: dict[ImageFile, str] = {}

    def open(self, number: int) -> Vision:
        """Read an image's states."""
        states, _ = self.store.read(self._digests[self.wanted[number]])
        return Vision(states, self.sizes[number])

    def _attempt(self, wanted: ImageFile) -> Vision | str:
        try:
            data, digest = wanted.read()
            if wanted.face is not None:  # the states are of this part alone
                digest = images.sha256(f"{digest} {wanted.face}".encode())
            if wanted.frame:  # of the whole alone, without tiles
                digest = images.sha256(f"{digest} frame".encode())
            self._digests[wanted] = digest
            if (size := self.store.size(digest)) is not None:
                return Vision(NOTHING.values, self._read(wanted, size))
            return self._seen(images.shown(data, wanted.name, wanted.face), wanted, whole=True)
        except images.ImageError as error:
            return str(error)

    def _finished(self, crowd: Sequence[ImageFile], seen: Sequence[Vision | str]) -> Sequence[Vision | str]:
        new = [found if isinstance(found, Vision) and len(found.values) else "" for found in seen]
        for wanted, made in zip(crowd, self._states(new), strict=True):
            if isinstance(made, Vision):
                self.store.write(
                    self._digests[wanted], Entry(made.values, made.size[1:3] if is_clip(made.size) else made.size)
                )
        return [Vision(NOTHING.values, found.size) if isinstance(found, Vision) else found for found in seen]
