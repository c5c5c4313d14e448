"""A leaderboard's rows: results/*.json, one file for each system on each benchmark, that a stranger can check and send.

A row names no picture, no subject and no label of a licensed dataset. So that two rows can still be compared picture by
picture, each keeps what its measures are in every one of the same resamples (`Replicates`): those of two systems that
answered about the same records are paired, and their difference has an interval though nobody hands out answers.

`kind: published` rows hold a paper's numbers: no counts, no intervals, but a source; they are shown and never ranked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from seke.core.errors import UserError
from seke.core.intervals import interval

FORMAT: Final = 1
SUFFIX: Final = ".json"
SCHEMA: Final = "schema.json"
"""In the folder of the rows: their JSON schema, and no row."""
DIGITS: Final = 6
"""Behind the point, of a replicate."""
ROUNDING: Final = 2e-4
"""By how much an interval may differ from that of its replicates, which are rounded."""
PRIVATE: Final = re.compile(r"(?:^|[\s=:'\"])(?:/home/|/Users/|/root/|[A-Za-z]:\\Users\\)|\bsk-[A-Za-z0-9_-]{16,}")
"""A folder of somebody's, or a key."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Hex sha256."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=80)]
"""Of a measure, as metrics.json has it: expression.accuracy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class System(_Part):
    """Who answered."""

    name: Text
    models: tuple[str, ...] = Field(default=(), strict=False)
    """The exact models that signed the answers."""
    simulated: bool = False
    """Whether a simulation answered, and no model."""
    weights: Mapping[str, Digest] = Field(default_factory=dict)
    """Of a checkpoint: its weight files."""
    settings: Mapping[str, str | int | float | bool | None] = Field(default_factory=dict)
    """How it was asked, where that differs from the program's defaults: thinking off, a budget of pixels."""


class Condition(_Part):
    """What was done to the pictures before they were shown; of a row that has none, nothing."""

    kind: Text
    """light, blur, resolution, occlusion, pose, ..."""
    severity: Annotated[int, Field(ge=1)]


class Task(_Part):
    """What was asked."""

    name: Key
    """feab, emonet, ferbench, ..."""
    records: Digest
    """Of ids, subjects and truth in their order: rows of one digest are resampled alike, so that they are paired."""
    pictures: Digest
    """Of the pictures' own hashes: rows of one digest are about the same pictures."""
    prompt: Digest
    """Of the question's text and how it is to be answered: rows of another prompt are not comparable."""
    reader: Text
    """Who reads labels from answers: parse (rules), or a judge's model."""
    synthetic: Literal["faces", "scenes", "nothing"] = "nothing"
    """What of the pictures is drawn."""
    condition: Condition | None = None


class Counts(_Part):
    """What became of the questions; `asked` is the denominator of every measure, whatever became of them."""

    asked: Annotated[int, Field(ge=1)]
    answered: Count
    refused: Count
    """By the model, or by a filter before it."""
    unreadable: Count
    """Answers in which nothing that was asked could be read."""
    missing_pictures: Count
    """Pictures that are gone, broken or not those that were prepared: nobody was asked, and they count as wrong."""
    no_answer: Count
    """Records that a file of answers does not name, or to which nothing came back."""

    @model_validator(mode="after")
    def _all_told(self) -> "Counts":
        parts = self.answered + self.refused + self.unreadable + self.missing_pictures + self.no_answer
        if parts != self.asked:
            raise ValueError(f"asked is {self.asked}, but answered and the four kinds of failure are {parts} together")
        return self


