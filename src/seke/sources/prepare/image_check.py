"""The image check: every image that a prepared set names is opened once; it must be whole, of sane size, in its root.

A check takes milliseconds and a dataset has up to millions of images, so checks run in several processes and lie in
`<run>/looks.jsonl` until the run is finished: an interrupted run does not open a file again that has not changed.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tqdm import tqdm

from seke.core import files
from seke.core.images import ImageError, decode, read_unchanged, resolve
from seke.core.parallel import cores, parallel_map

CHUNK: Final = 64
"""Images a worker checks before it reports."""
ONE_PROCESS: Final = 400
"""Fewer images than this are checked sooner than a second process has started."""
HASH_SIDE: Final = 16
"""A perceptual hash has 16 x 16 = 256 bits: enough to tell aligned faces apart, which 64 are not."""


class ImageCheck(NamedTuple):
    """What one file turned out to be."""

    sha256: str
    """Of its bytes; empty where it could not be read."""
    phash: str
    """Perceptual hash, 64 hex digits; empty where it is no picture."""
    problem: str = ""
    """Why it cannot be used; empty where it can."""


def check_image(root: Path, image: str) -> ImageCheck:
    """Open one image and say what it is; nothing is raised, whatever the file holds."""
    import imagehash

    digest = ""
    try:
        data, digest = read_unchanged(resolve(root, image), image, None)
        picture = decode(data, image)
    except ImageError as error:
        return ImageCheck(digest, "", " ".join(str(error).split()))
    return ImageCheck(digest, str(imagehash.phash(picture, hash_size=HASH_SIDE)))


class ImageChecks:
    """The checks of one run, made when they are first asked for."""

    def __init__(self, root: Path, cache: Path, workers: int | None = None) -> None:
        self.root, self.cache, self.workers = root, cache, workers or cores()
        self._known = dict(_cached(cache))

    def at(self, images: Iterable[str]) -> dict[str, ImageCheck]:
        """Return the check of each image, by its path below the root."""
        marks = {image: _mark(self.root, image) for image in images}
        missing = [image for image, mark in marks.items() if (image, mark) not in self._known]
        if missing:
            with files.journal(self.cache) as cache:
                for image, seen in self._taken(missing):
                    self._known[image, marks[image]] = seen
                    cache.write(json.dumps([image, marks[image], *seen]) + "\n")
        return {image: self._known[image, mark] for image, mark in marks.items()}

    def digests(self) -> dict[str, str]:
        """Return the sha256 of every image that was checked, by its path."""
        return {image: seen.sha256 for (image, _), seen in self._known.items() if seen.sha256}

    def _taken(self, images: Sequence[str]) -> Iterator[tuple[str, ImageCheck]]:
        chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
        workers = 1 if len(images) < ONE_PROCESS else self.workers
        with tqdm(total=len(images), desc="checking images", unit="image", disable=None) as bar:
            for chunk, seen in zip(chunks, parallel_map(partial(_check_all, self.root), chunks, workers), strict=True):
                yield from zip(chunk, seen, strict=True)
                bar.update(len(chunk))


def _check_all(root: Path, images: Sequence[str]) -> list[ImageCheck]:
    return [check_image(root, image) for image in images]


def _mark(root: Path, image: str) -> str:
    """Return what changes when a file does, without reading it."""
    try:
        status = os.stat(root / image)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}/{status.st_mtime_ns}"


def _cached(cache: Path) -> Iterator[tuple[tuple[str, str], ImageCheck]]:
    if not cache.is_file():
        return
    with cache.open(encoding="utf-8") as rows:
        for row in rows:
            try:
                image, mark, *seen = json.loads(row)
                yield (image, mark), ImageCheck(*seen)
            except (ValueError, TypeError):
                continue  # the line that an interruption cut short
