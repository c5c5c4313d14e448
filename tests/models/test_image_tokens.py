"""How many tokens an image takes, told from its size alone: against the processor and against the model's features."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seke.models.llava_ov import Loaded
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

HUB = {"image": 384, "patch": 14}
"""The geometry of the Hub's checkpoints: 27 x 27 patches a crop, and one to six tiles a side."""


def built(image, patch, tiles):
    loaded = build_tiny(train_tokenizer(["What is this?"], 300), image=image, patch=patch, vision_width=16,
                        vision_layers=1, width=16, layers=1, heads=2, feed_forward=16)  # fmt: skip
    pinpoints = [[image * rows, image * columns] for rows in range(1, tiles + 1) for columns in range(1, tiles + 1)]
    loaded.model.config.image_grid_pinpoints = pinpoints
    loaded.processor.image_processor.image_grid_pinpoints = pinpoints
    return loaded


@pytest.fixture(scope="module")
def small():
    return built(32, 8, tiles=6)


@pytest.fixture(scope="module")
def hub():
    return built(**HUB, tiles=6)


def features(loaded, crops, size):
    """What the language model would be given, from random states: only their shape matters here."""
    side = loaded.model.config.vision_config.image_size // loaded.model.config.vision_config.patch_size
    return loaded.features(torch.randn(crops, side * side, 16), [crops], [size])[0]


@given(st.tuples(st.integers(8, 500), st.integers(8, 500)))
def test_tokens_of_any_size_against_features_and_processor(small, size):
    loaded = small
    picture = Image.fromarray(np.zeros((*size, 3), np.uint8))
    tokens = loaded.image_tokens(size)
    assert tokens == len(features(loaded, len(loaded.pixels(picture).crops), size))
    ids = loaded.processor(images=[picture], text="<image>", return_tensors="pt")["input_ids"]
    assert tokens == int((ids == loaded.processor.image_token_id).sum())


@settings(max_examples=12)
@given(st.tuples(st.integers(40, 3000), st.integers(40, 3000)))
def test_tokens_at_the_hubs_geometry_against_features(hub, size):
    loaded = Loaded(hub.model, hub.processor, "x")
    crops = 1 + int(np.prod(best_tiles(hub, size)))
    tokens = loaded.image_tokens(size)
    assert tokens == len(features(loaded, crops, size))
    assert 729 < tokens <= 10 * 729 + 2 * 100


def best_tiles(loaded, size):
    """Rows and columns of tiles that the processor cuts an image into."""
    from transformers.image_processing_utils import select_best_resolution

    height, width = select_best_resolution(size, loaded.model.config.image_grid_pinpoints)
    return height // 384, width // 384
