"""Set-up that a training and its dry run share: the model with the parts that train, and the epochs of its samples."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seke.core.errors import UserError
from seke.models.protocol import Family, TrainableVLM
from seke.training.data.dataset import Samples
from seke.training.data.mixture import Data
from seke.training.data.packing import cost
from seke.training.data.samplers import Batches, Epochs, Packs
from seke.training.optimizers import Optimizer
from seke.training.settings import Training


@dataclass(frozen=True)
class TunedModel:
    """A model with the parts that train, and how it is to be fed."""

    loaded: TrainableVLM
    groups: list[dict[str, Any]]
    """The optimiser's parameter groups, as `Family.train` returns them."""
    packed: bool
    """Whether several conversations share a sequence."""
    frozen_tower: bool
    states: bool
    """Whether batches bring the frozen tower's states, computed once per image, in place of pixels."""


def tuned_model(
    model: Family, data: Data, training: Training, optimizer: Optimizer, weights: bool = True
) -> TunedModel:
    """Load `model` in the type that its optimiser needs, and freeze all but what is to train.

    `weights=False`: only its outline, which is enough to count.

    Raises:
        UserError: if settings contradict each other, or as `Family.load` and `Family.train`.
    """
    if training.master_weights and optimizer.keeps_bfloat16:
        raise UserError("optimizer", "(bfloat16)", "DeepSpeed keeps float32 copies itself", "use optimizer=adamw")
    frozen = "vision_tower" not in model.trained
    if data.cache in ("states", "disk") and not frozen:
        raise UserError("data.cache", data.cache, "the tower is trained, its states change", "use pixels or none")
    # Plain AdamW on bfloat16 weights loses updates at 1e-5; DeepSpeed keeps float32 masters itself.
    bfloat16 = training.master_weights or optimizer.keeps_bfloat16
    load = model.load if weights else model.outline
    loaded = load(dtype=None if bfloat16 else "float32")
    packed = data.packed(loaded.packs, training.on_gpu)
    states = frozen and data.cache in ("auto", "states", "disk")
    return TunedModel(loaded, model.train(loaded), packed, frozen, states)


def epochs(
    samples: Samples, chosen: NDArray[np.int64], tuned: TunedModel, data: Data, training: Training, seed: int
) -> Epochs:
    """Return how the samples with the indices `chosen` make an epoch: packs, or padded batches."""
    lengths, tokens, accumulate = samples.lengths, samples.tokens, training.accumulate
    if not tuned.packed:
        return Batches(lengths, tokens, training.batch_size, accumulate, seed, data.group_by_length, chosen)
    costs = cost(tuned.loaded.products(), lengths, samples.crops)
    return Packs(lengths, tokens, data.pack_tokens, accumulate, seed, chosen, costs)


@contextlib.contextmanager
def held_on(model: Any, device: torch.device | None) -> Iterator[None]:
    """Hold a model on a device for a while, if there is one and it has room, and in the host's memory afterwards.

    Lightning moves a model to its GPU when training starts. A frozen tower sees every picture before that, which would
    take the host's processor a hundred times as long.
    """
    if device is None:
        yield
        return
    try:
        # Without room the tower works where the model is, in the host's memory.
        with contextlib.suppress(torch.OutOfMemoryError):
            model.to(device)
        yield
    finally:
        model.to("cpu")
