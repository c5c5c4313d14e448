"""Functions for notebooks, one call a command: `from seke import open_records, complete, answer, score`.

Settings are those of the command line, as it writes them: complete(record, folder, "backend=openai", "budget.usd=1").
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.cli.command import build, composed
from seke.core import budget
from seke.core.records import ImageRecord, Prediction, read_jsonl

if TYPE_CHECKING:
    from seke.generation.outcome import Outcome


def open_records(file: str | Path) -> list[ImageRecord]:
    """Read the records in a file that `prepare` wrote, such as outputs/prepare/demo/train.jsonl.

    Raises:
        UserError: if a row is no record, naming its line.
    """
    return list(read_jsonl(file, ImageRecord))


def complete(record: ImageRecord, image_root: str | Path, *settings: str) -> "Outcome":
    """Complete one face's labels as `generate` does with these settings; its picture lies below `image_root`.

    Returns:
        An outcome whose `row` is the instruction with all labels, or the rejection that says why there is none: a
        picture that cannot be read, or has changed since it was prepared, is rejected and asked of nobody.

    Raises:
        UserError: for a mistaken setting.
    """
    from seke.generation.run import generate

    cfg = composed("generate", settings)
    meter = budget.Metered(build(cfg.backend), budget.Budget(**cfg.budget))
    generator = build(cfg.generator, vlm=meter, prompts=build(cfg.prompts), seed=cfg.seed)
    with meter:
        [outcome] = generate.outcomes([record], Path(image_root), generator, None)
    return outcome


def answer(picture: str | Path, *settings: str) -> str:
    """Return what a model says about one picture, and what is read from it, as `evaluate image=` prints them.

    Raises:
        UserError: for a mistaken setting or a picture that cannot be read.
    """
    from seke.benchmark.run import cost, predict, single_image

    cfg = composed("evaluate", settings)
    spending = cost.Spending(budget.Budget(**cfg.budget), predict.Process.of(os.environ))
    return single_image.report(Path(picture), build(cfg.backend), build(cfg.benchmark), build(cfg.judge), spending)


def score(predictions: str | Path | Iterable[Prediction], seed: int = 0) -> dict[str, Any]:
    """Return the metrics of predictions, or of a predictions.jsonl, with 95 % intervals, as metrics.json has them."""
    from seke.benchmark.scoring.metrics import evaluate

    read = read_jsonl(predictions, Prediction) if isinstance(predictions, str | Path) else predictions
    return evaluate(list(read), seed=seed)
