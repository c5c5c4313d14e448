"""Synthetic datasets: pictures that several processes draw, each once, as JPEG files below the run's folder.

Listing draws nothing, so `prepare limit=20` draws twenty pictures, not the thousands that it chooses them from.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from tqdm import tqdm

from seke.core import files
from seke.core.images import ImageError, decode, sha256
from seke.core.parallel import cores, parallel_map
from seke.core.records import ImageRecord, Rejection, write_jsonl
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
    truth: ClassVar[str]
    """The file beside the records that tells what the drawn pictures show."""

    def __init__(self, images: int, size: int, workers: int | None, seed: int, validation_share: float) -> None:
        check_whole("source.images", images, self.fewest, 10_000_000)
        check_whole("source.size", size, SMALLEST, LARGEST)
        check_whole("source.workers", workers, 1, 1024, optional=True)
        self.images, self.size, self.seed = images, size, seed
        self.workers = workers or cores()
        self.validation_share = checked_share("source.validation_share", validation_share)
        self._run_path = Path()
        self._rows: dict[str, ImageRecord] = {}
        self._digests: dict[str, str] = {}

    @property
    def inputs(self) -> Mapping[str, Path]:
        """None: it draws itself."""
        return {}

    def image_root(self, run_path: Path) -> str:
        """Return the pictures' folder, relative to the run's."""
        return self.folder

    @abstractmethod
    def labelled(self) -> Iterator[tuple[ImageRecord, ImageRecord]]:
        """Yield each picture's row as its dataset would give it, and with the whole truth; neither has a sha256."""

    @abstractmethod
    def drawn(self, ids: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
        """Draw those pictures of these records that are not there yet; yield the id and sha256 of each."""

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield the records as their datasets would give them; a picture is drawn when its record is fetched."""
        pairs = list(self.labelled())
        self._run_path, self._digests = run_path, {}
        self._rows = {whole.id: whole for _, whole in pairs}
        yield from (record for record, _ in pairs)

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Draw what is not yet drawn, and write the truth about everything that has been fetched."""
        if new := [record.id for record in records if record.id not in self._digests]:
            self._digests.update(self.drawn(new, self._run_path / self.folder))
            fetched = (self.shown(row) for id_, row in self._rows.items() if id_ in self._digests)
            write_jsonl(self._run_path / self.truth, fetched)
        return iter(())

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a fetched record with the sha256 of its picture."""
        return record.model_copy(update={"sha256": self._digests[record.id]})

    def draw_all(
        self, render: Callable[[Job], list[str]], jobs: Sequence[Job], images: int, what: str
    ) -> Iterator[list[str]]:
        """Yield the sha256 of each job's pictures, `images` in all, in the order of the jobs; a bar shows progress."""
        workers = 1 if images < self.one_process else self.workers
        with tqdm(total=images, desc=f"drawing {what}", unit="image", disable=None) as bar:
            for digests in parallel_map(render, jobs, workers):
                bar.update(len(digests))
                yield digests


def chunks(numbers: Sequence[int]) -> list[Sequence[int]]:
    """Return the numbers in chunks for one worker each."""
    return [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]


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
