"""A LLaVA-OneVision small enough for two CPU cores: the same architecture, every width shrunk.

`scripts/pretrain_tiny.py` pre-trains one into assets/llava_ov_tiny/; tests build random ones.
"""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    Qwen2Tokenizer,
    SiglipVisionConfig,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from seke.models.chat import TEMPLATE
from seke.models.llava_ov import Loaded
from seke.models.llava_ov_processor import ImageOnlyProcessor

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
TEXT_INIT = 0.08
"""Standard deviation of the LLM's and projector's weights: at these widths the usual 0.02 trains far slower."""


def train_tokenizer(texts: Iterable[str], vocabulary: int = 2048) -> Qwen2Tokenizer:
    """Train a byte-level BPE on `texts` with Qwen's pre-tokenisation and special tokens; any text round-trips."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    import json

    trained = json.loads(bpe.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in ("<|im_end|>", "<|endoftext|>")],
    )


def build_tiny(
    tokenizer: Qwen2Tokenizer,
    image: int = 96,
    patch: int = 16,
    vision_width: int = 128,
    vision_layers: int = 4,
    width: int = 128,
    layers: int = 4,
    heads: int = 4,
    feed_forward: int = 384,
    max_tokens: int = 4096,
    seed: int = 0,
) -> Loaded:
    """Build a random model of these sizes with its processor; `image` and `patch` in pixels."""
    torch.manual_seed(seed)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    # AnyRes: one to three tiles a side, as many as the 6 x 6 of the large models would be of use to no face crop.
    pinpoints = [[image * rows, image * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
    text = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=max_tokens,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        initializer_range=TEXT_INIT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=ids["<|im_end|>"],
        pad_token_id=ids["<|endoftext|>"],
    )
    vision = SiglipVisionConfig(
        hidden_size=vision_width,
        intermediate_size=vision_width * 3,
        num_hidden_layers=vision_layers,
        num_attention_heads=4,
        image_size=image,
        patch_size=patch,
        vision_use_head=False,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
        initializer_range=TEXT_INIT,
    )
    model: Any = LlavaOnevisionForConditionalGeneration(config)
    for linear in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
        torch.nn.init.normal_(linear.weight, std=TEXT_INIT)
    model.generation_config = GenerationConfig(eos_token_id=ids["<|im_end|>"], pad_token_id=ids["<|endoftext|>"])
    half = [0.5, 0.5, 0.5]
    processor = ImageOnlyProcessor(
        LlavaOnevisionImageProcessorPil(
            size={"height": image, "width": image}, image_grid_pinpoints=pinpoints, image_mean=half, image_std=half
        ),
        tokenizer,
        num_image_tokens=(image // patch) ** 2,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
    return Loaded(model.eval(), processor, "tiny")
