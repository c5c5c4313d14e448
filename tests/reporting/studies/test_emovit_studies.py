"""Studies of EmoVIT from miniature runs: how much was trained stands beside what it gave; curves over a quantity."""

from pathlib import Path

import pytest

from seke.core.runs import Run

from ..experiments import compiled, scenes


def training(outputs: Path, name: str, rows: int, steps: int) -> None:
    folder = outputs / "train" / name
    folder.mkdir(parents=True)
    Run(folder, {"name": name}, {}).finish(rows=rows, steps=steps)


def test_rows_and_steps_of_each_training_stand_in_the_table_and_none_is_missed_of_the_base(tmp_path: Path) -> None:
    for cell, skill in {
        "base": 0.1,
        "categorical": 0.6,
        "conversation": 0.6,
        "reasoning": 0.7,
        "curriculum": 0.7,
    }.items():
        scenes(tmp_path, f"emovit_stages-{cell}", skill)
    for cell, rows in {"categorical": 20, "conversation": 30, "reasoning": 40}.items():
        training(tmp_path, f"emovit_stages-{cell}", rows, 15)
    [section] = compiled(tmp_path, "emovit_stages").sections
    assert section.missing == ()
    found = {
        row.label: [row.cells[key].value for key in ("train.rows", "train.steps")] for row in section.tables[0].rows
    }
    assert list(found.values())[:5] == [[None, None], [20, 15], [30, 15], [40, 15], [None, None]]


@pytest.fixture
def efficiency(tmp_path: Path) -> Path:
    for share, tuned, probe in ((0.1, 0.2, 0.5), (0.25, 0.4, 0.6), (0.5, 0.6, 0.6), (1, 0.8, 0.6)):
        for cell, skill in ((f"steps-{share}", tuned), (f"mean-{share}", probe)):
            scenes(tmp_path, f"emovit_efficiency-{cell}", skill)
    return tmp_path


def test_a_curve_has_a_point_for_each_share_that_was_measured(efficiency: Path) -> None:
    [section] = compiled(efficiency, "emovit_efficiency", drawn=True).sections
    [accuracy, f1] = section.panels
    assert (accuracy.name, f1.name) == tuple(
        f"emovit_efficiency_emotion_{score}_curves" for score in ("accuracy", "f1_macro")
    )
    said = accuracy.alt.split("share of the data, %. ")[1].rstrip(".").split("; ")
    curves = {label: [point.split(" at ")[1] for point in points.split(", ")] for label, points in (
        curve.split(": ") for curve in said)}  # fmt: skip
    assert curves == {
        "Instruction-tuned, equal steps": ["10", "25", "50", "100"],
        "Instruction-tuned, equal epochs": ["100"],
        "Linear probe, mean state": ["10", "25", "50", "100"],
    }
    assert "share of the data, %" in accuracy.svg
    assert "train/emovit_efficiency-steps-0.1: not run" in section.missing
    assert not any("train/emovit_efficiency-mean" in missing for missing in section.missing)
