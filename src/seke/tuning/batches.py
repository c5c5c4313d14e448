"""Rows become samples (token ids, label mask, images), samples become batches.

Shapes: B sequences, T tokens (right-padded), N crops of all images of a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from seke import images
from seke.records import Rejection
from seke.tuning.data import Data, Row

MEGABATCH = 50
"""Batches sorted by length together: neighbours have one length, yet over an epoch the order stays random."""


class Sample(NamedTuple):
    """One conversation, encoded; `images` are indices into the images of its set."""

    id: str
    ids: list[int]
    supervised: list[bool]
    images: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """How many of its tokens carry loss (the first has nothing to be predicted from)."""
        return sum(self.supervised[1:])


class Vision(NamedTuple):
    """One image of a batch: its crops (N, 3, S, S), or, precomputed, the tower's states of them (N, P, D)."""

    values: Tensor
    size: tuple[int, int]


class Samples(Dataset[Any]):
    """All samples of a training set, with their images kept as states or pixels, or decoded when asked."""

    def __init__(
        self, samples: Sequence[Sample], files: Sequence[Path], kept: Sequence[Vision] | None, open_image: Any
    ) -> None:
        self.samples, self.files, self.kept, self.open_image = samples, files, kept, open_image

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Sample, list[Vision]]:
        sample = self.samples[index]
        if self.kept is not None:
            return sample, [self.kept[k] for k in sample.images]
        return sample, [self.open_image(self.files[k]) for k in sample.images]


def prepare(
    rows: Sequence[Row], loaded: Any, data: Data, frozen_tower: bool, batch: int = 64
) -> tuple[Samples, list[Rejection]]:
    """Encode rows and prepare their images; a broken image or an over-long conversation rejects its rows by name."""
    files = list(dict.fromkeys(file for row in rows for file in row.images))
    cache = data.cache if data.cache != "auto" else ("states" if frozen_tower else "none")
    broken: dict[Path, str] = {}

    def opened(file: Path) -> Vision:
        return Vision(*loaded.pixels(images.decode(file.read_bytes(), file.name)))

    def attempted(work: Callable[[Path], Any], file: Path) -> Any:
        try:
            return work(file)
        except images.ImageError as error:
            broken[file] = str(error)
            return None

    sizes: dict[Path, tuple[int, int]] = {}
    kept: dict[Path, Vision] = {}
    if cache == "none":
        # Decoded once, without being kept: a broken file is to be found before the training, not in its third hour.
        with ThreadPoolExecutor() as pool:
            for file, size in zip(files, pool.map(lambda f: attempted(_whole, f), files), strict=True):
                if size is not None:
                    sizes[file] = size
    else:
        for start in tqdm(range(0, len(files), batch), desc="images", leave=False, mininterval=1):
            part = files[start : start + batch]
            seen = [(file, vision) for file in part if (vision := attempted(opened, file)) is not None]
            if cache == "states" and seen:
                crops = torch.cat([vision.values for _, vision in seen])
                states = torch.split(_states(loaded, crops), [len(vision.values) for _, vision in seen])
                seen = [(f, Vision(s.clone(), v.size)) for (f, v), s in zip(seen, states, strict=True)]
            kept.update(seen)
        sizes = {file: vision.size for file, vision in kept.items()}
    rejected: list[Rejection] = []
    samples = _encode(rows, loaded, data, sizes, files, broken, rejected)
    held = None if cache == "none" else [kept.get(file, Vision(torch.empty(0), (0, 0))) for file in files]
    return Samples(samples, files, held, opened), rejected


def _whole(file: Path) -> tuple[int, int]:
    picture = images.decode(file.read_bytes(), file.name)
    return picture.height, picture.width


@torch.no_grad()
def _states(loaded: Any, crops: Tensor) -> Tensor:
    states: Tensor = loaded.see(crops.to(loaded.model.device, loaded.model.dtype))
    return states.cpu()


