"""Batch jobs on disk: their requests, their results, and notes on rows that failed.

    <job>.in.jsonl     its requests: {"custom_id": the ledger's key, "method": "POST", "url": ..., "body": {...}}
    <job>.json         its keys and, as soon as they are known, the ids of file and batch; there while the job is open
    <job>.out.jsonl    its results, in any order
    notes.json         how often rows failed, and what the server was found not to understand

A key in an open job is under way and must not be asked again. A job is named after its keys, so that one which was cut
short while it was written is simply written over.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from seke.backends.openai.dialect import Dialect
from seke.core import files
from seke.core.errors import UserError
from seke.core.vlm import Status

ENDPOINT: Final = "/v1/chat/completions"


class Row(NamedTuple):
    """One request as it stands in a job's file."""

    key: str
    parameters: frozenset[str]
    """Names in its body."""
    line: bytes


class Limits(NamedTuple):
    """What one file may hold; OpenAI takes 50,000 rows and 200 MB (facts/generation.md, 3.6)."""

    rows: int
    size: int
    """Bytes."""


@dataclass
class Job:
    """An open job; `save` makes every change of it durable."""

    folder: Path
    address: str
    model: str
    keys: list[str]
    parameters: list[str]
    """Names that occur in its bodies."""
    file_id: str | None = None
    uploaded_at: int = 0
    """Seconds since the epoch, by the server's clock."""
    batch_id: str | None = None

    @property
    def name(self) -> str:
        """First digits of a hash of the keys and of who is asked."""
        return hashlib.sha256("".join([self.address, *self.keys]).encode()).hexdigest()[:12]

    @property
    def requests(self) -> Path:
        """The file to send."""
        return self.folder / f"{self.name}.in.jsonl"

    @property
    def results(self) -> Path:
        """Where the results lie, or will."""
        return self.folder / f"{self.name}.out.jsonl"

    @property
    def note(self) -> Path:
        """Says that the job is open."""
        return self.folder / f"{self.name}.json"

    def save(self) -> None:
        """Write the note."""
        written = {name: value for name, value in vars(self).items() if name != "folder"}
        save(self.note, json.dumps(written))

    def close(self) -> None:
        """Remove the note, and the requests with their images. Results that somebody put there are only moved aside."""
        self.note.unlink(missing_ok=True)
        self.requests.unlink(missing_ok=True)
        if self.results.exists():
            os.replace(self.results, self.folder / f"{self.name}.read.jsonl")


class Failure(NamedTuple):
    """A row that brought no answer so far."""

    tries: int
    status: Status
    detail: str
    final: bool = False
    """Whether asking again would not help."""


@dataclass
class Notes:
    """What outlasts jobs. Whoever wants rows that were given up to be asked again deletes the file."""

    path: Path
    failures: dict[str, Failure] = field(default_factory=dict)
    """By key."""
    dialects: dict[str, Dialect] = field(default_factory=dict)
    """By address and model."""

    @classmethod
    def read(cls, path: Path) -> "Notes":
        """Return the notes at `path`, empty ones if there are none.

        Raises:
            UserError: if the file holds something else.
        """
        if not path.is_file():
            return cls(path)
        with _reading(path):
            stored = json.loads(path.read_text(encoding="utf-8"))
            failures = {key: Failure(*failure) for key, failure in stored["failures"].items()}
            dialects = {
                name: Dialect(**{**dialect, "dropped": set(dialect["dropped"])})
                for name, dialect in stored["dialects"].items()
            }
        return cls(path, failures, dialects)

    def save(self) -> None:
        """Write the file."""
        dialects = {
            name: {**vars(dialect), "dropped": sorted(dialect.dropped)} for name, dialect in self.dialects.items()
        }
        save(self.path, json.dumps({"failures": self.failures, "dialects": dialects}))

    def failed(self, key: str, detail: str) -> None:
        """Count a try that came to nothing."""
        tries = self.failures[key].tries + 1 if key in self.failures else 1
        self.failures[key] = Failure(tries, "invalid", detail)

    def refused(self, key: str, status: Status, detail: str) -> None:
        """Give a row up at once."""
        self.failures[key] = Failure(1, status, detail, final=True)

    def given_up(self, key: str, retries: int) -> Failure | None:
        """Return why this row is not asked any more, or None if it may be."""
        failure = self.failures.get(key)
        if failure is None or failure.final:
            return failure
        if failure.tries <= retries:
            return None
        return failure._replace(detail=f"no answer after {failure.tries} tries; the last: {failure.detail}")


def write(folder: Path, address: str, model: str, rows: Iterable[Row], limits: Limits) -> Iterator[Job]:
    """Write jobs of `rows`, as few as the limits allow, and yield each once it is on disk."""
    files.folder(folder)
    for some in split(rows, limits):
        parameters = sorted(frozenset().union(*(row.parameters for row in some)))
        job = Job(folder, address, model, [row.key for row in some], parameters)
        save(job.requests, *(row.line for row in some))
        job.save()
        yield job


def split(rows: Iterable[Row], limits: Limits) -> Iterator[list[Row]]:
    """Yield `rows` in their order, in groups that each keep within the limits.

    Raises:
        UserError: if a single row is larger than a file may be.
    """
    some: list[Row] = []
    size = 0
    for row in rows:
        if len(row.line) > limits.size:
            raise UserError(
                "backend.megabytes",
                limits.size / 1e6,
                f"one request takes {len(row.line) / 1e6:.3f} MB",
                "set more, or a smaller backend.image.side",
            )
        if some and (len(some) == limits.rows or size + len(row.line) > limits.size):
            yield some
            some, size = [], 0
        some.append(row)
        size += len(row.line)
    if some:
        yield some


def open_jobs(folder: Path, address: str, model: str) -> list[Job]:
    """Return the jobs for `model` at `address` that earlier runs have left open.

    Raises:
        UserError: if a note cannot be read: what it stands for may have been paid for.
    """
    files.clear_parts(folder, "*.json*.????????")  # this process alone writes here, as it holds the ledger
    jobs = []
    for path in sorted(folder.glob("*.json")):
        with _reading(path):
            stored = json.loads(path.read_text(encoding="utf-8"))
            if "keys" in stored and (stored["address"], stored["model"]) == (address, model):
                jobs.append(Job(folder, **stored))
    return jobs


def save(path: Path, *content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all, and outlasts a power cut."""
    with files.whole(path, "wb") as file:
        file.writelines(text.encode() if isinstance(text, str) else text for text in content)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes of its reader into one line."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            "backend.folder",
            path.parent,
            f"{path.name} is damaged ({error})",
            "restore it, or move it away if nothing of it is under way",
        ) from error
