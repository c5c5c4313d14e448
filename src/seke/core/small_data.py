"""Where data or a model are too small for what is asked of them: bounds of our choice, and what to do about it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

FEWEST_IMAGES: Final = 10
"""Images whose numbers are set beside the paper's: of fewer, one image is more than ten points."""
FEWEST_STEPS: Final = 100
"""Optimiser steps below which a training is called short."""
SMALL_MODEL: Final = 100_000_000
"""Bytes of weights. The smallest published model of our families, LLaVA-OneVision 0.5B, has ten times as many, those of
assets/ 6 MB at most."""


def few_images(n: int) -> str:
    """Return why the numbers of `n` images are not set beside the paper's; empty if they are.

    >>> few_images(7), few_images(10)
    ('7 images: not set beside the paper, which takes 10 or more', '')
    """
    return "" if n >= FEWEST_IMAGES else f"{n} images: not set beside the paper, which takes {FEWEST_IMAGES} or more"


def few_steps(steps: int, epochs: int) -> str:
    """Return what to do about a training of so few steps, in so many whole epochs; empty if they are enough.

    >>> few_steps(12, 3)
    'few optimiser steps (12; trainer.max_epochs=25 takes 100): compare with the untrained model (compare=)'
    >>> few_steps(100, 1)
    ''
    """
    if not 0 < steps < FEWEST_STEPS:
        return ""
    more = f"; trainer.max_epochs={-(-FEWEST_STEPS * epochs // steps)} takes {FEWEST_STEPS}" if epochs else ""
    return f"few optimiser steps ({steps}{more}): compare with the untrained model (compare=)"


def drawings_only(weights: int, drawn: str | None) -> str:
    """Return why a small model says little of photographs; empty if it is large, or if the pictures may be drawn.

    Args:
        weights: the model's, in bytes; 0 where it is not on this machine.
        drawn: what of the pictures is drawn: "faces", "scenes" or "nothing"; None where nobody noted it.

    >>> drawings_only(6_000_000, "nothing")[:47], drawings_only(10**9, "nothing"), drawings_only(6_000_000, "faces")
    ('so small a model (6 MB) knows drawn faces only:', '', '')
    """
    if not 0 < weights < SMALL_MODEL or drawn != "nothing":
        return ""
    said = f"so small a model ({weights / 1e6:.0f} MB) knows drawn faces only"
    return f"{said}: for photographs use model=llava_ov_05b, or an API (backend=openai)"


def size_of(weights: Iterable[Path]) -> int:
    """Return how many bytes these files have."""
    return sum(file.stat().st_size for file in weights)
