"""Thumbnails for the page: small pictures as data URIs, made by several processes where there are many.

A picture that cannot be shown says why; it is never left out.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from seke.core.images import ImageError, decode, read_unchanged, resolve
from seke.core.parallel import cores, parallel_map

RECORDS_GONE = "the records this run was made from are gone"
PARALLEL_FROM = 256
"""From so many pictures on, several processes are worth their start."""
CHUNK = 64
"""Pictures handed to a process at a time."""


class Thumbnail(NamedTuple):
    """A picture as a data URI, or the reason why there is none."""

    uri: str | None
    problem: str = ""


def thumbnail(root: Path | None, image: str, side: int, sha256: str | None = None) -> Thumbnail:
    """Return `image` below `root` as a WebP data URI of at most `side` x `side` pixels; a picture that fails says why.

    `sha256`: of the file that the record was made of; another one is not shown.

    WebP takes half the bytes of JPEG at this size, most of which are JPEG's tables.
    """
    if root is None:
        return Thumbnail(None, RECORDS_GONE)
    try:
        data, _ = read_unchanged(resolve(root, image), image, sha256)
        picture = decode(data, image, side)
    except ImageError as error:
        return Thumbnail(None, str(error))
    picture.thumbnail((side, side), reducing_gap=1.0)  # halved by its pixels first, as long as that is too large
    out = io.BytesIO()
    picture.save(out, format="WEBP", quality=70, method=2)
    return Thumbnail("data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii"))


def thumbnails(root: Path | None, images: Mapping[str, str | None], side: int) -> Iterator[Thumbnail]:
    """Return an iterator over the thumbnails of `images`, in order: all of them need never be in memory at once.

    `images`: the sha256 of each file when its record was made, where that is known, by its path below `root`.
    """
    workers = 1 if root is None or len(images) < PARALLEL_FROM else cores()
    return parallel_map(partial(_thumbnail, root, side), list(images.items()), workers, CHUNK)


def _thumbnail(root: Path | None, side: int, image: tuple[str, str | None]) -> Thumbnail:
    return thumbnail(root, image[0], side, image[1])
