"""What scripts/rl_controls.py makes of sampled answers: the best of each face, and the faces that are the hardest."""

import importlib
import json
from pathlib import Path

import pytest

from seke.training.grpo.rewards import Judge, Rewards

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture
def controls(monkeypatch, small, tmp_path):
    """The script; `small`'s model is the run m, and an answer earns by its letters."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    (tmp_path / "train" / "m").mkdir(parents=True)
    (tmp_path / "train" / "m" / "model").symlink_to(small / "model")
    monkeypatch.setattr(Judge, "parts", lambda judge, text, *_: Rewards(len(set(text)) % 7 / 6, None, None, None, None))
    return importlib.import_module("rl_controls")


def test_the_best_of_sampled_answers_is_what_is_imitated(controls, small, tmp_path, capsys):
    out, given = tmp_path / "best" / "rows.jsonl", [f"outputs={tmp_path}", "model=m", "faces=6", "n=3"]
    controls.main(["best", str(small / "train.jsonl"), str(out), *given])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows and len({row["id"] for row in rows}) == len(rows)
    assert f"{len(rows)} of 6 faces have a best answer" in capsys.readouterr().out
    assert json.loads((out.parent / "manifest.json").read_text())["image_root"] == str(small.resolve())
    again = tmp_path / "again" / "rows.jsonl"
    controls.main(["best", str(small / "train.jsonl"), str(again), *given])
    assert again.read_text() == out.read_text(), "the same seed samples the same answers"


def test_the_hardest_faces_are_records_to_reinforce_on(controls, small, tmp_path, monkeypatch):
    earned = {"face0": [0.5, 0.5], "face1": [0.0, 1.0], "face2": [0.4, 0.6]}

    def sampled(faces, *_):
        return ((face, [(reward, "said") for reward in earned.get(face.id, [1.0, 1.0])]) for face in faces)

    monkeypatch.setattr(controls, "sampled", sampled)
    out = tmp_path / "hard" / "train.jsonl"
    controls.main(["hard", str(small / "train.jsonl"), str(out), "model=m", "share=0.5"])
    before = {row["id"]: row for row in map(json.loads, (small / "train.jsonl").read_text().splitlines())}
    assert [json.loads(line) for line in out.read_text().splitlines()] == [before["face1"], before["face2"]]


def test_the_share_is_of_all_faces_and_none_that_teaches_nothing_is_taken(controls):
    rewards = {"a": [1, 1], "b": [0, 1], "c": [0.4, 0.6], "d": [0, 0]}
    assert controls.hardest(rewards, 0.25) == {"b"} and controls.hardest(rewards, 1.0) == {"b", "c"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_table_has_every_stage_and_the_means_over_seeds(controls, tmp_path, capsys, seeds):
    stages = ("before", *controls.CONTROLS, controls.REINFORCED)
    beside = [f"{controls.REINFORCED}-{control}" for control in controls.CONTROLS]
    for seed in range(seeds):
        run = f"mine-s{seed}" if seeds > 1 else "mine"
        for stage in (*stages, *beside):
            folder = tmp_path / "evaluate" / f"{run}-{stage}"
            folder.mkdir(parents=True)
            metrics = {"action_units": {"f1_mean_14": 0.5 + 0.1 * seed}, "expression": None}
            (folder / "metrics.json").write_text(json.dumps(metrics))
            found = {"task": "action_units", "metric": "f1_mean_14", "difference": 0.02 + 0.02 * seed, "p": 0.01,
                     "ci95": [0.01, 0.05], "drawn_from": 40}  # fmt: skip
            (folder / "comparison.json").write_text(json.dumps({"metrics": [found]}))
    controls.main(["table", str(tmp_path), "mine", f"seeds={seeds}"])
    printed = capsys.readouterr().out
    assert "grpo minus" in printed
    lines = {
        line.split()[0]: line.split()[1:] for line in printed.partition("grpo minus")[0].splitlines() if line.split()
    }
    assert set(lines) >= {*stages, "Expression"}
    assert lines["before"] == ["-", "55.0" if seeds > 1 else "50.0", "-", "-"]
    assert lines["grpo"][:3] == ["-", *(("55.0", "+3.0") if seeds > 1 else ("50.0", "+2.0"))]
    if seeds == 1:
        assert lines["grpo"][3:6] == ["(+1.0", "to", "+5.0)"]
    with pytest.raises(SystemExit, match="yours-before: no finished evaluate run"):
        controls.main(["table", str(tmp_path), "yours"])
