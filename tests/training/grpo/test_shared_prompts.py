"""Shared prompts against transformers' own passes: the same log-probabilities, gradients and sampled answers."""

import pytest
import torch
from PIL import Image

from seke.models.llava_ov import LlavaOv
from seke.models.packed_attention import grouped
from seke.training.grpo import shared_prompts

QUESTIONS = ("What is it?", "Is it fear? What is it?")
GROUP = 3


@pytest.fixture(scope="module")
def batch(small):
    """The random model with plain attention, and two faces' prompts of different lengths, three times each."""
    loaded = LlavaOv(str(small / "model"), trainable=["projector", "llm"], attention="eager").load()
    pictures = [Image.open(small / f"{k}.png").convert("RGB") for k in range(2)]
    asked = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}] for text in QUESTIONS]
    texts = [loaded.processor.apply_chat_template(one, add_generation_prompt=True) for one in asked]
    rows = [k for k in range(2) for _ in range(GROUP)]
    inputs = loaded.processor(images=[pictures[k] for k in rows], text=[texts[k] for k in rows], padding=True,
                              padding_side="left", return_tensors="pt")  # fmt: skip
    images = {name: inputs[name] for name in ("pixel_values", "image_sizes")}
    assert not inputs["attention_mask"].all(), "one prompt is padded"
    return loaded, inputs["input_ids"], inputs["attention_mask"], images


def test_equal_prompts_are_found_wherever_they_stand(batch):
    _, ids, mask, images = batch
    dealt = torch.tensor([3, 0, 4, 1, 5, 2])
    found = shared_prompts.distinct(ids[dealt], mask[dealt], {name: values[dealt] for name, values in images.items()})
    assert len(found.ids_UP) == 2 and found.of_B.tolist() == [0, 1, 0, 1, 0, 1]
    assert torch.equal(found.ids_UP[found.of_B], ids[dealt])
    assert torch.equal(found.images["pixel_values"][found.of_B], images["pixel_values"][dealt])


def test_one_other_pixel_is_another_prompt(batch):
    _, ids, mask, images = batch
    pixels = images["pixel_values"].clone()
    pixels[1].view(-1)[-1] += 1e-3
    assert len(shared_prompts.distinct(ids, mask, {**images, "pixel_values": pixels}).ids_UP) == 3


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_entropies_and_gradients_against_hf(batch, temperature):
    loaded, ids, mask, images = batch
    model, draw = loaded.model, torch.Generator().manual_seed(0)
    answers = torch.randint(0, 300, (6, 5), generator=draw)
    kept = torch.tensor([[1] * n + [0] * (5 - n) for n in (5, 3, 1, 4, 5, 2)])
    weight = torch.randn(6, 5, generator=draw)

    def gradients(said):
        model.zero_grad()
        (said * weight * kept).sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    prompts = shared_prompts.distinct(ids, mask, images)
    said, entropies = shared_prompts.log_probabilities(model, prompts, answers, kept, temperature)
    ours = gradients(said)
    whole = model(input_ids=torch.cat([ids, answers], 1), attention_mask=torch.cat([mask, kept], 1), **images)
    logs = (whole.logits[:, ids.shape[1] - 1 : -1] / temperature).log_softmax(-1)
    theirs = logs.gather(-1, answers[..., None]).squeeze(-1)
    assert torch.allclose(said, theirs * kept, atol=1e-5)
    assert torch.allclose(entropies, -(logs.exp() * logs).sum(-1) * kept, atol=1e-4)
    for name, gradient in gradients(theirs).items():
        assert torch.allclose(ours[name], gradient, atol=1e-4 * max(1.0, float(gradient.abs().max()))), name


def test_samples_are_those_that_hf_generate_draws(batch):
    loaded, ids, mask, images = batch
    prompts = shared_prompts.distinct(ids, mask, images)
    ends = list(range(100))  # several answers of a random model end early
    torch.manual_seed(3)
    ours = shared_prompts.sample(loaded.model, prompts, 12, 1.3, ends)
    torch.manual_seed(3)
    theirs = loaded.model.generate(
        input_ids=ids, attention_mask=mask, **images, do_sample=True, temperature=1.3, top_k=0, top_p=1.0,
        max_new_tokens=12, eos_token_id=ends, pad_token_id=loaded.processor.tokenizer.pad_token_id,
    )[:, ids.shape[1] :].tolist()  # fmt: skip
    cut = [next((row[: k + 1] for k, token in enumerate(row) if token in ends), row) for row in theirs]
    assert ours == cut
    assert len({len(row) for row in ours}) > 2 and max(map(len, ours)) > min(map(len, ours)) + 2


def test_a_budget_of_one_token_is_one_token(batch):
    loaded, ids, mask, images = batch
    torch.manual_seed(0)
    found = shared_prompts.sample(loaded.model, shared_prompts.distinct(ids, mask, images), 1, 1.0, [])
    assert [len(row) for row in found] == [1] * 6


def test_heads_of_a_group_together_against_hf_eager_attention():
    from transformers.models.qwen2.modeling_qwen2 import eager_attention_forward

    torch.manual_seed(0)
    query, key, value = torch.randn(3, 6, 1, 8), torch.randn(3, 2, 7, 8), torch.randn(3, 2, 7, 8)
    mask = torch.zeros(3, 1, 1, 7)
    mask[0, ..., :3] = torch.finfo(torch.float32).min
    module = torch.nn.Module()
    module.num_key_value_groups = 3
    theirs, _ = eager_attention_forward(module, query, key, value, mask, scaling=0.3)
    assert torch.allclose(grouped(query, key, value, mask, 0.3), theirs, atol=1e-6)
