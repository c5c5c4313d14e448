"""One SFT run, from instruction rows to a model in Hugging Face layout: what train.py does between its settings."""

import contextlib
import logging
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from torch.utils.data import DataLoader

from seke.errors import UserError
from seke.runs import Run, manifest_beside
from seke.tuning.batches import Batches, Steps, collate, collate_step, entries
from seke.tuning.data import Data, Part, stream
from seke.tuning.export import export
from seke.tuning.module import Sft
from seke.tuning.samples import Samples, prepare

LAST = "last.ckpt"
SCRATCH = "samples-"
"""Prefix of the folders in which samples lie while a run goes on."""


@dataclass
class Training:
    """How to train (conf/trainer/*.yaml)."""

    accelerator: str = "cpu"
    devices: int | str = 1
    strategy: Any = "auto"
    precision: str = "32-true"
    max_epochs: int = 1
    max_steps: int = -1
    """Optimiser steps; -1: as many as the epochs have."""
    batch_size: int = 1
    """Samples a device and batch."""
    accumulate: int = 1
    """Batches a global step; the loss is the same mean over tokens however a step is cut up."""
    clip: float = 1.0
    """Largest gradient norm."""
    warm_up: float = 0.03
    weight_decay: float = 0.0
    log_every: int = 10
    """Steps between logged numbers."""
    checkpoint_every: int = 500
    """Steps between checkpoints that an interrupted run resumes from."""
    activation_checkpointing: bool = False
    threads: int | None = None
    """CPU threads; None leaves PyTorch's choice."""

    def __post_init__(self) -> None:
        if self.precision in ("bf16-true", "16-true"):
            raise UserError(
                "trainer.precision", self.precision, "it would round RoPE's frequencies and so displace tokens",
                "use bf16-mixed with model.dtype=bfloat16",
            )  # fmt: skip
        for name in ("batch_size", "accumulate", "max_epochs"):
            if getattr(self, name) < 1:
                raise UserError(f"trainer.{name}", getattr(self, name), "less than 1", "use 1 or more")

    @property
    def master_weights(self) -> bool:
        """Whether the strategy keeps float32 master copies of bfloat16 weights by itself."""
        return "DeepSpeed" in type(self.strategy).__name__

    def lightning(self, **more: Any) -> pl.Trainer:
        """Build Lightning's Trainer.

        Raises:
            UserError: if this machine lacks what the settings ask for.
        """
        if self.threads:
            torch.set_num_threads(self.threads)
        try:
            return pl.Trainer(
                accelerator=self.accelerator, devices=self.devices, strategy=self.strategy, precision=self.precision,
                max_epochs=self.max_epochs, max_steps=self.max_steps, accumulate_grad_batches=self.accumulate,
                gradient_clip_val=self.clip, use_distributed_sampler=False, enable_model_summary=False,
                num_sanity_val_steps=0, log_every_n_steps=self.log_every, **more,
            )  # fmt: skip
        except MisconfigurationException as error:
            problem = " ".join(str(error).split())[:160]
            raise UserError("trainer.accelerator", self.accelerator, problem, "use trainer=cpu here") from error


