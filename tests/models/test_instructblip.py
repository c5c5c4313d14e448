"""InstructBLIP against transformers' own model and processor: ids, features, loss, answers, what trains, files."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from seke.core.errors import UserError
from seke.models.instructblip import InstructBlip, Loaded
from seke.models.tiny.instructblip import build_tiny, train_reader, train_tokenizer
from seke.models.tiny.llava_ov import build_tiny as build_llava
from seke.models.tiny.llava_ov import train_tokenizer as train_llava

WORDS = ["What is this? A face of joy, quite calm. Predict emotion: awe. Be brief. Why? Because it smiles."] * 5
ASK, SAY = "What is this?", "A face of joy."


def picture(size=(32, 32), seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size[::-1])


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return build_tiny(train_tokenizer(WORDS, 400), train_reader(WORDS, 200), image=32, patch=8, vision_width=32,
                      vision_layers=2, queries=4, reader_width=24, width=32, layers=2)  # fmt: skip


@pytest.fixture(scope="module")
def saved(loaded, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    loaded.save(path)
    return path


@pytest.fixture
def fresh(saved) -> Loaded:
    return InstructBlip(str(saved)).load()


def features(loaded, pixels, contexts=()):
    crops = torch.cat([seen.crops for seen in pixels])
    return loaded.features(loaded.see(crops), [1] * len(pixels), [seen.size for seen in pixels], contexts)


def test_ids_against_transformers_processor(loaded):
    theirs = loaded.processor(images=picture(), text=ASK)
    [prompt] = loaded.prompts([[("user", ASK, ((40, 90),))]])
    [encoded] = loaded.encode([[("user", ASK, ((40, 90),)), ("assistant", SAY, ())]])
    assert prompt == theirs["input_ids"][0]
    assert list(encoded.context) == theirs["qformer_input_ids"][0]
    answer = loaded.processor.tokenizer(SAY)["input_ids"][1:]
    assert encoded.ids == prompt + answer + [loaded.end]
    assert prompt[:5] == [loaded.text.image] * 4 + [loaded.processor.tokenizer.bos_token_id]


def test_answers_and_their_end_carry_loss_in_every_turn(loaded):
    shown = ((40, 90),)
    turns = [("system", "Be brief.", ()), ("user", ASK, shown), ("assistant", SAY, ()), ("user", "Why?", shown),
             ("assistant", "Because it smiles.", ())]  # fmt: skip
    [encoded] = loaded.encode([turns])
    decode = loaded.processor.tokenizer.decode
    supervised = [id for id, kept in zip(encoded.ids, encoded.supervised, strict=True) if kept]
    assert decode(supervised) == "A face of joy.</s> Because it smiles.</s>"
    assert decode(encoded.ids[8:]) == "</s> Be brief.\nWhat is this? A face of joy.</s> Why? Because it smiles.</s>"
    assert encoded.ids[:8] == [loaded.text.image] * 8
    assert loaded.processor.qformer_tokenizer.decode(encoded.context) == "[CLS] be brief. what is this? [SEP]"
    assert loaded.contexts([turns[:2]]) == [encoded.context]


def test_special_tokens_in_a_text_stay_text(loaded):
    [encoded] = loaded.encode([[("user", "<image> </s> [SEP]", ((40, 90),)), ("assistant", "</s>", ())]])
    assert encoded.ids.count(loaded.text.image) == 4
    assert encoded.ids.count(loaded.end) == 2
    assert list(encoded.context).count(loaded.processor.qformer_tokenizer.sep_token_id) == 1


def test_a_long_instruction_is_cut_for_the_qformer_only(loaded):
    long = "Why? " * 300 + ASK
    [encoded] = loaded.encode([[("user", long, ((40, 90),)), ("assistant", SAY, ())]])
    assert len(encoded.context) == 256 and len(encoded.ids) > 300
    [found] = features(loaded, [loaded.pixels(picture())], [encoded.context])
    assert found.isfinite().all()


def test_another_models_label_mask_is_refused(loaded):
    with pytest.raises(UserError, match=r"^data\.label_mask=llava_next"):
        loaded.encode([[("user", ASK, ((40, 90),))]], "llava_next")


@pytest.mark.parametrize("size", [(32, 32), (20, 77), (90, 33)])
def test_image_tokens_and_pixels_against_transformers_processor(loaded, size):
    theirs = loaded.processor(images=picture(size), text=ASK, return_tensors="pt")
    pixels = loaded.pixels(picture(size))
    torch.testing.assert_close(pixels.crops, theirs["pixel_values"], rtol=0, atol=0)
    assert pixels.size == size
    assert loaded.image_tokens(size) == len(features(loaded, [pixels])[0]) == 4
    assert int((theirs["input_ids"] == loaded.text.image).sum()) == 4


def test_logits_and_loss_against_plain_transformers(loaded):
    size, turns = (40, 90), [("user", ASK, ((40, 90),)), ("assistant", SAY, ())]
    [encoded] = loaded.encode([turns])
    ids, supervised = torch.tensor([encoded.ids]), torch.tensor([encoded.supervised])
    given = loaded.processor(images=picture(size), text=ASK, return_tensors="pt")
    theirs = loaded.model(
        pixel_values=given["pixel_values"], qformer_input_ids=given["qformer_input_ids"],
        qformer_attention_mask=given["qformer_attention_mask"], input_ids=ids,
        labels=torch.where(supervised, ids, -100),
    )  # fmt: skip
    seen = features(loaded, [loaded.pixels(picture(size))], [encoded.context])
    torch.testing.assert_close(loaded.logits(ids, None, seen), theirs.logits)
    keep = supervised.roll(-1, 1)
    keep[:, -1] = False
    kept = loaded.logits(ids, None, seen, keep)
    torch.testing.assert_close(F.cross_entropy(kept, ids[supervised]), theirs.loss)


def test_images_of_a_batch_are_read_under_their_own_instructions(loaded):
    pixels = [loaded.pixels(picture(seed=k)) for k in range(3)]
    contexts = loaded.contexts([[("user", ask, ())] for ask in (ASK, "Why? Because it smiles. Predict emotion", "")])
    together = features(loaded, pixels, contexts)
    for k in range(3):
        torch.testing.assert_close(together[k], features(loaded, [pixels[k]], [contexts[k]])[0])
    torch.testing.assert_close(together[2], features(loaded, [pixels[2]])[0])
    assert not torch.allclose(together[0], features(loaded, [pixels[0]], [contexts[1]])[0])


def test_answers_against_transformers_generate(loaded):
    sizes, asks = [(32, 32), (40, 90), (20, 31)], [ASK, "Why? Because it smiles.", "Predict emotion:"]
    turns = [[("user", ask, ((40, 90),))] for ask in asks]
    seen = features(loaded, [loaded.pixels(picture(s, k)) for k, s in enumerate(sizes)], loaded.contexts(turns))
    ours = loaded.generate(loaded.prompts(turns), seen, max_new_tokens=10)
    for k, ask in enumerate(asks):
        given = loaded.processor(images=picture(sizes[k], k), text=ask, return_tensors="pt")
        theirs = loaded.model.generate(**given, max_new_tokens=10, do_sample=False)[0, given["input_ids"].shape[1] :]
        assert ours[k, : len(theirs)].tolist() == theirs.tolist()


QFORMER_LAYER = [
    *[f"attention.attention.{n}" for n in ("query", "key", "value")], "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
    "intermediate_query.dense", "output_query.dense", "output_query.LayerNorm",
]  # fmt: skip
CROSS = [name.replace("attention", "crossattention", 1) for name in QFORMER_LAYER[:5]]
ENDS = ("weight", "bias")
TRAINED = {
    "query_tokens", "language_projection.weight", "language_projection.bias",
    "qformer.embeddings.word_embeddings.weight", "qformer.embeddings.position_embeddings.weight",
    "qformer.embeddings.layernorm.weight", "qformer.embeddings.layernorm.bias",
    *[f"qformer.encoder.layer.{k}.{name}.{end}" for k in (0, 1) for name in QFORMER_LAYER for end in ENDS],
    *[f"qformer.encoder.layer.0.{name}.{end}" for name in CROSS for end in ENDS],
}  # fmt: skip
LN_VISION = {"vision_model.post_layernorm.weight", "vision_model.post_layernorm.bias"}


@pytest.mark.parametrize("ln_vision", [False, True])
@pytest.mark.parametrize("blind", [False, True])
def test_gradients_reach_exactly_qformer_queries_and_projection(fresh, ln_vision, blind):
    groups = InstructBlip("x", ln_vision=ln_vision).train(fresh)
    expected = TRAINED | LN_VISION if ln_vision else TRAINED
    states = fresh.nothing(True) if blind else fresh.see(fresh.pixels(picture()).crops)
    [encoded] = fresh.encode([[("user", ASK, ((40, 90),)), ("assistant", SAY, ())]])
    seen = fresh.features(states, [1], [(32, 32)], [()] if blind else [encoded.context])
    fresh.logits(torch.tensor([encoded.ids]), None, seen).logsumexp(-1).sum().backward()
    parameters = dict(fresh.model.named_parameters())
    assert {name for name, parameter in parameters.items() if parameter.requires_grad} == expected
    assert {name for name, parameter in parameters.items() if parameter.grad is not None} == expected
    assert sum(len(group["params"]) for group in groups) == len(expected)
    assert {group["name"] for group in groups} == {"qformer", "projector", *(["ln_vision"] if ln_vision else [])}


def test_only_the_qformer_is_in_training_mode(fresh):
    InstructBlip("x", ln_vision=True).train(fresh)
    training = {name for name, module in fresh.model.named_modules() if module.training}
    assert training == {name for name, _ in fresh.model.named_modules() if name.startswith("qformer")}
    pixels = [fresh.pixels(picture())]
    assert not torch.equal(features(fresh, pixels)[0], features(fresh, pixels)[0])


def test_parts_may_have_their_own_learning_rates(fresh):
    groups = InstructBlip("x", lr=1e-5, lr_of={"projector": 1e-4}).train(fresh)
    assert {group["name"]: group["lr"] for group in groups} == {"qformer": 1e-5, "projector": 1e-4}
    with pytest.raises(UserError, match=r"^model\.lr_of=ln_vision"):
        InstructBlip("x", lr_of={"ln_vision": 1e-4})


def test_frozen_weights_may_be_bfloat16_beside_a_float32_qformer(saved):
    model = InstructBlip(str(saved), dtype="bfloat16")
    loaded = model.load(dtype="float32")
    model.train(loaded)
    types = {loaded.part(name): parameter.dtype for name, parameter in loaded.model.named_parameters()}
    assert types["language_model"] == types["vision_tower"] == torch.bfloat16 and types["qformer"] == torch.float32
    seen = features(loaded, [loaded.pixels(picture())])
    logits = loaded.logits(torch.tensor([[loaded.text.image] * 4 + [0, 5]]), None, seen)
    logits.float().sum().backward()
    assert loaded.model.query_tokens.grad.dtype == torch.float32
    assert all(b.dtype == torch.float32 for name, b in loaded.model.named_buffers() if "inv_freq" in name)


def test_fingerprint_changes_with_the_vit_and_the_preprocessing_alone(fresh, saved):
    before = fresh.fingerprint()
    assert InstructBlip(str(saved)).load().fingerprint() == before
    with torch.no_grad():
        fresh.model.query_tokens.add_(1)
        fresh.model.vision_model.post_layernorm.weight.add_(1)
    assert fresh.fingerprint() == before
    fresh.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    other = fresh.fingerprint()
    with torch.no_grad():
        fresh.model.vision_model.embeddings.class_embedding.add_(1e-3)
    assert len({before, other, fresh.fingerprint()}) == 3


def test_saved_model_answers_alike_with_plain_transformers(loaded, saved):
    model = InstructBlipForConditionalGeneration.from_pretrained(saved)
    processor = InstructBlipProcessor.from_pretrained(saved)
    given = processor(images=picture(), text=ASK, return_tensors="pt")
    turns = [[("user", ASK, ((40, 90),))]]
    seen = features(loaded, [loaded.pixels(picture())], loaded.contexts(turns))
    ours = loaded.generate(loaded.prompts(turns), seen, max_new_tokens=10)
    theirs = model.generate(**given, max_new_tokens=10, do_sample=False)[0, given["input_ids"].shape[1] :]
    assert ours[0, : len(theirs)].tolist() == theirs.tolist()
    assert model.language_model.generation_config.eos_token_id == loaded.end
    again = InstructBlip(str(saved)).load()
    for name, weight in loaded.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weight, rtol=0, atol=0)
    assert not list(saved.glob("*.bin"))


def test_a_tiny_model_is_built_alike_every_time():
    one, other = (
        build_tiny(train_tokenizer(WORDS, 400), train_reader(WORDS, 60), vision_layers=1, layers=1) for _ in range(2)
    )
    assert one.processor.tokenizer.get_vocab() == other.processor.tokenizer.get_vocab()
    assert one.processor.qformer_tokenizer.get_vocab() == other.processor.qformer_tokenizer.get_vocab()
    weights = other.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in one.model.state_dict().items())
    assert len(one.model.query_tokens[0].unique(dim=0)) == 8


def test_a_checkpoint_of_another_architecture_is_refused_in_one_line(tmp_path):
    build_llava(train_llava(WORDS, 400), image=32, patch=8, vision_width=16, vision_layers=1, width=16, layers=1,
                heads=2, feed_forward=16).save(tmp_path)  # fmt: skip
    named = "a checkpoint of LlavaOnevisionForConditionalGeneration, not of instructblip"
    with pytest.raises(UserError, match=rf"^model\.path=.*{named}") as said:
        InstructBlip(str(tmp_path)).load()
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"model_type": "llama"', '"model_type": "t5"', "encoder-decoder"),
        ('"image_token_index": 3', '"image_token_index": 2', "image token 2"),
    ],
)
def test_a_checkpoint_that_cannot_work_is_refused(saved, tmp_path, before, after, said):
    for file in saved.rglob("*.json*"):
        target = tmp_path / file.relative_to(saved)
        target.parent.mkdir(exist_ok=True)
        target.write_text(file.read_text().replace(before, after) if file.name == "config.json" else file.read_text())
    (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    assert (tmp_path / "config.json").read_text() != (saved / "config.json").read_text()
    with pytest.raises(UserError, match=f"^model\\.path=.*{said}"):
        InstructBlip(str(tmp_path)).load()
