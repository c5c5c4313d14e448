"""Throughput and what is logged with it every few steps: loss, learning rates, gradient norm, MFU, memory, padding.

A window is `log_every` optimiser steps of all ranks together. Within it nothing is read back from the device and no
rank talks to another; at its end come one wait for the device and one exchange. Validation, checkpoints and answers
are not part of a window's seconds.
"""

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor
from torch.distributed.tensor import DTensor

from seke.models.protocol import Product, TrainableVLM
from seke.training.data.flops import Work, peak, seen_before, together, training, work

FETCH: Final = "train_dataloader_next"
"""How Lightning ends the name of what it does while it waits for a batch."""
LANGUAGE: Final = "language_model"
"""The part whose FLOPs are logged apart from all others, which make up the vision side."""


class DataWait(PassThroughProfiler):  # type: ignore[misc]
    """Sums the seconds in which training stands still for its next batch; Lightning's profiler hooks tell them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self._since = 0.0, 0.0

    def start(self, action_name: str) -> None:
        """Begin to wait."""
        if action_name.endswith(FETCH):
            self._since = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Stop waiting."""
        if action_name.endswith(FETCH):
            self.seconds += time.perf_counter() - self._since


class Sums(NamedTuple):
    """What a window adds up to, on one rank or on all."""

    loss: float
    """Cross-entropy of all supervised tokens."""
    busy: float
    """Seconds from a batch's arrival to its end."""
    waited: float
    """Seconds of waiting for batches."""
    computed: float
    """Positions that the language model computes, padding included."""
    samples: float
    work: Work


class Device(NamedTuple):
    """What FLOPs are measured by."""

    products: tuple[Product, ...]
    trained: frozenset[str]
    """Parts whose matrices are trained."""
    live: frozenset[str]
    """Parts in which anything is trained."""
    peak: float | None
    """FLOP/s of one device, None if not known."""


def window_metrics(sums: Sums, ranks: int, device: Device) -> dict[str, float]:
    """Return what is logged of a window that `sums` of all ranks tell of; what is not known is left out.

    Rates are of all ranks together, TFLOP/s and MFU of one device. `padding`: share of the computed positions that
    hold no token; `data_wait`: share of the time in which training waited for data.
    """
    seconds = (sums.busy + sums.waited) / ranks
    flops = training(device.products, sums.work, device.trained, device.live)
    per_second = {part: total / seconds / ranks for part, total in flops.items()}
    language = per_second.get(LANGUAGE, 0.0)
    vision = sum(per_second.values()) - language
    found = {
        "loss": sums.loss / sums.work.supervised if sums.work.supervised else None,
        "tokens_per_s": sums.work.tokens / seconds,
        "samples_per_s": sums.samples / seconds,
        "crops_per_s": sums.work.crops / seconds,
        "tflops_vision": vision / 1e12,
        "tflops_language": language / 1e12,
        "mfu": (vision + language) / device.peak if device.peak else None,
        "padding": 1 - sums.work.tokens / sums.computed if sums.computed else None,
        "data_wait": sums.waited / (sums.busy + sums.waited),
    }
    return {name: value for name, value in found.items() if value is not None}


@dataclass
class Window:
    """What one rank has done since it last logged; values that a device still computes are not read before the end."""

    losses: list[Tensor] = field(default_factory=list)
    held: list[tuple[list[int], Any, int, list[int]]] = field(default_factory=list)
    """Of every batch: crops that the tower sees together, lengths of its sequences, supervised tokens, lengths of its
    contexts."""
    computed: int = 0
    samples: int = 0
    busy: float = 0.0

    def add(self, batch: Mapping[str, Any], loss: Tensor, pad: int, loaded: TrainableVLM) -> None:
        """Take in a batch and its summed loss."""
        images = zip(batch["counts"], batch["sizes"], strict=True)
        crops = [seen for count, size in images for seen in loaded.seen_together(count, size)]
        lengths = batch["lengths"] if "lengths" in batch else (batch["ids"] != pad).sum(1)
        contexts = [len(context) for context in batch["contexts"]]
        self.losses.append(loss)
        self.held.append((crops, lengths, len(batch["targets"]), contexts))
        self.computed += batch["ids"].numel()
        self.samples += batch["samples"]

    def last(self, batches: int) -> tuple[float, int]:
        """Return summed loss and supervised tokens of the last `batches`; this waits for the device."""
        loss = float(torch.stack(self.losses[-batches:]).double().sum())
        return loss, sum(supervised for _, _, supervised, _ in self.held[-batches:])

    def sums(self, waited: float) -> Sums:
        """Read everything; this waits for the device."""
        loss = float(torch.stack(self.losses).double().sum())
        done = together(
            work(crops, torch.as_tensor(lengths).tolist(), supervised, contexts)
            for crops, lengths, supervised, contexts in self.held
        )
        return Sums(loss, self.busy, waited, self.computed, self.samples, done)


