"""Pictures for the page: small, embedded as data URIs, made by several processes where there are many.

A picture that cannot be shown says why; it is never left out.
"""

import base64
import io
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from seke.core.images import ImageError, decode, read_unchanged, resolve

GONE = "the records this run was made from are gone"
MANY = 256
"""From so many pictures on, several processes are worth their start."""
TOGETHER = 64
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
        return Thumbnail(None, GONE)
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
    """Yield the thumbnail of each of `images`, in order; whoever writes them away at once never holds them all.

    `images`: the sha256 of each file when its record was made, where that is known, by its path below `root`.
    """
    if root is None or len(images) < MANY:
        yield from (thumbnail(root, image, side, sha256) for image, sha256 in images.items())
        return
    spawn = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the workers as well; only the parent says so, once.
    with ProcessPoolExecutor(_cores(), spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        work = partial(thumbnail, root)
        yield from pool.map(work, images, repeat(side), images.values(), chunksize=TOGETHER)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
