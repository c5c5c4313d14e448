"""What earlier versions' runs leave unsaid: what is noted always counts first, and only our own names say anything."""

import pytest

from seke.backends.simulated import faces, scenes
from seke.core import old_runs


@pytest.mark.parametrize("name", [faces.MODEL, faces.BLIND, scenes.MODEL, scenes.BLIND, scenes.JUDGE])
def test_our_simulations_are_known_by_their_whole_names(name):
    assert old_runs.simulated(None, name) and old_runs.simulated(None, f"gpt-4o, {name}")
    assert not old_runs.simulated(None, f"{name}-x") and not old_runs.simulated(None, f"my/{name}")
    assert not old_runs.simulated(False, name)
    assert old_runs.simulated(True, "gpt-4o") and not old_runs.simulated(None, None)


def test_what_a_prepared_set_is_of(tmp_path):
    assert old_runs.synthetic(None, tmp_path) == old_runs.synthetic(None, None) == "nothing"
    assert old_runs.synthetic(None, None, ["synthetic_mine"]) == "nothing"
    assert old_runs.synthetic(None, None, ["synthetic_scenes"]) == "scenes"
    (tmp_path / "truth.jsonl").touch()
    assert old_runs.synthetic(None, tmp_path) == "faces"
    assert old_runs.synthetic("nothing", tmp_path) == "nothing"


def test_which_evaluations_score_given_labels():
    ours = {"benchmark": {"_target_": "seke.benchmark.tasks.reliability.Reliability", "against": "truth"}}
    theirs = {"benchmark": {"_target_": "my.unreliable.Benchmark", "note": "reliability"}}
    assert (old_runs.scores(None, ours), old_runs.scores(None, theirs)) == ("labels", "answers")
    assert (old_runs.scores("answers", ours), old_runs.scores("labels", theirs)) == ("answers", "labels")


def test_whose_floor_is_algorithm_1s():
    rule = {"_target_": "seke.generation.seke.stopping.uamc", "max_samples": 5}
    assert old_runs.floor({"stopping": rule}) == 2.875
    assert old_runs.floor({"stopping": rule, "generator": {"max_samples": 2}}) == 2.0
    assert old_runs.floor({"stopping": {**rule, "_target_": "my.uamcish.rule"}}) is None
    assert old_runs.floor({}) is None
