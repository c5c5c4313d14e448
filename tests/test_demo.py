"""`make demo` at full size: the loop learns, labels that look beat the single pass, and the base knows nothing."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_demo_reaches_what_the_readme_says(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", str(ROOT / "scripts" / "demo.sh"), "cells=all", f"outputs={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = {
        file.parent.name: json.loads(file.read_text()) for file in (tmp_path / "evaluate").glob("*/metrics.json")
    }
    accuracy = {name: scores["expression"]["accuracy"] for name, scores in metrics.items()}
    f1 = {name: scores["action_units"]["f1_mean_14"] for name, scores in metrics.items()}
    mae = {name: scores["valence"]["mae"] for name, scores in metrics.items()}
    assert accuracy["demo-truth"] >= 0.80
    assert f1["demo-truth"] >= 0.70
    assert mae["demo-truth"] <= 0.15
    assert accuracy["demo-seke"] >= 0.85 * accuracy["demo-truth"]
    assert f1["demo-calibrated"] >= 0.85 * f1["demo-truth"]
    labels = ("demo-labels-calibrated", "demo-labels-seke", "demo-labels-single")
    for better, worse in (("demo-calibrated", "demo-single"), *pairwise(labels)):
        assert f1[better] > f1[worse]
        for task in ("valence", "arousal"):
            assert metrics[better][task]["mae"] < metrics[worse][task]["mae"]
    assert accuracy["demo-labels-seke"] > accuracy["demo-labels-single"]
    # About 400 faces: another processor's rounding alone moves the tuned models' accuracies by a few of them.
    assert accuracy["demo-seke"] > accuracy["demo-single"] - 0.01
    comparison = json.loads((tmp_path / "evaluate" / "demo-labels-calibrated" / "comparison.json").read_text())
    gains = {f"{row['task']}.{row['metric']}": row["difference"] for row in comparison["metrics"]}
    assert comparison["against"] == "demo-labels-blind"
    assert gains["expression.accuracy"] > 0 and gains["action_units.f1_mean_14"] > 0
    assert f1["demo-base"] < f1["demo-probe"]  # the frozen tower knows more than the untuned model says
    assert accuracy["demo-base"] < accuracy["demo-single"] / 2
    assert f1["demo-base"] < f1["demo-single"] / 2
