"""Demonstrations: answers of a group that are written from human labels, and how the library learns from them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.training.data.pictures import ImageFile
from seke.training.grpo.demonstrations import corrected, demonstration, with_demonstrations
from seke.training.grpo.records import Face
from seke.training.grpo.rewards import Judge
from seke.training.grpo.settings import Grpo

UNITS = st.dictionaries(st.sampled_from(tuple(ACTION_UNITS)), st.booleans(), min_size=1)
VALUES = st.integers(-100, 100).map(lambda hundredths: hundredths / 100)
LABELS = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | VALUES,
    arousal=st.none() | VALUES,
    action_units=st.none() | UNITS,
)


@given(said=LABELS, human=LABELS)
def test_a_demonstration_states_every_human_label_and_else_what_was_said(said, human):
    found = extract(demonstration(describe(said, digits=2), human))
    for name in ("expression", "valence", "arousal"):
        label = getattr(human, name)
        assert getattr(found, name) == (getattr(said, name) if label is None else label)
    for au, active in (human.action_units or {}).items():
        assert (found.action_units or {})[au] == active
    for au, active in (said.action_units or {}).items():
        if au not in (human.action_units or {}):
            assert (found.action_units or {})[au] == active


def test_of_what_cannot_be_read_only_the_human_labels_are_left():
    assert corrected("Purple.", Labels(expression="fear")) == Labels(expression="fear")


def test_the_last_answers_of_each_group_are_the_first_ones_corrected():
    truths = [Labels(expression="fear")] * 3 + [Labels(expression="anger")] * 3
    said = ["The expression is sadness. Valence is 0.10.", "b", "c", "Valence is -0.20.", "e", "f"]
    texts = dict(enumerate(said))
    found = with_demonstrations([[k] for k in texts], truths, 3, 1, lambda ids: texts[ids[0]], lambda text: [text])
    assert found == [
        [0], [1], ["The expression is fear. Valence is 0.10."], [3], [4], ["The expression is anger. Valence is -0.20."]
    ]  # fmt: skip


def test_more_demonstrations_than_sampled_answers_take_these_in_turn():
    said = ["Valence is 0.10.", "", ""]
    found = with_demonstrations([[0], [1], [2]], [Labels(expression="fear")] * 3, 3, 2, lambda ids: said[ids[0]], list)
    assert found == [[0], *[list("The expression is fear. Valence is 0.10.")] * 2]


@pytest.mark.parametrize(("count", "group"), [(4, 4), (3, 2), (-1, 4), (True, 4)])
def test_at_least_one_answer_to_a_face_is_sampled(count, group):
    with pytest.raises(UserError, match=r"^algorithm\.demonstrations="):
        Grpo(group_size=group, demonstrations=count)


def test_a_steps_numbers_are_those_of_its_sampled_answers():
    pytest.importorskip("trl", reason="algorithm=grpo needs pip install -e '.[rl]'")
    from seke.training.grpo.engine import RewardFunction

    face = Face("a", "disfa", ImageFile("a.png", None), Labels(expression="fear", action_units={4: True}))
    once, twice = "It is fear. Action units: AU4.", "It is anger. Action units: AU4, AU4."
    reward = RewardFunction(Judge({"expression": 1.0, "form": 0.5}), [face], end=0, group=3, demonstrations=1)
    earned = reward([[{"content": text}] for text in (once, twice, once)], [[1, 0], [1, 2], [1, 0]], face=[0, 0, 0])
    assert earned == [pytest.approx((1 + 0.5 * 2 / 3) / 1.5), 0.0, earned[0]]
    found = reward.metrics()
    assert (found["reward_expression"], found["repeating"], found["cut"], found["distinct"]) == (0.5, 0.5, 0.5, 1.0)
    assert found["reward"] == earned[0] / 2 and found["constant_groups"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("share", [True, False])
def test_demonstrations_are_learnt_from_as_by_trl_from_a_rollout_of_others(
    reinforce, small, tmp_path, monkeypatch, share
):
    """Against TRL by itself, whose `rollout_func` hands it the answers that ours has learnt from."""
    trl = pytest.importorskip("trl", reason="algorithm=grpo needs pip install -e '.[rl]'")
    from datasets import Dataset
    from PIL import Image

    from seke.models.llava_ov import LlavaOv
    from seke.training.grpo import engine
    from seke.training.grpo.records import order
    from seke.training.settings import Training

    from .test_reinforce import Plain

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    learnt, groups = [], []
    original = engine.RewardFunction.__call__

    def noted(self, completions, completion_ids, face, **named):
        learnt.append([list(ids) for ids in completion_ids])
        found = original(self, completions, completion_ids, face, **named)
        groups.append([text for _, text, *_ in self.answers])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.RewardFunction, "__call__", noted)
        once = {"max_steps": 1, "checkpoint_every": 9}
        reinforce(tmp_path / "ours", once, optimizer=Plain(), share_prompts=share, demonstrations=1)
    [answers] = groups
    assert [bool(extract(text).empty) for text in answers] == [True, True, False] * 2, "the model is random"

    loaded = (family := LlavaOv(str(small / "model"), trainable=["projector", "llm"], lr=1e-2)).load(dtype="float32")
    rule = Plain()(family.train(loaded))
    faces = [k for k in range(8) if k % 4 != 3]
    rows = [
        {
            "prompt": [{"role": "user", "content": "What is it?"}],
            "image": Image.open(small / f"{faces[k]}.png").convert("RGB"),
        }
        for k in order(6, 1, 2, 0)
    ]

    def rollout(prompts, trainer):
        ids, _, _ = trainer._tokenize_prompts(prompts)
        return {"prompt_ids": ids, "completion_ids": learnt[0], "logprobs": None}

    def reward(completions, **_):
        return [len(set(said[0]["content"].strip())) % 7 / 6 for said in completions]

    settings = Grpo(prompts=2, group_size=3, max_tokens=5, lr_share=1.0, demonstrations=1).trl(
        Training(max_steps=1, warm_up=0.0, checkpoint_every=9, threads=1), str(tmp_path / "theirs"), 0
    )
    trainer = trl.GRPOTrainer(
        model=loaded.model, reward_funcs=reward, args=trl.GRPOConfig(**settings, save_strategy="no"),
        train_dataset=Dataset.from_list(rows), processing_class=loaded.processor, rollout_func=rollout,
        optimizers=(rule, torch.optim.lr_scheduler.LambdaLR(rule, lambda _: 1.0)),
    )  # fmt: skip
    trainer.train()
    loaded.save(tmp_path / "theirs" / "model")
    ours, theirs = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("ours", "theirs"))
    before = load_file(small / "model" / "model.safetensors")
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    assert any(not torch.allclose(ours[name], before[name], atol=1e-5) for name in ours)
