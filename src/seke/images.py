"""The only way an image file enters: inside its root, whole, of sane size, upright.

Licensed face sets come with hostile paths, half-copied files and EXIF rotations; all of them end here with an
`ImageError` that callers turn into a rejection.
"""

import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000
"""Larger images are refused as decompression bombs: no face crop comes near."""


class ImageError(ValueError):
    """An image that is missing, outside its root, truncated, too large or no image at all: rejected, counted."""


MIN_SIDE = 8
"""Smaller ones show nobody."""


def resolve(root: Path, image: str) -> Path:
    """Return the file of a record's `image` below `root`.

    Raises:
        ImageError: if it is missing or if the path, links followed, leaves the root.
    """
    path = (root / image).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ImageError(f"{image}: leads out of the image root {root}")
    if not path.is_file():
        raise ImageError(f"{image}: no such file below {root}")
    return path


def decode(data: bytes, name: str = "image", side: int | None = None) -> "Image":
    """Return the picture in `data` as RGB, fully decoded, EXIF orientation applied.

    `side`: no more pixels a side are wanted; a JPEG is then decoded at a half, a quarter or an eighth of its size, no
    smaller than that and several times faster.

    Raises:
        ImageError: if the bytes are no picture, are cut short, exceed `MAX_PIXELS`, or have a side under `MIN_SIDE`.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise ImageError(f"{name}: {picture.width} x {picture.height} pixels is too large")
                if min(picture.size) < MIN_SIDE:
                    raise ImageError(f"{name}: {picture.width} x {picture.height} pixels is too small")
                if side is not None:
                    picture.draft("RGB", (side, side))
                picture.load()
                return ImageOps.exif_transpose(picture).convert("RGB")
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile input
        # Pillow names the buffer by its address, which would make two equal runs differ.
        problem = re.sub(r"<_io\.BytesIO [^>]*>", "it", str(error))
        raise ImageError(f"{name}: not a whole, readable image ({type(error).__name__}: {problem})") from error


def cropped(picture: "Image", face: tuple[int, int, int, int], margin: float) -> "Image":
    """Return the square around a face: left, top, width, height, widened on each side by `margin` of its longer side.

    What of the square lies outside the picture is left away; a face that lies outside altogether crops nothing.
    """
    left, top, width, height = face
    half = max(width, height) * (1 + 2 * margin) / 2
    middle = (left + width / 2, top + height / 2)
    box = (
        max(0, round(middle[0] - half)),
        max(0, round(middle[1] - half)),
        min(picture.width, round(middle[0] + half)),
        min(picture.height, round(middle[1] + half)),
    )
    sane = box[2] - box[0] >= MIN_SIDE and box[3] - box[1] >= MIN_SIDE
    return picture.crop(box) if sane else picture


def sha256(data: bytes) -> str:
    """Return the hex digest that identifies an image by its content."""
    return hashlib.sha256(data).hexdigest()
