"""Export of the tuned model as a directory that transformers and servers load: weights, processor, chat template."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from seke.models.protocol import TrainableVLM
from seke.training.sharded import whole


def export(trainer: Any, loaded: TrainableVLM, path: Path, dtype: str) -> None:
    """Write `loaded` to `path` in Hugging Face layout and `dtype`; shards are put together first.

    Frozen weights are written like trained ones: what is exported is whole. Afterwards the model on rank 0 has `dtype`
    and lies on the CPU, and is of no more use on the other ranks.

    Args:
        trainer: the Lightning trainer after fit; every rank must call, only rank 0 writes.
        loaded: the trained model.
        path: directory to write.
        dtype: the weights' type on disk, as torch names it.
    """
    parameters = list(loaded.model.parameters())
    fully_sharded = any(isinstance(parameter, DTensor) for parameter in parameters)
    # What stage 3 holds is next to nothing; where it lies decides where the gathering takes place.
    sharded = fully_sharded or any(hasattr(parameter, "ds_id") for parameter in parameters)
    loaded.model.to(trainer.strategy.root_device if sharded else "cpu")
    # Parameters only: rotary frequencies are buffers and stay float32.
    became: dict[Any, Tensor] = {}
    for parameter in parameters:
        with whole(parameter) as there:
            values = there.detach().to("cpu", getattr(torch, dtype), copy=True) if trainer.is_global_zero else None
        if values is None:
            continue
        if isinstance(parameter, DTensor):
            became[parameter] = torch.nn.Parameter(values, parameter.requires_grad)
        else:
            parameter.data = values
    if trainer.is_global_zero:
        if not fully_sharded:
            loaded.model.to("cpu")
        for module in loaded.model.modules() if fully_sharded else ():
            for name, parameter in module._parameters.items():
                module._parameters[name] = became.get(parameter, parameter)
        loaded.save(path)
    trainer.strategy.barrier("export")
