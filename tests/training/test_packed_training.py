"""What a pack teaches: loss and gradients of padded batches and of samples alone, over ranks and accumulated packs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaOnevisionForConditionalGeneration

from seke.core.errors import UserError
from seke.core.runs import Run
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.data.dataset import Sample
from seke.training.data.mixture import Data
from seke.training.data.pictures import Vision
from seke.training.data.samplers import EMPTY, FILLER, Packs, collate, collate_pack
from seke.training.module import Sft
from seke.training.settings import Training
from seke.training.train import fit

SIZES = [(32, 32), (40, 90), None, (64, 64), (20, 31), None, (96, 33), (32, 32)]
"""Height and width of each sample's image; None: it is only text."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["What is it? A very grey face indeed."] * 3, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=2, heads=4,
               feed_forward=48).save(path / "model")  # fmt: skip
    return path


def picture(size, seed):
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def loaded(base):
    return LlavaOv(str(base / "model")).load()


@pytest.fixture
def items(loaded):
    """Samples with their images, of all the lengths that answers and AnyRes make of them."""
    made = []
    for k, size in enumerate(SIZES):
        shown = () if size is None else (size,)
        answer = " ".join(["A", *["very"] * (k % 3), "grey face."])
        [(ids, supervised, _)] = loaded.encode([[("user", "What is it?", shown), ("assistant", answer, ())]])
        seen = [] if size is None else [Vision(*loaded.pixels(picture(size, k)))]
        made.append((Sample(str(k), ids, supervised, tuple(range(len(seen)))), seen))
    return made


def gradients(module, loss):
    """Gradients of all that is trained."""
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.model.named_parameters() if p.grad is not None}


def assert_close(one, other, tolerance=1e-5):
    assert one.keys() == other.keys() and one
    assert any(gradient.abs().max() > 100 * tolerance for gradient in other.values())
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=tolerance, atol=tolerance, msg=name)


def whole(base, loaded):
    model = LlavaOv(str(base / "model"))
    return Sft(loaded, model.train(loaded))


def longest_first(items):
    return sorted(items, key=lambda item: -len(item[0].ids))


@pytest.mark.parametrize("order", [list, longest_first])
def test_packed_loss_and_gradients_equal_the_unpadded_single_ones(base, loaded, items, order):
    module = whole(base, loaded)
    tokens = sum(sample.tokens for sample, _ in items)
    pack = module.loss_sum(collate_pack(order(items), tokens)) / tokens
    packed = gradients(module, pack)
    alone = sum(module.loss_sum(collate([item], 0, tokens)) for item in items) / tokens
    torch.testing.assert_close(pack, alone, rtol=1e-6, atol=1e-6)
    assert_close(packed, gradients(module, alone))


def test_packed_loss_and_gradients_against_plain_transformers(base, loaded, items):
    module = whole(base, loaded)
    tokens = sum(sample.tokens for sample, _ in items)
    pack = module.loss_sum(collate_pack(items, tokens)) / tokens
    ours = gradients(module, pack)

    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(base / "model").eval()
    assert plain.config.text_config._attn_implementation == "sdpa"
    width = max(len(sample.ids) for sample, _ in items)
    ids, attention = torch.zeros(len(items), width, dtype=torch.long), torch.zeros(len(items), width, dtype=torch.long)
    labels = torch.full((len(items), width), -100)
    for row, (sample, _) in enumerate(items):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        attention[row, : len(sample.ids)] = 1
        supervised = torch.tensor(sample.supervised)
        labels[row, : len(sample.ids)] = torch.where(supervised, torch.tensor(sample.ids), -100)
    pictures = [picture(size, k) for k, size in enumerate(SIZES) if size]
    seen = loaded.processor.image_processor(pictures, return_tensors="pt")
    loss = plain(
        input_ids=ids, attention_mask=attention, labels=labels, pixel_values=seen["pixel_values"],
        image_sizes=seen["image_sizes"],
    ).loss  # fmt: skip
    loss.backward()
    theirs = {name: p.grad for name, p in plain.named_parameters() if name in ours}
    torch.testing.assert_close(pack, loss, rtol=1e-6, atol=1e-6)
    assert_close(ours, theirs)


