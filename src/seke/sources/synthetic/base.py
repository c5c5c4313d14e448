"""Synthetic datasets: pictures that several processes draw, each once, as JPEG files below the run's folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from tqdm import tqdm

from seke.core import files
from seke.core.images import ImageError, decode, sha256
from seke.core.parallel import cores, parallel_map
from seke.core.setting_checks import check_whole
from seke.sources.base.source import Source
from seke.sources.base.split import checked_share

if TYPE_CHECKING:
    from PIL.Image import Image

Job = TypeVar("Job")

QUALITY: Final = 92
CHUNK: Final = 100
"""Images a worker draws at a time."""
SMALLEST, LARGEST = 32, 512


class Drawn(Source):
    """`images` pictures of `size` x `size` pixels; any number of `workers` draws the same bytes.

    Raises:
        UserError: if a number or the share is out of range.
    """

    folder: ClassVar[str]
    """Of the pictures, relative to the run's."""
    fewest: ClassVar[int]
    """Images that the set has at least."""
    one_process: ClassVar[int]
    """Fewer images than this are drawn sooner than a second process has started."""

    def __init__(self, images: int, size: int, workers: int | None, seed: int, validation_share: float) -> None:
        check_whole("source.images", images, self.fewest, 10_000_000)
        check_whole("source.size", size, SMALLEST, LARGEST)
        check_whole("source.workers", workers, 1, 1024, optional=True)
        self.images, self.size, self.seed = images, size, seed
        self.workers = 1 if images < self.one_process else workers or cores()
        self.validation_share = checked_share("source.validation_share", validation_share)

    @property
    def inputs(self) -> Mapping[str, Path]:
        """None: it draws itself."""
        return {}

    def image_root(self, run_path: Path) -> str:
        """Return the pictures' folder, relative to the run's."""
        return self.folder

    def draw_all(self, render: Callable[[Job], list[str]], jobs: Sequence[Job], what: str) -> Iterator[list[str]]:
        """Yield the sha256 of each job's pictures, in the order of the jobs; a bar shows how many are drawn."""
        with tqdm(total=self.images, desc=f"drawing {what}", unit="image", disable=None) as bar:
            for digests in parallel_map(render, jobs, self.workers):
                bar.update(len(digests))
                yield digests


def chunks(count: int) -> list[range]:
    """Return the numbers below `count` in chunks for one worker each."""
    return [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def picture_folder(path: Path) -> None:
    """Make a folder for pictures, and clear what an interrupted run left of them."""
    path.mkdir(parents=True, exist_ok=True)
    files.clear_parts(path)


def drawn_once(path: Path, picture: Callable[[], "Image"]) -> str:
    """Return the sha256 of the JPEG file `path`, which is drawn unless a whole picture is there."""
    try:
        data = path.read_bytes()
        decode(data)
    except (OSError, ImageError):
        with files.replacing(path) as part:
            picture().save(part, "JPEG", quality=QUALITY)
        data = path.read_bytes()
    return sha256(data)
