"""Packed attention: no conversation of a pack sees another, and what is not packed stays as it was."""

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from transformers import LlavaOnevisionForConditionalGeneration

from seke.models import packed_attention
from seke.models.llava_ov import LlavaOv
from seke.models.packed_attention import by_segment, fused, install
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

LENGTHS = [9, 9, 4, 1, 13, 1, 1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["What is this? A face with AU12. system user assistant"] * 5, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=2, width=48, layers=3, heads=4,
               feed_forward=48).save(path)  # fmt: skip
    return path


@pytest.fixture(params=["sdpa", "eager"])
def loaded(saved, request):
    return LlavaOv(str(saved), attention=request.param).load()


def text(lengths, seed=0):
    """One row of ordinary token ids per length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(10, 200, (1, length), generator=generator) for length in lengths]


def seen(loaded, images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(16 + 1, loaded.model.config.text_config.hidden_size, generator=generator) for _ in images]


def looking(loaded, length, seed=0):
    """A row that begins with an image of 17 tokens."""
    image = torch.full((1, 17), loaded.model.config.image_token_id)
    return torch.cat([image, *text([length], seed)], dim=1)


def packed(loaded, rows, features=(), keep=None):
    return loaded.logits(torch.cat(rows, dim=1), None, list(features), keep, [row.shape[1] for row in rows])


def test_a_pack_equals_its_conversations_alone(loaded):
    rows = text(LENGTHS)
    alone = torch.cat([loaded.logits(row, None, []) for row in rows], dim=1)
    torch.testing.assert_close(packed(loaded, rows), alone, rtol=1e-5, atol=1e-5)


def test_a_pack_of_seeing_and_blind_conversations_equals_them_alone(loaded):
    rows = [looking(loaded, 6), *text([12, 3]), looking(loaded, 2, seed=1)]
    features = seen(loaded, "ab")
    alone = [loaded.logits(row, None, own) for row, own in zip(rows, [features[:1], [], [], features[1:]], strict=True)]
    torch.testing.assert_close(packed(loaded, rows, features), torch.cat(alone, dim=1), rtol=1e-5, atol=1e-5)


def test_changing_a_sample_leaves_its_neighbours_bit_identical(loaded):
    middle, last = text([17 + 5, 8], seed=3)
    before = packed(loaded, [looking(loaded, 5), middle, last], seen(loaded, "a", seed=1))
    after = packed(loaded, [looking(loaded, 5, seed=9), middle, last], seen(loaded, "a", seed=2))
    assert torch.equal(before[:, 22:], after[:, 22:])
    assert not torch.equal(before[:, :22], after[:, :22])
    first = packed(loaded, [middle, looking(loaded, 5), last], seen(loaded, "a", seed=1))
    assert torch.equal(
        first[:, :22], packed(loaded, [middle, looking(loaded, 5), text([8])[0]], seen(loaded, "a", seed=2))[:, :22]
    )


def test_a_samples_loss_has_no_gradient_at_its_neighbours(loaded):
    features = [feature.requires_grad_() for feature in seen(loaded, "ab")]
    out = packed(loaded, [looking(loaded, 5), looking(loaded, 5, seed=1)], features)
    out[:, 22:].square().sum().backward()
    assert not features[0].grad.any() and features[1].grad.any()


def test_gradients_equal_those_of_the_conversations_alone(loaded):
    rows = text(LENGTHS)
    loaded.model.double()

    def gradients(outs):
        loaded.model.zero_grad()
        sum(out.square().sum() for out in outs).backward()
        found = {name: p.grad.clone() for name, p in loaded.model.named_parameters() if p.grad is not None}
        assert found
        return found

    one = gradients([packed(loaded, rows)])
    other = gradients([loaded.logits(row, None, []) for row in rows])
    assert one.keys() == other.keys()
    scale = max(gradient.abs().max().item() for gradient in other.values())
    for name in one:  # eager's softmax is float32 even here
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6 * scale, msg=name)


def test_activation_checkpointing_recomputes_the_pack_and_not_one_long_conversation(saved):
    rows = text(LENGTHS)

    def gradient(checkpointing):
        loaded = LlavaOv(str(saved)).load()
        if checkpointing:
            loaded.model.train()
            loaded.model.activation_checkpointing_enable()
        packed(loaded, rows).square().sum().backward()
        return loaded.model.model.language_model.layers[0].self_attn.k_proj.weight.grad

    torch.testing.assert_close(gradient(True), gradient(False))


def test_no_mask_is_made_for_a_pack(loaded, monkeypatch):
    def made(*_, **__):
        raise AssertionError("L x L")

    monkeypatch.setattr("transformers.models.qwen2.modeling_qwen2.create_causal_mask", made)
    packed(loaded, text([5, 3]))
    with pytest.raises(AssertionError, match="L x L"):
        loaded.logits(text([5])[0], None, [])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_against_plain_transformers(saved, loaded, side):
    name = loaded.model.config.text_config._attn_implementation.removeprefix("packed_")
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(saved, attn_implementation=name).eval()
    ids = torch.cat(text([12, 12]))
    attention = torch.ones(2, 12, dtype=torch.long)
    attention[1, :5] = 0
    attention = attention if side == "left" else attention.flip(1)
    ours = loaded.logits(ids, attention, [])
    assert torch.equal(ours, plain(input_ids=ids, attention_mask=attention, use_cache=False).logits)
    assert torch.equal(loaded.logits(ids, None, []), plain(input_ids=ids, use_cache=False).logits)


def test_answers_against_plain_transformers(saved, loaded):
    name = loaded.model.config.text_config._attn_implementation.removeprefix("packed_")
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(saved, attn_implementation=name).eval()
    ids, attention = torch.cat(text([12, 12])), torch.ones(2, 12, dtype=torch.long)
    attention[1, :5] = 0
    settings = {"max_new_tokens": 9, "do_sample": False, "output_scores": True, "return_dict_in_generate": True}
    ours, theirs = (
        model.generate(input_ids=ids, attention_mask=attention, **settings) for model in (loaded.model, plain)
    )
    assert torch.equal(ours.sequences, theirs.sequences)
    assert all(torch.equal(one, other) for one, other in zip(ours.scores, theirs.scores, strict=True))


def test_only_the_language_model_reads_packs(loaded):
    config = loaded.model.config
    assert config.text_config._attn_implementation.startswith("packed_")
    assert config.vision_config._attn_implementation in ("sdpa", "eager")
    assert loaded.packs


def test_nothing_of_it_is_saved(loaded, tmp_path):
    loaded.save(tmp_path)
    assert "packed" not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


@pytest.mark.parametrize(
    ("attention", "can"), [("flash_attention_2", True), ("flash_attention_3", True), ("flex_attention", False)]
)
def test_other_attentions_are_left_alone(attention, can):
    model = SimpleNamespace(config=SimpleNamespace(text_config=SimpleNamespace(_attn_implementation=attention)))
    assert install(model) is can
    assert model.config.text_config._attn_implementation == attention


def heads(lengths, query=4, key=2, width=8, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, sum(lengths), width) for count in (query, key, key)]
    return [torch.randn(shape, generator=generator).to(device, dtype).requires_grad_() for shape in shapes]


def bounds(lengths, device="cpu"):
    return torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)


def plain_varlen(query, key, value, cu_q, cu_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """torch's varlen_attn in a few lines, for any device: (L, H, D), causal as (-1, 0) says."""
    assert window_size == (-1, 0) and enable_gqa and max_q == max_k == int(cu_q.diff().max())
    assert query.dtype == key.dtype == value.dtype and cu_k.dtype == torch.int32
    outs = []
    for start, stop in pairwise(cu_q.tolist()):
        q, k, v = (whole[start:stop].transpose(0, 1) for whole in (query, key, value))
        k, v = (part.repeat_interleave(len(q) // len(part), dim=0) for part in (k, v))
        outs.append(
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale).transpose(0, 1)
        )
    return torch.cat(outs)


def test_fused_hands_the_kernel_what_segments_would_compute(monkeypatch):
    # The kernel itself runs on GPUs only; this holds its layout, its causality and its scale.
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", plain_varlen)
    query, key, value = heads(LENGTHS)
    module = SimpleNamespace(num_key_value_groups=2)
    found = fused(query.double(), key.double(), value, bounds(LENGTHS), max(LENGTHS), 0.3)
    torch.testing.assert_close(found, by_segment(module, query, key, value, LENGTHS, scaling=0.3))


def test_fused_fits_the_signature_of_torchs_kernel():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        query, key, value = (torch.empty(1, count, 38, 16, dtype=torch.bfloat16) for count in (4, 2, 2))
        out = fused(query.float(), key.float(), value, torch.empty(8, dtype=torch.int32), 13, 0.25)
        assert out.shape == (1, 38, 4, 16) and out.dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel needs a GPU")
def test_fused_against_segments_on_a_gpu():
    lengths = [700, 700, 33, 1, 1200]
    query, key, value = heads(lengths, 14, 2, 64, torch.bfloat16, "cuda")
    module = SimpleNamespace(num_key_value_groups=7)
    one = fused(query, key, value, bounds(lengths, "cuda"), max(lengths), 64**-0.5)
    other = by_segment(module, query, key, value, lengths, scaling=64**-0.5)
    torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
    gradients = [torch.autograd.grad(out.float().square().sum(), (query, key, value)) for out in (one, other)]
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize(
    ("device", "dtype", "dropout", "kernel"),
    [
        ("cuda", torch.bfloat16, 0.0, True),
        ("cuda", torch.float32, 0.0, False),
        ("cuda", torch.bfloat16, 0.1, False),
        ("cpu", torch.bfloat16, 0.0, False),
    ],
)
def test_the_kernel_runs_where_it_can(monkeypatch, device, dtype, dropout, kernel):
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(packed_attention, "fused", lambda *_: "kernel")
    monkeypatch.setattr(packed_attention, "by_segment", lambda *_, **__: "segments")
    with FakeTensorMode():
        three = [torch.empty(1, 2, 8, 16, dtype=dtype, device=device)] * 3
    attention = packed_attention.AttentionInterface()["packed_sdpa"]
    found, _ = attention(None, *three, None, scaling=1.0, dropout=dropout, cu_seq_lens_q=torch.tensor([0, 5, 8]))
    assert found == ("kernel" if kernel else "segments")
