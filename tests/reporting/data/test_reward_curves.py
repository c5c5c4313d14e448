"""Curves of a reinforcement in the report: what its answers earn in place of its loss."""

from pathlib import Path

from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import FinishedRun
from seke.reporting.render import figure_set


def test_a_reinforcement_has_panels_of_its_rewards_and_none_of_its_loss(tmp_path: Path) -> None:
    for name, text in {
        "sft": "step,loss,lr_projector\n1,2.0,0.1\n2,1.0,0.1\n",
        "rl": "step,loss,reward,reward_valence,length,distinct,validation_reward\n"
        "1,0.01,0.5,0.4,40,0.9,\n2,0,0.6,0.5,38,0.8,0.7\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(text)
    trained = named([FinishedRun("train", name, tmp_path / name, {}) for name in ("sft", "rl")], {})
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    losses = [panel.alt for panel in figure_set._curves(drawn, trained)]
    assert any("loss ends at 1" in alt for alt in losses) and not any("loss ends at 0" in alt for alt in losses)
    rewards = [panel.alt for panel in figure_set._rewards(drawn, trained)]
    assert len(rewards) == 4
    assert "reward ends at 0.6; validation_reward ends at 0.7" in rewards[0] and "reward_valence ends" in rewards[1]
    assert "length ends at 38" in rewards[2] and "distinct ends at 0.8" in rewards[3]
