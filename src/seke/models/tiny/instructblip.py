"""An InstructBLIP small enough for two CPU cores: the same architecture, every width shrunk, both tokenizers its own.

`scripts/build_instructblip_tiny.py` writes one into assets/instructblip_tiny/; tests build their own.
"""

import json
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertTokenizer,
    GenerationConfig,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from seke.models.instructblip import Loaded

INIT = 0.08
"""Standard deviation of the weights: at these widths the usual 0.02 trains far slower."""
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
"""What LLaMA's tokenizer spells unknown characters with."""


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> LlamaTokenizer:
    """Train LLaMA's kind of BPE on `texts`; like InstructBLIP's, it opens and ends a text with `</s>`."""
    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="</s>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    specials = ["</s>", "[PAD]", *BYTES]
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=specials, show_progress=False)
    )
    trained = json.loads(bpe.to_str())["model"]
    return LlamaTokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="[PAD]",
        add_bos_token=True,
    )


def train_reader(texts: Iterable[str], vocabulary: int = 1024) -> BertTokenizer:
    """Train BERT's kind of WordPiece on `texts`, for the Q-Former; of a text too long it keeps the end."""
    lines = list(texts)
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = sorted({letter for line in lines for letter in pieces.normalizer.normalize_str(line)} - {" "})
    # Left to itself the trainer numbers the letters inside words differently every time, and so finds other pieces.
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces.train_from_iterator(
        lines, trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=first, show_progress=False)
    )
    return BertTokenizer(vocab=json.loads(pieces.to_str())["model"]["vocab"], truncation_side="left")


def build_tiny(
    tokenizer: LlamaTokenizer,
    reader: BertTokenizer,
    image: int = 96,
    patch: int = 16,
    vision_width: int = 64,
    vision_layers: int = 3,
    queries: int = 8,
    reader_width: int = 64,
    reader_layers: int = 2,
    width: int = 64,
    layers: int = 3,
    heads: int = 4,
    dropout: float = 0.1,
    seed: int = 0,
) -> Loaded:
    """Build a random model of these sizes with its processor; `image` and `patch` in pixels.

    `reader_width` and `reader_layers` are the Q-Former's, `dropout` is its alone.
    """
    torch.manual_seed(seed)
    processor = InstructBlipProcessor(
        BlipImageProcessorPil(size={"height": image, "width": image}), tokenizer, reader, num_query_tokens=queries
    )
    ends = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            hidden_size=vision_width,
            intermediate_size=3 * vision_width,
            num_hidden_layers=vision_layers,
            num_attention_heads=heads,
            image_size=image,
            patch_size=patch,
            initializer_range=INIT,
        ).to_dict(),
        qformer_config=InstructBlipQFormerConfig(
            vocab_size=len(reader),
            hidden_size=reader_width,
            intermediate_size=2 * reader_width,
            num_hidden_layers=reader_layers,
            num_attention_heads=heads,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=256,
            initializer_range=INIT,
        ).to_dict(),
        text_config=LlamaConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=2048,
            initializer_range=INIT,
            bos_token_id=ends["bos"],
            eos_token_id=ends["eos"],
            pad_token_id=ends["pad"],
        ).to_dict(),
        num_query_tokens=queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=INIT,
    )
    model: Any = InstructBlipForConditionalGeneration(config)
    for weight in (model.query_tokens, model.language_projection.weight):
        # Queries that start equal stay equal: nothing tells them apart.
        torch.nn.init.normal_(weight, std=INIT)
    model.generation_config = GenerationConfig(eos_token_id=ends["eos"], pad_token_id=ends["pad"])
    return Loaded(model.eval(), processor, "tiny")
