"""Samplers and collation: which samples make a batch, padded beside each other or packed after each other.

An epoch is exact: every entry of it comes once, over all ranks, workers and batches. Where samples run out before a
global step is full, ranks get a filler, a batch without any loss, since a rank without a batch would hang the others.
Shapes: B sequences, T tokens (right-padded), L tokens of a pack, N crops of all images of a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from seke.training.data.dataset import Sample, Samples
from seke.training.data.packing import best_fit, rounded, rounds, split
from seke.training.data.pictures import Vision

MEGABATCH: Final = 50
"""Batches sorted by length together: neighbours have one length, yet over an epoch the order stays random."""
FILLER: Final = -1
"""The index that stands for `EMPTY`."""
EMPTY: Final = Sample("", [0], [False], ())
"""A sample that carries no loss and is not counted."""


def epoch_indices(part: NDArray[Any], weights: Sequence[float], seed: int = 0) -> NDArray[np.int64]:
    """Return the indices of one epoch: each part's samples `weight` times, a broken weight's rest drawn once, seeded.

    >>> epoch_indices(np.array([0, 0, 1, 1]), [1, 1.5]).tolist()[:4]
    [0, 1, 2, 3]
    """
    chosen = []
    for number, weight in enumerate(weights):
        own = np.flatnonzero(part == number)
        whole, rest = divmod(weight, 1)
        extra = np.random.default_rng([seed, number]).choice(own, round(rest * len(own)), replace=False)
        chosen += [np.tile(own, int(whole)), extra]
    return np.concatenate(chosen).astype(np.int64)


class Epochs(Sampler[list[tuple[int, int]]]):
    """Which samples make which batch: seeded by epoch, the same on every rank, sharded by rank, resumable.

    Yields (index, supervised tokens of the global step) pairs. `position` tells epoch, rank, world size and how many
    batches of the epoch are done; it is asked whenever an epoch begins.
    """

    def __init__(self, tokens: NDArray[Any], accumulate: int, seed: int, chosen: NDArray[np.int64] | None) -> None:
        self.tokens, self.accumulate, self.seed = tokens, accumulate, seed
        self.chosen = np.arange(len(tokens)) if chosen is None else chosen
        self.position: Callable[[], tuple[int, int, int, int]] = lambda: (0, 0, 1, 0)

    def __len__(self) -> int:
        return self.count(self.position()[2])

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, rank, world, done = self.position()
        dealt = self.dealt(epoch, world)
        tokens = [sum(int(self.tokens[share].sum()) for share in shares) for shares in dealt]
        for number in range(done, len(dealt)):
            first = number - number % self.accumulate
            total = sum(tokens[first : first + self.accumulate])
            yield [(int(index), total) for index in dealt[number][rank]] or [(FILLER, total)]

    def count(self, world: int) -> int:
        """Return how many batches every rank gets, in any epoch: whole global steps."""
        raise NotImplementedError

    def dealt(self, epoch: int, world: int) -> list[list[NDArray[np.int64]]]:
        """Return the epoch's rounds: what each rank takes, all at once."""
        raise NotImplementedError


