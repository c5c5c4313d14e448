"""One supervised fine-tuning run: from instruction rows to an exported model, its manifest and its card."""

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from seke.core import small_data
from seke.core.errors import UserError
from seke.core.runs import Run
from seke.hub import model_card
from seke.models.protocol import Family
from seke.training.callbacks.best_checkpoint import BestCheckpoint
from seke.training.callbacks.checkpoints import STATE, Checkpoints, resumable
from seke.training.callbacks.fault_guard import FaultGuard, MemoryBound, explained
from seke.training.callbacks.progress_bar import StepProgress
from seke.training.callbacks.sample_answers import SampleAnswers, questions
from seke.training.callbacks.throughput import Throughput
from seke.training.data.dataset import Samples, prepare
from seke.training.data.mixture import Data, Part, stream
from seke.training.data.samplers import Epochs, Steps, collate, collate_step, epoch_indices
from seke.training.dry_run import recomputes
from seke.training.export import export
from seke.training.fully_sharded import ShardedSft
from seke.training.module import Sft
from seke.training.optimizers import AdamW, Optimizer
from seke.training.settings import Training
from seke.training.setup import TunedModel, epochs, held_on, tuned_model
from seke.training.speedups import compile_blocks, fused_loss, to_float8

SCRATCH = "samples-"
"""Prefix of the folders in which samples lie while a run goes on."""


def fit(
    run: Run,
    model: Family,
    data: Data,
    training: Training,
    logger: Any,
    parts: Sequence[Part],
    watched: Part | None = None,
    seed: int = 0,
    resume: bool = True,
    optimizer: Optimizer | None = None,
) -> dict[str, Any]:
    """Train `model` on `parts`, save it below the run's directory, and write the manifest.

    An interrupted run goes on from its last checkpoint, in the middle of an epoch if need be, exactly as if it had not
    been interrupted.

    Args:
        run: the directory, claimed.
        model: which model, and which parts of it train.
        data: how rows become batches.
        training: how to train.
        logger: Lightning's; False: none.
        parts: what to train on, as `data.sources` finds it.
        watched: on what the validation loss is measured, as `data.watched` finds it; None: on nothing.
        seed: of the order, the draw of weighted parts and dropout.
        resume: whether to go on from a checkpoint; False: from the start.
        optimizer: makes an optimiser of parameter groups; None: AdamW.

    Returns:
        What the manifest tells.

    Raises:
        Paused: if a scheduler asked this run to stop; it is saved.
        UserError: if it cannot go on.
    """
    optimizer = optimizer or AdamW()
    folder = run.path / "checkpoints"
    checkpoints = Checkpoints(folder, training.checkpoint_every)
    guard = FaultGuard(checkpoints, MemoryBound("model.path", model.path, "use a smaller model"))
    # Every process encodes for itself; what a killed run leaves of it goes when the run finishes.
    with (
        _quiet(),
        TemporaryDirectory(prefix=SCRATCH, dir=run.path) as scratch,
        guard.listening(),
        explained(guard, str(model.path)),
    ):
        training.check_machine()
        pl.seed_everything(seed, verbose=False)
        loss = fused_loss(training.fused_loss) if training.fused_loss else None
        tuned = tuned_model(model, data, training, optimizer)
        guard.bound = memory_bound(training, data, tuned.packed)
        if training.threads:
            torch.set_num_threads(training.threads)

        validation: DataLoader[Any] | None = None
        with held_on(tuned.loaded.model, training.own_gpu if tuned.states else None):
            samples = _encoded(parts, tuned, data, Path(scratch) / "training.arrow", run.path / "rejected.jsonl", seed)
            chosen = epoch_indices(samples.part, [part.weight for part in parts], seed)
            if watched:
                rejected = run.path / "rejected_validation.jsonl"
                held_out = _encoded([watched], tuned, data, Path(scratch) / "validation.arrow", rejected, seed)
                validation = validation_loader(held_out, tuned, training.batch_size)

        best = BestCheckpoint(folder / "best.safetensors" if training.keep_best else None, training.patience)
        throughput = Throughput(training.peak_tflops)
        asked = questions(stream(watched or parts[0], seed), training.answered)
        answers = SampleAnswers(asked, run.path, training.answer_every)
        callbacks = [guard, *([best] if watched else []), throughput, answers, StepProgress(), checkpoints]
        trainer = training.lightning(logger=logger, default_root_dir=str(run.path), callbacks=callbacks)
        order = epochs(samples, chosen, tuned, data, training, seed)
        if recomputes(tuned, samples, order, training, optimizer):
            tuned.loaded.model.activation_checkpointing_enable()
        if training.float8:
            to_float8(tuned.loaded.model)
        if training.compile:
            compile_blocks(tuned.loaded.model)
        batches = training_loader(samples, order, tuned, data, training, trainer)
        if resume:
            checkpoints.since = resumable(folder, trainer.num_devices * trainer.num_nodes, rank_zero_only.rank == 0)
        elif rank_zero_only.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        kind = ShardedSft if training.fully_sharded else Sft
        module = kind(tuned.loaded, tuned.groups, training.warm_up, tuned.states, optimizer, loss)
        _train(trainer, module, batches, validation, checkpoints)
        export(trainer, tuned.loaded, run.path / "model", model.dtype)
    facts = _facts(trainer, tuned, parts, samples, chosen, throughput.latest.get("loss"), best if watched else None)
    if trainer.is_global_zero:
        model_card.write(run, facts)
        # The manifest first: killed in between, the run is finished rather than lost.
        run.finish(**facts)
        shutil.rmtree(folder, ignore_errors=True)
        for left in run.path.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
    return facts


