"""Floating-point operations of a batch, exactly, from the sizes in a model's config.

    config -> products (one a kind of matrix product) x what a batch holds (Work) -> FLOPs of each part

The conventions are those of model FLOPs utilisation (MFU; PaLM, Chowdhery et al. 2022, appendix B):
- a multiply-add is two operations; only matrix products count, as torch's FlopCounterMode has it;
- only what the result needs: no padding, no activations computed a second time, no logits where nothing is supervised;
- a causal attention costs the pairs of a query and a key not after it, L (L + 1) / 2 in a sequence of L tokens: what a
  flash kernel computes, half of what an eager one does;
- backward, a product with a weight costs its forward once for the weight's gradient, if the weight is trained, and
  once for its input's, if anything before it is trained. So a frozen tower at the front costs nothing there, a frozen
  language model behind a trained projector half of a trained one. An attention's two products cost twice their forward.
Adapters (LoRA) are left out: at usual ranks they are about 1 % of the weights that they adapt.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

PEAKS: Final = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense bfloat16 FLOP/s by what a device's name holds (NVIDIA's data sheets); the first that fits counts."""


class Work(NamedTuple):
    """What a batch holds; every number adds up over batches, steps and ranks."""

    crops: int = 0
    """Crops that the image encoder sees."""
    tokens: int = 0
    """Tokens of the language model, those of images included, padding not."""
    pairs: int = 0
    """Pairs of a query and a key that the language model's attention needs."""
    supervised: int = 0
    """Positions with a next token to be predicted."""
    context: int = 0
    """Tokens that the image encoder reads beside the images (Q-Former)."""
    context_squares: int = 0
    """The squares of these, image by image, summed."""


def work(crops: int, lengths: Iterable[int], supervised: int, contexts: Sequence[int] = ()) -> Work:
    """Return the work of sequences of these `lengths`, and of the tokens read beside each image.

    >>> work(crops=2, lengths=[3, 1], supervised=2)
    Work(crops=2, tokens=4, pairs=7, supervised=2, context=0, context_squares=0)
    """
    lengths = list(lengths)
    pairs = sum(length * (length + 1) // 2 for length in lengths)
    return Work(crops, sum(lengths), pairs, supervised, sum(contexts), sum(length**2 for length in contexts))


def together(works: Iterable[Work]) -> Work:
    """Return the sum."""
    return Work(*map(sum, zip(*works, strict=True)))


class Product(NamedTuple):
    """A kind of matrix product: its FLOPs a unit of `Work`, and what its gradients depend on."""

    part: str
    unit: str
    flops: float
    """Forward, for one of the unit."""
    weight: bool = True
    """Whether a weight is one factor; if not, both are activations (attention)."""
    first: bool = False
    """Whether it reads nothing that its own part has computed."""
    after: tuple[str, ...] = ()
    """The parts whose output it reads, at first hand or not."""


def forward(products: Iterable[Product], done: Work) -> dict[str, float]:
    """Return the FLOPs of each part, forward."""
    return _by_part((product, product.flops * getattr(done, product.unit)) for product in products)


def training(
    products: Iterable[Product], done: Work, trained: Collection[str], live: Collection[str]
) -> dict[str, float]:
    """Return the FLOPs of each part, forward and backward.

    `trained`: parts whose matrices are trained; `live`: parts in which anything is (a norm, an adapter).
    """
    return _by_part(
        (product, product.flops * getattr(done, product.unit) * (1 + _backward(product, trained, live)))
        for product in products
    )


def products(config: Any) -> tuple[Product, ...]:
    """Return the matrix products of a model: LLaVA-OneVision or InstructBLIP."""
    of: Mapping[str, Any] = {"llava_onevision": _llava_onevision, "instructblip": _instructblip}
    found: tuple[Product, ...] = of[config.model_type](config)
    return found


def seen_before(products: Iterable[Product]) -> tuple[Product, ...]:
    """Return the products of a step that is given the tower's states, computed once per image and kept."""
    return tuple(product for product in products if product.part != "vision_tower")


def peak(device: str) -> float | None:
    """Return a device's bfloat16 peak in FLOP/s from its name, None if it is not known.

    >>> peak("NVIDIA H100 80GB HBM3"), peak("AMD EPYC")
    (989000000000000.0, None)
    """
    return next((flops for name, flops in PEAKS.items() if name in device), None)


def _backward(product: Product, trained: Collection[str], live: Collection[str]) -> int:
    fed = any(part in live for part in product.after) or (not product.first and product.part in live)
    return int(product.part in trained) + int(fed) if product.weight else 2 * int(fed)


def _by_part(costs: Iterable[tuple[Product, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for product, flops in costs:
        sums[product.part] = sums.get(product.part, 0.0) + flops
    return sums


# -- models: a linear layer costs 2 x in x out a token; attention 2 x 2 x width a pair ---------------------------------


def _llava_onevision(config: Any) -> tuple[Product, ...]:
    """Return tower and projector by crop, the language model by token (LLaVA-OneVision, Figure 3)."""
    vision, width = config.vision_config, config.text_config.hidden_size
    patches = (vision.image_size // vision.patch_size) ** 2
    tower = "vision_tower"
    return (
        *_tower(vision, patches, patches),
        Product("projector", "crops", 2 * patches * vision.hidden_size * width, first=True, after=(tower,)),
        Product("projector", "crops", 2 * patches * width * width, after=(tower,)),
        *_decoder(config.text_config, (tower, "projector")),
    )


def _instructblip(config: Any) -> tuple[Product, ...]:
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
        *_tower(vision, patches, states),
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
        *_decoder(config.text_config, (*before, part, "projector")),
    )  # fmt: skip


def _tower(vision: Any, patches: int, states: int) -> tuple[Product, ...]:
    """Return a ViT's: `patches` are embedded, `states` go through its layers (a class token may be among them)."""
    part, width = "vision_tower", vision.hidden_size
    layer = 2 * (4 * width * width + 2 * width * vision.intermediate_size)
    return (
        Product(part, "crops", 2 * patches * 3 * vision.patch_size**2 * width, first=True),
        Product(part, "crops", vision.num_hidden_layers * states * layer),
        Product(part, "crops", vision.num_hidden_layers * 4 * states**2 * width, weight=False),
    )


def _decoder(text: Any, after: tuple[str, ...]) -> tuple[Product, ...]:
    """Return those of a decoder like Qwen-2 and LLaMA, with grouped queries and a gated feed-forward."""
    part, width, layers, heads = "language_model", text.hidden_size, text.num_hidden_layers, text.num_attention_heads
    head = getattr(text, "head_dim", None) or width // heads
    attention = 2 * width * head * (2 * heads + 2 * text.num_key_value_heads)
    return (
        Product(part, "tokens", layers * (attention + 2 * 3 * width * text.intermediate_size), after=after),
        Product(part, "pairs", layers * 4 * heads * head, weight=False, after=after),
        Product(part, "supervised", 2 * width * text.vocab_size, after=after),
    )
