"""Pictures for miniature datasets: no two alike, seeded by name, quick to make and to decode."""

from pathlib import Path
from random import Random

import numpy as np
from PIL import Image


def picture(name: str, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """Return a picture of smooth random blobs that depends on `name` alone; others look nothing like it."""
    rng = np.random.default_rng(Random(name).getrandbits(64))
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def save(path: Path, name: str | None = None, size: tuple[int, int] = (48, 48)) -> Path:
    """Write the picture called `name` (its path, if none is given) in the format that the path's suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    picture(name or path.as_posix(), size).save(path, kind)
    return path
