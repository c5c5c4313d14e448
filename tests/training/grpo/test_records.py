"""Records as what is asked about: who is rejected, in which order, and the control with others' labels."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.training.data.pictures import ImageFile
from seke.training.grpo.checkpoints import Watch
from seke.training.grpo.greedy import Answer, check_base
from seke.training.grpo.records import Face, Records, order, shuffled
from seke.training.grpo.rewards import Judge
from seke.training.grpo.run import judge_of
from seke.training.grpo.settings import Grpo
from seke.training.settings import Training


def face(k: int, source: str = "a", **labels: object) -> Face:
    return Face(f"f{k}", source, ImageFile(f"{k}.png", None), Labels(**labels))


def test_records_without_a_human_label_are_rejected_by_name(small, tmp_path):
    found = Records(str(small / "train.jsonl"), "What?").train(tmp_path)
    assert [one.id for one in found.faces] == [f"face{k}" for k in (0, 1, 2, 4, 5, 6)]
    assert [(row.id, row.reason) for row in found.rejected] == [
        ("face3", "no human label"),
        ("face7", "no human label"),
    ]
    left = Records(str(small / "train.jsonl"), "What?", without=["a"]).train(tmp_path)
    assert {one.source for one in left.faces} == {"b", "c"}


def test_a_set_without_any_human_label_is_one_line(small, tmp_path):
    data = Records(str(small / "train.jsonl"), "What?", without=["a", "b", "c"])
    with pytest.raises(UserError, match=r"^data\.path=.*no usable record \(2 no human label\)"):
        data.train(tmp_path)


def test_the_sets_own_validation_is_watched_unless_nothing_is(small, tmp_path):
    assert len(Records(str(small / "train.jsonl"), "What?").held_out(tmp_path).faces) == 2
    assert Records(str(small / "train.jsonl"), "What?", watched=0).held_out(tmp_path) is None


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_every_face_comes_once_a_pass_and_a_longer_run_begins_alike(faces: int, steps: int, prompts: int, seed: int):
    asked = order(faces, steps, prompts, seed)
    assert len(asked) == steps * prompts and asked == order(faces, steps + 3, prompts, seed)[: len(asked)]
    for start in range(0, len(asked) - faces + 1, faces):
        assert sorted(asked[start : start + faces]) == list(range(faces))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["fear", "anger", None])), max_size=12))
def test_the_control_deals_labels_within_their_source(drawn: list[tuple[str, str | None]]):
    faces = [face(k, source, expression=name) for k, (source, name) in enumerate(drawn)]
    dealt = shuffled(faces, 0)
    assert [one.id for one in dealt] == [one.id for one in faces]
    for source in "ab":
        mine = [Counter(one.labels.expression for one in some if one.source == source) for some in (faces, dealt)]
        assert mine[0] == mine[1]


def answered(text: str, ended: bool = True) -> Answer:
    return Answer(face(0, expression="fear"), text, 5, ended)


def test_a_base_that_answers_unreadably_is_refused_with_advice():
    judge = Judge({"expression": 1, "form": 0.2})
    check_base(judge, [answered("The expression is fear."), answered("Tea.")], "m", 9)
    with pytest.raises(UserError, match=r"^model\.path=m: none of its first 2 answers .* fine-tune it first"):
        check_base(judge, [answered("Tea."), answered("Toast.")], "m", 9)


def test_a_budget_of_tokens_that_cuts_most_answers_is_refused():
    with pytest.raises(UserError, match=r"^algorithm\.max_tokens=9: 2 of the first 3 answers are cut off"):
        check_base(Judge({"expression": 1}), [answered("It is fear", False)] * 2 + [answered("It is fear.")], "m", 9)


def test_rewards_of_tasks_that_nobody_labelled_are_one_line():
    with pytest.raises(UserError, match=r"^algorithm\.rewards=valence: these records have human labels of expression"):
        judge_of(Grpo(rewards={"valence": 1}), [face(0, expression="fear")])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"group_size": 1}, "algorithm.group_size=1: one answer has none to be held against"),
        ({"max_tokens": 0}, "algorithm.max_tokens=0: less than 1"),
        ({"temperature": 0}, "algorithm.temperature=0: nothing would be learnt"),
        ({"kl": -1}, "algorithm.kl=-1: not such a number"),
        ({"kl": float("nan")}, "algorithm.kl=nan: not such a number"),
        ({"loss": "ppo"}, "algorithm.loss=ppo: unknown"),
        ({"rewards": {"aus": 1}}, "algorithm.rewards.aus=1: no such reward"),
        ({"share_prompts": "no"}, "algorithm.share_prompts=no: neither true nor false"),
        ({"vllm": 30}, "algorithm.vllm=30: not such a number; use 0 to 1, or null"),
    ],
)
def test_a_mistaken_setting_is_one_line(wrong, said):
    with pytest.raises(UserError) as error:
        Grpo(**wrong)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({}, "trainer.max_steps=-1: no number of steps"),
        ({"max_steps": 5, "devices": 2}, "trainer.devices=2: reinforcement runs in one process"),
        ({"max_steps": 5, "accumulate": 5}, "trainer.accumulate=5: 96 answers a step do not divide"),
        ({"max_steps": 5, "fused_loss": "torch"}, "trainer.fused_loss=torch: not there with algorithm=grpo"),
        ({"max_steps": 5, "precision": "16-mixed"}, "trainer.precision=16-mixed: not there"),
    ],
)
def test_a_trainer_that_does_not_go_with_it_is_one_line(training, said):
    with pytest.raises(UserError) as error:
        Grpo().check(Training(**training))
    assert str(error.value).startswith(said)


def test_vllm_samples_only_where_it_is_installed_and_a_gpu_is(monkeypatch):
    monkeypatch.setattr("seke.training.grpo.settings.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^algorithm\.vllm=0\.3: vllm is not installed; pip install vllm, or leave"):
        Grpo(vllm=0.3).check(Training(max_steps=5))
    monkeypatch.setattr("seke.training.grpo.settings.find_spec", lambda name: object())
    with pytest.raises(UserError, match=r"^algorithm\.vllm=0\.3: it needs a GPU"):
        Grpo(vllm=0.3).check(Training(max_steps=5))
    given = Grpo(vllm=0.3).trl(Training(max_steps=5), "folder", 0)
    assert given["use_vllm"] and given["vllm_mode"] == "colocate" and given["vllm_gpu_memory_utilization"] == 0.3
    assert "use_vllm" not in Grpo().trl(Training(max_steps=5), "folder", 0)


def test_the_watch_keeps_the_best_and_counts_the_looks_since():
    watch = Watch()
    assert [watch.take(reward, step) for step, reward in enumerate([0.5, 0.5, 0.7, 0.1])] == [True, False, True, False]
    assert watch == Watch(0.7, 2, 1)