def memory_bound(training: Training, data: Data, packed: bool) -> MemoryBound:
    """Return the setting that bounds a batch, and what else would need less memory."""
    size = ("trainer.batch_size", training.batch_size)
    if packed:
        size = ("data.pack_tokens", data.pack_tokens)
    elif training.batch_size == 1:
        size = ("data.max_tokens", data.max_tokens)
    recompute = "" if training.activation_checkpointing is True else "set trainer.activation_checkpointing=true or "
    return MemoryBound(*size, f"lower it, or {recompute}optimizer=adamw_8bit")


def training_loader(
    samples: Samples, order: Epochs, tuned: TunedModel, data: Data, training: Training, trainer: Any
) -> DataLoader[Any]:
    """Return the loader of `order`'s batches, which follow the trainer's epoch, rank and position."""

    def position() -> tuple[int, int, int, int]:
        epoch, done = divmod(trainer.fit_loop.epoch_loop.batch_progress.total.ready, order.count(trainer.world_size))
        return epoch, trainer.global_rank, trainer.world_size, done

    order.position = position
    cores = (os.cpu_count() or 1) // max(1, trainer.num_devices)
    return DataLoader(
        Steps(samples),
        batch_sampler=order,
        collate_fn=partial(collate_step, pad=_pad(tuned), pack=tuned.packed),
        num_workers=data.processes(samples.pictures.cache == "none", training.on_gpu, cores),
        persistent_workers=False,
        generator=torch.Generator(),  # of its own: a resumed loader draws once more, which dropout must not see
    )


def validation_loader(samples: Samples, tuned: TunedModel, batch_size: int) -> DataLoader[Any]:
    """Return the loader of all samples in their order, in padded batches."""
    padded = partial(collate, pad=_pad(tuned), step_tokens=1)
    return DataLoader(samples, batch_size=batch_size, collate_fn=padded, generator=torch.Generator())


def summary(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts of a finished training as lines of text."""
    lines = []
    if facts["rejected_for"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in facts["rejected_for"].items())
        lines.append(f"rejected: {reasons}; see rejected.jsonl")
    if facts["without_picture"]:
        lines.append(f"without a picture: {facts['without_picture']} rows, trained on as text")
    lines += facts["advice"]
    loss = "" if facts["loss"] is None else f", loss {facts['loss']:.3f}"
    return [*lines, f"{facts['rows']} rows, {facts['rejected']} rejected, {facts['steps']} steps{loss}"]


def _encoded(parts: Sequence[Part], tuned: TunedModel, data: Data, arrow: Path, rejected: Path, seed: int) -> Samples:
    """Encode the rows of `parts` into the file `arrow`; rank zero writes those that cannot be used to `rejected`.

    Raises:
        UserError: if a part has no usable row: whoever names it expects that it counts.
    """
    samples = prepare([stream(part, seed) for part in parts], tuned.loaded, data, tuned.frozen_tower, arrow)
    if rank_zero_only.rank == 0:
        arrow.with_suffix(".jsonl").replace(rejected)
    for number, part in enumerate(parts):
        if not (samples.part == number).any():
            problem = f"no usable row ({samples.unused.summary(number)})"
            raise UserError(part.argument, part.path, problem, f"see {rejected.name}")
    return samples


def _train(trainer: Any, module: Sft, batches: Any, validation: Any, checkpoints: Checkpoints) -> None:
    since = checkpoints.since and str(checkpoints.since / STATE)
    try:
        trainer.fit(module, batches, validation, ckpt_path=since)
    except SystemExit as stop:
        if trainer.interrupted and stop.code == 1:  # what Lightning makes of Ctrl-C; the command has a message for it
            raise KeyboardInterrupt from None
        raise
    except Exception:
        if trainer.is_global_zero and (started := getattr(trainer.strategy.launcher, "procs", None)):
            # Ranks that this process has started would wait for it for ever.
            for process in started:
                process.kill()
        raise


def _facts(
    trainer: Any,
    tuned: TunedModel,
    parts: Sequence[Part],
    samples: Samples,
    chosen: NDArray[np.int64],
    loss: float | None,
    best: BestCheckpoint | None,
) -> dict[str, Any]:
    """Return what the manifest tells of a training that is done."""
    validation_loss = trainer.callback_metrics.get("validation_loss")
    return {
        "base": str(tuned.loaded.name),
        "rows": len(chosen),
        "rejected": samples.rejected,
        "rejected_for": dict(samples.unused.reasons.most_common()),
        "without_picture": samples.without_picture,
        "parts": {part.name: int((samples.part == k).sum()) for k, part in enumerate(parts)},
        "steps": int(trainer.global_step),
        "epochs": int(trainer.current_epoch),
        "loss": loss,
        "validation_loss": None if validation_loss is None else float(validation_loss),
        "best": best and {"step": best.step, "validation_loss": best.loss},
        "annotations": [part.manifest.get("annotator") for part in parts],
        "advice": [line for line in _advice(trainer, tuned, parts) if line],
        "trained_on": [str(file.resolve()) for part in parts for file in part.files],
        **model_card.circumstances(trainer, samples, chosen, tuned.packed),
    }


def _advice(trainer: Any, tuned: TunedModel, parts: Sequence[Part]) -> Iterator[str]:
    """Yield what a training is too small for, or nothing of it."""
    weights = sum(p.numel() * p.element_size() for p in tuned.loaded.model.parameters())
    drawn = {part.manifest.get("synthetic") for part in parts}
    yield small_data.drawings_only(weights, "nothing" if "nothing" in drawn else None)
    yield small_data.few_steps(int(trainer.global_step), int(trainer.current_epoch))


def _pad(tuned: TunedModel) -> int:
    return int(tuned.loaded.processor.tokenizer.pad_token_id)


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
