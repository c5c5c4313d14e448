"""Checkpoints that survive a kill at any moment, and hold only what trains.

    checkpoints/step-00000200/state            weights, optimiser, schedule, progress: a file, or DeepSpeed's folder
    checkpoints/step-00000200/random-0.pt      the random state of every rank
    checkpoints/step-00000200/complete.json    written last, by rank zero, when all ranks have finished

Without complete.json, or with a file shorter than it says, a checkpoint was not written to its end: a resume skips it
and takes the one before. So the last two are kept. Where training is in its epoch is part of Lightning's state; which
batches come next follows from it and the seed (data/samplers.py).
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from seke.core.errors import Paused, UserError
from seke.core.files import write_text

KEPT: Final = 2
"""Complete checkpoints that stay; a killed writer leaves the one before."""
STATE: Final = "state"
MARK: Final = "complete.json"


class Mark(NamedTuple):
    """What complete.json says."""

    step: int
    """Optimiser steps done."""
    epoch: int
    """Epochs done."""
    world: int
    """Ranks that wrote it, and that must read it."""
    strategy: str
    files: Mapping[str, int]
    """Size in bytes of every file."""


def read_mark(path: Path) -> Mark | None:
    """Return the mark of the checkpoint at `path`, or None if it was not written to its end."""
    try:
        mark = Mark(**json.loads((path / MARK).read_text(encoding="utf-8")))
        whole = all((path / name).stat().st_size == size for name, size in mark.files.items())
    except (OSError, ValueError, TypeError):
        return None
    return mark if whole else None


def write_mark(path: Path, step: int, epoch: int, world: int, strategy: str) -> None:
    """Declare the checkpoint at `path` complete, in one indivisible step."""
    files = {str(file.relative_to(path)): file.stat().st_size for file in sorted(path.rglob("*")) if file.is_file()}
    write_text(path / MARK, json.dumps(Mark(step, epoch, world, strategy, files)._asdict()))


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the last complete checkpoint below `folder`, if any, and the incomplete ones that come after it."""
    broken: list[Path] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        if read_mark(path):
            return path, broken
        broken.append(path)
    return None, broken


def prune(folder: Path) -> None:
    """Delete all but the last complete checkpoints, the marks first: what is half deleted must not look whole."""
    whole = [path for path in sorted(folder.glob("step-*")) if read_mark(path)]
    for path in set(folder.glob("step-*")) - set(whole[-KEPT:]):
        (path / MARK).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)


def resumable(folder: Path, ranks: int, talk: bool = True) -> Path | None:
    """Return the checkpoint that a run of `ranks` ranks goes on from; None: from the start.

    Each incomplete one that is passed over costs a line on stderr (`talk=False`: none).

    Raises:
        UserError: if another number of ranks wrote it: every rank's batches and shards would be others.
    """
    path, broken = newest(folder)
    mark = path and read_mark(path)
    for half in broken if talk else ():
        since = f"the checkpoint of step {mark.step}" if mark else "the start"
        print(f"warning: {half} was not written to its end; going on from {since}", file=sys.stderr)
    if mark and mark.world != ranks:
        problem = f"the checkpoint of step {mark.step} was written by {mark.world} rank(s), this run has {ranks}"
        raise UserError("trainer.devices", ranks, problem, f"resume on {mark.world}, or start again with ckpt=null")
    return path


class Checkpoints(Checkpoint):  # type: ignore[misc]
    """Saves every `every` optimiser steps below `folder`, and once more before a pause that was asked for.

    The run's last step saves nothing: the export follows. `since` is the checkpoint that the run goes on from.
    """

    def __init__(self, folder: Path, every: int, since: Path | None = None) -> None:
        self.folder, self.every, self.since = folder, every, since
        self.pause = False
        """Whether to save at the step that has just ended, and stop (set by `FaultGuard`, on all ranks alike)."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Tell module and strategy that a checkpoint holds a part of the weights."""
        pl_module.strict_loading = False
        trainer.strategy.checkpoint_io = _Plain()
        trainer.strategy.exclude_frozen_parameters = True  # read by DeepSpeed's strategy only

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin at the batch that is next, with the random state of then.

        Lightning has opened the loader before it knew where training is, and workers read ahead.
        """
        if self.since:
            iter(trainer.fit_loop._data_fetcher)
            state = torch.load(self.since / f"random-{trainer.global_rank}.pt", weights_only=True)
            torch.set_rng_state(state["cpu"])
            if "cuda" in state:
                torch.cuda.set_rng_state(state["cuda"])

    def is_due(self, trainer: Any) -> bool:
        """Whether the step that has just ended is to be saved."""
        return trainer.global_step % self.every == 0 and not _is_last(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save where it is time to.

        Raises:
            Paused: after saving, if a pause was asked for; on rank zero, which speaks for all.
        """
        if trainer.fit_loop.epoch_loop._should_accumulate() or _is_last(trainer):
            return
        if self.pause or self.is_due(trainer):
            self.save(trainer)
        if self.pause:
            trainer._logger_connector.update_train_step_metrics()  # else the loop's to do, after this hook
            raise Paused(f"saved at step {trainer.global_step}") if trainer.is_global_zero else SystemExit(0)

    def save(self, trainer: Any) -> Path:
        """Write a checkpoint, mark it complete and drop those it replaces; every rank calls."""
        path = self.folder / f"step-{trainer.global_step:08}"
        if trainer.is_global_zero:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        trainer.strategy.barrier("checkpoint begins")
        trainer.save_checkpoint(path / STATE)
        torch.save(_random_state(), path / f"random-{trainer.global_rank}.pt")
        for logger in trainer.loggers:
            logger.save()  # what lies before a checkpoint is not logged again
        trainer.strategy.barrier("checkpoint written")
        if trainer.is_global_zero:
            strategy = type(trainer.strategy).__name__
            write_mark(path, trainer.global_step, trainer.current_epoch, trainer.world_size, strategy)
            prune(self.folder)
        return path

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Leave out the frozen weights, and note a validation that is still to come at this step."""
        names, state = trained(pl_module), checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name in names}
        loop = trainer.fit_loop.epoch_loop
        if loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
            _owe_validation(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Check that exactly the weights that train were restored; DeepSpeed's engine restores its own."""
        if "state_dict" in checkpoint and (odd := set(trained(pl_module)) ^ set(checkpoint["state_dict"])):
            problem = f"{self.since} holds other weights than those that train ({min(odd)})"
            raise UserError("ckpt", "last", problem, "start again with ckpt=null")


class _Plain(TorchCheckpointIO):  # type: ignore[misc]
    """Writes to the disk directly (Lightning first builds the file in memory), and reads tensors and plain values."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with open(path, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: Any = True) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint


def trained(module: Any) -> dict[str, Any]:
    """Return the parameters that train, by name; a tied one has one name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def _is_last(trainer: Any) -> bool:
    return bool(trainer.global_step >= trainer.estimated_stepping_batches)


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def _owe_validation(loops: dict[str, Any]) -> None:
    """Write down progress as it is within a validation that has seen nothing yet.

    A checkpoint of the end of a batch makes Lightning leave out the validation that follows that batch; one made in
    the midst of a validation makes it begin that validation again.
    """
    for count in ("total", "current"):
        loops["epoch_loop.batch_progress"][count]["completed"] = loops["epoch_loop.batch_progress"][count]["processed"]
        begun = int(count == "total")
        loops["epoch_loop.val_loop.batch_progress"][count] |= {
            "ready": begun,
            "started": begun,
            "processed": 0,
            "completed": 0,
        }
