"""Reinforcement through TRL: resumed to the same bits, paused by a signal, alike with kept states, and its files."""

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from seke.core.errors import Paused, UserError

trl = pytest.importorskip("trl", reason="algorithm=grpo needs pip install -e '.[rl]'")

from seke.training.grpo import steps as between  # noqa: E402
from seke.training.grpo.engine import RewardFunction  # noqa: E402

pytestmark = pytest.mark.slow


def weights(run):
    return (run / "model" / "model.safetensors").read_bytes()


def test_a_run_leaves_model_manifest_card_and_nothing_of_its_checkpoints(reinforce, small, tmp_path):
    facts = reinforce(tmp_path / "a", {"answered": 2, "validate_every": 2, "keep_best": False}, {"watched": 2})
    run = tmp_path / "a"
    assert facts["steps"] == 4 and facts["answers"] == 24 and facts["rejected_for"] == {"no human label": 2}
    assert facts["labels"] == {"expression": 2, "valence": 2, "arousal": 2, "action_units": 2}
    assert facts["best"]["step"] in (0, 2, 4)
    assert not (run / "checkpoints").exists() and json.loads((run / "manifest.json").read_text())["algorithm"] == "grpo"
    before, after = load_file(small / "model" / "model.safetensors"), load_file(run / "model" / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and not any("vision_tower" in name for name in changed)
    rows = [json.loads(line) for line in (run / "answered.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows} == {1, 2, 4} and all("reward" in row and row["rewards"] for row in rows)
    assert "human labels" in (run / "model" / "README.md").read_text()


@pytest.mark.parametrize("step", [1, 3])
def test_a_cut_after_any_step_changes_nothing(reinforce, tmp_path, monkeypatch, step):
    reinforce(tmp_path / "whole")
    seen = []
    original = RewardFunction.__call__

    def cut(reward, *arguments, **named):
        seen.append(0)
        if len(seen) > step:
            raise KeyboardInterrupt
        return original(reward, *arguments, **named)

    monkeypatch.setattr(RewardFunction, "__call__", cut)
    with pytest.raises(KeyboardInterrupt):
        reinforce(tmp_path / "cut")
    monkeypatch.setattr(RewardFunction, "__call__", original)
    reinforce(tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_checkpoint_without_its_mark_is_passed_over(reinforce, tmp_path, monkeypatch, capsys):
    reinforce(tmp_path / "whole")
    original = between.complete

    def killed(path, step, watch):
        if step == 2:
            raise KeyboardInterrupt
        original(path, step, watch)

    monkeypatch.setattr(between, "complete", killed)
    with pytest.raises(KeyboardInterrupt):
        reinforce(tmp_path / "torn")
    monkeypatch.setattr(between, "complete", original)
    reinforce(tmp_path / "torn")
    assert "was not written to its end" in capsys.readouterr().err
    assert weights(tmp_path / "torn") == weights(tmp_path / "whole")


def test_sigterm_saves_and_the_same_call_goes_on(reinforce, tmp_path, monkeypatch):
    original = RewardFunction.__call__
    seen = []

    def told(reward, *arguments, **named):
        seen.append(0)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(reward, *arguments, **named)

    monkeypatch.setattr(RewardFunction, "__call__", told)
    with pytest.raises(Paused, match="saved at step 2"):
        reinforce(tmp_path / "p", {"checkpoint_every": 100})
    assert reinforce(tmp_path / "p", {"checkpoint_every": 100})["steps"] == 4
    assert len(seen) == 4, "no step was done twice"


def test_a_tower_that_keeps_its_states_trains_as_the_library_alone_does(reinforce, tmp_path):
    for keep in (True, False):
        reinforce(tmp_path / str(keep), {"max_steps": 2}, keep_states=keep)
    assert weights(tmp_path / "True") == weights(tmp_path / "False")


class Plain:
    """Gradient descent: Adam's first step is a sign, which turns where rounding makes 1e-12 of 0."""

    keeps_bfloat16 = False

    def __call__(self, groups):
        return torch.optim.SGD([{"params": group["params"], "lr": 1e-2} for group in groups])


@pytest.mark.parametrize(("share", "optimizer"), [(False, None), (True, Plain())])
def test_two_steps_end_with_the_weights_of_trl_by_itself(reinforce, small, tmp_path, share, optimizer):
    from datasets import Dataset
    from PIL import Image

    from seke.models.llava_ov import LlavaOv
    from seke.training.grpo.records import order
    from seke.training.grpo.settings import Grpo
    from seke.training.settings import Training

    training = Training(max_steps=2, warm_up=0.0, checkpoint_every=9, threads=1)
    two = {"max_steps": 2, "checkpoint_every": 9}
    reinforce(tmp_path / "ours", two, optimizer=optimizer, share_prompts=share)
    family = LlavaOv(str(small / "model"), trainable=["projector", "llm"], lr=1e-2)
    loaded = family.load(dtype="float32")
    groups = family.train(loaded)
    rule = optimizer(groups) if optimizer else torch.optim.AdamW(
        [{"params": group["params"], "lr": 1e-2} for group in groups], weight_decay=0.0, eps=1e-8
    )  # fmt: skip
    faces = [k for k in range(8) if k % 4 != 3]
    rows = [{"prompt": [{"role": "user", "content": "What is it?"}],
             "image": Image.open(small / f"{faces[k]}.png").convert("RGB")} for k in order(6, 2, 2, 0)]  # fmt: skip

    def reward(completions, **_):
        return [len(set(said[0]["content"].strip())) % 7 / 6 for said in completions]

    settings = Grpo(prompts=2, group_size=3, max_tokens=5, lr_share=1.0).trl(training, str(tmp_path / "theirs"), 0)
    trainer = trl.GRPOTrainer(
        model=loaded.model, reward_funcs=reward, args=trl.GRPOConfig(**settings, save_strategy="no"),
        train_dataset=Dataset.from_list(rows), processing_class=loaded.processor,
        optimizers=(rule, torch.optim.lr_scheduler.LambdaLR(rule, lambda _: 1.0)),
    )  # fmt: skip
    trainer.train()
    loaded.save(tmp_path / "theirs" / "model")
    ours, theirs = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("ours", "theirs"))
    before = load_file(small / "model" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    assert any(not torch.allclose(ours[name], before[name], atol=1e-4) for name in ours)


def test_token_advantages_that_are_trls_train_as_trl_does(reinforce, tmp_path, monkeypatch):
    """An answer's own advantage on each of its tokens is TRL's loss."""

    def as_trl(reward):
        earned = torch.tensor([total for *_, total in reward.answers]).view(-1, reward.group)
        values = ((earned - earned.mean(1, keepdim=True)) / (earned.std(1, keepdim=True) + 1e-4)).flatten().tolist()
        return [[value] * len(pieces) for value, pieces in zip(values, reward.pieces, strict=True)]

    monkeypatch.setattr(RewardFunction, "token_advantages", as_trl)
    for credit in ("answer", "statement"):
        reinforce(tmp_path / credit, {"max_steps": 2}, optimizer=Plain(), credit=credit)
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("answer", "statement"))
    assert all(torch.allclose(one[name], other[name], atol=1e-7) for name in one)


def test_a_learning_rate_that_breaks_the_model_is_one_line(reinforce, tmp_path):
    with pytest.raises(UserError, match=r"^loss=.* at step .*, on the records face"):
        reinforce(tmp_path / "n", lr_share=1e30)


def test_rewards_that_are_all_alike_are_counted_and_change_nothing(reinforce, small, tmp_path, monkeypatch):
    from seke.training.grpo.rewards import Judge, Rewards

    monkeypatch.setattr(Judge, "parts", lambda *_: Rewards(0.5, None, None, None, None))
    facts = reinforce(tmp_path / "c", {"max_steps": 1})
    assert facts["last"]["constant_groups"] == 1.0
    before = load_file(small / "model" / "model.safetensors")
    after = load_file(tmp_path / "c" / "model" / "model.safetensors")
    assert all(before[name].equal(after[name]) for name in before)


def test_a_model_that_never_betters_the_one_it_began_with_is_exported_as_that(reinforce, small, tmp_path, monkeypatch):
    from seke.training.grpo import run as room

    rewards = iter([0.9, 0.5, 0.6])
    monkeypatch.setattr(room, "_look", lambda *_: {"validation_reward": next(rewards)})
    facts = reinforce(tmp_path / "w", {"max_steps": 2, "validate_every": 1}, {"watched": 2})
    assert facts["best"] == {"step": 0, "reward": 0.9} and facts["steps"] == 2
    before = load_file(small / "model" / "model.safetensors")
    after = load_file(tmp_path / "w" / "model" / "model.safetensors")
    assert all(before[name].equal(after[name]) for name in before)


def test_patience_ends_a_run_whose_validation_no_longer_rises(reinforce, tmp_path, monkeypatch):
    from seke.training.grpo import run as room

    rewards = iter([0.3, 0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(room, "_look", lambda *_: {"validation_reward": next(rewards)})
    facts = reinforce(tmp_path / "e", {"validate_every": 1, "patience": 2}, {"watched": 2})
    assert facts["steps"] == 3 and facts["best"] == {"step": 1, "reward": 0.5}
