"""Readers of finished runs: each file is read once, nothing is computed, nothing unreadable is passed over.

outputs/<stage>/<run>/manifest.json says that a run is finished. A run without one, or one whose files do not read
(`leave_out`), is left out, counted and named with its reason.
"""

import csv
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from seke.core import manifests, runs
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.records import ImageRecord, InstructionRecord, Labels, Prediction, Split, Trace, read_jsonl

RowT = TypeVar("RowT", bound=BaseModel)

STAGES = ("prepare", "generate", "train", "evaluate")
"""The commands whose runs a report gathers, in the order in which they follow each other."""


class Answer(BaseModel):
    """What every evaluation's predictions.jsonl has in each row."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str


class SceneAnswer(Answer):
    """What the report needs of a scene's row of predictions.jsonl."""

    emotion: str | None = None
    """One of `rules.EMOTIONS`; None: unanswered."""
    named: str | None = None
    """Where another attribute was asked for: the class; None: unanswered."""
    truth: str | None = None
    text: str = ""
    status: str = "ok"

    @property
    def said(self) -> str | None:
        """What was named, whatever was asked for."""
        return self.emotion if self.emotion is not None else self.named


class Curve(NamedTuple):
    """One logged quantity over the optimiser's steps."""

    steps: tuple[float, ...]
    values: tuple[float, ...]


class Pictured(NamedTuple):
    """What a record says of its picture."""

    image: str
    """Path below the image root."""
    sha256: str | None = None
    """Of the file when the record was made; another one is not shown. None: nobody looked."""
    face: tuple[Any, ...] | None = None
    """Where the face is in it, as the record has it; None: the picture shows nothing else."""


@dataclass(frozen=True)
class FinishedRun:
    """One directory with a manifest; each of its files is read when it is first asked for, and then never again.

    A file that is not there is empty; one that does not read raises UserError.
    """

    stage: str
    name: str
    path: Path
    manifest: Mapping[str, Any]
    manifest_sha256: str = ""
    """Of manifest.json as it was read; empty for a run that was read from no file."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration the run was made with."""
        config = self.manifest.get("config")
        return config if isinstance(config, Mapping) else {}

    @property
    def finished_at(self) -> str:
        """When the manifest was written, UTC, to the minute."""
        seconds = (self.path / "manifest.json").stat().st_mtime
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")

    @property
    def anchor(self) -> str:
        """The run's name as an HTML id."""
        return "run-" + "".join(sign if sign.isalnum() else "-" for sign in f"{self.stage}-{self.name}")

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """The content of metrics.json."""
        return read_object(self.path / "metrics.json") or {}

    @cached_property
    def scores(self) -> Mapping[str, Estimate]:
        """The numbers of metrics.json by dotted key, e.g. "expression.accuracy"."""
        return estimates(self.metrics)

    @property
    def warnings(self) -> list[str]:
        """What an evaluation found suspicious about its answers."""
        warnings = self.metrics.get("warnings")
        return [str(warning) for warning in warnings] if isinstance(warnings, list) else []

    @cached_property
    def cost(self) -> Mapping[str, float]:
        """The numbers of cost.json; what is not known is not in it."""
        content = read_object(self.path / "cost.json") or {}
        return {key: number for key, value in content.items() if (number := _number(value)) is not None}

    @cached_property
    def comparison(self) -> Mapping[str, Any]:
        """The content of comparison.json: how an evaluation differs from another one; empty where it was not asked."""
        return read_object(self.path / "comparison.json") or {}

    @cached_property
    def agreement(self) -> Mapping[str, Any]:
        """The content of agreement.json: how far annotators agree; empty where none were held against each other."""
        return read_object(self.path / "agreement.json") or {}

    @cached_property
    def queue(self) -> tuple[str, ...]:
        """The ids of the rows of a generation that people are asked to look at next, in the order to show them in."""
        asked = read_object(self.path / "queue.json") or {}
        path = self.path / "queue.jsonl"
        if asked.get("manifest") != self.manifest_sha256 or not path.is_file():
            return ()  # nobody asked, or of this run as it was before
        with path.open(encoding="utf-8") as lines:
            return tuple(str(json.loads(line)["id"]) for line in lines)

    @cached_property
    def guarantee(self) -> Mapping[str, Any]:
        """The content of guarantee.json; empty where nobody asked for one of this run as it stands."""
        facts = read_object(self.path / "guarantee.json") or {}
        return facts if facts.get("manifest") == self.manifest_sha256 else {}

    @cached_property
    def looks(self) -> Mapping[str, Any]:
        """The content of looks.json: what looks at a generation have corrected."""
        return read_object(self.path / "looks.json") or {}

    @cached_property
    def reviewers(self) -> Mapping[str, Any]:
        """The content of reviewers.json: how far several reviewers agree."""
        return read_object(self.path / "reviewers.json") or {}

    @cached_property
    def instructions(self) -> Sequence[InstructionRecord]:
        """The rows of a generation."""
        return self._rows("instructions.jsonl", InstructionRecord)

    @cached_property
    def predictions(self) -> Sequence[Prediction]:
        """What an evaluation's model said about faces."""
        return self._rows("predictions.jsonl", Prediction)

    @cached_property
    def ids(self) -> frozenset[str]:
        """The records that an evaluation scored, whatever was asked of them."""
        return frozenset(row.id for row in self._rows("predictions.jsonl", Answer))

    @cached_property
    def damage(self) -> str:
        """Why predictions.jsonl does not read; empty where it does, or where there is none."""
        if {"predictions", "scene_answers"} & vars(self).keys():
            return ""  # it has been read
        try:
            path = self.path / "predictions.jsonl"
            deque(read_jsonl(path, Answer) if path.is_file() else (), maxlen=0)  # there may be a million
        except UserError as error:
            return error.problem
        return ""

    @cached_property
    def scene_answers(self) -> Sequence[SceneAnswer]:
        """What an evaluation's model said about scenes."""
        return self._rows("predictions.jsonl", SceneAnswer)

    def rows_of(self, row: type[RowT]) -> Sequence[RowT]:
        """Return an evaluation's predictions as rows of another kind than faces and scenes."""
        return self._rows("predictions.jsonl", row)

    @cached_property
    def draws(self) -> Mapping[str, Trace]:
        """The rows of draws.jsonl by id."""
        return {row.id: row for row in self._rows("draws.jsonl", Trace)}

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """What a training logged."""
        return _curves(self.path)

    @cached_property
    def images(self) -> Mapping[Split, Counter[str]]:
        """How many records of each source every split of a prepared set has."""
        paths: dict[Split, Path] = {split: self.path / f"{split}.jsonl" for split in get_args(Split)}
        return {
            split: Counter(row.source for row in (read_jsonl(path, ImageRecord) if path.is_file() else ()))
            for split, path in paths.items()
        }

    def _rows(self, file: str, row: type[RowT]) -> Sequence[RowT]:
        path = self.path / file
        return tuple(read_jsonl(path, row)) if path.is_file() else ()