@pytest.mark.parametrize(("world", "accumulate"), [(1, 3), (2, 1), (2, 2), (3, 4)])
def test_shares_of_ranks_and_accumulated_packs_add_up_to_one_big_batch(base, loaded, items, world, accumulate):
    module = whole(base, loaded)
    total = sum(sample.tokens for sample, _ in items)
    lengths, tokens = (np.array(column) for column in zip(*[(len(s.ids), s.tokens) for s, _ in items], strict=True))
    order = Packs(lengths, tokens, capacity=10_000, accumulate=accumulate)
    shares, packs = 0.0, 0
    for rank in range(world):
        order.position = lambda rank=rank: (0, rank, world, 0)
        for chosen in order:
            assert {step_tokens for _, step_tokens in chosen} == {total}
            batch = collate_pack([(EMPTY, []) if k == FILLER else items[k] for k, _ in chosen], total)
            shares, packs = shares + module.loss_sum(batch) / total, packs + 1
    assert packs == world * accumulate
    cut = gradients(module, shares)
    big = module.loss_sum(collate(items, 0, total)) / total
    torch.testing.assert_close(shares, big, rtol=1e-6, atol=1e-6)
    assert_close(cut, gradients(module, big))


@pytest.mark.parametrize("filler", [False, True])
def test_a_pack_without_images_touches_every_part(base, loaded, items, filler):
    module = whole(base, loaded)
    text = [(EMPTY, [])] if filler else [item for item in items if not item[1]]
    loss = module.loss_sum(collate_pack(text, 9))
    found = gradients(module, loss)
    assert found.keys() == {name for name, p in module.model.named_parameters() if p.requires_grad}
    assert not any(found[name].any() for name in found if "vision_tower" in name)
    assert any(gradient.any() for gradient in found.values()) is not filler


def test_states_kept_once_pack_like_pixels(base, loaded, items):
    seeing, knowing = whole(base, loaded), whole(base, loaded)
    knowing.states = True
    with torch.no_grad():
        kept = [(s, [Vision(loaded.see(v.values), v.size) for v in visions]) for s, visions in items]
    torch.testing.assert_close(seeing.loss_sum(collate_pack(items, 1)), knowing.loss_sum(collate_pack(kept, 1)))


def test_packs_are_refused_where_the_model_cannot_keep_them_apart():
    with pytest.raises(UserError, match=r"^data\.pack=True"):
        Data(path="x", pack=True).packed(model_packs=False, on_gpu=True)


@pytest.mark.parametrize(
    ("pack", "packs", "on_gpu", "expected"),
    [
        ("auto", True, True, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
        (False, True, True, False),
        (True, True, False, True),
    ],
)
def test_when_batches_are_packs(pack, packs, on_gpu, expected):
    assert Data(path="x", pack=pack).packed(packs, on_gpu) is expected


@pytest.mark.parametrize(("name", "value"), [("pack", "maybe"), ("pack_tokens", 0)])
def test_settings_that_mean_nothing_are_refused(name, value):
    with pytest.raises(UserError, match=rf"^data\.{name}="):
        Data(path="x", **{name: value})


# -- through fit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(base):
    """Ten rows, every third without an image."""
    made = []
    for k in range(10):
        Image.new("L", (32, 32), 25 * k).save(base / f"{k}.png")
        answer = " ".join(["A", *["very"] * k, "grey face."])
        image = {} if k % 3 == 2 else {"image": f"{k}.png"}
        asked = "What is it?" if k % 3 == 2 else "<image>\nWhat is it?"
        made.append({"id": str(k), **image, "conversations": [
            {"from": "human", "value": asked}, {"from": "gpt", "value": answer}]})  # fmt: skip
    (base / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return base / "rows.jsonl"


def train(base, rows, where, data, **training):
    run = Run(where, {}, {})
    where.mkdir(exist_ok=True)
    model = LlavaOv(str(base / "model"), trainable=["projector", "language_model"], lr=1e-3)
    settings, given = Training(**{"max_epochs": 2, "clip": 0.0, **training}), Data(path=str(rows), **data)
    facts = fit(run, model, given, settings, False, given.sources(where))
    return facts, LlavaOv(str(where / "model")).load().model.state_dict()


def test_an_epoch_in_one_pack_trains_like_one_padded_batch(base, rows, tmp_path):
    facts, packed = train(base, rows, tmp_path / "packed", {"pack": True, "pack_tokens": 2000})
    assert facts["steps"] == 2
    _, padded = train(base, rows, tmp_path / "padded", {"pack": False}, batch_size=10)
    assert_close(packed, padded, tolerance=2e-5)


def test_accumulated_packs_train_like_one(base, rows, tmp_path):
    _, one = train(base, rows, tmp_path / "one", {"pack": True, "pack_tokens": 2000})
    facts, cut = train(base, rows, tmp_path / "cut", {"pack": True, "pack_tokens": 150}, accumulate=12)
    assert facts["steps"] == 2
    assert_close(cut, one, tolerance=2e-5)
