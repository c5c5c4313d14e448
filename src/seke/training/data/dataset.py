"""Dataset of training samples: token ids, label mask and images of each row, encoded once and kept on disk.

    rows, block by block -> pictures looked at -> encoded -> an Arrow file, memory-mapped

In memory are one number a sample for its length, its supervised tokens and its part, and the list of images (with
their states or pixels, where the settings keep these there). Lengths are exact, and no sample is ever cut.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch.utils.data import Dataset
from tqdm import tqdm

from seke.core.records import Rejection, write_jsonl
from seke.models.protocol import Size, TrainableVLM, TurnLike
from seke.training.data.feature_cache import StateStore
from seke.training.data.mixture import Data
from seke.training.data.pictures import Pictures, StoredPictures, Vision, size_at, vision_at
from seke.training.readers.row import Row, grouped

BLOCK: Final = 256
"""Rows encoded together."""
SCHEMA: Final = pa.schema([
    ("id", pa.string()), ("ids", pa.list_(pa.int32())), ("supervised", pa.list_(pa.bool_())),
    ("images", pa.list_(pa.int32())), ("context", pa.list_(pa.int32())),
    ("clips", pa.list_(pa.int32())),
])  # fmt: skip


class Sample(NamedTuple):
    """One conversation, encoded; `images` are indices into the images of its set."""

    id: str
    ids: list[int]
    supervised: list[bool]
    images: tuple[int, ...]
    context: Sequence[int] = ()
    """Token ids that the image encoder reads beside the image; most read none."""
    clips: Sequence[int] = ()
    """How many of `images` are the frames of the clip at each place, 0 for a picture; (): pictures everywhere."""

    @property
    def tokens(self) -> int:
        """How many of its tokens carry loss (the first has nothing to be predicted from)."""
        return sum(self.supervised[1:])


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
        return sample, [
            vision_at(place) for place in grouped(list(map(self.pictures.open, sample.images)), sample.clips)
        ]

    def __getstate__(self) -> dict[str, Any]:
        # A worker that does not inherit our memory opens the file itself; copying the map would load it.
        return {**self.__dict__, "_blocks": None}

    def sample(self, index: int) -> Sample:
        """Return one sample without its images."""
        if self._blocks is None:
            self._blocks = _opened(self.arrow)
        block = int(np.searchsorted(self._first, index, side="right")) - 1
        name, ids, supervised, numbers, context, clips = (
            self._blocks[block].column(k)[index - int(self._first[block])].as_py() for k in range(len(SCHEMA))
        )
        return Sample(name, ids, supervised, tuple(numbers), context, clips)


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
                    measured = [(len(s.ids), s.tokens, part, pictures.seen(s.images, s.clips)) for s in samples]
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
    places = {row: grouped([pictures.sizes[number] for number in numbers[row]], row.clips) for row in rows}
    changing = {row for row in rows if any(len(set(sizes)) > 1 for sizes in places[row])}
    usable = [row for row in rows if row not in changing and pictures.broken.keys().isdisjoint(numbers[row])]
    turns = [_turns(row, list(map(size_at, places[row]))) for row in usable]
    encoded = dict(zip(usable, loaded.encode(turns, data.label_mask), strict=True))
    for found in block:
        if isinstance(found, Rejection):
            yield found
        elif found not in encoded:
            broken = next((pictures.broken[number] for number in numbers[found] if number in pictures.broken), None)
            reason = "image" if broken else "clip"
            yield Rejection(id=found.id, reason=reason, detail=broken or "the frames of its clip change their size")
        elif (tokens := len(encoded[found][0])) > (most := min(data.max_tokens, loaded.max_tokens)):
            limit = f"data.max_tokens={most}" if most == data.max_tokens else f"the model's {most} positions"
            frames = f" ({sum(found.clips)} frames of clips)" if sum(found.clips) else ""
            detail = f"{tokens} tokens{frames}, more than {limit}"
            yield Rejection(id=found.id, reason="length", detail=detail)
        else:
            ids, supervised, context = encoded[found]
            yield Sample(found.id, ids, supervised, numbers[found], context, found.clips)


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
