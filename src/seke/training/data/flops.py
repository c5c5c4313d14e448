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

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from seke.models.protocol import Product

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
    crop_squares: int = 0
    """The squares of these, image by image, summed: what a tower costs whose attention spans the whole image."""
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


def work(crops: int | Sequence[int], lengths: Iterable[int], supervised: int, contexts: Sequence[int] = ()) -> Work:
    """Return the work of `crops` (of each image, or of one), sequences of these lengths, and contexts beside images.

    >>> work(crops=[2, 1], lengths=[3, 1], supervised=2)
    Work(crops=3, crop_squares=5, tokens=4, pairs=7, supervised=2, context=0, context_squares=0)
    """
    lengths, each = list(lengths), [crops] if isinstance(crops, int) else crops
    pairs = sum(length * (length + 1) // 2 for length in lengths)
    squares = sum(count**2 for count in each)
    return Work(
        sum(each), squares, sum(lengths), pairs, supervised, sum(contexts), sum(length**2 for length in contexts)
    )


def together(works: Iterable[Work]) -> Work:
    """Return the sum."""
    return Work(*map(sum, zip(*works, strict=True)))


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
