"""A prepared set whose pictures are corrupted: how robust is what was learnt, or what is labelled, to bad pictures?

The records of one split keep their ids, subjects and labels; their pictures are written anew, corrupted, below
`<run>/images`, with hashes of their own. So a model's answers about them can be compared with those about the clean
ones face by face. A simulated annotator knows faces by the hash of their picture and sees nothing of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from tqdm import tqdm

from seke.core import files, old_runs, runs
from seke.core.errors import UserError
from seke.core.images import ImageError, open_record, sha256
from seke.core.parallel import cores, parallel_map
from seke.core.records import ImageRecord, Rejection, Split, read_jsonl
from seke.core.setting_checks import check_whole
from seke.sources.base.source import Source
from seke.sources.derived.corruptions import FRAMINGS, KINDS, SEVERITIES, corrupt

ONE_PROCESS = 400
"""Fewer pictures than this are made sooner than a second process has started."""
FOLDER = "images"


class Corrupted(Source):
    """The records of a prepared set, each with a corrupted copy of its picture.

    Raises:
        UserError: if a setting is none, or if there is no such set, or nothing of this split in it.
    """

    def __init__(
        self,
        records: str | None,
        outputs: str,
        kind: str = "blur",
        severity: int = 1,
        split: Split = "test",
        workers: int | None = None,
        seed: int = 0,
    ) -> None:
        if not records:
            remedy = "give the name of a prepared set, such as source.records=demo"
            raise UserError("source.records", records, "there is nothing to corrupt", remedy)
        if kind not in KINDS:
            raise UserError("source.kind", kind, "no such corruption", f"set {', '.join(KINDS)}")
        check_whole("source.severity", severity, SEVERITIES[0], SEVERITIES[-1])
        check_whole("source.workers", workers, 1, 1024, optional=True)
        if split not in ("train", "validation", "test"):
            raise UserError("source.split", split, "no such split", "set train, validation or test")
        self.kind, self.severity, self.workers, self.seed = kind, severity, workers, seed
        self.file = runs.locate("source.records", records, Path(outputs), "prepare", f"{split}.jsonl")
        self.root = runs.image_root(self.file)
        drawn = old_runs.synthetic(runs.manifest_beside(self.file).get("synthetic"), self.file.parent)
        self.synthetic = "faces" if drawn == "faces" else "scenes" if drawn == "scenes" else "nothing"

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The records' file."""
        return {"records": self.file}

    def image_root(self, run_path: Path) -> str:
        """Return the folder of the corrupted pictures, relative to the run's."""
        return FOLDER

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Write the corrupted pictures that are not there yet, and yield the records.

        Raises:
            UserError: if there is no record.
        """
        if not self._records:
            raise UserError("source.records", self.file, "no record in it", "give a prepared set with such a split")
        folder = run_path / FOLDER
        folder.mkdir(exist_ok=True)
        files.clear_parts(folder)
        jobs = [Job(record, folder / _name(record)) for record in self._records]
        make = partial(written, self.root, self.kind, self.severity, self.seed)
        workers = 1 if len(jobs) < ONE_PROCESS else self.workers or cores()
        made = parallel_map(make, jobs, workers, chunksize=32)
        for job, problem in zip(jobs, tqdm(made, "corrupting", len(jobs), unit="image", disable=None), strict=True):
            if problem:
                yield Rejection(id=job.record.id, reason="bad image", detail=problem)
            else:
                # No hash: it is a new picture, which is looked at when it is drawn.
                told = {**job.record.attributes, "condition": {"kind": self.kind, "severity": self.severity}}
                if self.kind in FRAMINGS:
                    told.pop("face", None)  # it is elsewhere in the copy, and cutting it out would undo the framing
                yield job.record.model_copy(update={"image": job.file.name, "sha256": None, "attributes": told})

    @cached_property
    def _records(self) -> Sequence[ImageRecord]:
        return tuple(read_jsonl(self.file, ImageRecord))


class Job(NamedTuple):
    """A picture for a worker to corrupt."""

    record: ImageRecord
    file: Path
    """Where the copy belongs."""


def _name(record: ImageRecord) -> str:
    """Return what the copy is called: by the record's id, of which no two are the same; its path may lead anywhere."""
    return f"{sha256(record.id.encode())[:20]}.png"


def written(root: Path, kind: str, severity: int, seed: int, job: Job) -> str:
    """Write a corrupted copy unless there is one, without loss; return why it cannot be, or "".

    What is chosen at random depends on the seed, the record and the kind alone: it stays as the severity grows.
    """
    if job.file.is_file():
        return ""
    try:
        opened = open_record(job.record, root)
    except ImageError as error:
        return str(error)
    copy = corrupt(opened.picture, kind, severity, opened.face, Random(f"{seed}/{job.record.id}/{kind}"))
    with files.replacing(job.file) as part:
        copy.save(part, "PNG")
    return ""
