"""Sample answers of the model while it learns: to the same few images after every epoch, beside their references.

Lines of answered.jsonl in the run's directory, and a table with the pictures where Weights & Biases is the logger.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_warn
from lightning.pytorch.loggers import WandbLogger

from seke.core import files
from seke.core.images import ImageError
from seke.core.records import Rejection
from seke.models.protocol import LoadedVLM, Pixels
from seke.training.data.pictures import ImageFile, Vision, image_files, look_at, vision_at
from seke.training.readers.row import Row, Turn, grouped

FILE: Final = "answered.jsonl"
COLUMNS: Final = ("step", "id", "image", "question", "answer", "reference")


class Question(NamedTuple):
    """A conversation up to its first answer, which is the reference."""

    id: str
    pictures: tuple[ImageFile, ...]
    turns: tuple[Turn, ...]
    reference: str
    clips: tuple[int, ...] = ()
    """As in `Row`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The pictures' files."""
        return tuple(Path(wanted.file) for wanted in self.pictures)


def questions(rows: Iterable[Row | Rejection], count: int) -> list[Question]:
    """Return the first `count` rows whose pictures can be read, as questions; a row without a picture is none.

    A row is read no further than it takes, so that `rows` may be a long stream.
    """
    found: list[Question] = []
    if count < 1:
        return found
    for row in rows:
        if isinstance(row, Row) and row.images and all(map(_readable, image_files(row))):
            first = next(k for k, turn in enumerate(row.turns) if turn.role == "assistant")
            before = sum(turn.images for turn in row.turns[:first])
            clips = (row.clips or (0,) * len(row.images))[:before]
            wanted = tuple(image_files(row)[: sum(frames or 1 for frames in clips)])
            found.append(Question(row.id, wanted, row.turns[:first], row.turns[first].text, clips))
        if len(found) == count:
            break
    return found


def answer(loaded: LoadedVLM, question: Question, max_new_tokens: int) -> str:
    """Return the model's greedy answer to one question.

    Raises:
        ImageError: if a picture of it is lost or has changed.
    """
    each = [Vision(*look_at(loaded, wanted, wanted.picture())) for wanted in question.pictures]
    seen = [Pixels(*vision_at(place)) for place in grouped(each, question.clips)]
    left = iter([pixels.size for pixels in seen])
    turns = [(turn.role, turn.text, tuple(next(left) for _ in range(turn.images))) for turn in question.turns]
    crops = torch.cat([pixels.crops for pixels in seen]).to(loaded.model.device, loaded.model.dtype)
    counts, sizes = [len(pixels.crops) for pixels in seen], [pixels.size for pixels in seen]
    [context] = loaded.contexts([turns])
    with torch.no_grad():
        features = loaded.features(loaded.see(crops, counts, sizes), counts, sizes, [context] * len(seen))
    (new,) = loaded.generate(loaded.prompts([turns]), features, max_new_tokens, sizes=sizes).tolist()
    return str(loaded.decode(new[: new.index(loaded.end)] if loaded.end in new else new))


class SampleAnswers(pl.Callback):  # type: ignore[misc]
    """Has rank zero answer the `asked` after every epoch, or after every `every` optimiser steps.

    Under ZeRO-3 and FSDP2 no rank holds the weights, so nothing is asked there: one warning says so.
    """

    def __init__(
        self, asked: Sequence[Question], folder: Path, every: int | None = None, max_new_tokens: int = 256
    ) -> None:
        self.asked, self.file = asked, folder / FILE
        self.every, self.max_new_tokens = every, max_new_tokens
        self._step = 0

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Give up where the weights are split up."""
        if self.asked and getattr(trainer.strategy, "zero_stage_3", False):
            rank_zero_warn("no answers are logged under ZeRO-3 or FSDP2: no rank holds the whole model")
            self.asked = ()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Ask, if steps are counted and it is time."""
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        if self.every and stepped and self._step % self.every == 0:
            self._ask(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Ask, if epochs are counted."""
        if not self.every:
            self._ask(trainer, pl_module)

    def _ask(self, trainer: Any, module: Any) -> None:
        if not self.asked or not trainer.is_global_zero:
            return
        loaded = module.loaded
        with evaluating(loaded.model), trainer.precision_plugin.val_step_context():
            said = [(question, text) for question in self.asked if (text := self._answer(loaded, question)) is not None]
        step = int(trainer.global_step)
        rows = (_row(step, question, text) for question, text in said)
        with files.journal(self.file) as file:
            files.append(file, (json.dumps(row, ensure_ascii=False) for row in rows), durable=False)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_table("answered", list(COLUMNS), data=_table(step, said), step=step)

    def _answer(self, loaded: LoadedVLM, question: Question) -> str | None:
        try:
            return answer(loaded, question, self.max_new_tokens)
        except ImageError as error:  # no reason to lose a training
            rank_zero_warn(f"{question.id} is not asked about: {error}")
            return None


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation; afterwards each of its modules is in the mode that it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _row(step: int, question: Question, text: str) -> dict[str, Any]:
    asked = question.turns[-1].text
    files = [str(file) for file in question.files]
    return dict(zip(COLUMNS, (step, question.id, files, asked, text, question.reference), strict=True))


def _table(step: int, said: Sequence[tuple[Question, str]]) -> list[list[Any]]:
    import wandb

    return [
        list((_row(step, question, text) | {"image": wandb.Image(question.pictures[0].picture())}).values())
        for question, text in said
    ]


def _readable(wanted: ImageFile) -> bool:
    try:
        wanted.picture()
    except ImageError:
        return False
    return True
