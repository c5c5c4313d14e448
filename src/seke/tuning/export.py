"""The tuned model as a directory that transformers and servers load: weights, processor, chat template."""

import gc
from pathlib import Path
from typing import Any

import torch

PREFIX = "model."
"""What the LightningModule puts before the names of the model's own parameters."""


def export(trainer: Any, loaded: Any, path: Path, dtype: str, last: Path) -> None:
    """Write `loaded` to `path` in Hugging Face layout and `dtype`; under ZeRO-3 the shards are put together first.

    Args:
        trainer: the Lightning trainer after fit; every rank must call, only rank 0 writes.
        loaded: the trained model.
        path: directory to write.
        dtype: the weights' type on disk, as torch names it.
        last: the last checkpoint, read under ZeRO-3 only.
    """
    stage = getattr(trainer.strategy, "config", None) or {}
    sharded = isinstance(stage, dict) and stage.get("zero_optimization", {}).get("stage") == 3
    if sharded:
        # Every rank writes its shard of the weights here; the model in memory holds none of them whole.
        trainer.save_checkpoint(last)
    if trainer.is_global_zero:
        if sharded:
            _consolidate(loaded, last)
        for parameter in loaded.model.parameters():
            # Parameters only: rotary frequencies are buffers and stay float32.
            parameter.data = parameter.data.to("cpu", getattr(torch, dtype))
        loaded.save(path)
    trainer.strategy.barrier("export")


def _consolidate(loaded: Any, checkpoint: Path) -> None:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    state = get_fp32_state_dict_from_zero_checkpoint(str(checkpoint), tag="checkpoint")
    names = dict(loaded.model.named_parameters())
    for name, values in state.items():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in names:
            names[name.removeprefix(PREFIX)].data = values
    del state
    gc.collect()
