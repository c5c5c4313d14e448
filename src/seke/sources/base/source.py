"""The interface of a dataset to `prepare`: its records, where their images lie, and how it is drawn down."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from seke.core.records import ImageRecord, Rejection, Split


def results(run_path: Path) -> Path:
    """Return the folder of all runs' results, outputs/, by the path of a run, outputs/prepare/<name>.

    It may lie among the pictures, and what it holds is none of them.
    """
    return run_path.resolve().parents[1] if len(run_path.resolve().parts) > 2 else run_path


class Source(ABC):
    """A face dataset on disk (or one that draws itself)."""

    synthetic: Literal["nothing", "faces", "scenes"] = "nothing"
    """What of its pictures is drawn by a program and shows nobody; the prepared set's manifest says so."""

    asked_by: str | None = None
    """The benchmark (conf/benchmark) that its records are made for; None: they are for annotating, too."""

    earlier: Mapping[str, Split] = MappingProxyType({})
    """Where an earlier version of the prepared set has what was labelled then, by record id and sha256 of the picture:
    splits that are drawn leave everybody there. Empty unless `prepare` updates a set."""

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The label files, by a short name, whose content decides the records; a changed one makes another run."""

    @abstractmethod
    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every image of the dataset, with its split, or why it cannot be used.

        Listing is cheap: no image is opened. A record whose `sha256` is None is looked at afterwards, if it is drawn.
        """

    @abstractmethod
    def image_root(self, run_path: Path) -> str:
        """Return the folder that `image` is relative to; a relative one lies in `run_path`."""

    def roots(self, run_path: Path) -> Sequence[Path]:
        """Return the folders whose pictures decide the records; none where a source makes its pictures itself."""
        return ()

    def understood(self) -> Sequence[str]:
        """Return what was made of a person's own files, in lines for the end of `prepare`; none of a known format."""
        return ()

    def unshown(self) -> Sequence[ImageRecord]:
        """Return the records whose picture is missing, after `read`: of a source that is asked by a benchmark alone.

        They are rejected, too; a benchmark counts them as questions that nobody could answer.
        """
        return ()

    def draw(self, pool: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
        """Return the records of `pool` that this source is to consist of: all, unless a source says otherwise."""
        return pool

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Bring the image files of drawn records into being (frames of a video), and yield those that cannot be.

        Called after `read`; more than once where records have to be replaced.
        """
        yield from ()

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a drawn record, which has been fetched, with what fetching has told of it: its image, if need be."""
        return record
