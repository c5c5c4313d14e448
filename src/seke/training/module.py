"""Supervised fine-tuning as a LightningModule: cross-entropy on the answers, exact however a step is cut up."""

import math
from contextlib import nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from seke.models.protocol import TrainableVLM
from seke.training.optimizers import AdamW, Optimizer
from seke.training.speedups import Loss, head_returns


def cosine_with_warm_up(step: int, total: int, warm_up: float = 0.03) -> float:
    """Return the learning rate's factor: linear over the first `warm_up` share of steps, then a cosine to 0.

    >>> [round(cosine_with_warm_up(step, 100, 0.1), 2) for step in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warm = max(1, math.ceil(warm_up * total))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


class Sft(pl.LightningModule):  # type: ignore[misc]
    """Trains `loaded.model`; `model.train(loaded)` has said which parts and at what learning rates."""

    def __init__(
        self,
        loaded: TrainableVLM,
        groups: list[dict[str, Any]],
        warm_up: float = 0.03,
        states: bool = False,
        optimizer: Optimizer | None = None,
        loss: Loss | None = None,
    ) -> None:
        super().__init__()
        self.loaded, self.groups = loaded, groups
        self.model = loaded.model
        self.warm_up, self.states = warm_up, states
        """Whether batches bring the frozen tower's states instead of pixels."""
        self.optimizer = optimizer
        """Makes an optimiser of parameter groups; None: AdamW."""
        self.loss = loss
        """Head and cross-entropy in one; None: one after the other."""

    def train(self, mode: bool = True) -> "Sft":
        """Set the mode; in training the model itself says which of its parts that concerns."""
        super().train(mode)
        if mode:
            self.loaded.train_mode()
        return self

    def loss_sum(self, batch: dict[str, Any]) -> Tensor:
        """Return the summed cross-entropy of a batch's supervised tokens, in float32.

        The head runs on those positions alone. A batch without images still touches the tower and the projector, at
        weight zero: ranks whose gradients differ in shape would wait for each other for ever.
        """
        vision, counts, sizes, contexts = batch["vision"], batch["counts"], batch["sizes"], batch["contexts"]
        blind = vision is None
        if blind:
            vision, counts, contexts = self.loaded.nothing(self.states), [1], [()]
            sizes = [(self.loaded.tile, self.loaded.tile)]
        states = vision if self.states else self.loaded.see(vision.to(self.model.dtype), counts, sizes)
        features = self.loaded.features(states, counts, sizes, contexts)
        pack = {"lengths": batch["lengths"]} if "lengths" in batch else {}
        shown = {} if blind else {"sizes": sizes}
        fused = self.loss if len(batch["targets"]) else None
        with head_returns(self.model, fused, batch["targets"]) if fused else nullcontext():
            found = self.loaded.logits(batch["ids"], None, [] if blind else features, batch["keep"], **pack, **shown)
        loss = found.sum() if fused else F.cross_entropy(found.float(), batch["targets"], reduction="sum")
        return loss + 0.0 * torch.cat(features).sum().float() if blind else loss

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        """Return the batch's share of the global step's mean loss per supervised token.

        Lightning and DeepSpeed divide by the accumulated batches and average over the ranks; both are undone here, and
        the sum is divided by the supervised tokens of the whole global step (known from the sampler) instead.
        """
        total = self.loss_sum(batch)
        # Nothing is logged here: what one rank and batch know is no step's loss. `Throughput` logs that.
        share = self.trainer.world_size * self.trainer.accumulate_grad_batches / max(1, batch["step_tokens"])
        loss: Tensor = total * share
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        """Log the mean loss per supervised token."""
        tokens = len(batch["targets"])
        mean = self.loss_sum(batch) / max(1, tokens)
        self.log("validation_loss", mean, prog_bar=True, batch_size=tokens, sync_dist=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Set a learning rate per part, warm-up and cosine over the run's steps."""
        optimiser = (self.optimizer or AdamW())(self.groups)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine_with_warm_up(step, total, self.warm_up)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Check what a precision plugin may have spoilt."""
        for name, buffer in self.model.named_buffers():
            # In bfloat16 the rotary frequencies place tokens wrongly beyond position 100 (no error, only bad answers).
            assert "inv_freq" not in name or buffer.dtype == torch.float32, f"{name} is {buffer.dtype}"
