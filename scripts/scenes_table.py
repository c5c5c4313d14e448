"""The accuracies of several evaluations on scenes, beside chance, and how far they spread.

python scripts/scenes_table.py outputs emovit-base emovit      as scripts/emovit*.sh print it at their end
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from seke.benchmark.tables import with_interval
from seke.errors import UserError

SPREAD = "spread"


def read(outputs: Path, run: str) -> dict[str, Any]:
    """Return an evaluation's metrics.json.

    Raises:
        UserError: if it is not finished, or measures no emotion of scenes.
    """
    file = outputs / "evaluate" / run / "metrics.json"
    metrics: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not metrics.get("emotion"):
        raise UserError("run", run, "no finished evaluation of scenes", "run evaluate.py benchmark=emoset first")
    return metrics


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table: a row for each run, and what needs no model."""
    lines = ["| Model | Accuracy (95 % interval) | Macro F1 | Unanswered | n |", "|---|---:|---:|---:|---:|"]
    for run, metrics in found.items():
        cells = [
            with_interval(metrics["emotion"][key], metrics["ci95"]["emotion"][key]) for key in ("accuracy", "f1_macro")
        ]
        lines.append(
            f"| {run} | {' | '.join(cells)} | {metrics['unanswered']['emotion']} | {metrics['emotion']['n']} |"
        )
    of_classes = [row["n"] for row in next(iter(found.values()))["emotion"]["classes"].values()]
    lines.append(f"| chance: one of the {len(of_classes)} at random | {1 / len(of_classes):.3f} | – | – | – |")
    lines.append(f"| always the commonest class of the first | {max(of_classes) / sum(of_classes):.3f} | – | – | – |")
    return "\n".join(lines)


def spread(found: dict[str, dict[str, Any]]) -> str:
    """Return how far the accuracies spread, as a sentence."""
    values = [metrics["emotion"]["accuracy"] for metrics in found.values()]
    deviation = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    told = f"{fmean(values):.3f}{deviation}, from {min(values):.3f} to {max(values):.3f}"
    return f"Accuracy of {len(values)}, mean ± standard deviation: {told}."


def main(arguments: Sequence[str]) -> None:
    """Print the table of the runs named after the outputs' folder."""
    outputs, runs = Path(arguments[0]), [name for name in arguments[1:] if name != SPREAD]
    try:
        found = {run: read(outputs, run) for run in runs}
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        raise SystemExit(2) from None
    print(table(found))
    if SPREAD in arguments[1:]:
        print(f"\n{spread(found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
