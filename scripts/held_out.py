"""Whether a run's labels foretell held-out human labels better than another's, by calibration.json: needs no truth.

    python scripts/held_out.py outputs/generate/second-round0 outputs/generate/second-round1

prints the mean log loss of every description, over the records that ask for it, and exits with 1 where that of the
second run is no less in sum.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError


def losses(run: Path) -> dict[str, float]:
    """Return the mean log loss of each description that was judged."""
    file = run / "calibration.json"
    if not file.is_file():
        raise UserError("run", run, "has no calibration.json", "name a run with generator.aggregate=calibrated")
    total, weight = defaultdict[str, float](float), defaultdict[str, float](float)
    for pattern in json.loads(file.read_text(encoding="utf-8"))["patterns"].values():
        for name, arm in pattern["arms"].items():
            if arm["log_loss"] is not None:
                total[name] += pattern["asked"][name] * arm["log_loss"]
                weight[name] += pattern["asked"][name]
    return {name: total[name] / weight[name] for name in total if weight[name]}


def main(before: str, after: str) -> int:
    """Print both, and return whether the second is no better."""
    found = [losses(Path(run)) for run in (before, after)]
    for run, each in zip((before, after), found, strict=True):
        print(f"{Path(run).name}: held-out log loss " + ", ".join(f"{name} {loss:.4f}" for name, loss in each.items()))
    both = found[0].keys() & found[1].keys()
    return int(sum(found[1][name] - found[0][name] for name in both) >= 0)


if __name__ == "__main__":
    with in_one_line():
        if len(sys.argv) != 3:
            raise UserError(
                "words", " ".join(sys.argv[1:]), "not two runs", "see the first lines of scripts/held_out.py"
            )
        raise SystemExit(main(*sys.argv[1:]))
