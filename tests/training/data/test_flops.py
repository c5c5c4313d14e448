"""FLOPs from sizes: against torch's own counter on the tiny models, part by part, and by what is frozen."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from seke.models.matrix_products import llava_onevision
from seke.models.tiny import instructblip, llava_ov
from seke.training.data import flops

TEXTS = ["What is it? A very grey face indeed."] * 3


@pytest.fixture(scope="module")
def llava():
    loaded = llava_ov.build_tiny(
        llava_ov.train_tokenizer(TEXTS, 400),
        image=32,
        patch=8,
        vision_width=32,
        vision_layers=2,
        width=48,
        layers=2,
        heads=4,
        feed_forward=80,
    )
    loaded.model.set_attn_implementation("eager")
    return loaded


@pytest.fixture(scope="module")
def blip():
    loaded = instructblip.build_tiny(
        instructblip.train_tokenizer(TEXTS, 400), instructblip.train_reader(TEXTS, 400),
        image=32, patch=8, vision_width=32, queries=4, reader_width=24, reader_layers=3, width=48, layers=2,
    )  # fmt: skip
    loaded.model.set_attn_implementation("eager")
    return loaded


def batch(loaded, contexts=()):
    """Two rows of one length: an image of several crops (or two images), text, and eight supervised positions."""
    sizes = [(40, 60)] if not contexts else [(32, 32)] * 2
    seen = [loaded.pixels(Image.new("RGB", (width, height))).crops for height, width in sizes]
    tokens = sum(map(loaded.image_tokens, sizes))
    image = getattr(loaded.model.config, "image_token_id", None) or loaded.model.config.image_token_index
    if contexts:
        ids = torch.tensor([[image] * (tokens // 2) + [7] * 12] * 2)
    else:
        ids = torch.tensor([[image] * tokens + [7] * 12, [7] * (tokens + 12)])
    keep = torch.zeros_like(ids, dtype=torch.bool)
    keep[:, -5:-1] = True
    return ids, keep, torch.cat(seen), [len(crops) for crops in seen], sizes, contexts


def count(loaded, case):
    """FLOPs of forward and backward as torch counts them."""
    ids, keep, vision, counts, sizes, contexts = case
    with FlopCounterMode(display=False) as counter:
        features = loaded.features(loaded.see(vision), counts, sizes, contexts)
        logits = loaded.logits(ids, None, features, keep)
        F.cross_entropy(logits.float(), ids.roll(-1, 1)[keep], reduction="sum").backward()
    return counter.get_total_flops()


def freed(loaded, parts):
    """Let `parts` be trained alone; say in which matrices are, and in which anything is."""
    trained, live = set(), set()
    for name, parameter in loaded.model.named_parameters():
        part = loaded.part(name)
        parameter.requires_grad_(part in parts)
        live |= {part} & set(parts)
        trained |= {part} & set(parts) if parameter.ndim > 1 else set()
    return trained, live


def eager(loaded, case):
    """The work of the batch where a kernel computes the whole square of every attention."""
    ids, keep, vision, _, _, contexts = case
    done = flops.work(len(vision), [ids.shape[1]] * len(ids), int(keep.sum()), [len(c) for c in contexts])
    return done._replace(pairs=len(ids) * ids.shape[1] ** 2)


ALL = ("vision_tower", "projector", "language_model")


@pytest.mark.parametrize(
    "parts",
    [ALL, ("projector", "language_model"), ("projector",), ("language_model",), ("vision_tower",)],
    ids="-".join,
)
def test_llava_onevision_against_torchs_counter(llava, parts):
    case = batch(llava)
    trained, live = freed(llava, parts)
    products = llava.products()
    ours = flops.training(products, eager(llava, case), trained, live)
    assert sum(ours.values()) == count(llava, case)


@pytest.mark.parametrize(
    "parts",
    [("qformer", "projector"), ("qformer", "projector", "ln_vision"), ("language_model",)],
    ids="-".join,
)
def test_instructblip_against_torchs_counter(blip, parts):
    case = batch(blip, contexts=[[1, 2, 3, 4, 5]] * 2)
    trained, live = freed(blip, parts)
    products = blip.products()
    ours = flops.training(products, eager(blip, case), trained, live)
    assert sum(ours.values()) == count(blip, case)


def test_each_part_forward_against_torchs_counter(llava):
    freed(llava, ())
    ids, keep, vision, counts, sizes, _ = case = batch(llava)
    products = llava.products()
    ours = flops.forward(products, eager(llava, case))
    with FlopCounterMode(display=False) as tower:
        states = llava.see(vision)
    with FlopCounterMode(display=False) as projector:
        features = llava.features(states, counts, sizes)
    with FlopCounterMode(display=False) as language_model:
        llava.logits(ids, None, features, keep)
    for part, counter in {"vision_tower": tower, "projector": projector, "language_model": language_model}.items():
        assert ours[part] == counter.get_total_flops(), part


def test_states_that_are_kept_cost_no_tower(llava):
    done = flops.Work(crops=3, tokens=9, pairs=45, supervised=2)
    whole = flops.forward(llava.products(), done)
    kept = flops.forward(flops.seen_before(llava.products()), done)
    assert {part: whole[part] for part in kept} == kept and set(whole) - set(kept) == {"vision_tower"}


def test_packing_costs_what_its_segments_cost():
    apart = flops.together([flops.work(2, [5], 2), flops.work(1, [9], 3)])
    assert flops.work([2, 1], [5, 9], 5) == apart
    assert flops.work([2, 1], [14], 5).pairs > apart.pairs


def test_the_7b_model_is_of_the_size_that_its_sheet_says():
    # 6.53 billion weights in Qwen2-7B's layers: two operations each, forward, a token.
    text = SimpleNamespace(hidden_size=3584, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
                           intermediate_size=18944, vocab_size=152128)  # fmt: skip
    vision = SimpleNamespace(hidden_size=1152, num_hidden_layers=26, intermediate_size=4304, image_size=384,
                             patch_size=14)  # fmt: skip
    config = SimpleNamespace(vision_config=vision, text_config=text)
    found = flops.forward(llava_onevision(config), flops.Work(tokens=1))["language_model"]
    assert found / 2 == pytest.approx(6.525e9, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA H100 PCIe", 756e12),
     ("NVIDIA GeForce RTX 4090", 165e12), ("NVIDIA GeForce GTX 1080", None)],
)  # fmt: skip
def test_a_devices_peak_is_found_by_its_name_or_not_known(name, peak):
    assert flops.peak(name) == peak
