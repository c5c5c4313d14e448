"""Guards against faults: a scheduler's signal, a loss that is no number, and too little memory end a training cleanly.

All ranks stop at the same optimiser step, or those left would wait for ever. Losses and votes come from the device
without its being waited for, so that looking costs nothing; what is found may be some batches old, but carries its
batch's own names. Before a checkpoint is written everything is waited for: a checkpoint is always good.
"""

import contextlib
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Final, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.training.callbacks.checkpoints import Checkpoints
from seke.training.data.pictures import lost_picture
from seke.training.sharded import share

SIGNALS: Final = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""What a scheduler sends before it takes the machine away; Slurm sends either of two, as its user asks (--signal). A
terminal that closes sends the third; nohup has that ignored, and it stays so."""
EXHAUSTED: Final = ("out of memory", "not enough memory", "can't allocate memory")
"""How devices and PyTorch's CPU allocator say that memory has run out."""


class PendingValue:
    """A small tensor on its way from the device."""

    def __init__(self, value: Tensor) -> None:
        self._value = value.detach().to("cpu", non_blocking=True)
        self._event: Any = torch.cuda.Event() if value.is_cuda else None  # type: ignore[no-untyped-call]
        if self._event:
            self._event.record()

    @property
    def arrived(self) -> bool:
        """Whether it can be read without waiting."""
        return self._event is None or bool(self._event.query())

    def read(self) -> Tensor:
        """Return it, on the CPU."""
        if self._event:
            self._event.synchronize()
        return self._value


class MemoryBound(NamedTuple):
    """The setting that decides how much memory is needed, and what to do where that is too much."""

    argument: str
    value: object
    remedy: str


class BadBatch(NamedTuple):
    """A batch whose loss, or the weights after it, are not finite."""

    step: int
    value: str
    names: Sequence[str]


class FaultGuard(pl.Callback):  # type: ignore[misc]
    """Lets all ranks stop together: to pause when a scheduler asks, or because a loss is not a number."""

    def __init__(self, checkpoints: Checkpoints, bound: MemoryBound) -> None:
        self.checkpoints = checkpoints
        self.bound = bound
        self.pause_requested = False
        """Whether this process has been asked to pause."""
        self.names: Sequence[str] = ()
        """Ids of the records in hand."""
        self._losses: deque[tuple[int, Sequence[str], PendingValue]] = deque()
        self._votes: deque[PendingValue] = deque()
        self._bad_batch: BadBatch | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the scheduler's signals as a wish to pause, for as long as the context lasts."""

        def ask(_: int, __: FrameType | None) -> None:
            self.pause_requested = True

        heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, ask) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take signals over from Lightning, which would die without saving, and wait for the device every batch."""
        trainer._signal_connector.register_signal_handlers = _do_nothing
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _do_nothing

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Remember whose turn it is, for errors that come in the midst of it."""
        self.names = [name for name in batch["names"] if name]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the losses that have arrived; at the end of a step, agree on stopping."""
        accumulating = trainer.fit_loop.epoch_loop._should_accumulate()
        self._losses.append((trainer.global_step + accumulating, self.names, PendingValue(outputs["loss"])))
        if accumulating:
            return
        self._check(trainer, pl_module, certain=self.checkpoints.is_due(trainer))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let no model with spoilt weights be exported."""
        self._check(trainer, pl_module, certain=True)

    def _check(self, trainer: Any, module: Any, certain: bool) -> None:
        self._read_losses(wait=certain)
        if certain and self._bad_batch is None and not _finite(module):
            self._bad_batch = BadBatch(trainer.global_step, "finite, but not the weights after it", self.names)
        pause, spoilt = self._vote(trainer, certain)
        if spoilt:
            raise self._fatal_error(trainer)
        if pause and not certain:
            self._check(trainer, module, certain=True)
        self.checkpoints.pause = pause

    def _read_losses(self, wait: bool) -> None:
        while self._losses and not self._bad_batch and (wait or self._losses[0][2].arrived):
            step, names, loss = self._losses.popleft()
            value = float(loss.read())
            if not torch.isfinite(torch.tensor(value)):
                self._bad_batch = BadBatch(step, str(value), names)

    def _vote(self, trainer: Any, certain: bool) -> tuple[bool, bool]:
        """Return whether any rank was asked to pause, and whether any has a spoilt batch.

        On a device the ranks' votes of the step before are read, which have long arrived, unless `certain`.
        """
        if trainer.world_size == 1:
            return self.pause_requested, self._bad_batch is not None
        vote = torch.tensor([self.pause_requested, self._bad_batch is not None], dtype=torch.int32).to(
            trainer.strategy.root_device
        )
        torch.distributed.all_reduce(vote, torch.distributed.ReduceOp.MAX)
        self._votes.append(PendingValue(vote))
        behind = 0 if certain or not vote.is_cuda else 1
        votes = [self._votes.popleft().read() for _ in range(len(self._votes) - behind)]
        pause, spoilt = torch.stack(votes).amax(0).tolist() if votes else (0, 0)
        return bool(pause), bool(spoilt)

    def _fatal_error(self, trainer: Any) -> BaseException:
        """Return the error that names the spoilt batches of all ranks; rank zero speaks for all."""
        found: list[BadBatch | None] = [self._bad_batch]
        if trainer.world_size > 1:
            found = [None] * trainer.world_size
            torch.distributed.all_gather_object(found, self._bad_batch)
        if not trainer.is_global_zero:
            return SystemExit(0)
        spoilt = [one for one in found if one]
        first = min(spoilt, key=lambda one: one.step)
        names = [name for one in spoilt if one.step == first.step for name in one.names]
        remedy = "look at these or lower model.lr; the last good checkpoint is kept, and the same command resumes there"
        return UserError("loss", first.value, f"at step {first.step}, on the records {', '.join(names)}", remedy)


@contextlib.contextmanager
def explained(guard: FaultGuard, path: str) -> Iterator[None]:
    """Turn what goes wrong in the depths of PyTorch and transformers into one line that says what to do.

    Args:
        guard: knows the records in hand, and what bounds memory.
        path: where the model came from.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError) and not any(word in str(error).lower() for word in EXHAUSTED):
            raise
        argument, value, remedy = guard.bound
        raise UserError(argument, value, f"out of memory{_of_records(guard.names)}", remedy) from error
    except ImageError as error:
        raise lost_picture(error) from error
    except ValueError as error:
        if "features and image tokens" not in str(error):
            raise
        problem = f"{' '.join(str(error).split())[:120]}{_of_records(guard.names)}"
        raise UserError("model.path", path, problem, "use the processor that belongs to this checkpoint") from error
    except Exception as error:
        if not type(error).__module__.startswith("wandb."):
            raise
        problem = " ".join(str(error).split())[:200]
        remedy = "set WANDB_API_KEY, or WANDB_MODE=offline to upload later"
        raise UserError("logger", "wandb", problem, remedy) from error


def _of_records(names: Sequence[str]) -> str:
    return f" (records {', '.join(names)})" if names else ""


def _finite(module: Any) -> bool:
    """Whether every trained weight, or this rank's share of it, is a finite number."""
    return all(bool(torch.isfinite(share(p)).all()) for p in module.parameters() if p.requires_grad)


def _do_nothing(*_: Any) -> None:
    """Do nothing."""
