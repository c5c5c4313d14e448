"""LoRA: only adapters train, they start as nothing, and a saved model holds their product instead of them."""

import copy

import pytest
import torch

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.lora import LINEAR
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

pytest.importorskip("peft")
LORA = {"r": 4, "alpha": 8}


@pytest.fixture(scope="module")
def fresh():
    tokenizer = train_tokenizer(["What is this? A face with AU12."] * 5, 400)
    return build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=2, heads=2,
                      feed_forward=48)  # fmt: skip


@pytest.fixture
def loaded(fresh):
    return copy.deepcopy(fresh)


def logits(loaded):
    ids = torch.tensor(loaded.prompts([[("user", "What is this?", ((32, 32),))]]))
    features = loaded.features(loaded.see(torch.ones(2, 3, 32, 32)), [2], [(32, 32)])
    return loaded.logits(ids, None, features)


def stirred(loaded):
    """The same model, its adapters no longer zero."""
    torch.manual_seed(3)
    for name, parameter in loaded.model.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return loaded


def test_only_adapters_of_the_language_model_train(loaded):
    model = LlavaOv("x", trainable="llm", lora=LORA, lr=1e-4)
    [group] = model.train(loaded)
    free = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    assert group["name"] == "language_model" and group["lr"] == 1e-4
    assert len(group["params"]) == len(free) == 2 * len(LINEAR) * 2
    assert all(name.startswith("model.language_model.") and ".lora_" in name for name in free)


def test_other_parts_train_beside_the_adapters(loaded):
    model = LlavaOv("x", trainable="projector", lora=LORA)
    assert {group["name"] for group in model.train(loaded)} == set(model.trained) == {"projector", "language_model"}
    assert not loaded.model.model.image_newline.requires_grad


def test_adapters_start_as_nothing(fresh, loaded):
    before = logits(fresh)
    LlavaOv("x", lora=LORA).train(loaded)
    torch.testing.assert_close(logits(loaded), before, rtol=0, atol=0)


def test_saved_the_adapters_have_become_part_of_the_weights(fresh, loaded, tmp_path):
    fresh.save(tmp_path / "plain")
    LlavaOv("x", lora=LORA).train(loaded)
    tuned = logits(stirred(loaded))
    loaded.save(tmp_path / "tuned")
    again = LlavaOv(str(tmp_path / "tuned")).load()
    plain = LlavaOv(str(tmp_path / "plain")).load()
    assert again.model.state_dict().keys() == plain.model.state_dict().keys()
    assert (tuned - logits(fresh)).abs().max() > 0.01
    torch.testing.assert_close(logits(again), tuned, rtol=1e-4, atol=1e-5)


def test_adapters_are_float32_whatever_the_weights_are(loaded):
    [group] = LlavaOv("x", dtype="bfloat16", trainable="llm", lora=LORA).train(loaded)
    assert {parameter.dtype for parameter in group["params"]} == {torch.float32}
    assert loaded.model.lm_head.weight.dtype == torch.bfloat16


def test_dropout_acts_on_the_adapters_and_not_when_answering(loaded):
    LlavaOv("x", lora=LORA | {"dropout": 0.5}).train(loaded)
    stirred(loaded)
    assert not torch.equal(logits(loaded), logits(loaded))
    loaded.model.eval()
    assert torch.equal(logits(loaded), logits(loaded))


@pytest.mark.parametrize(
    ("lora", "said"),
    [({"r": 0}, r"model\.lora\.r=0"), ({"rank": 4}, r"model\.lora=rank"), ({"targets": ["head"]}, r"targets=head")],
)
def test_a_mistake_in_its_settings_is_a_users_mistake(lora, said):
    with pytest.raises(UserError, match=said):
        LlavaOv("x", lora=lora)
