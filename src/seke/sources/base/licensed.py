"""The base of datasets that people hold under licence: a root, a split by subject, ids that name them."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection, Split
from seke.sources.base.source import Source
from seke.sources.base.split import VALIDATION_SHARE, Draw, Listed, Undrawn, checked_share, drawn
from seke.sources.base.tables import Bad


class SplitSettings(TypedDict, total=False):
    """What every dataset's constructor hands on to `Licensed`, which has the defaults."""

    seed: int
    test_share: float
    validation_share: float


class Licensed(Source):
    """One dataset, unpacked below `root` as its owners ship it.

    Raises:
        UserError: if there is no such folder, or if a share is none.
    """

    name: str
    """Its name in conf/source/, in `source` and before every id."""

    def __init__(
        self,
        root: str | None,
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        if not root or not Path(root).is_dir():
            problem = "no folder is given" if not root else f"no such folder (for {self.name})"
            raise UserError("source.root", root, problem, "set source.root=<where it is unpacked> or paths.data=")
        self.root = Path(root).resolve()
        self.pictured = self.root
        """The folder that pictures are looked for in; a dataset with a setting for it narrows it."""
        self.seed = seed
        self.test_share = checked_share("source.test_share", test_share)
        self.validation_share = checked_share("source.validation_share", validation_share)

    def image_root(self, run_path: Path) -> str:
        """Return the dataset's folder: pictures are never copied."""
        return str(self.root)

    def roots(self, run_path: Path) -> Sequence[Path]:
        """Return the folder, or the part of it that pictures are looked for in."""
        return (self.pictured,)

    def relative(self, path: Path) -> str:
        """Return how a file below `root` is named in records and rejections: its path from there."""
        return path.relative_to(self.root).as_posix()

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield the rows, with the splits that could not be drawn before all groups were known.

        Raises:
            UserError: see `rows` of the dataset.
        """
        yield from drawn(self.rows(run_path), self.seed, self.test_share, self.validation_share, self.earlier)

    @abstractmethod
    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every labelled image, and a rejection for labels without an image and images without a label."""

    def split(self, group: str) -> Draw:
        """Return the split, yet to be drawn, of a subject, a video, or, where neither is known, one image."""
        return Draw(f"{self.name}/{group}")

    def official(self, group: str, test: bool) -> Split | Draw:
        """Return the split that the dataset's owners decided; validation is still drawn from their training part."""
        return "test" if test else Draw(f"{self.name}/{group}", test=False)

    def record(
        self,
        key: str,
        image: str,
        labels: Labels,
        split: Split | Draw,
        subject: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        why_empty: str = "every label is missing",
    ) -> Listed:
        """Return the record `<name>/<key>`, not yet looked at; a row that is left with no label is rejected."""
        if labels.empty:
            return self.no_label(key, why_empty)
        return self.row(key, image, labels, split, subject, attributes)

    def row(
        self,
        key: str,
        image: str,
        labels: Labels,
        split: Split | Draw,
        subject: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> ImageRecord | Undrawn:
        """Return the record `<name>/<key>`, not yet looked at, whatever its labels."""
        record = ImageRecord(
            id=f"{self.name}/{key}",
            image=image,
            sha256=None,
            source=self.name,
            subject=subject,
            split="train" if isinstance(split, Draw) else split,
            labels=labels,
            attributes=dict(attributes or {}),
        )
        return Undrawn(record, split) if isinstance(split, Draw) else record

    def rejection(self, key: str, reason: str, detail: str) -> Rejection:
        """Return the rejection of `<name>/<key>`."""
        return Rejection(id=f"{self.name}/{key}", reason=reason, detail=detail)

    def bad_rows(self, bad: Iterable[Bad]) -> Iterator[Rejection]:
        """Yield the rejections of rows that could not be read, named by their file and line."""
        for file, line, problem in bad:
            where = self.relative(file) + (f", line {line}" if line else "")
            yield self.rejection(where, "bad row", f"{where}: {problem}")

    def twins(self, folder: str, names: Iterable[str]) -> Iterator[Rejection]:
        """Yield the rejections of files whose names differ in their ending or case only: which one a label means?"""
        for name in names:
            detail = f"{folder}/{name}: another file there has the same name but for its ending"
            yield self.rejection(f"{folder}/{name}", "two files of one name", detail)

    def no_image(self, key: str, detail: str) -> Rejection:
        """Return the rejection of a label whose image is not there: it is counted and listed, never replaced."""
        return self.rejection(key, "no image", detail)

    def no_label(self, key: str, detail: str = "no label file or row names it") -> Rejection:
        """Return the rejection of an image, or a folder of images, that nobody labelled."""
        return self.rejection(key, "no label", detail)

    def bad_label(self, key: str, detail: str) -> Rejection:
        """Return the rejection of an image whose label cannot be right."""
        return self.rejection(key, "bad label", detail)