class Measure(_Part):
    """One number."""

    value: Finite
    """Over all pictures with truth; of an error (MAE), over the answered ones."""
    better: Literal["high", "low"]
    title: Text
    """As a column's head."""
    percent: bool
    """Whether a share in [0, 1] that is printed as per cent."""
    n: Count | None
    """Pictures with truth; None: a paper does not say."""
    coverage: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of n that has an answer, of an error over the answered ones."""
    rival: Finite | None = None
    """With what it competes: the value, or, of an error that lacks answers, that at worst; None: it does not."""
    ci95: tuple[Finite, Finite] | None = Field(default=None, strict=False)
    """Of `rival`."""
    within: tuple[float | None, float | None] = Field(default=(None, None), strict=False)
    """The least and the greatest value that there can be; null: there is none."""
    clusters: Count = 0
    """Subjects, or pictures without subjects, that were drawn anew."""

    @model_validator(mode="after")
    def _in_order(self) -> "Measure":
        low, high = self.bounds
        if not low <= self.value <= high:
            raise ValueError(f"value {self.value} is outside {list(self.within)}")
        if self.ci95 is not None:
            if self.rival is None:
                raise ValueError("ci95 is of rival, which is null")
            if not self.ci95[0] <= self.rival <= self.ci95[1]:
                raise ValueError(f"rival {self.rival} is outside its ci95 {list(self.ci95)}")
        if self.coverage == 1 and self.rival is not None and abs(self.rival - self.value) > ROUNDING:
            raise ValueError("rival differs from value though coverage is 1")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value that there can be."""
        low, high = self.within
        return -np.inf if low is None else low, np.inf if high is None else high


class Replicates(_Part):
    """Every measure in each of the same resamples of subjects; null where it is undefined."""

    seed: Count
    draws: Annotated[int, Field(ge=200, le=20_000)]
    values: Mapping[Key, tuple[Finite | None, ...]]

    @field_validator("values", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: tuple(drawn) if isinstance(drawn, list) else drawn for key, drawn in value.items()}
        return value

    @model_validator(mode="after")
    def _of_one_length(self) -> "Replicates":
        for key, drawn in self.values.items():
            if len(drawn) != self.draws:
                raise ValueError(f"{key} has {len(drawn)} values, not {self.draws} (draws)")
        return self

    def drawn(self, key: str) -> NDArray[np.float64] | None:
        """Return a measure's replicates, (draws,), NaN where undefined; None where there are none."""
        found = self.values.get(key)
        return None if found is None else np.array([np.nan if value is None else value for value in found])


class Contamination(_Part):
    """Whether test pictures were among what the system was trained on."""

    verdict: Literal["none found", "overlap", "unknown"]
    """`unknown` of everybody whose training data cannot be listed: APIs, weights from the Hub."""
    remarks: tuple[str, ...] = Field(default=(), strict=False)


class Cost(_Part):
    """What all answers and their judges cost; null is unknown, and not nothing."""

    usd: Annotated[float, Field(ge=0)] | None
    input_tokens: Count | None
    output_tokens: Count | None


class Made(_Part):
    """How the row came about."""

    command: Text
    """Without folders of anybody's machine, logins and keys."""
    commit: str | None
    packages: Mapping[str, str]
    python: str | None = None
    gpus: tuple[str, ...] = Field(default=(), strict=False)


class Source(_Part):
    """Where a published number stands."""

    paper: Text
    place: Text
    """Table 2, row SEKE."""
    address: str | None = None


