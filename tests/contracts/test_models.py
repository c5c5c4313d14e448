"""What every model family of conf/model/ promises (`seke.models.protocol`), each by its options with a checkpoint here.

A new one is found by its YAML; beside it, it needs a small model: in assets/, named by a YAML `<name>_tiny`, or made by
a function in tests/trees/families.py. tests/models/test_families.py holds the same ones against transformers.
"""

from pathlib import Path

import pytest
import torch

from seke.core.errors import UserError
from seke.models.protocol import TrainableVLM

from ..trees.tried import ANSWER, FAMILIES, HERE, SIZES, Tried
from .offered import CONF, built


@pytest.fixture(scope="module", params=HERE)
def tried(request: pytest.FixtureRequest) -> Tried:
    return Tried(request.param)


@pytest.mark.parametrize("option", sorted(FAMILIES))
def test_every_family_has_an_option_with_a_checkpoint_here(option: str) -> None:
    target = FAMILIES[option]["_target_"]
    assert target in {FAMILIES[tiny]["_target_"] for tiny in HERE}, (
        f"nothing tries {target}: add a maker of a tiny one to tests/trees/families.py, or a small model in assets/ and"
        f" {CONF.name}/model/<name>_tiny.yaml, whose path it is"
    )
    family = built(FAMILIES[option])
    assert family.path and isinstance(getattr(torch, family.dtype), torch.dtype)
    assert family.trained


def test_it_is_all_that_training_and_answering_use(tried: Tried) -> None:
    assert isinstance(tried.loaded, TrainableVLM)
    assert not tried.loaded.model.training
    tried.loaded.try_out()
    assert tried.loaded.tile > 0 and tried.loaded.max_tokens > 0


def test_an_image_takes_the_tokens_and_crops_that_its_size_says(tried: Tried) -> None:
    for number, features in enumerate(tried.features(0, 1, 2)):
        pixels = tried.loaded.pixels(tried.picture(number))
        assert pixels.size == SIZES[number]
        assert pixels.crops.shape == (tried.loaded.crops(pixels.size), 3, tried.loaded.tile, tried.loaded.tile)
        assert len(features) == tried.loaded.image_tokens(pixels.size)
        assert 0 < len(pixels.crops[tried.loaded.overview(pixels.size)]) <= len(pixels.crops)


def test_what_stands_for_no_image_has_the_shape_of_one(tried: Tried) -> None:
    black = tried.loaded.nothing(states=False)
    assert black.shape == (1, 3, tried.loaded.tile, tried.loaded.tile)
    with torch.no_grad():
        assert tried.loaded.nothing(states=True).shape == tried.loaded.see(black.to(tried.loaded.model.dtype)).shape


def test_the_answer_and_its_end_alone_carry_loss_and_nothing_is_cut(tried: Tried) -> None:
    for number, encoded in enumerate(tried.loaded.encode([tried.talk(n, answered=True) for n in range(3)])):
        [prompt] = tried.loaded.prompts([tried.talk(number)])
        assert len(encoded.ids) == len(encoded.supervised) > len(prompt)
        learnt = [token for token, counts in zip(encoded.ids, encoded.supervised, strict=True) if counts]
        assert tried.loaded.decode(learnt).strip() == ANSWER
        assert tried.loaded.end in learnt
        assert encoded.ids[: len(prompt)] == prompt


def test_an_answer_depends_on_its_own_conversation_alone(tried: Tried) -> None:
    together = tried.answers(0, 1, 2)
    assert together == [tried.answers(number)[0] for number in range(3)]
    assert all(isinstance(tried.loaded.decode(ids), str) for ids in together)


def test_flops_are_counted_of_every_part(tried: Tried) -> None:
    parts = {tried.loaded.part(name) for name, _ in tried.loaded.model.named_parameters()}
    products = tried.loaded.products()
    assert {product.part for product in products} <= parts
    assert {"vision_tower", "language_model"} <= {product.part for product in products}
    assert all(product.flops > 0 for product in products)


def test_logits_are_given_of_every_token_or_of_those_asked_for(tried: Tried) -> None:
    [encoded] = tried.loaded.encode([tried.talk(1, answered=True)])
    ids = torch.tensor([encoded.ids])
    keep = torch.tensor([encoded.supervised])
    sizes = tried.sizes(1)
    with torch.no_grad():
        every = tried.loaded.logits(ids, torch.ones_like(ids), tried.features(1), sizes=sizes)
        kept = tried.loaded.logits(ids, torch.ones_like(ids), tried.features(1), keep, sizes=sizes)
    assert every.shape[:2] == ids.shape
    torch.testing.assert_close(kept, every[keep], rtol=1e-4, atol=1e-4)


def test_what_it_trains_is_what_it_names(tried: Tried) -> None:
    loaded = tried.family.load()
    groups = tried.family.train(loaded)
    assert {group["name"] for group in groups} == set(tried.family.trained)
    assert all(group["params"] and group["lr"] > 0 for group in groups)
    given = {id(parameter) for group in groups for parameter in group["params"]}
    trained = {name: value for name, value in loaded.model.named_parameters() if value.requires_grad}
    assert {id(value) for value in trained.values()} == given
    assert {loaded.part(name) for name in trained} == set(tried.family.trained)
    loaded.train_mode()
    assert any(module.training for module in loaded.model.modules())


def test_what_it_saves_answers_alike_and_has_the_same_fingerprint(tried: Tried, tmp_path: Path) -> None:
    tried.loaded.save(tmp_path)
    assert list(tmp_path.glob("*.safetensors"))
    again = Tried(tried.option, tmp_path)
    assert again.answers(0, 1, 2) == tried.answers(0, 1, 2)
    assert again.loaded.fingerprint() == tried.loaded.fingerprint()


def test_its_outline_has_the_same_parameters_and_no_weights(tried: Tried) -> None:
    outline = tried.family.outline()
    shapes = {name: value.shape for name, value in tried.loaded.model.named_parameters()}
    assert {name: value.shape for name, value in outline.model.named_parameters()} == shapes
    assert all(value.is_meta for value in outline.model.parameters())


@pytest.mark.parametrize("path", ["no/such/dir", "./nowhere", "nobody-at-all/no-such-model"])
def test_a_checkpoint_that_is_not_there_is_told_in_one_line(tried: Tried, path: str) -> None:
    with pytest.raises(UserError, match=rf"^model\.path={path}: .*; \S") as caught:
        tried.family.load(path)
    assert "\n" not in str(caught.value)