class LeftOut(NamedTuple):
    """A run that the report does not use, and why."""

    stage: str
    name: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """The runs of one report, and those it leaves out."""

    runs: tuple[FinishedRun, ...]
    left_out: tuple[LeftOut, ...]

    def of(self, stage: str) -> tuple[FinishedRun, ...]:
        """Return the runs of one command."""
        return tuple(run for run in self.runs if run.stage == stage)


class Outputs:
    """The folder of all runs. A run is opened once, however many parts of a report ask for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: dict[Path, FinishedRun] = {}
        self._truths: dict[Path, Mapping[str, Labels]] = {}
        self._pictures: dict[Path, Mapping[str, Pictured]] = {}

    def open(self, path: Path) -> FinishedRun:
        """Return the finished run in the folder `path`.

        Raises:
            FileNotFoundError: if it has no manifest.
            OSError, ValueError, RecursionError: if its manifest does not read.
        """
        key = path.resolve()
        if key not in self._opened:
            content = (path / "manifest.json").read_bytes()
            manifest = _manifest(_object("manifest.json", content))
            self._opened[key] = FinishedRun(path.parent.name, path.name, path, manifest, sha256(content).hexdigest())
        return self._opened[key]

    def image_root(self, records: Path) -> Path:
        """Return the folder that the `image` fields of a prepared set's records are relative to.

        Raises:
            UserError: if the manifest beside them is damaged.
        """
        try:
            return records.parent / str(self.open(records.parent).manifest.get("image_root", "."))
        except (OSError, ValueError, RecursionError):
            return runs.image_root(records)

    def truth(self, records: Path) -> Mapping[str, Labels]:
        """Return the latent labels that lie beside a prepared set's records, by id; empty where nobody knows them."""
        path = records.parent / "truth.jsonl"
        if path not in self._truths:
            rows = read_jsonl(path, ImageRecord) if path.is_file() else ()
            self._truths[path] = {row.id: row.labels for row in rows}
        return self._truths[path]

    def pictures(self, records: Path) -> Mapping[str, Pictured]:
        """Return the pictures that a file of records is about, by the record's id.

        Raises:
            UserError: if a row does not read.
        """
        if records not in self._pictures:
            self._pictures[records] = {
                row.id: Pictured(row.image, row.sha256, tuple(face) if isinstance(face, list) else None)
                for row in read_jsonl(records, ImageRecord)
                for face in [row.attributes.get("face")]
            }
        return self._pictures[records]