class Result(_Part):
    """One row: a system on a benchmark."""

    format: Literal[1]
    kind: Literal["measured", "published"]
    system: System
    task: Task | None = None
    """None of a published row: a paper does not say which pictures, in which order and in which words."""
    benchmark: Key
    """The name of the task, also where there is none."""
    measures: Mapping[Key, Measure] = Field(min_length=1)
    headline: Key
    """The measure that rows are ordered by."""
    counts: Counts | None = None
    replicates: Replicates | None = None
    cost: Cost | None = None
    contamination: Contamination = Contamination(verdict="unknown")
    notes: tuple[str, ...] = Field(default=(), strict=False)
    """Why its numbers may not be held against a paper's, and what else a reader should know."""
    made: Made | None = None
    source: Source | None = None
    """Of a published row."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Result":
        wanted = ("task", "counts", "replicates", "cost", "made") if self.kind == "measured" else ("source",)
        if absent := [name for name in wanted if getattr(self, name) is None]:
            raise ValueError(f"a {self.kind} row needs {', '.join(absent)}")
        if self.headline not in self.measures:
            raise ValueError(f"headline {self.headline} is none of the measures ({', '.join(self.measures)})")
        if self.task is not None and self.task.name != self.benchmark:
            raise ValueError(f"benchmark is {self.benchmark}, but task.name is {self.task.name}")
        for key, measure in self.measures.items() if self.replicates and self.counts else ():
            self._check(key, measure)
        if self.made and PRIVATE.search(" ".join([self.made.command, *map(str, self.system.settings.values())])):
            raise ValueError("made.command or system.settings holds a folder of somebody's machine, or a key")
        return self

    def _check(self, key: str, measure: Measure) -> None:
        assert self.replicates is not None
        assert self.counts is not None
        if measure.n is None or measure.n > self.counts.asked:
            raise ValueError(f"{key}: n is {measure.n}, more than the {self.counts.asked} that were asked")
        drawn_B = self.replicates.drawn(key)
        if (drawn_B is None) != (measure.rival is None):
            raise ValueError(f"{key}: rival and replicates go together; one of them is missing")
        if drawn_B is None or measure.rival is None:
            return
        found = interval(drawn_B, measure.rival, measure.clusters, measure.bounds)
        same = found is None or (measure.ci95 is not None and np.allclose(found, measure.ci95, rtol=0, atol=ROUNDING))
        if not same or (found is None) != (measure.ci95 is None):
            said = None if measure.ci95 is None else list(measure.ci95)
            raise ValueError(f"{key}: ci95 is {said}, but its replicates give {found}")


def rounded(drawn_B: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Return replicates as a row keeps them."""
    return tuple(None if np.isnan(value) else round(float(value), DIGITS) for value in drawn_B)


def schema() -> str:
    """Return the rows' JSON schema as it stands in results/schema.json."""
    return json.dumps(Result.model_json_schema(), indent=1) + "\n"


def to_text(row: Result) -> str:
    """Return a row as its file holds it: readable, the replicates of a measure on one line."""
    content = row.model_dump(mode="json")
    drawn = (content["replicates"] or {}).get("values", {})
    lists = {key: f"@{place}@" for place, key in enumerate(drawn)}
    if drawn:
        content["replicates"]["values"] = lists
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    for key, mark in lists.items():
        text = text.replace(f'"{mark}"', json.dumps(drawn[key], separators=(",", ":")), 1)
    return text + "\n"


def load(path: Path) -> tuple[Result | None, list[str]]:
    """Return a file's row, or None and what is wrong with it, a line for each fault."""
    try:
        content = path.read_text(encoding="utf-8")
        json.loads(content, parse_constant=_no_number)
        return Result.model_validate_json(content), []
    except OSError as error:
        return None, [f"cannot be read ({error.strerror})"]
    except UnicodeDecodeError:
        return None, ["not UTF-8 text"]
    except ValidationError as error:
        return None, [_told(found) for found in error.errors()]
    except (ValueError, RecursionError) as error:
        return None, [f"no JSON ({error})"]


def faults(path: Path) -> list[str]:
    """Return what is wrong with a file, a line for each fault; empty: it is a row."""
    return load(path)[1]


def read(path: Path) -> Result:
    """Return a file's row.

    Raises:
        UserError: naming its first fault.
    """
    row, found = load(path)
    if row is None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        remedy = "python scripts/check_result.py says all that is wrong; mend the file or take it out of the folder"
        raise UserError("leaderboard", path, f"no row of results: {found[0]}{more}", remedy)
    return row


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of rows in a folder and below, by name; what a dot begins is somebody's draft."""
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        if path.name != SCHEMA and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _told(error: Mapping[str, Any]) -> str:
    where = ".".join(map(str, error["loc"])) or "row"
    return f"{where}: {str(error['msg']).removeprefix('Value error, ')}"
