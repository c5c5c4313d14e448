"""Export of the tuned model as a directory that transformers and servers load: weights, processor, chat template."""

from pathlib import Path
from typing import Any

import torch

from seke.models.protocol import TrainableVLM
from seke.training.callbacks.best_checkpoint import whole


def export(trainer: Any, loaded: TrainableVLM, path: Path, dtype: str) -> None:
    """Write `loaded` to `path` in Hugging Face layout and `dtype`; shards of ZeRO-3 are put together first.

    Frozen weights are written like trained ones: what is exported is whole. Afterwards the model on rank 0 has `dtype`
    and lies on the CPU, and is of no more use on the other ranks.

    Args:
        trainer: the Lightning trainer after fit; every rank must call, only rank 0 writes.
        loaded: the trained model.
        path: directory to write.
        dtype: the weights' type on disk, as torch names it.
    """
    parameters = list(loaded.model.parameters())
    # What stage 3 holds is next to nothing; where it lies decides where the gathering takes place.
    sharded = any(hasattr(parameter, "ds_id") for parameter in parameters)
    loaded.model.to(trainer.strategy.root_device if sharded else "cpu")
    # Parameters only: rotary frequencies are buffers and stay float32.
    for parameter in parameters:
        with whole(parameter):
            values = parameter.detach().to("cpu", getattr(torch, dtype), copy=True) if trainer.is_global_zero else None
        if values is not None:
            parameter.data = values
    if trainer.is_global_zero:
        loaded.model.to("cpu")
        loaded.save(path)
    trainer.strategy.barrier("export")
