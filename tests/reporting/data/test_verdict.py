"""The verdict: whom it is about, against whom, and that its words follow from the interval."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import yaml

from seke.benchmark.scoring.significance import compare
from seke.core.intervals import Estimate
from seke.core.records import Prediction, read_jsonl
from seke.reporting.data.collect import Material, collect
from seke.reporting.data.runs import Outputs, gather
from seke.reporting.data.verdict import HEADLINE, NOT_COMPARED, Gain, Verdict, verdicts

from ..conftest import ROOT
from ..experiments import evaluation, scenes

CONF = yaml.safe_load((ROOT / "conf" / "report.yaml").read_text(encoding="utf-8"))
PAIRED = partial(compare, draws=200)


def material(outputs: Path, name: str) -> Material:
    opened = Outputs(outputs)
    return collect(gather(opened, name, None), opened, CONF["wording"], "seke", None, None)


def found(outputs: Path, name: str = "x", paired=PAIRED) -> list[Verdict]:
    return verdicts(material(outputs, name), "seke", "truth", CONF["baselines"], paired)


@pytest.mark.parametrize(
    ("column", "difference", "outcome"),
    [
        (0, (0.085, 0.04, 0.127), "better"),
        (0, (-0.3, -0.34, -0.25), "worse"),
        (2, (-0.1, -0.2, -0.01), "better"),
        (2, (0.127, 0.103, 0.153), "worse"),
        (2, (0.1, 0.0, 0.2), "unclear"),
        (0, (0.1, None, None), "unclear"),
    ],
)
def test_an_outcome_is_what_the_interval_says_whichever_way_is_better(column, difference, outcome) -> None:
    assert Gain(HEADLINE[column][1], Estimate(*difference), 9).outcome == outcome


def test_without_a_comparison_on_file_the_two_runs_are_compared_here(tmp_path: Path) -> None:
    evaluation(tmp_path, "x-seke", 0.9)
    evaluation(tmp_path, "x-constant", 0.3)
    [verdict] = found(tmp_path)
    rows = [
        list(read_jsonl(tmp_path / "evaluate" / f"x-{of}" / "predictions.jsonl", Prediction))
        for of in ("seke", "constant")
    ]
    expected = {f"{row['task']}.{row['metric']}": row for row in PAIRED(*rows, "x-constant")["metrics"]}
    gains = {tile.key: tile.gain for tile in verdict.tiles}
    assert [*gains] == [column.key for _, column in HEADLINE]
    for key, gain in gains.items():
        row = expected[key]
        assert gain is not None
        assert tuple(gain.difference) == (row["difference"], *row["ci95"])
    assert verdict.sentence.startswith("is better than the best answer that never looks in expression (+")
    assert verdict.sentence.endswith("; paired by subject, on 48 pictures.")
    [unknown] = found(tmp_path, paired=None)
    assert unknown.sentence == NOT_COMPARED


def test_what_evaluate_compared_goes_before(tmp_path: Path) -> None:
    evaluation(tmp_path, "x-seke", 0.9)
    evaluation(tmp_path, "x-blind", 0.3)
    content = {"against": "x-blind", "metrics": [
        {"task": "valence", "metric": "mae", "n": 7, "difference": 0.25, "ci95": [0.125, 0.5]},
    ]}  # fmt: skip
    (tmp_path / "evaluate" / "x-seke" / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    [verdict] = found(tmp_path)
    assert verdict.sentence == (
        "is worse than a model tuned on labels of not looking in valence (error +0.250, 95 % +0.125 to +0.500); "
        "paired by subject, on 7 pictures."
    )


def test_ones_own_run_without_any_baseline_is_told_so(tmp_path: Path) -> None:
    evaluation(tmp_path, "x", 0.9)
    [verdict] = found(tmp_path)
    assert (verdict.item.run.name, verdict.sentence) == ("x", NOT_COMPARED)
    evaluation(tmp_path, "x-mine", 0.1)
    manifest = tmp_path / "evaluate" / "x-mine" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "models": ["constant"]}))
    [verdict] = found(tmp_path)
    assert verdict.item.run.name == "x" and "than the best answer that never looks" in verdict.sentence
    for name in ("x", "x-mine"):
        shutil.rmtree(tmp_path / "evaluate" / name)
    evaluation(tmp_path, "x-constant", 0.9)
    assert found(tmp_path) == [], "what never looks is not judged by itself"


def test_scenes_are_held_against_always_saying_the_commonest(tmp_path: Path) -> None:
    scenes(tmp_path, "x", 0.9)
    [verdict] = found(tmp_path)
    assert "better than always saying the commonest without looking (2" in verdict.sentence
    scenes(tmp_path, "y", 0.1)
    [verdict] = found(tmp_path, "y")
    assert "not beyond chance different from always" in verdict.sentence or "worse than always" in verdict.sentence