def _encode(
    rows: Sequence[Row], loaded: Any, data: Data, sizes: dict[Path, tuple[int, int]], files: Sequence[Path],
    broken: dict[Path, str], rejected: list[Rejection],
) -> list[Sample]:  # fmt: skip
    index = {file: k for k, file in enumerate(files)}
    tokens = {file: loaded.image_tokens(size) for file, size in sizes.items()}
    usable = []
    for row in rows:
        bad = next((broken[file] for file in row.images if file in broken), None)
        if bad is None:
            usable.append(row)
        else:
            rejected.append(Rejection(id=row.id, reason="image", detail=bad))
    samples = []
    encoded = loaded.encode([_turns(row, tokens) for row in usable], data.label_mask)
    for row, (ids, supervised) in zip(usable, encoded, strict=True):
        if len(ids) > data.max_tokens:
            detail = f"{len(ids)} tokens, more than data.max_tokens={data.max_tokens}"
            rejected.append(Rejection(id=row.id, reason="length", detail=detail))
        else:
            samples.append(Sample(row.id, ids, supervised, tuple(index[file] for file in row.images)))
    return samples


def _turns(row: Row, tokens: dict[Path, int]) -> list[tuple[str, str, tuple[int, ...]]]:
    left = iter(row.images)
    return [(turn.role, turn.text, tuple(tokens[next(left)] for _ in range(turn.images))) for turn in row.turns]


def collate(items: Sequence[tuple[Sample, list[Vision]]], pad: int, step_tokens: int) -> dict[str, Any]:
    """Pad to the right. `keep` marks the positions whose next token carries loss, `targets` are those tokens.

    `step_tokens`: supervised tokens of the whole global step, all ranks and accumulated batches together.
    """
    width = max(len(sample.ids) for sample, _ in items)
    ids_BT = torch.full((len(items), width), pad)
    keep_BT = torch.zeros(len(items), width, dtype=torch.bool)
    for row, (sample, _) in enumerate(items):
        ids_BT[row, : len(sample.ids)] = torch.tensor(sample.ids)
        keep_BT[row, : len(sample.ids) - 1] = torch.tensor(sample.supervised[1:])
    next_BT = ids_BT.roll(-1, dims=1)
    seen = [vision for _, visions in items for vision in visions]
    return {
        "ids": ids_BT,
        "keep": keep_BT,
        "targets": next_BT[keep_BT],
        "vision": torch.cat([vision.values for vision in seen]) if seen else None,
        "counts": [len(vision.values) for vision in seen],
        "sizes": [vision.size for vision in seen],
        "step_tokens": step_tokens,
        "samples": len(items),
    }


class Batches(Sampler[list[tuple[int, int]]]):
    """Which samples make which batch: seeded by epoch, the same on every rank, sharded by rank, resumable.

    Yields (index, supervised tokens of the global step) pairs. `position` tells epoch, rank, world size and how many
    batches of the epoch are done; it is asked whenever an epoch begins.
    """

    def __init__(
        self, samples: Sequence[Sample], batch_size: int, accumulate: int = 1, seed: int = 0, group: bool = True
    ) -> None:
        self.samples, self.batch_size, self.accumulate = samples, batch_size, accumulate
        self.seed, self.group = seed, group
        self.position: Callable[[], tuple[int, int, int, int]] = lambda: (0, 0, 1, 0)

    def __len__(self) -> int:
        world = self.position()[2]
        return -(-len(self.samples) // (self.batch_size * world))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, rank, world, done = self.position()
        batches = self.order(epoch, world)
        tokens = [[sum(self.samples[k].tokens for k in batch) for batch in ranks] for ranks in batches]
        for number, ranks in enumerate(batches):
            if number < done:
                continue
            first = number - number % self.accumulate
            total = sum(map(sum, tokens[first : first + self.accumulate]))
            yield [(k, total) for k in ranks[rank]]

    def order(self, epoch: int, world: int = 1) -> list[list[list[int]]]:
        """Return the epoch's batches: [batch number][rank] -> indices. Every sample comes once.

        Where the last batch is short, ranks share what is left; a rank left with nothing repeats the first sample,
        since a rank without a batch would hang the others.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.samples), generator=generator).tolist()
        wide = self.batch_size * world
        if self.group:
            chunk = wide * MEGABATCH
            parts = [order[k : k + chunk] for k in range(0, len(order), chunk)]
            order = [k for part in parts for k in sorted(part, key=lambda k: len(self.samples[k].ids), reverse=True)]
        rounds = [order[k : k + wide] for k in range(0, len(order), wide)]
        full = [r for r in rounds if len(r) == wide]
        mixed = torch.randperm(len(full), generator=generator).tolist() if self.group else range(len(full))
        rounds = [full[k] for k in mixed] + [r for r in rounds if len(r) < wide]
        return [[r[rank::world] or r[:1] for rank in range(world)] for r in rounds]
