"""One SFT run, from instruction rows to a model in Hugging Face layout: what train.py does between its settings."""

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader

from seke.core.errors import UserError
from seke.core.runs import Run, manifest_beside
from seke.hub import model_card
from seke.models.protocol import Family, TrainableVLM
from seke.training.callbacks.best_checkpoint import Best
from seke.training.callbacks.checkpoints import STATE, Checkpoints, resumable
from seke.training.callbacks.fault_guard import Bound, Guard, explained
from seke.training.callbacks.progress_bar import Bar
from seke.training.callbacks.sample_answers import Answered, questions
from seke.training.callbacks.throughput import Pace
from seke.training.data.dataset import Samples, prepare
from seke.training.data.mixture import Data, Part, stream
from seke.training.data.samplers import Steps, arranged, collate, collate_step, entries
from seke.training.export import export
from seke.training.module import Sft
from seke.training.optimizers import Optimizer
from seke.training.settings import Training as Training

SCRATCH = "samples-"
"""Prefix of the folders in which samples lie while a run goes on."""


def fit(
    run: Run, model: Family, data: Data, training: Training, logger: Any, outputs: Path, seed: int = 0,
    resume: bool = True, optimizer: Optimizer | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train `model` on `data`, save it below the run's directory, and write the manifest.

    An interrupted run goes on from its last checkpoint, in the middle of an epoch if need be, exactly as if it had not
    been interrupted (`resume=False`: from the start). `optimizer` makes an optimiser of parameter groups; None: AdamW.

    Raises:
        Paused: if a scheduler asked this run to stop; it is saved.
        UserError: if it cannot go on.
    """
    folder = run.path / "checkpoints"
    checkpoints = Checkpoints(folder, training.checkpoint_every)
    guard = Guard(checkpoints, Bound("model.path", model.path, "use a smaller model"))
    # Every process encodes for itself; what a killed run leaves of it goes when the run finishes.
    with (
        _quiet(),
        TemporaryDirectory(prefix=SCRATCH, dir=run.path) as scratch,
        guard.listening(),
        explained(guard, str(model.path)),
    ):
        training.check_machine()
        pl.seed_everything(seed, verbose=False)
        parts, watched = data.sources(outputs), data.watched(outputs)
        # Read now: a damaged manifest is to be told before the training, not after it.
        annotators = [manifest_beside(part.files[0]).get("annotator") for part in parts]
        # Plain AdamW on bfloat16 weights loses updates at 1e-5; DeepSpeed keeps float32 masters itself.
        kept = optimizer is not None and optimizer.keeps_bfloat16
        bfloat16 = training.master_weights or kept
        if training.master_weights and kept:
            raise UserError("optimizer", "(bfloat16)", "DeepSpeed keeps float32 copies itself", "use optimizer=adamw")
        loaded = model.load(dtype=None if bfloat16 else "float32")
        packed = data.packed(loaded.packs, training.on_gpu)
        guard.bound = training.bound(packed, data)
        groups = model.train(loaded)
        if training.activation_checkpointing:
            loaded.model.activation_checkpointing_enable()
        frozen = "vision_tower" not in model.trained
        if data.cache in ("states", "disk") and not frozen:
            raise UserError("data.cache", data.cache, "the tower is trained, its states change", "use pixels or none")
        if training.threads:
            torch.set_num_threads(training.threads)
        arrow = Path(scratch) / "training.arrow"
        samples = prepare([stream(part, seed) for part in parts], loaded, data, frozen, arrow)
        if rank_zero_only.rank == 0:
            arrow.with_suffix(".jsonl").replace(run.path / "rejected.jsonl")
        chosen = entries(samples.part, [part.weight for part in parts], seed)
        for number, part in enumerate(parts):
            argument = "data.path" if data.path else f"data.mixture.{part.name}"
            _check_usable(argument, part, samples, number, run.path / "rejected.jsonl")
        validation = watched and _validation(
            watched, loaded, data, frozen, Path(scratch), training.batch_size, run.path
        )
        states = frozen and data.cache in ("auto", "states", "disk")
        module = Sft(loaded, groups, warm_up=training.warm_up, states=states, optimizer=optimizer)

        best = Best(folder / "best.safetensors" if training.keep_best else None, training.patience)
        asked = questions(stream(watched or parts[0], seed), training.answered)
        pace = Pace(training.peak_tflops)
        watching = [pace, Answered(asked, run.path, training.answer_every), Bar()]
        callbacks = [guard, *([best] if watched else []), *watching, checkpoints]
        trainer = training.lightning(logger=logger, default_root_dir=str(run.path), callbacks=callbacks)
        batches = loader(samples, chosen, loaded, data, training, seed, trainer, packed)
        if resume:
            checkpoints.since = resumable(folder, trainer.num_devices * trainer.num_nodes, rank_zero_only.rank == 0)
        elif rank_zero_only.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        _train(trainer, module, batches, validation, checkpoints)
        export(trainer, loaded, run.path / "model", model.dtype)
    facts = {
        "base": str(loaded.name),
        "rows": len(chosen),
        "rejected": samples.rejected,
        "rejected_for": dict(samples.unused.reasons.most_common()),
        "without_picture": samples.blind,
        "parts": {part.name: int((samples.part == k).sum()) for k, part in enumerate(parts)},
        "steps": int(trainer.global_step),
        "epochs": int(trainer.current_epoch),
        "loss": pace.latest.get("loss"),
        "validation_loss": _last(trainer, "validation_loss"),
        "best": {"step": best.step, "validation_loss": best.loss} if watched else None,
        "annotations": annotators,
        "trained_on": [str(file.resolve()) for part in parts for file in part.files],
        **model_card.circumstances(trainer, samples, chosen, packed),
    }
    if trainer.is_global_zero:
        model_card.write(run, facts)
        # The manifest first: killed in between, the run is finished rather than lost.
        run.finish(**facts)
        shutil.rmtree(folder, ignore_errors=True)
        for left in run.path.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
    return facts


def loader(
    samples: Samples,
    chosen: Any,
    loaded: TrainableVLM,
    data: Data,
    training: Training,
    seed: int,
    trainer: Any,
    packed: bool,
) -> DataLoader[Any]:
    """Return the training loader; its order follows the trainer's epoch, rank and position.

    `chosen`: the indices that make an epoch.
    """
    batches = arranged(samples, chosen, loaded, data, training, seed, packed)

    def position() -> tuple[int, int, int, int]:
        epoch, done = divmod(trainer.fit_loop.epoch_loop.batch_progress.total.ready, batches.count(trainer.world_size))
        return epoch, trainer.global_rank, trainer.world_size, done

    batches.position = position
    cores = (os.cpu_count() or 1) // max(1, trainer.num_devices)
    return DataLoader(
        Steps(samples),
        batch_sampler=batches,
        collate_fn=partial(collate_step, pad=loaded.processor.tokenizer.pad_token_id, pack=packed),
        num_workers=data.processes(samples.pictures.cache == "none", training.on_gpu, cores),
        persistent_workers=False,
        generator=torch.Generator(),  # of its own: a resumed loader draws once more, which dropout must not see
    )


def _train(trainer: Any, module: Any, batches: Any, validation: Any, checkpoints: Checkpoints) -> None:
    since = checkpoints.since and str(checkpoints.since / STATE)
    try:
        trainer.fit(module, batches, validation, ckpt_path=since)
    except SystemExit as stop:
        if trainer.interrupted and stop.code == 1:  # what Lightning makes of Ctrl-C; the door has a message for it
            raise KeyboardInterrupt from None
        raise
    except Exception:
        if trainer.is_global_zero and (started := getattr(trainer.strategy.launcher, "procs", None)):
            # Ranks that this process has started would wait for it for ever.
            for process in started:
                process.kill()
        raise


def _check_usable(argument: str, part: Part, samples: Samples, number: int, told: Path) -> None:
    """Refuse a part of which nothing can be trained on, or watched: whoever names it expects that it counts."""
    if not (samples.part == number).any():
        problem = f"no usable row ({samples.unused.told(number)})"
        raise UserError(argument, part.path, problem, f"see {told.name}")


def _validation(
    part: Part, loaded: TrainableVLM, data: Data, frozen: bool, scratch: Path, batch: int, run: Path
) -> DataLoader[Any]:
    arrow = scratch / "validation.arrow"
    samples = prepare([stream(part)], loaded, data, frozen, arrow)
    if rank_zero_only.rank == 0:
        arrow.with_suffix(".jsonl").replace(run / "rejected_validation.jsonl")
    _check_usable("data.validation", part, samples, 0, run / "rejected_validation.jsonl")
    pad = loaded.processor.tokenizer.pad_token_id
    return DataLoader(
        samples, batch_size=batch, collate_fn=partial(collate, pad=pad, step_tokens=1), generator=torch.Generator()
    )


def summary(facts: Mapping[str, Any]) -> list[str]:
    """Return what a finished training has to say, line by line."""
    lines = []
    if facts["rejected_for"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in facts["rejected_for"].items())
        lines.append(f"rejected: {reasons}; see rejected.jsonl")
    if facts["without_picture"]:
        lines.append(f"without a picture: {facts['without_picture']} rows, trained on as text")
    loss = "" if facts["loss"] is None else f", loss {facts['loss']:.3f}"
    return [*lines, f"{facts['rows']} rows, {facts['rejected']} rejected, {facts['steps']} steps{loss}"]


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
