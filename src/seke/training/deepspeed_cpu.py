"""DeepSpeed as Lightning has it, with what keeps it from CPUs and from transformers 5 lifted.

With gloo, ZeRO 1, 2 and 3 run on CPUs and give DDP's losses, so that tests exercise what a cluster runs.

Under ZeRO-3 every rank reads the whole checkpoint into the host's memory (16 GB for 7B) before its parameters are cut
up one by one; no GPU ever holds it whole. transformers could read it in pieces, but only into a model that is born
after the process group, and ours has counted and encoded the samples by then.
"""

import os
from typing import Any

import torch
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import DeepSpeedStrategy


class CPUDeepSpeedStrategy(DeepSpeedStrategy):  # type: ignore[misc]
    """DeepSpeedStrategy that also accepts CPUs, any offloaded optimiser, and validating or testing after fit."""

    strategy_name = "deepspeed_cpu"

    def _on_cpu(self) -> bool:
        return isinstance(self.accelerator, CPUAccelerator)

    @property
    def root_device(self) -> torch.device:
        """The rank's device; a CPU is given an index, which DeepSpeed compares with a number."""
        device: torch.device = super().root_device
        return torch.device("cpu", 0) if device.type == "cpu" else device

    def setup_environment(self) -> None:
        """Skip the check for CUDA: what DDPStrategy does is enough."""
        if not self._on_cpu():
            super().setup_environment()
        else:
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
            super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        """Skip the check of device indices: every rank has the same one."""
        if not self._on_cpu():
            super().setup_distributed()
        else:
            reset_seed()
            self.set_world_ranks()
            self._init_deepspeed_distributed()

    def backward(self, closure_loss: torch.Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Have gradients divided by the accumulated batches once: Lightning has done it, DeepSpeed would again.

        AdamW hides the mistake, clipping does not: gradients would be clipped at a multiple of `trainer.clip`.
        """
        loss: torch.Tensor = super().backward(closure_loss, optimizer, *args, scale_wrt_gas=False, **kwargs)
        return loss

    def _init_config_if_needed(self) -> None:
        super()._init_config_if_needed()
        # Offloaded states are updated by PyTorch's own AdamW; DeepSpeed's would have to be compiled first.
        self.config.setdefault("zero_force_ds_cpu_optimizer", False)

    def _initialize_deepspeed_inference(self, model: Any) -> None:
        """Prepare for validate or test outside fit.

        Lightning takes all hooks from the modules here. transformers gathers hidden states by hooks, which it puts
        back only where it does not believe them to be there.
        """
        super()._initialize_deepspeed_inference(model)
        for module in self.lightning_module.modules():
            module.__dict__.pop("_output_capturing_hooks_installed", None)