def gather(outputs: Outputs, name: str, pattern: str | None) -> Gathered:
    """Find the runs called `name` or `name-...`, or those that `pattern`, a glob over `outputs`, matches.

    Raises:
        UserError: if no finished run is among them.
    """
    finished, left_out = [], []
    for path in _candidates(outputs.path, name, pattern):
        stage = path.parent.name
        try:
            finished.append(outputs.open(path))
        except FileNotFoundError:
            left_out.append(LeftOut(stage, path.name, "not finished: no manifest.json"))
        except (ValueError, OSError, RecursionError) as error:
            left_out.append(LeftOut(stage, path.name, f"manifest.json does not read: {error}"))
    if not finished:
        argument, value = ("runs", pattern) if pattern else ("name", name)
        unfinished = f" ({len(left_out)} unfinished)" if left_out else ""
        raise UserError(
            argument,
            value,
            f"no finished run below {outputs.path}{unfinished}",
            f"{_there(outputs.path)}give runs= another glob such as 'evaluate/*', or run `bash scripts/demo.sh` first",
        )
    return Gathered(tuple(finished), tuple(left_out))


def leave_out(gathered: Gathered, error: UserError) -> Gathered:
    """Return the runs but for the one that has the file which did not read: `error` names it as its value.

    Raises:
        UserError: `error` itself, if it is about none of these runs, or about the only one.
    """
    file = Path(str(error.value))
    damaged = next((run for run in gathered.runs if run.path in file.parents), None)
    if damaged is None or len(gathered.runs) == 1:
        raise error
    left = LeftOut(damaged.stage, damaged.name, f"{file.relative_to(damaged.path)}: {error.problem}")
    return Gathered(tuple(run for run in gathered.runs if run is not damaged), (*gathered.left_out, left))


def _there(outputs: Path) -> str:
    """Return the finished runs of each command, the newest first, in words."""
    names = {stage: runs.finished(outputs, stage)[: runs.SHOWN] for stage in STAGES}
    found = "; ".join(f"{stage}: {', '.join(of)}" for stage, of in names.items() if of)
    return f"set name= to one of those that there are ({found}), " if found else ""


def _candidates(outputs: Path, name: str, pattern: str | None) -> list[Path]:
    folders = [outputs / stage for stage in STAGES]
    try:
        paths = {path for path in outputs.glob(pattern) if path.parent in folders} if pattern else None
    except (ValueError, NotImplementedError, TypeError) as error:  # TypeError: a list of names
        raise UserError("runs", pattern, f"not a glob: {error}", "give one such as '*/demo*'") from None
    if paths is None:
        everything = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
        paths = {path for path in everything if path.name == name or path.name.startswith(f"{name}-")}
    return sorted(
        (path for path in paths if path.is_dir()), key=lambda path: (STAGES.index(path.parent.name), natural(path.name))
    )


def natural(text: str) -> tuple[list[str | int], str]:
    """Return a sorting key by which the digits in a text count as numbers.

    >>> sorted(["n10", "n2", "n1"], key=natural)
    ['n1', 'n2', 'n10']
    """
    words = re.split(r"(\d+)", text)  # by turns a word, which may be empty, and a number
    return [int(word) if place % 2 else word for place, word in enumerate(words)], text


def _manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(manifest.get("config"), dict):
        raise ValueError("it holds no config")
    if not manifests.of_form(manifest):
        raise ValueError("it is not of the form that this program writes")
    return manifest


def _object(name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text") from error
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return value


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where there is no such file.

    Raises:
        UserError: if the file holds no JSON object.
    """
    try:
        return _object(path.name, path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError("file", path, f"not readable: {error}", "make the run anew with overwrite=true") from None


def estimates(content: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return the numbers of metrics.json, or of one source in it, by dotted key, each with its interval."""
    intervals = dict(_leaves(content.get("ci95") or {}))
    values = {key: value for key, value in content.items() if key != "ci95"}
    return {key: Estimate(_number(value), *_interval(intervals.get(key))) for key, value in _leaves(values)}


def estimate(measured: Mapping[str, Any] | None, key: str = "value") -> Estimate:
    """Return a number that stands beside its own "ci95", as in groups, comparisons and marks; None: not measured."""
    return Estimate(None) if measured is None else Estimate(measured[key], *(measured["ci95"] or (None, None)))


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _number(value: Any) -> float | None:
    """Return a finite number as a float; anything else is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None


def _interval(value: Any) -> tuple[float | None, float | None]:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    return None, None


def _curves(run: Path) -> dict[str, Curve]:
    """Return every numeric column that Lightning's CSV logs below the run's folder hold, over `step`.

    The logger leaves cells empty where a quantity was not logged at that step; they are skipped. Where a run was
    resumed there are several files: rows are merged by step and the later file wins.

    Raises:
        UserError: if one of the files is no text.
    """
    points: dict[str, dict[float, float]] = {}
    for path in sorted(run.rglob("metrics.csv"), key=lambda path: natural(str(path))):
        for row in _logged(path):
            step = _parsed(row.get("step"))
            if step is None:
                continue
            for column, cell in row.items():
                value = _parsed(cell) if column not in ("step", "epoch") else None
                if value is not None:
                    points.setdefault(str(column), {})[step] = value
    return {column: Curve(*zip(*sorted(series.items()), strict=True)) for column, series in points.items()}


def _logged(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError("file", path, f"not readable: {error}", "make the run anew with overwrite=true") from None


def _parsed(cell: Any) -> float | None:
    try:
        return _number(float(cell))
    except (TypeError, ValueError):
        return None
