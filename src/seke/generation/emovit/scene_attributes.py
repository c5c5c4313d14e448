"""The attributes of a scene, after EmoSet; brightness and colourfulness are measured if absent.

    brightness, colorfulness, scene_type, object, facial_expression, human_action

The names are EmoSet's. Every one may be missing from an annotation (facts 2.2), and only these two can
be computed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seke.core import images

if TYPE_CHECKING:
    from PIL.Image import Image

TOLD: Final = ("brightness", "colorfulness", "scene_type", "object", "facial_expression", "human_action")
"""What a model is told beside the class."""
MEASURED: Final = ("brightness", "colorfulness")
"""Those that can be computed."""
SCENE: Final = "scene_type"
ALSO: Final = {"scene": SCENE}
"""Names that annotations use as well."""
LUMA: Final = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (ITU-R BT.601)."""
EXTREMELY_COLOURFUL: Final = 109.0
"""Hasler and Suesstrunk's highest category, "extremely colourful", on their scale: 1 on ours."""
SIDE: Final = 512
"""A larger picture is shrunk to this longer side before it is measured."""


def told(attributes: Mapping[str, Any], read: Callable[[], bytes], names: Sequence[str] = TOLD) -> dict[str, Any]:
    """Return what a language model is told of a picture, in the order of `names`.

    Args:
        attributes: of the record; what is None or empty is left out.
        read: gives the image file's bytes; only called where brightness or colourfulness is wanted and absent.
        names: of the attributes that it is told.

    Raises:
        ImageError: if the picture has to be measured and is none.
    """
    known = {ALSO.get(name, name): value for name, value in attributes.items() if value not in (None, "", [])}
    if not {*MEASURED} & {*names} <= set(known):
        known = {**measured(images.decode(read())), **known}
    return {name: known[name] for name in names if name in known}


def lines(attributes: Mapping[str, Any]) -> str:
    """Return attributes as text, one a line.

    >>> print(lines({"emotion": "awe", "object": ["Tree", "Lake"]}))
    emotion: awe
    object: Tree, Lake
    """
    return "\n".join(f"{name}: {_said(value)}" for name, value in attributes.items())


def measured(picture: "Image") -> dict[str, float]:
    """Return brightness and colourfulness of an RGB picture, each in [0, 1], to two digits."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    pixels = np.asarray(small, dtype=np.float64)  # (height, width, 3), 0 to 255
    return {"brightness": round(brightness(pixels), 2), "colorfulness": round(colorfulness(pixels), 2)}


def brightness(pixels: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """Return the mean luma of (height, width, RGB) values from 0 to 255, in [0, 1]."""
    return float((pixels @ LUMA).mean() / 255)


def colorfulness(pixels: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """Return how colourful (height, width, RGB) values from 0 to 255 are, in [0, 1].

    Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), their M(3): with the opponent colours
    rg = R - G and yb = (R + G) / 2 - B,  M = sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2), here in parts
    of what they call extremely colourful, and never more than 1.
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = float(np.hypot(*opponents.std(axis=(1, 2))))
    offset = float(np.hypot(*opponents.mean(axis=(1, 2))))
    return min((spread + 0.3 * offset) / EXTREMELY_COLOURFUL, 1.0)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
