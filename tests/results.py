"""Rows of results for tests: one system on made-up pictures, its replicates drawn as a real evaluation draws them."""

from typing import Any

import numpy as np

from seke.benchmark.run.result import measure_of
from seke.benchmark.scoring.ranked import ranked_classes
from seke.core.result_file import (
    Contamination,
    Cost,
    Counts,
    Made,
    Replicates,
    Result,
    System,
    Task,
    rounded,
)

CLASSES = ("anger", "fear", "happiness")
PICTURES = 120


def row(name: str, skill: float, seed: int = 0, pictures: int = PICTURES, **changed: Any) -> Result:
    """Return a row of a system that is right with this probability; `changed`: its fields, or those of its task."""
    world, dice = np.random.default_rng(7), np.random.default_rng([seed, sum(map(ord, name))])
    truth_N = world.integers(3, size=pictures)
    said_N = np.where(dice.random(pictures) < skill, truth_N, dice.integers(3, size=pictures))
    answered = [
        (str(n), CLASSES[truth], CLASSES[said]) for n, (truth, said) in enumerate(zip(truth_N, said_N, strict=True))
    ]
    ranked = ranked_classes("emotion", CLASSES, answered, 0, 400)
    task = {"records": f"{pictures:064x}", "pictures": "b" * 64, "prompt": "c" * 64, "reader": "parse"}
    task |= {key: changed.pop(key) for key in [*changed] if key in Task.model_fields}
    board = str(changed.pop("benchmark", "emonet"))
    fields: dict[str, Any] = {
        "system": System(name=name, models=(name.lower(),)),
        "task": Task(name=board, **task),
        "measures": {metric.key: measure_of(metric) for metric in ranked},
        "counts": Counts(asked=pictures, answered=pictures, refused=0, unreadable=0, missing_pictures=0, no_answer=0),
        "replicates": Replicates(seed=0, draws=400, values={metric.key: rounded(metric.drawn_B) for metric in ranked}),
        "cost": Cost(usd=1.5, input_tokens=1000, output_tokens=200),
        "contamination": Contamination(verdict="unknown"),
        "made": Made(command="python evaluate.py", commit=None, packages={}),
    }
    return Result(format=1, kind="measured", benchmark=board, headline="emotion.accuracy", **(fields | changed))