def fit(
    run: Run, model: Any, data: Data, training: Training, logger: Any, outputs: Path, seed: int = 0, resume: bool = True
) -> dict[str, Any]:
    """Train `model` on `data`, save it below the run's directory, and write the manifest.

    An interrupted run goes on from its last checkpoint, in the middle of an epoch if need be, exactly as if it had not
    been interrupted (`resume=False`: from the start).
    """
    # Every process encodes for itself; what a killed run leaves of it goes when the run finishes.
    with _quiet(), TemporaryDirectory(prefix=SCRATCH, dir=run.path) as scratch:
        pl.seed_everything(seed, verbose=False)
        parts, watched = data.sources(outputs), data.watched(outputs)
        # Plain AdamW on bfloat16 weights loses updates at 1e-5; DeepSpeed keeps float32 masters itself.
        loaded = model.load(dtype=None if training.master_weights else "float32")
        groups = model.train(loaded)
        if training.activation_checkpointing:
            loaded.model.activation_checkpointing_enable()
        frozen = "vision_tower" in model.freeze
        if data.cache == "states" and not frozen:
            raise UserError("data.cache", "states", "the tower is trained, its states change", "use pixels or none")
        if training.threads:
            torch.set_num_threads(training.threads)
        arrow = Path(scratch) / "training.arrow"
        samples = prepare([stream(part, seed) for part in parts], loaded, data, frozen, arrow)
        if rank_zero_only.rank == 0:
            arrow.with_suffix(".jsonl").replace(run.path / "rejected.jsonl")
        chosen = entries(samples.part, [part.weight for part in parts], seed)
        if not len(chosen):
            raise UserError(
                "data.path", data.path, f"no usable row ({samples.rejected} rejected)", "see rejected.jsonl"
            )
        states = frozen and data.cache in ("auto", "states")
        module = Sft(loaded, groups, training.weight_decay, training.warm_up, states)
        checkpoints = run.path / "checkpoints"
        trainer = training.lightning(
            logger=logger,
            default_root_dir=str(run.path),
            callbacks=[
                ModelCheckpoint(
                    dirpath=checkpoints, filename=LAST.removesuffix(".ckpt"), save_top_k=1, monitor=None,
                    every_n_train_steps=training.checkpoint_every, enable_version_counter=False,
                ),
                Bar(refresh_rate=10),
            ],
        )  # fmt: skip
        last = checkpoints / LAST
        batches = loader(samples, chosen, loaded, data, training, seed, trainer)
        validation = watched and _validation(watched, loaded, data, frozen, Path(scratch), training.batch_size)
        since = str(last) if resume and last.exists() else None
        try:
            trainer.fit(module, batches, validation, ckpt_path=since, weights_only=False)
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl-C into exit code 1; the door has a message for it
                raise KeyboardInterrupt from None
            raise
        module.cpu()
        export(trainer, loaded, run.path / "model", model.dtype, last)
    facts = {
        "base": str(loaded.name),
        "rows": len(chosen),
        "rejected": samples.rejected,
        "parts": {part.name: int((samples.part == k).sum()) for k, part in enumerate(parts)},
        "steps": int(trainer.global_step),
        "epochs": int(trainer.current_epoch),
        "loss": _last(trainer, "loss"),
        "validation_loss": _last(trainer, "validation_loss"),
        "annotations": [manifest_beside(part.files[0]).get("annotator") for part in parts],
    }
    if trainer.is_global_zero:
        shutil.rmtree(checkpoints, ignore_errors=True)
        for left in run.path.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        run.finish(**facts)
    return facts


class Bar(TQDMProgressBar):  # type: ignore[misc]
    """Lightning's progress bar without the logger's version number."""

    def get_metrics(self, *arguments: Any) -> dict[str, Any]:
        """Return what stands behind the bar."""
        metrics: dict[str, Any] = super().get_metrics(*arguments)
        metrics.pop("v_num", None)
        return metrics


def loader(
    samples: Samples, chosen: Any, loaded: Any, data: Data, training: Training, seed: int, trainer: Any
) -> DataLoader[Any]:
    """Return the training loader; its order follows the trainer's epoch, rank and position.

    `chosen`: the indices that make an epoch.
    """
    batches = Batches(
        samples.lengths, samples.tokens, training.batch_size, training.accumulate, seed, data.group_by_length, chosen
    )

    def position() -> tuple[int, int, int, int]:
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        done = done if done < batches.count(trainer.world_size) else 0
        return trainer.current_epoch, trainer.global_rank, trainer.world_size, done

    batches.position = position
    return DataLoader(
        Steps(samples),
        batch_sampler=batches,
        collate_fn=partial(collate_step, pad=loaded.processor.tokenizer.pad_token_id),
        num_workers=data.workers,
        persistent_workers=False,
    )


def _validation(part: Part, loaded: Any, data: Data, frozen: bool, scratch: Path, batch: int) -> DataLoader[Any]:
    samples = prepare([stream(part)], loaded, data, frozen, scratch / "validation.arrow")
    pad = loaded.processor.tokenizer.pad_token_id
    return DataLoader(samples, batch_size=batch, collate_fn=partial(collate, pad=pad, step_tokens=1))


def _last(trainer: Any, name: str) -> float | None:
    value = trainer.callback_metrics.get(name)
    return None if value is None else float(value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice (workers, log intervals, tips); its errors and the progress bar stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
