"""The model against transformers' own paths: tokens, features, loss, batched answers, saved and loaded weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv, Loaded
from seke.models.llava_ov_processor import ImageOnlyProcessor
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

SIZES = [(32, 32), (20, 31), (64, 64), (40, 90), (96, 33), (200, 60), (33, 32)]


def picture(size, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (size[0] // 4 + 1, size[1] // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size[::-1])


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    tokenizer = train_tokenizer(["What is this? A face with AU12. system user assistant"] * 5, 400)
    return build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=2, width=32, layers=2, heads=2,
                      feed_forward=48)  # fmt: skip


@pytest.fixture(scope="module")
def saved(loaded, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    loaded.save(path)
    return path


def features(loaded, pixels):
    return loaded.features(loaded.see(pixels.crops), [len(pixels.crops)], [pixels.size])


@pytest.mark.parametrize("size", SIZES)
def test_anyres_features_against_transformers(loaded, size):
    model = Loaded(loaded.model, loaded.processor, "x")
    inputs = loaded.processor.image_processor([picture(size)], return_tensors="pt")
    theirs = loaded.model.get_image_features(inputs["pixel_values"], inputs["image_sizes"]).pooler_output
    torch.testing.assert_close(features(model, model.pixels(picture(size)))[0], theirs[0])


def test_base_view_against_transformers_multi_image_path(loaded):
    # transformers shows the base view alone only to samples of several images.
    inputs = loaded.processor.image_processor([[picture((32, 32), 1), picture((32, 32), 2)]], return_tensors="pt")
    theirs = loaded.model.get_image_features(
        inputs["pixel_values"], inputs["image_sizes"], batch_num_images=inputs["batch_num_images"]
    ).pooler_output
    for seed, features_TH in zip((1, 2), theirs, strict=True):
        states = loaded.see(loaded.pixels(picture((32, 32), seed)).crops)
        torch.testing.assert_close(loaded.features(states[:1], [1], [(32, 32)])[0], features_TH)


def test_loss_against_plain_transformers(loaded):
    model = Loaded(loaded.model, loaded.processor, "x")
    pixels = model.pixels(picture((40, 90)))
    [(ids, supervised, _)] = model.encode(
        [[("user", "What is this?", ((40, 90),)), ("assistant", "A face with AU12.", ())]]
    )
    labels = torch.where(torch.tensor(supervised), torch.tensor(ids), -100)[None]
    inputs = loaded.processor.image_processor([picture((40, 90))], return_tensors="pt")
    theirs = loaded.model(
        input_ids=torch.tensor([ids]), pixel_values=inputs["pixel_values"], image_sizes=inputs["image_sizes"],
        labels=labels,
    ).loss  # fmt: skip
    keep = torch.tensor([[*supervised[1:], False]])
    logits = model.logits(torch.tensor([ids]), None, features(model, pixels), keep)
    ours = torch.nn.functional.cross_entropy(logits, torch.tensor(ids)[torch.tensor(supervised)])
    torch.testing.assert_close(ours, theirs)
    full = model.logits(torch.tensor([ids]), None, features(model, pixels))
    torch.testing.assert_close(logits, full[keep])


def test_saved_model_gives_equal_logits_with_us_and_with_plain_transformers(loaded, saved):
    from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

    again = LlavaOv(str(saved)).load()
    pixels = loaded.pixels(picture((32, 32)))
    tokens = loaded.image_tokens((32, 32))
    assert tokens == 16 + 4 * 5
    prompt = loaded.prompts([[("user", "What is this?", ((32, 32),))]])
    assert again.prompts([[("user", "What is this?", ((32, 32),))]]) == prompt
    ids = torch.tensor(prompt)
    before = loaded.logits(ids, None, features(loaded, pixels))
    torch.testing.assert_close(
        again.logits(ids, None, features(again, again.pixels(picture((32, 32))))), before, rtol=0, atol=0
    )
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(saved)
    assert plain.generation_config.eos_token_id == again.end
    assert (
        AutoTokenizer.from_pretrained(saved)("A face")["input_ids"] == loaded.processor.tokenizer("A face")["input_ids"]
    )
    assert isinstance(again.processor, ImageOnlyProcessor)
    assert not list(saved.glob("*.bin"))
    assert (saved / "chat_template.jinja").is_file()


def test_a_system_turn_is_in_training_in_the_checkpoint_and_in_every_answer(loaded, saved, tmp_path):
    from transformers import AutoTokenizer

    helpful = "You are a helpful assistant."
    talk = [("user", "What is this?", ((32, 32),)), ("assistant", "A face.", ())]
    plain, trained = LlavaOv(str(saved)).load(), LlavaOv(str(saved), system=helpful).load()
    assert plain.encode([talk]) == loaded.encode([talk]), "a checkpoint without one is as ever"
    assert trained.encode([talk]) == plain.encode([[("system", helpful, ()), *talk]])
    trained.save(tmp_path / "trained")
    again = LlavaOv(str(tmp_path / "trained")).load()
    assert again.prompts([talk[:1]]) == trained.prompts([talk[:1]]) != plain.prompts([talk[:1]])
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
    told = AutoTokenizer.from_pretrained(tmp_path / "trained").apply_chat_template(
        [message], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert [told] == again.prompts([[("user", "What is this?", ())]])
    assert LlavaOv(str(tmp_path / "trained"), system="").load().encode([talk]) == plain.encode([talk])


def test_a_system_turn_is_a_text():
    with pytest.raises(UserError, match=r"model\.system=5: no text"):
        LlavaOv("x", system=5)


def test_an_exact_tile_is_preprocessed_as_the_processor_does(loaded):
    ours = loaded.pixels(picture((32, 32))).crops
    theirs = loaded.processor.image_processor([picture((32, 32))], return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [(32, 32), (20, 20), (20, 31), (40, 90)])
def test_equal_crops_are_seen_once_and_alike(loaded, size, monkeypatch):
    crops = torch.cat([loaded.pixels(picture(size, seed)).crops for seed in (1, 2)])
    shown = []
    states = loaded._states
    monkeypatch.setattr(Loaded, "_states", lambda self, some: shown.append(len(some)) or states(some))
    twice = loaded.see(crops)
    with torch.no_grad():
        once = loaded.see(crops)
    torch.testing.assert_close(once, twice)
    assert shown == [len(crops), 2 if size[0] == size[1] else len(crops)]


def test_parts_are_frozen_and_have_their_own_learning_rates(loaded):
    groups = LlavaOv("x", trainable=["vision_tower", "llm"], lr=1e-5, lr_of={"vision_tower": 2e-6}).train(loaded)
    assert {group["name"]: group["lr"] for group in groups} == {"vision_tower": 2e-6, "language_model": 1e-5}
    free = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    assert not any("multi_modal_projector" in name or "post_layernorm" in name for name in free)
    assert "model.image_newline" in free
    assert sum(len(group["params"]) for group in groups) == len(free)


def test_a_directory_with_broken_files_is_a_users_mistake(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"^model\.path=.*cannot be loaded"):
        LlavaOv(str(tmp_path)).load()


def test_weights_keep_their_type_and_rotary_frequencies_stay_float32(saved):
    model = LlavaOv(str(saved), dtype="bfloat16").load().model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    frequencies = [buffer for name, buffer in model.named_buffers() if "inv_freq" in name]
    assert frequencies and {buffer.dtype for buffer in frequencies} == {torch.float32}
    assert json.loads((saved / "config.json").read_text())["dtype"] == "float32"
