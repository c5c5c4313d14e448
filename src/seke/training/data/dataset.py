"""Dataset of training samples: token ids, label mask and images of each row, encoded once and kept on disk.

    rows, block by block -> pictures looked at -> encoded -> an Arrow file, memory-mapped

In memory are one number a sample for its length, its supervised tokens and its part, and the list of images (with
their states or pixels, where the settings keep these there). Lengths are exact, and no sample is ever cut.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from seke.core import images
from seke.core.errors import UserError
from seke.core.records import Rejection, write_jsonl
from seke.models.protocol import Size, TrainableVLM, TurnLike
from seke.training.data.feature_cache import Entry, StateStore
from seke.training.data.mixture import Data
from seke.training.readers.row import Row

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK: Final = 256
"""Rows encoded together."""
CROWD: Final = 64
"""Images that the tower sees together."""
SCHEMA: Final = pa.schema([
    ("id", pa.string()), ("ids", pa.list_(pa.int32())), ("supervised", pa.list_(pa.bool_())),
    ("images", pa.list_(pa.int32())), ("context", pa.list_(pa.int32())),
])  # fmt: skip


class Sample(NamedTuple):
    """One conversation, encoded; `images` are indices into the images of its set."""

    id: str
    ids: list[int]
    supervised: list[bool]
    images: tuple[int, ...]
    context: Sequence[int] = ()
    """Token ids that the image encoder reads beside the image; most read none."""

    @property
    def tokens(self) -> int:
        """How many of its tokens carry loss (the first has nothing to be predicted from)."""
        return sum(self.supervised[1:])


class Vision(NamedTuple):
    """One image: its crops (N, 3, S, S), or, precomputed, the tower's states of them (N, P, D)."""

    values: Tensor
    size: Size


NOTHING: Final = Vision(torch.empty(0), (0, 0))
"""What is kept of a broken image: its number stays taken."""


