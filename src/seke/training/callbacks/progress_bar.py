"""Progress of a training: one bar over all its steps with the time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

REFRESH: Final = 0.5
"""Seconds between two looks at the numbers on a terminal: each makes a GPU wait."""
LINE: Final = 30.0
"""Seconds between two lines elsewhere."""
SHOWN: Final = {"loss": "loss {:.3f}", "validation_loss": "validation {:.3f}", "tokens_per_s": "{:,.0f} tokens/s"}


def numbers(metrics: Mapping[str, Any]) -> str:
    """Return the numbers beside the bar.

    >>> numbers({"loss": 1.25, "tokens_per_s": 12345.6})
    'loss 1.250, 12,346 tokens/s'
    """
    return ", ".join(form.format(float(metrics[name])) for name, form in SHOWN.items() if name in metrics)


def left(done: int, total: int, first: int, seconds: float) -> str:
    """Return the time left after `seconds` that took training from step `first` to step `done`.

    >>> left(done=30, total=100, first=10, seconds=60.0)
    '0:03:30 left'
    """
    return f"{timedelta(seconds=round((total - done) * seconds / (done - first)))} left"


class StepProgress(ProgressBar):  # type: ignore[misc]
    """Rank zero's progress bar on stderr, in optimiser steps; a resumed run's begins where the former one ended."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self._progress: Progress | None = None
        self._first = self._total = self._done = 0
        self._began = self._told = 0.0

    def enable(self) -> None:
        """Show it."""
        self.enabled = True

    def disable(self) -> None:
        """Show nothing."""
        self.enabled = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin."""
        self._first = self._done = trainer.global_step
        self._total = int(trainer.estimated_stepping_batches)
        self._began = self._told = time.monotonic()
        if self.enabled and sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("train"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=Console(stderr=True),
            )
            self._progress.add_task("train", total=self._total, completed=self._first, numbers="")
            self._progress.start()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move on."""
        now = time.monotonic()
        stepped, self._done = trainer.global_step != self._done, trainer.global_step
        waited = REFRESH if self._progress else LINE
        if self.enabled and stepped and (now - self._told >= waited or self._done >= self._total):
            self._told = now
            self._tell(numbers(trainer.progress_bar_metrics), now - self._began)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the bar as it stands."""
        self._stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Give the terminal back."""
        self._stop()

    def _tell(self, text: str, seconds: float) -> None:
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=self._done, numbers=text)
        else:
            parts = [f"step {self._done} of {self._total}", text, left(self._done, self._total, self._first, seconds)]
            print("train: " + ", ".join(filter(None, parts)), file=sys.stderr, flush=True)

    def _stop(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None
