"""What happens between the steps of a reinforcement: log, look at the validation, show answers, save, pause."""

import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from seke.core import files
from seke.core.errors import UserError
from seke.training.callbacks.fault_guard import FaultGuard
from seke.training.callbacks.progress_bar import LINE
from seke.training.callbacks.sample_answers import FILE
from seke.training.grpo.checkpoints import PREFIX, Watch, complete
from seke.training.grpo.engine import Engine, RewardFunction, own_names
from seke.training.grpo.vision_states import KeptStates
from seke.training.settings import Training

SHOWN = ("reward", "validation_reward", "length", "distinct", "constant_groups")
"""Numbers of a line of progress."""


@dataclass
class Steps(TrainerCallback):  # type: ignore[misc]
    """TRL's callback. Everything that a resumed run needs lies in the checkpoint before its mark is written."""

    folder: Path
    """The run's."""
    training: Training
    reward: RewardFunction
    guard: FaultGuard
    loggers: Sequence[Any]
    question: str
    watch: Watch
    look: Callable[[], Mapping[str, float]] | None
    """Returns validation_reward and the rewards by task; None: nothing is watched."""
    keep_best: Callable[[], None]
    iterations: int = 1
    kept: KeptStates | None = None
    engine: Engine | None = None
    paused: bool = False
    latest: dict[str, float] = field(default_factory=dict)
    """What was logged last."""
    first: dict[str, float] = field(default_factory=dict)
    """What was logged first, by this process."""
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Answers sampled and learnt from, and seconds, by this process."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks; look at the model that it begins with, which is the best so far."""
        if self.look and state.global_step == 0:
            found = dict(self.look())
            if self.watch.take(found["validation_reward"], 0):
                self.keep_best()
            self._log(0, found)
        self._first, self._began = state.global_step, time.monotonic()
        self._told = self._began

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let go of what the tower saw in the step before, and remember whose turn it is."""
        if self.kept:
            self.kept.forget()
        self._step_began = Engine.clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Decide what follows the step: a look, the end, a checkpoint, a pause."""
        step, last = state.global_step, state.global_step >= state.max_steps
        self.guard.names = sorted({face.id for face, *_ in self.reward.answers})
        every, self._looked = self.training.validate_every, {}
        self._seconds = Engine.clock() - self._step_began
        if self.look and (last or (every and step % every == 0)):
            self._looked = dict(self.look())
            if self.watch.take(self._looked["validation_reward"], step):
                self.keep_best()
            if self.training.patience is not None and self.watch.waited >= self.training.patience:
                control.should_training_stop = last = True
        if last:
            control.should_save = False  # the export follows
        elif self.guard.pause_requested and step % self.iterations == 0:
            control.should_save = control.should_training_stop = self.paused = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Log a step under our names, and refuse to go on from one that is no number.

        Raises:
            UserError: naming the step and the records.
        """
        if not logs or "loss" not in logs:
            return  # what the Trainer says of the whole run
        step, found = int(state.global_step), own_names(logs)
        for name in ("loss", "grad_norm"):
            if name in found and not math.isfinite(found[name]):
                raise self.spoilt(f"{name} {found[name]}", step)
        found |= {**self.reward.metrics(), **getattr(self, "_looked", {})}
        if self.engine is not None:
            new = self.engine.sampling > 0  # else the answers are those of the step before, learnt from again
            step_s = max(getattr(self, "_seconds", 0.0), 1e-9)
            answers, sampling, learning = len(self.reward.answers), self.engine.sampling, self.engine.learning
            for name, value in (("learnt", answers), ("sampled", answers * new), ("step_s", step_s),
                                ("sampling_s", sampling), ("learning_s", learning)):  # fmt: skip
                self.spent[name] += value
            self.engine.sampling = self.engine.learning = 0.0
            found |= {"answers_per_s": answers / step_s, "sampling": sampling / step_s, "learning": learning / step_s}
        self.latest = found
        self.first = self.first or found
        every = self.training.log_every
        if step % every == 0 or "validation_reward" in found or step >= state.max_steps:
            self._log(step, found)
        self._show(step)
        self._tell(step, int(state.max_steps), found)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Declare the checkpoint complete."""
        step = int(state.global_step)
        complete(Path(args.output_dir) / f"{PREFIX}{step}", step, self.watch)

    def speed(self) -> dict[str, float] | None:
        """Return answers a second and the shares of the steps' time; None before a step is done.

        sampled_per_s, learnt_per_s: while nothing else is done. sampling, learning: shares of the time between a step's
        begin and its end; the rest is reading pictures, rewards and the optimiser. Looks at the validation are apart.
        """
        spent = self.spent
        if not spent["sampling_s"] or not spent["learning_s"]:
            return None
        return {
            "answers_per_s": spent["learnt"] / spent["step_s"],
            "sampled_per_s": spent["sampled"] / spent["sampling_s"],
            "learnt_per_s": spent["learnt"] / spent["learning_s"],
            "sampling": spent["sampling_s"] / spent["step_s"],
            "learning": spent["learning_s"] / spent["step_s"],
        }

    def spoilt(self, value: str, step: int) -> UserError:
        """Return the error of a step that came to no number."""
        remedy = "lower model.lr or algorithm.lr_share; the same command resumes at the last good checkpoint"
        return UserError("loss", value, f"at step {step}, on the records {', '.join(self.guard.names)}", remedy)

    def _log(self, step: int, found: dict[str, float]) -> None:
        for logger in self.loggers:
            logger.log_metrics(found, step=step)
            logger.save()

    def _show(self, step: int) -> None:
        rows = self.reward.rows(step, self.training.answered, self.question)
        every = self.training.answer_every or self.training.validate_every or 10
        if not rows or (step % every and step != 1):
            return
        with files.journal(self.folder / FILE) as file:
            files.append(file, rows, durable=False)
        for logger in self.loggers:
            if hasattr(logger, "log_table"):
                table = [json.loads(row) for row in rows]
                columns = [name for name in table[0] if name not in ("image", "rewards")]
                logger.log_table(
                    "answered", columns, data=[[row[name] for name in columns] for row in table], step=step
                )

    def _tell(self, step: int, total: int, found: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now - self._told < LINE and step < total and step > self._first + 1:
            return
        self._told = now
        numbers = ", ".join(f"{name.replace('_', ' ')} {found[name]:.3g}" for name in SHOWN if name in found)
        left = timedelta(seconds=round((total - step) * (now - self._began) / max(1, step - self._first)))
        print(f"train: step {step} of {total}, {numbers}, {left} left", file=sys.stderr, flush=True)