class Batches(Epochs):
    """Batches of so many samples, padded.

    Args:
        lengths: tokens of every sample.
        tokens: supervised tokens of every sample.
        batch_size: samples a rank and batch.
        accumulate: batches a global step.
        seed: of the order, with the epoch's number.
        group: whether samples of like length go together.
        chosen: indices that make the epoch; None: every sample once.
    """

    def __init__(
        self,
        lengths: NDArray[Any],
        tokens: NDArray[Any],
        batch_size: int,
        accumulate: int = 1,
        seed: int = 0,
        group: bool = True,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(tokens, accumulate, seed, chosen)
        self.lengths, self.batch_size, self.group = lengths, batch_size, group

    def count(self, world: int) -> int:
        """Return how many batches every rank gets, in any epoch: whole global steps."""
        return -(-len(self.chosen) // (self.batch_size * world * self.accumulate)) * self.accumulate

    def dealt(self, epoch: int, world: int) -> list[list[NDArray[np.int64]]]:
        """Return the epoch's rounds: what each rank takes, all at once."""
        return [[drawn[rank::world] for rank in range(world)] for drawn in self.order(epoch, world)]

    def order(self, epoch: int, world: int = 1) -> list[NDArray[np.int64]]:
        """Return the epoch's rounds: what all ranks take in together, dealt out one by one; the last may be short."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = self.chosen[torch.randperm(len(self.chosen), generator=generator).numpy()]
        wide = self.batch_size * world
        if self.group:
            order = np.concatenate([self._longest_first(part) for part in _cut(order, wide * MEGABATCH)])
        rounds = _cut(order, wide)
        full = [drawn for drawn in rounds if len(drawn) == wide]
        mixed = torch.randperm(len(full), generator=generator).tolist() if self.group else range(len(full))
        rounds = [full[k] for k in mixed] + [drawn for drawn in rounds if len(drawn) < wide]
        return rounds + [order[:0]] * (self.count(world) - len(rounds))

    def _longest_first(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        return part[np.argsort(-self.lengths[part], kind="stable")]


class Packs(Epochs):
    """Packs of so many tokens, for models that keep the conversations of a sequence apart (`loaded.packs`).

    Args:
        lengths: tokens of every sample.
        tokens: supervised tokens of every sample.
        capacity: tokens of a pack; a longer sample has one to itself.
        accumulate: packs a rank and global step.
        seed: of the order, with the epoch's number.
        chosen: indices that make the epoch; None: every sample once.
        costs: of every sample, in any unit: ranks get packs of nearly equal cost at a time; None: the lengths.
    """

    def __init__(
        self,
        lengths: NDArray[Any],
        tokens: NDArray[Any],
        capacity: int,
        accumulate: int = 1,
        seed: int = 0,
        chosen: NDArray[np.int64] | None = None,
        costs: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(tokens, accumulate, seed, chosen)
        self.lengths, self.costs = lengths, lengths if costs is None else costs
        self.sizes = rounded(lengths[self.chosen])
        self.slots = np.sort(self.sizes)[::-1].tolist()
        self.packs = best_fit(self.slots, capacity)

    def count(self, world: int) -> int:
        """Return how many packs every rank gets, in any epoch: whole global steps."""
        return -(-len(self.packs) // (world * self.accumulate)) * self.accumulate

    def dealt(self, epoch: int, world: int) -> list[list[NDArray[np.int64]]]:
        """Return the epoch's rounds: what each rank takes, all at once, the longest sample first."""
        generator = np.random.default_rng([self.seed, epoch])
        mixed = generator.permutation(len(self.chosen))
        order = self.chosen[mixed[np.argsort(-self.sizes[mixed], kind="stable")]]
        packs = [order[np.array(pack, int)] for pack in split(self.packs, self.slots, self.count(world) * world)]
        # Equal lengths lie together: attention takes them at once.
        packs = [pack[np.argsort(-self.lengths[pack], kind="stable")] for pack in packs]
        costs = np.array([self.costs[pack].sum() for pack in packs])
        return [[packs[k] for k in together] for together in rounds(costs, world, generator)]


class Steps(Dataset[Any]):
    """Samples indexed by (index, supervised tokens of the global step), as `Batches` yields them."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> tuple[tuple[Sample, list[Vision]], int]:
        index, step_tokens = item
        return (EMPTY, []) if index == FILLER else self.samples[index], step_tokens


def collate_step(
    items: Sequence[tuple[tuple[Sample, list[Vision]], int]], pad: int, pack: bool = False
) -> dict[str, Any]:
    """Return the batch of what `Steps` gave."""
    samples, step_tokens = [item for item, _ in items], items[0][1]
    return collate_pack(samples, step_tokens) if pack else collate(samples, pad, step_tokens)


def collate(items: Sequence[tuple[Sample, list[Vision]]], pad: int, step_tokens: int) -> dict[str, Any]:
    """Pad to the right. `keep` marks the positions whose next token carries loss, `targets` are those tokens.

    `step_tokens`: supervised tokens of the whole global step, all ranks and accumulated batches together.
    """
    width = max(len(sample.ids) for sample, _ in items)
    ids_BT = torch.full((len(items), width), pad)
    keep_BT = torch.zeros(len(items), width, dtype=torch.bool)
    for row, (sample, _) in enumerate(items):
        ids_BT[row, : len(sample.ids)] = torch.tensor(sample.ids)
        keep_BT[row, : len(sample.ids) - 1] = torch.tensor(sample.supervised[1:], dtype=torch.bool)
    return _batch(items, ids_BT, keep_BT, step_tokens)


def collate_pack(items: Sequence[tuple[Sample, list[Vision]]], step_tokens: int) -> dict[str, Any]:
    """Lay samples one after another in one sequence, with `lengths`; otherwise like `collate`.

    A sample's last position predicts nothing: what follows is the next sample's first token.
    """
    ids_1L = torch.tensor([[token for sample, _ in items for token in sample.ids]])
    keep_1L = torch.tensor([[kept for sample, _ in items for kept in (*sample.supervised[1:], False)]])
    return _batch(items, ids_1L, keep_1L, step_tokens) | {"lengths": [len(sample.ids) for sample, _ in items]}


def _batch(
    items: Sequence[tuple[Sample, list[Vision]]], ids_BT: Tensor, keep_BT: Tensor, step_tokens: int
) -> dict[str, Any]:
    seen = [vision for _, visions in items for vision in visions]
    return {
        "ids": ids_BT,
        "keep": keep_BT,
        "targets": ids_BT.roll(-1, dims=1)[keep_BT],
        "vision": torch.cat([vision.values for vision in seen]) if seen else None,
        "counts": [len(vision.values) for vision in seen],
        "sizes": [vision.size for vision in seen],
        "contexts": [sample.context for sample, visions in items for _ in visions],
        "names": [sample.id for sample, _ in items],
        "step_tokens": step_tokens,
        "samples": sum(sample is not EMPTY for sample, _ in items),
    }


def _cut(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
