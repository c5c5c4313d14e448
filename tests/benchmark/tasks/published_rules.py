"""Made-up answers and what the programs of three benchmarks' authors read from each: tests/data/published_rules.jsonl.

faba         emollava/eval/eval_FABA.py of JackYFL/EmoLA at 0cd4a12
fea_20k      utils/eval_utils.py of RobitsG/Facial-R1 at 0b1be9b
facexbench   aggregate_results.py of Kartik-3004/facexbench at 07b4445
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "data" / "published_rules.jsonl"


def rows(rule: str) -> list[dict[str, Any]]:
    """Return the answers of one benchmark; `label` None: that program stopped with an error, or read none."""
    found = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if row["rule"] == rule]
