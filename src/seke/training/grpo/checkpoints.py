"""Checkpoints of a reinforcement: TRL's folders, declared complete last, with what the watch has seen.

checkpoints/checkpoint-40/   trained.safetensors, optimizer.pt, scheduler.pt, rng_state.pth, trainer_state.json
checkpoints/checkpoint-40/watch.json      best validation reward, and how long it has not risen
checkpoints/checkpoint-40/complete.json   written last: without it a checkpoint is passed over
checkpoints/best.safetensors              the weights of the best validation reward
"""

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from seke.core.files import write_text
from seke.training.callbacks.checkpoints import KEPT, MARK, read_mark, write_mark

PREFIX: Final = "checkpoint-"
WATCH: Final = "watch.json"
BEST: Final = "best.safetensors"


@dataclass
class Watch:
    """What the validation has said so far."""

    reward: float | None = None
    """The best mean reward."""
    step: int | None = None
    """Steps done when it was measured."""
    waited: int = 0
    """Looks since then."""

    def take(self, reward: float, step: int) -> bool:
        """Take in a mean reward; return whether it is the best so far."""
        if self.reward is None or reward > self.reward:
            self.reward, self.step, self.waited = reward, step, 0
            return True
        self.waited += 1
        return False


def every(folder: Path) -> list[Path]:
    """Return the checkpoints below a folder by their steps, complete or not."""
    return sorted(folder.glob(f"{PREFIX}*"), key=lambda path: int(path.name.removeprefix(PREFIX)))


def complete(path: Path, step: int, watch: Watch) -> None:
    """Declare a checkpoint complete, and drop those that it replaces."""
    write_text(path / WATCH, json.dumps(asdict(watch)))
    write_mark(path, step, 0, 1, "grpo")
    whole = [one for one in every(path.parent) if read_mark(one)]
    for old in set(every(path.parent)) - set(whole[-KEPT:]):
        (old / MARK).unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)


def resumable(folder: Path) -> tuple[Path | None, Watch]:
    """Return the checkpoint that a run goes on from, if any, and its watch; incomplete ones cost a line on stderr."""
    for path in reversed(every(folder)):
        if read_mark(path):
            return path, Watch(**json.loads((path / WATCH).read_text(encoding="utf-8")))
        print(f"warning: {path} was not written to its end; going on from the one before", file=sys.stderr)
        shutil.rmtree(path, ignore_errors=True)
    return None, Watch()
