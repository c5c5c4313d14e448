"""DeepSpeed where there is no GPU: Lightning's strategy with its three CUDA-only assumptions lifted.

With gloo, ZeRO 1, 2 and 3 run on CPUs and give DDP's losses, so that tests exercise what a cluster runs.
"""

import os
from typing import Any

from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import DeepSpeedStrategy


class CPUDeepSpeedStrategy(DeepSpeedStrategy):  # type: ignore[misc]
    """DeepSpeedStrategy that also accepts CPUs; on GPUs it is Lightning's own, unchanged."""

    strategy_name = "deepspeed_cpu"

    def _on_cpu(self) -> bool:
        return isinstance(self.accelerator, CPUAccelerator)

    def setup_environment(self) -> None:
        """Skip the check for CUDA: what DDPStrategy does is enough."""
        if not self._on_cpu():
            super().setup_environment()
        else:
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
            super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        """Skip the check of device indices: a CPU has none."""
        if not self._on_cpu():
            super().setup_distributed()
        else:
            reset_seed()
            self.set_world_ranks()
            self._init_deepspeed_distributed()

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        if not self._on_cpu():
            both: tuple[Any, Any] = super()._setup_model_and_optimizer(model, optimizer, lr_scheduler)
            return both
        import deepspeed

        # Lightning would pass device_rank=None, which the engine compares with a number.
        engine, wrapped, _, _ = deepspeed.initialize(
            config=self.config,
            model=model,
            model_parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        return engine, wrapped
