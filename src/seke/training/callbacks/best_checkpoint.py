"""The weights of the lowest validation loss, kept on disk, and early stopping once it no longer falls."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors.torch import load_file, save_file

from seke.core.files import replacing
from seke.training.callbacks.checkpoints import trained
from seke.training.sharded import whole


class BestCheckpoint(pl.Callback):  # type: ignore[misc]
    """Keeps the trained weights of the lowest validation loss in `file`, and ends training after `patience`
    evaluations in a row without a lower one (None: never). `file=None` keeps no weights.

    Every rank measures the same loss, so all stop together. A loss that is not a number is no improvement.
    """

    def __init__(self, file: Path | None, patience: int | None) -> None:
        self.file, self.patience = file, patience
        self.loss: float | None = None
        """Lowest validation loss so far."""
        self.step: int | None = None
        """Optimiser steps done when it was measured."""
        self.waited = 0
        """Evaluations since then."""

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint: that of the class in earlier versions, whose runs go on."""
        return "Best"

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to know; the weights lie in their file already."""
        return {"loss": self.loss, "step": self.step, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.loss, self.step, self.waited = state_dict["loss"], state_dict["step"], state_dict["waited"]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Stop at once if the run had already decided to."""
        self._decide(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Take in a new validation loss."""
        loss = float(trainer.callback_metrics["validation_loss"])
        if loss < (float("inf") if self.loss is None else self.loss):
            self.loss, self.step, self.waited = loss, int(trainer.global_step), 0
            if self.file:
                _save(pl_module, self.file, trainer.is_global_zero)
                trainer.strategy.barrier("best weights")
        else:
            self.waited += 1
        self._decide(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Put the best weights back, so that they are the ones exported; no change where none were kept."""
        if self.file is None or self.step is None:
            return
        values = load_file(self.file) if trainer.is_global_zero else {}
        for name, parameter in trained(pl_module).items():
            with torch.no_grad(), whole(parameter, change=True) as there:
                if trainer.is_global_zero:
                    there.copy_(values[name])

    def _decide(self, trainer: Any) -> None:
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True


def _save(module: Any, file: Path, write: bool) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in trained(module).items():
        with whole(parameter) as there:
            if write:
                tensors[name] = there.detach().to("cpu", copy=True).contiguous()
    if write:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            save_file(tensors, part)