class Throughput(pl.Callback):  # type: ignore[misc]
    """Logs `figures` of every window with learning rates by part, gradient norm before clipping, and memory.

    Of the losses, `loss` is that of the step at which it is logged, over all ranks and accumulated batches, which is
    also the run's when it is the last; `loss_mean` is the mean over all tokens of the window.

    `peak_tflops`: what one device can do, in bfloat16; None: known by the device's name, or no MFU is logged.
    """

    def __init__(self, peak_tflops: float | None = None) -> None:
        self.peak_tflops = peak_tflops
        self.latest: dict[str, float] = {}
        """What was logged last."""
        self._window, self._waiting = Window(), DataWait()
        self._began, self._step = 0.0, 0
        self._rates: dict[str, float] = {}
        self._norm: Any = None

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint: that of the class in earlier versions, whose runs go on."""
        return "Pace"

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run that has nothing left to do tells as its last loss."""
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.latest = state_dict["latest"]

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Learn what is trained, before a strategy splits it up."""
        loaded = pl_module.loaded
        free = [(loaded.part(name), name, p) for name, p in loaded.model.named_parameters() if p.requires_grad]
        found = loaded.products()
        self._pad = loaded.processor.tokenizer.pad_token_id
        self._device = Device(
            seen_before(found) if pl_module.states else found,
            frozenset(part for part, name, p in free if p.ndim > 1 and "lora_" not in name),
            frozenset(part for part, _, _ in free),
            self.peak_tflops * 1e12 if self.peak_tflops else _peak(trainer.strategy.root_device),
        )
        trainer.profiler = self._waiting

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the first window."""
        self._step = trainer.global_step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Note the step's learning rates and, if it ends a window, its gradients' norm, not yet clipped."""
        self._rates = {f"lr_{group['name']}": group["lr"] for group in optimizer.param_groups}
        if _due(trainer, trainer.global_step + 1) and not _engine(trainer):
            grads = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norm: Any = torch.nn.utils.get_total_norm(grads)
            self._norm = norm.full_tensor() if isinstance(norm, DTensor) else norm

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Take in the batch; log at a window's end."""
        # The loss as training_step shares it out, and Lightning divides it by the accumulated batches.
        self._window.add(
            batch, outputs["loss"] * batch["step_tokens"] / trainer.world_size, self._pad, pl_module.loaded
        )
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        if stepped and _due(trainer, self._step):
            self._norm = _engine(trainer).get_global_grad_norm() if _engine(trainer) else self._norm
            self._log(trainer, pl_module)
        else:
            self._window.busy += time.perf_counter() - self._began

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let nothing go unlogged where training stopped early."""
        if self._window.held:
            self._began = time.perf_counter()
            self._log(trainer, None)

    def _log(self, trainer: Any, module: Any) -> None:
        window = self._window
        sums = window.sums(self._waiting.seconds)
        sums = sums._replace(busy=window.busy + time.perf_counter() - self._began)
        self._window, self._waiting.seconds = Window(), 0.0
        step = window.last(trainer.accumulate_grad_batches)  # a step's batches are all there, be they only fillers
        values = torch.tensor(
            [*sums[:-1], *sums.work, *step, _memory(trainer.strategy.root_device)], dtype=torch.float64
        )
        if trainer.world_size > 1:
            values = trainer.strategy.all_gather(values.to(trainer.strategy.root_device)).cpu()
        loss, busy, waited, computed, samples, *added, step_loss, step_tokens, _ = (
            values.view(trainer.world_size, -1).sum(0).tolist()
        )
        everyone = Sums(loss, busy, waited, computed, samples, Work(*map(round, added)))
        norm = {} if self._norm is None else {"grad_norm": float(self._norm)}
        memory = {"memory_gib": values.view(trainer.world_size, -1)[:, -1].max().item() / 2**30}
        found = window_metrics(everyone, trainer.world_size, self._device)
        losses = {"loss": step_loss / max(1, step_tokens), "loss_mean": found.pop("loss")} if "loss" in found else {}
        self.latest = {**losses, **found, **self._rates, **norm, **memory}
        self._norm = None
        for logger in trainer.loggers:
            logger.log_metrics(self.latest, step=trainer.global_step)
            logger.save()
        if module is not None:
            for name in ("loss", "tokens_per_s"):
                if name in self.latest:
                    module.log(name, self.latest[name], prog_bar=True, logger=False)


def _due(trainer: Any, step: int) -> bool:
    """Whether a window ends with this optimiser step."""
    return bool(step % trainer.log_every_n_steps == 0 or step >= trainer.estimated_stepping_batches)


def _engine(trainer: Any) -> Any:
    """Return DeepSpeed's engine, which keeps the gradients to itself, or None."""
    return trainer.model if hasattr(trainer.model, "get_global_grad_norm") else None


def _peak(device: torch.device) -> float | None:
    return peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def _memory(device: torch.device) -> float:
    """Return the most bytes that tensors have taken on a GPU, else that the process has taken of the machine."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
