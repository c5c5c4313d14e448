"""FSDP2 through Lightning: weights, gradients and moments split over the ranks, gathered block by block.

(PyTorch FSDP, Zhao et al. 2023; `torch.distributed.fsdp.fully_shard`.) The whole training module is the outermost unit:
what belongs to no block (embeddings, head, projector) is gathered for a training step, a block for its own time. What
trains stays in float32, as under DDP; with bf16-mixed blocks are gathered, and compute, in bfloat16, and gradients are
added up in float32.

A checkpoint is a file of each rank with its shares, plain tensors that are read without unpickling anything else. So it
is read by as many ranks as wrote it, as every checkpoint here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils._pytree import tree_map

from seke.training.module import Sft
from seke.training.sharded import as_share_of, share
from seke.training.speedups import blocks


class FullyShardedStrategy(ModelParallelStrategy):  # type: ignore[misc]
    """ModelParallelStrategy of one dimension, data, with a file of shares from each rank as its checkpoint."""

    zero_stage_3 = True
    """No rank holds the whole model, as under ZeRO-3."""

    def __init__(self, process_group_backend: str | None = None) -> None:
        super().__init__(tensor_parallel_size=1, process_group_backend=process_group_backend)

    def setup_environment(self) -> None:
        """Let all ranks of all machines share the data."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning hands back the optimiser's states."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return this rank's shares of the weights."""
        return {name: share(parameter).detach() for name, parameter in self.lightning_module.named_parameters()}

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """Return an optimiser's states, of split ones this rank's share."""
        states: dict[str, Any] = tree_map(share, getattr(optimizer, "_optimizer", optimizer).state_dict())
        return states

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write this rank's file; every rank calls."""
        file = self._file(filepath)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.checkpoint_io.save_checkpoint(checkpoint, file)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read this rank's file."""
        found: dict[str, Any] = self.checkpoint_io.load_checkpoint(self._file(checkpoint_path))
        return found

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Put this rank's shares of the weights back."""
        parameters = dict(self.lightning_module.named_parameters())
        with torch.no_grad():
            for name, values in checkpoint["state_dict"].items():
                share(parameters[name]).copy_(values)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Put this rank's shares of the optimiser's states back."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            split = {
                number: {name: _part(value, parameters[number]) for name, value in states.items()}
                for number, states in saved["state"].items()
            }
            optimizer.load_state_dict(saved | {"state": split})

    def _file(self, path: Any) -> Path:
        return Path(path) / f"rank-{self.global_rank}.pt"


class ShardedSft(Sft):
    """Sft whose weights are split up; its loss is its forward pass, before which they are gathered."""

    def configure_model(self) -> None:
        """Split the model up; the optimiser's groups then hold the parts."""
        became = shard(self, self.device_mesh, str(self.trainer.precision))
        for group in self.groups:
            group["params"] = [became[parameter] for parameter in group["params"]]

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the summed cross-entropy of a batch's supervised tokens."""
        return super().loss_sum(batch)

    def loss_sum(self, batch: dict[str, Any]) -> Tensor:
        """Return the summed cross-entropy of a batch's supervised tokens."""
        summed: Tensor = self(batch)
        if not torch.is_grad_enabled():
            self.reshard()  # else what belongs to no block would stay gathered, and shares be looked for in vain
        return summed


def shard(module: Any, mesh: Any, precision: str) -> dict[Any, Any]:
    """Split a training module up over the ranks of `mesh`, block by block.

    Args:
        module: with a forward pass of its own, in which everything is used.
        mesh: Lightning's, of which `data_parallel` is the dimension.
        precision: as the trainer names it.

    Returns:
        The parameter that each parameter has become.
    """
    before = dict(module.named_parameters(remove_duplicate=False))
    if not isinstance(module, FSDPModule):
        half = torch.bfloat16 if precision == "bf16-mixed" else None
        # Autocast decides what is computed in which type; inputs are left alone.
        policy = MixedPrecisionPolicy(
            param_dtype=half, reduce_dtype=torch.float32 if half else None, cast_forward_inputs=False
        )
        for unit in (*blocks(module), module):
            fully_shard(unit, mesh=mesh["data_parallel"], mp_policy=policy)
    after = dict(module.named_parameters(remove_duplicate=False))
    return {old: after[name] for name, old in before.items()}


def _part(value: Any, parameter: Any) -> Any:
    return as_share_of(value, parameter) if isinstance(value, torch.Tensor) and value.ndim else value
