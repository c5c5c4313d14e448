"""Matrix products of the model families' parts, from the sizes in a configuration: what FLOPs are counted from.

A linear layer costs 2 x in x out a token, attention 2 x 2 x width a pair of a query and a key. The conventions are
those of `seke.training.data.flops`.
"""

from typing import Any

from seke.models.protocol import Product


def llava_onevision(config: Any) -> tuple[Product, ...]:
    """Return tower and projector by crop, the language model by token (LLaVA-OneVision, Figure 3)."""
    vision, width = config.vision_config, config.text_config.hidden_size
    patches = (vision.image_size // vision.patch_size) ** 2
    before = ("vision_tower",)
    return (
        *tower(vision, patches, patches),
        Product("projector", "crops", 2 * patches * vision.hidden_size * width, first=True, after=before),
        Product("projector", "crops", 2 * patches * width * width, after=before),
        *decoder(config.text_config, (*before, "projector")),
    )


def instructblip(config: Any) -> tuple[Product, ...]:
    """Return ViT and Q-Former by image, the language model by token (InstructBLIP, Figure 3)."""
    vision, reader = config.vision_config, config.qformer_config
    patches = (vision.image_size // vision.patch_size) ** 2
    states, queries = patches + 1, config.num_query_tokens
    width, wide, layers = reader.hidden_size, reader.intermediate_size, reader.num_hidden_layers
    crossing = len(range(0, layers, reader.cross_attention_frequency))
    before, part = ("vision_tower", "ln_vision"), "qformer"
    # One query token, or one of the instruction: self-attention's four matrices and a feed-forward of its own kind.
    token = layers * 2 * (4 * width * width + 2 * width * wide)
    pair = layers * 4 * width
    asking = crossing * 2 * queries * 2 * width * width
    asked = crossing * 2 * states * 2 * reader.encoder_hidden_size * width
    return (
        *tower(vision, patches, states),
        Product(part, "crops", queries * token + asking, after=before),
        Product(part, "crops", asked, first=True, after=before),
        Product(part, "crops", crossing * 4 * queries * states * width, weight=False, after=before),
        Product(part, "context", token, after=before),
        # (Q + c) squared is Q Q + 2 Q c + c c: queries and instruction attend to each other.
        Product(part, "crops", pair * queries**2, weight=False, after=before),
        Product(part, "context", pair * 2 * queries, weight=False, after=before),
        Product(part, "context_squares", pair, weight=False, after=before),
        Product("projector", "crops", 2 * queries * width * config.text_config.hidden_size, first=True,
                after=(*before, part)),
        *decoder(config.text_config, (*before, part, "projector")),
    )  # fmt: skip


def qwen2_5_vl(config: Any) -> tuple[Product, ...]:
    """Return tower and merger by cell, the language model by token (Qwen2.5-VL, Figure 1).

    Windowed layers are counted as if every window were whole: those at an image's edge may be smaller.
    """
    vision = config.vision_config
    whole = len(vision.fullatt_block_indexes)
    window = (vision.window_size // vision.patch_size // vision.spatial_merge_size) ** 2
    patches = vision.spatial_merge_size**2
    pairs = patches * window * patches
    part = "vision_tower"
    return (
        *_cells(vision, 3 * vision.hidden_size * vision.intermediate_size, whole),
        Product(part, "crops", (vision.depth - whole) * 4 * pairs * vision.hidden_size, weight=False),
        *_mergers(vision, 1),
        *decoder(config.text_config, (part, "projector")),
    )


def qwen3_vl(config: Any) -> tuple[Product, ...]:
    """Return tower and mergers by cell, the language model by token (Qwen3-VL's technical report, Figure 1)."""
    vision = config.vision_config
    return (
        *_cells(vision, 2 * vision.hidden_size * vision.intermediate_size, vision.depth),
        *_mergers(vision, 1 + len(vision.deepstack_visual_indexes)),
        *decoder(config.text_config, ("vision_tower", "projector")),
    )


def shuffled(config: Any, side: int, patch: int, factor: int, hidden: int, extra: int = 0) -> tuple[Product, ...]:
    """Return those of a ViT whose patches are put together by `factor` x `factor` and projected (pixel shuffle).

    Args:
        config: with `vision_config` and `text_config`.
        side: of a crop, in pixels.
        patch: of a patch.
        factor: patches a side that become one token.
        hidden: width of the projector's second layer; 0: it has one.
        extra: states beside those of patches, such as a class token.
    """
    vision, width = config.vision_config, config.text_config.hidden_size
    patches = (side // patch) ** 2
    tokens = patches // factor**2
    before = ("vision_tower",)
    second = [Product("projector", "crops", 2 * tokens * hidden * width, after=before)] if hidden else []
    return (
        *tower(vision, patches, patches + extra, patch),
        Product("projector", "crops", 2 * tokens * factor**2 * vision.hidden_size * width, first=True, after=before),
        *second,
        *decoder(config.text_config, (*before, "projector")),
    )


def _cells(vision: Any, feed_forward: int, whole: int) -> tuple[Product, ...]:
    """Return those of a ViT over cells of patches, `whole` of whose layers attend to the whole image."""
    part, width, patches = "vision_tower", vision.hidden_size, vision.spatial_merge_size**2
    pixels = 3 * vision.temporal_patch_size * vision.patch_size**2
    layer = 2 * (4 * width * width + feed_forward)
    return (
        Product(part, "crops", 2 * patches * pixels * width, first=True),
        Product(part, "crops", vision.depth * patches * layer),
        Product(part, "crop_squares", whole * 4 * patches**2 * width, weight=False),
    )


def _mergers(vision: Any, count: int) -> tuple[Product, ...]:
    """Return those of mergers, which make one token of the patches of a cell."""
    wide = vision.hidden_size * vision.spatial_merge_size**2
    before = ("vision_tower",)
    return (
        Product("projector", "crops", count * 2 * wide * wide, first=True, after=before),
        Product("projector", "crops", count * 2 * wide * vision.out_hidden_size, after=before),
    )


def tower(vision: Any, patches: int, states: int, side: int | None = None) -> tuple[Product, ...]:
    """Return a ViT's: `patches` are embedded, `states` go through its layers (a class token may be among them).

    `side` of a patch, where the configuration does not say it as one number.
    """
    part, width = "vision_tower", vision.hidden_size
    layer = 2 * (4 * width * width + 2 * width * vision.intermediate_size)
    return (
        Product(part, "crops", 2 * patches * 3 * (side or vision.patch_size) ** 2 * width, first=True),
        Product(part, "crops", vision.num_hidden_layers * states * layer),
        Product(part, "crops", vision.num_hidden_layers * 4 * states**2 * width, weight=False),
    )


def decoder(text: Any, after: tuple[str, ...]) -> tuple[Product, ...]:
    """Return those of a decoder like Qwen-2 and LLaMA, with grouped queries and a gated feed-forward."""
    part, width, layers, heads = "language_model", text.hidden_size, text.num_hidden_layers, text.num_attention_heads
    head = getattr(text, "head_dim", None) or width // heads
    attention = 2 * width * head * (2 * heads + 2 * text.num_key_value_heads)
    return (
        Product(part, "tokens", layers * (attention + 2 * 3 * width * text.intermediate_size), after=after),
        Product(part, "pairs", layers * 4 * heads * head, weight=False, after=after),
        Product(part, "supervised", 2 * width * text.vocab_size, after=after),
    )