class ImageFile(NamedTuple):
    """An image file that a row names."""

    file: str
    sha256: str | None
    """Of the file that the row's labels were made of; None where the row does not say."""
    face: tuple[int, int, int, int] | None = None
    """The part of it that the row is about."""

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
    return [ImageFile(str(file), row.sha256, row.face) for file in row.images]


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
        return tuple(self._index[wanted] for wanted in image_files(row))

    def look(self, rows: Iterable[Row]) -> None:
        """Decode the files that are new here: a broken one is to be found now, not in the training's third hour."""
        new = [
            each for each in dict.fromkeys(each for row in rows for each in image_files(row)) if each not in self._index
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
        return self.kept[number] if self.kept else Vision(*self.loaded.pixels(self.wanted[number].picture()))

    def seen(self, numbers: Iterable[int]) -> int:
        """Return how many crops of these images the tower has to see in training: none where its states are kept."""
        return 0 if self.cache in ("states", "disk") else sum(self.crops[number] for number in numbers)

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
        return Vision(*self.loaded.pixels(picture)) if whole else Vision(NOTHING.values, size)

    def _read(self, wanted: ImageFile, size: Size) -> Size:
        """Return the size of a picture.

        Raises:
            ImageError: if the family does not read pictures of this size.
        """
        try:
            self.loaded.image_tokens(size)
        except images.ImageError as error:
            raise images.ImageError(f"{wanted.name}: {error}") from error
        return size

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
        return Vision(*self.store.read(self._digests[self.wanted[number]]))

    def _attempt(self, wanted: ImageFile) -> Vision | str:
        try:
            data, digest = wanted.read()
            if wanted.face is not None:  # the states are of this part alone
                digest = images.sha256(f"{digest} {wanted.face}".encode())
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
                self.store.write(self._digests[wanted], Entry(*made))
        return [Vision(NOTHING.values, found.size) if isinstance(found, Vision) else found for found in seen]


class Rejections:
    """What a training set has of rows that cannot be used, counted by reason."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.parts: Counter[tuple[int, str]] = Counter()
        self._first: dict[tuple[int, str], str] = {}

    def add(self, part: int, rejection: Rejection) -> None:
        """Take in one of a part's."""
        self.reasons[rejection.reason] += 1
        self.parts[part, rejection.reason] += 1
        self._first.setdefault((part, rejection.reason), f"{rejection.id}: {rejection.detail}")

    def summary(self, part: int) -> str:
        """Return how many of a part's rows are rejected, and for what most of them."""
        counts = {reason: count for (of, reason), count in self.parts.items() if of == part}
        if not counts:
            return "none rejected"
        reason = max(counts, key=lambda reason: counts[reason])
        return f"{sum(counts.values())} rejected, {counts[reason]} for {reason!r}, such as {self._first[part, reason]}"


class Samples(Dataset[Any]):
    """All samples of a training set: read from disk when asked, their images kept or decoded."""

    def __init__(
        self, arrow: Path, pictures: Pictures, measures: NDArray[np.int32], unused: Rejections, without_picture: int
    ) -> None:
        self.arrow, self.pictures = arrow, pictures
        self.unused, self.rejected = unused, unused.reasons.total()
        self.without_picture = without_picture
        """How many samples have no picture."""
        self.lengths, self.tokens, self.part, self.crops = measures.T
        """Of every sample: its tokens, those of them that carry loss, the part of the mixture it comes from, and the
        crops that the tower sees in training (0 where its states are kept)."""
        self._blocks: list[Any] | None = _opened(arrow)
        self._first = np.cumsum([0, *(block.num_rows for block in self._blocks)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> tuple[Sample, list[Vision]]:
        sample = self.sample(index)
        return sample, [self.pictures.open(number) for number in sample.images]

    def __getstate__(self) -> dict[str, Any]:
        # A worker that does not inherit our memory opens the file itself; copying the map would load it.
        return {**self.__dict__, "_blocks": None}

    def sample(self, index: int) -> Sample:
        """Return one sample without its images."""
        if self._blocks is None:
            self._blocks = _opened(self.arrow)
        block = int(np.searchsorted(self._first, index, side="right")) - 1
        name, ids, supervised, numbers, context = (
            self._blocks[block].column(k)[index - int(self._first[block])].as_py() for k in range(len(SCHEMA))
        )
        return Sample(name, ids, supervised, tuple(numbers), context)


def prepare(
    parts: Sequence[Iterable[Row | Rejection]], loaded: TrainableVLM, data: Data, frozen_tower: bool, arrow: Path
) -> Samples:
    """Encode the rows of all parts into the file `arrow`; what cannot be used is written to a .jsonl file beside it.

    A broken image or an over-long conversation rejects its rows by name.
    """
    cache = data.cache if data.cache != "auto" else ("states" if frozen_tower else "none")
    pictures = _pictures(loaded, cache, data)
    measures = [np.zeros((0, 4), np.int32)]
    unused, without_picture = Rejections(), 0

    def stored(writer: Any) -> Iterator[Rejection]:
        nonlocal without_picture
        for part, rows in enumerate(parts):
            progress = tqdm(rows, desc="rows", unit=" rows", leave=False, mininterval=1, disable=None)
            for block in _blocks(progress, BLOCK):
                found = list(_encoded(block, loaded, data, pictures))
                for rejection in found:
                    if isinstance(rejection, Rejection):
                        unused.add(part, rejection)
                        yield rejection
                if samples := [sample for sample in found if isinstance(sample, Sample)]:
                    columns = zip(zip(*samples, strict=True), SCHEMA.types, strict=True)
                    writer.write_batch(pa.record_batch([pa.array(*column) for column in columns], schema=SCHEMA))
                    measured = [(len(s.ids), s.tokens, part, pictures.seen(s.images)) for s in samples]
                    measures.append(np.array(measured, np.int32))
                    without_picture += sum(not s.images for s in samples)

    with pa.OSFile(str(arrow), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        write_jsonl(arrow.with_suffix(".jsonl"), stored(writer))
    return Samples(arrow, pictures, np.concatenate(measures), unused, without_picture)


def _pictures(loaded: TrainableVLM, cache: str, data: Data) -> Pictures:
    if cache == "disk":
        return StoredPictures(loaded, StateStore(Path(str(data.cache_dir)), loaded.fingerprint()))
    return Pictures(loaded, cache)


def _encoded(
    block: Sequence[Row | Rejection], loaded: TrainableVLM, data: Data, pictures: Pictures
) -> Iterator[Sample | Rejection]:
    rows = [found for found in block if isinstance(found, Row)]
    pictures.look(rows)
    numbers = {row: pictures.numbers(row) for row in rows}
    usable = [row for row in rows if pictures.broken.keys().isdisjoint(numbers[row])]
    turns = [_turns(row, [pictures.sizes[number] for number in numbers[row]]) for row in usable]
    encoded = dict(zip(usable, loaded.encode(turns, data.label_mask), strict=True))
    for found in block:
        if isinstance(found, Rejection):
            yield found
        elif found not in encoded:
            broken = next(pictures.broken[number] for number in numbers[found] if number in pictures.broken)
            yield Rejection(id=found.id, reason="image", detail=broken)
        elif (tokens := len(encoded[found][0])) > (most := min(data.max_tokens, loaded.max_tokens)):
            limit = f"data.max_tokens={most}" if most == data.max_tokens else f"the model's {most} positions"
            detail = f"{tokens} tokens, more than {limit}"
            yield Rejection(id=found.id, reason="length", detail=detail)
        else:
            ids, supervised, context = encoded[found]
            yield Sample(found.id, ids, supervised, numbers[found], context)


def _turns(row: Row, sizes: Sequence[Size]) -> list[TurnLike]:
    left = iter(sizes)
    return [(turn.role, turn.text, tuple(islice(left, turn.images))) for turn in row.turns]


def _blocks(rows: Iterable[Row | Rejection], size: int) -> Iterator[list[Row | Rejection]]:
    stream = iter(rows)
    while block := list(islice(stream, size)):
        yield block


def _opened(arrow: Path) -> list[Any]:
    """Return the file's blocks; their values stay on disk until they are asked for."""
    reader = pa.ipc.open_file(pa.memory_map(str(arrow)))
    return [reader.get_batch(block) for block in range(reader.num_record_batches)]
