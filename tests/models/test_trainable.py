"""What SFT changes: parts by name, their learning rates, and mistakes in either."""

import copy

import pytest
import torch

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer


@pytest.fixture(scope="module")
def loaded():
    tokenizer = train_tokenizer(["What is this? A face with AU12."] * 5, 400)
    return build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
                      feed_forward=48)  # fmt: skip


@pytest.mark.parametrize(
    ("trainable", "trained"),
    [
        ("full", {"vision_tower", "projector", "language_model"}),
        ("llm", {"language_model"}),
        ("language_model", {"language_model"}),
        ("projector", {"projector"}),
        ("vision_tower", {"vision_tower"}),
        (["projector", "llm"], {"projector", "language_model"}),
    ],
)
def test_parts_are_trained_by_name_and_no_others(loaded, trainable, trained):
    model = LlavaOv("x", trainable=trainable)
    groups = model.train(loaded)
    assert set(model.trained) == {group["name"] for group in groups} == trained
    free = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    assert {loaded.part(name) for name in free} == trained
    assert sum(len(group["params"]) for group in groups) == len(free)


def test_full_leaves_out_only_what_never_gets_a_gradient(loaded):
    LlavaOv("x").train(loaded)
    frozen = {name for name, parameter in loaded.model.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"model.vision_tower.post_layernorm.{kind}" for kind in ("weight", "bias")}


def test_parts_have_their_own_learning_rates(loaded):
    groups = LlavaOv("x", trainable=["vision_tower", "llm"], lr=1e-5, lr_of={"vision_tower": 2e-6}).train(loaded)
    assert {group["name"]: group["lr"] for group in groups} == {"vision_tower": 2e-6, "language_model": 1e-5}
    tower = next(group["params"] for group in groups if group["name"] == "vision_tower")
    assert torch.equal(tower[0], loaded.model.model.vision_tower.embeddings.patch_embedding.weight)


def test_a_rate_of_a_part_that_is_not_trained_is_no_mistake(loaded):
    # conf/model/llava_ov.yaml sets the tower's, and model.trainable=llm must be enough to leave the tower alone.
    [group] = LlavaOv("x", trainable="llm", lr_of={"vision_tower": 2e-6}).train(loaded)
    assert group["lr"] == 1e-5


@pytest.mark.parametrize("trainable", ["head", ["projector", "head"], "LLM"])
def test_an_unknown_part_is_a_users_mistake(trainable):
    with pytest.raises(UserError, match=r"^model\.trainable=(head|LLM): no such part; use full, llm, vision_tower"):
        LlavaOv("x", trainable=trainable)


def test_a_learning_rate_of_an_unknown_part_is_a_users_mistake():
    with pytest.raises(UserError, match=r"^model\.lr_of=head: no such part"):
        LlavaOv("x", lr_of={"head": 1.0})


def test_nothing_to_train_is_a_users_mistake(loaded):
    with pytest.raises(UserError, match=r"^model\.trainable=\[\]: nothing is left to train"):
        LlavaOv("x", trainable=[]).train(loaded)


@pytest.mark.parametrize(("checkpointing", "runs"), [(False, 1), (True, 2)])
def test_activations_are_computed_again_only_where_that_is_asked_for(loaded, checkpointing, runs):
    # transformers checkpoints nothing in a model that is in eval mode, and says nothing about it.
    loaded = copy.deepcopy(loaded)
    LlavaOv("x").train(loaded)
    if checkpointing:
        loaded.model.activation_checkpointing_enable()
    counted = []
    inner = loaded.model.model
    for block in (inner.language_model.layers[0].mlp, inner.vision_tower.encoder.layers[0].mlp):
        block.register_forward_pre_hook(lambda *_: counted.append(1))
    features = loaded.features(loaded.see(torch.ones(2, 3, 32, 32)), [2], [(32, 32)])
    ids = torch.tensor(loaded.prompts([[("user", "What is this?", ((32, 32),))]]))
    loaded.logits(ids, None, features).sum().backward()
    assert len(counted) == 2 * runs


@pytest.mark.parametrize("trainable", ["full", "projector", "llm", "vision_tower", ["projector", "vision_tower"]])
def test_only_what_is_frozen_gives_up_float32(loaded, trainable):
    loaded = copy.deepcopy(loaded)
    model = LlavaOv("x", dtype="bfloat16", trainable=trainable)
    groups = model.train(loaded)
    assert {parameter.dtype for group in groups for parameter in group["params"]} == {torch.float32}
    others = [p for name, p in loaded.model.named_parameters() if loaded.part(name) not in model.trained]
    assert {parameter.dtype for parameter in others} <= {torch.bfloat16}
    features = loaded.features(loaded.see(torch.ones(2, 3, 32, 32)), [2], [(32, 32)])
    ids = torch.tensor(loaded.prompts([[("user", "What is this?", ((32, 32),))]]))
    loaded.logits(ids, None, features).float().sum().backward()
    assert all(parameter.grad is not None for group in groups for parameter in group["params"])
