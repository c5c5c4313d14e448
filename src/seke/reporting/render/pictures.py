"""The pictures of a report's pages: a small one of each in a folder beside the page, and where the original lies.

pictures/000/000042.webp         small: lists and records show it
pictures/000/000042-large.webp   only where a browser cannot show the original, or a record marks a face in it
originals/0                      a link to the folder of the originals: no page names a folder of this machine

Several processes make them where there are many. A picture that cannot be shown says why; it is never left out.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from seke.core import images
from seke.core.images import ImageError
from seke.core.parallel import cores, parallel_map
from seke.reporting.data.runs import Pictured

if TYPE_CHECKING:
    from PIL.Image import Image

RECORDS_GONE = "the records this run was made from are gone"
LARGE = 1024
"""Longest side of a large copy, in pixels."""
SHOWN = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")
"""Formats that browsers show."""
PARALLEL_FROM = 256
"""From so many pictures on, several processes are worth their start."""
CHUNK = 64
"""Pictures handed to a process at a time."""
PER_FOLDER = 1000
"""Pictures in one folder: file managers are slow with more."""
FOLDER, ORIGINALS = "pictures", "originals"


class Small(NamedTuple):
    """A small picture, or the reason why there is none."""

    data: bytes
    """A WebP file."""
    problem: str = ""
    large: bytes = b""
    """A WebP file that shows more of it, where the original does not."""

    @property
    def uri(self) -> str | None:
        """The small picture as a data URI; None where there is none."""
        return data_uri(self.data) if self.data else None


def small(root: Path | None, source: Pictured, side: int, large: bool = False) -> Small:
    """Return a picture below `root` with at most `side` x `side` pixels; one that fails says why.

    `large`: with a larger copy where the original cannot serve.

    WebP takes half the bytes of JPEG at this size, most of which are JPEG's tables.
    """
    if root is None:
        return Small(b"", RECORDS_GONE)
    try:
        data, _ = images.read_unchanged(images.resolve(root, source.image), source.image, source.sha256)
        face = images.face_box(source.face, source.image)
        picture = images.decode(data, source.image, side if face is None else None)
        copy = None
        if face is not None:
            picture = copy = images.cropped(picture, face, images.MARGIN)
        elif large and images.recognised(data).format not in SHOWN:
            copy = images.decode(data, source.image, LARGE)
    except ImageError as error:
        return Small(b"", str(error))
    return Small(_webp(picture, side), large=_webp(copy, LARGE) if copy and large else b"")


def data_uri(data: bytes) -> str:
    """Return a WebP file as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def _webp(picture: "Image", side: int) -> bytes:
    picture = picture.copy()
    picture.thumbnail((side, side), reducing_gap=1.0)  # halved by its pixels first, as long as that is too large
    out = io.BytesIO()
    picture.save(out, format="WEBP", quality=70, method=2)
    return out.getvalue()


class _Made(NamedTuple):
    size: int
    """Bytes of the small picture."""
    problem: str
    large: bool
    """Whether there is a larger copy."""


class Pictures:
    """All pictures of one report, each made once however many pages show it.

    add(...) as often as needed; then start(), other work, and finish(); then the rest.
    """

    def __init__(self, report: Path, side: int | None) -> None:
        """`report`: the folder of the page; `side`: longest side of a small picture in pixels, None for no pictures."""
        self._report, self._side = report, side
        self._numbers: dict[tuple[Path | None, Pictured], int] = {}
        self._keys: list[tuple[Path | None, Pictured]] = []
        self._roots: dict[Path, int] = {}
        self._made: list[_Made] = []
        self._rest: Iterator[_Made] = iter(())
        self.linked = True
        """Whether the originals could be linked; not every file system lets one."""

    def add(self, root: Path | None, sources: Sequence[Pictured]) -> list[int]:
        """Return the numbers of these pictures, in order; of a report without pictures nothing."""
        if self._side is None:
            return []
        if root is not None:
            self._roots.setdefault(root, len(self._roots))
        return [self._numbers.setdefault((root, source), len(self._numbers)) for source in sources]

    def start(self) -> None:
        """Begin: where there are many, other processes make the rest while this one does what else a report needs."""
        self._keys = list(self._numbers)
        for place in range(0, len(self._keys), PER_FOLDER):
            (self._report / _path(place)).parent.mkdir(parents=True)
        workers = 1 if len(self._keys) < PARALLEL_FROM else cores()
        work = partial(_written, self._report, self._side or 0)
        self._rest = parallel_map(work, list(enumerate(self._keys)), workers, CHUNK)
        self._made = list(islice(self._rest, 1))

    def finish(self) -> None:
        """Wait for the last picture, and link the originals."""
        self._made += self._rest
        for root, number in self._roots.items():
            try:
                (self._report / ORIGINALS).mkdir(exist_ok=True)
                (self._report / ORIGINALS / str(number)).symlink_to(root.resolve(), target_is_directory=True)
            except OSError:
                self.linked = False

    def size(self, numbers: Sequence[int]) -> int:
        """Return how many bytes these small pictures have."""
        return sum(self._made[number].size for number in set(numbers))

    def problem(self, number: int) -> str:
        """Return why there is no such picture; empty where there is one."""
        return self._made[number].problem

    def data(self, number: int) -> bytes:
        """Return a small picture, a WebP file."""
        return (self._report / _path(number)).read_bytes()

    def image(self, number: int) -> str:
        """Return a picture's path below its root."""
        return self._keys[number][1].image

    def has_copy(self, number: int) -> bool:
        """Whether a larger copy lies beside a small picture, because the original cannot be shown as it is."""
        return self._made[number].large

    def originals(self, root: Path | None) -> str | None:
        """Return the link to the folder of pictures, as a URL seen from the page; None where there is none."""
        return f"{ORIGINALS}/{self._roots[root]}/" if self.linked and root in self._roots else None

    def large(self, number: int) -> str | None:
        """Return a picture at full size, as a URL seen from the page; None where there is none."""
        root, source = self._keys[number]
        folder = self.originals(root)
        if self.problem(number) or (folder is None and not self.has_copy(number)):
            return None
        return _path(number, "-large") if self.has_copy(number) else f"{folder}{quote(source.image)}"


def _path(number: int, kind: str = "") -> str:
    return f"{FOLDER}/{number // PER_FOLDER:03d}/{number:06d}{kind}.webp"


def _written(report: Path, side: int, job: tuple[int, tuple[Path | None, Pictured]]) -> _Made:
    number, (root, source) = job
    made = small(root, source, side, large=True)
    if made.data:
        (report / _path(number)).write_bytes(made.data)
    if made.large:
        (report / _path(number, "-large")).write_bytes(made.large)
    return _Made(len(made.data), made.problem, bool(made.large))
