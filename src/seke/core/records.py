"""Rows that every room reads and writes (records, instructions, predictions), and JSON Lines files of them.

`None` means unknown everywhere, and an action unit that nobody annotated is absent from `action_units`: unknown is not
absent. A row is validated when it is built and when it is read; a broken line names its file, line and field.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from seke.core import files
from seke.core.affect import ACTION_UNITS, EXPRESSIONS, STRONGEST
from seke.core.errors import UserError
from seke.core.vlm import Status

Unit = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
"""Valence or arousal, in [-1, 1]."""
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Intensity = Annotated[float, Field(ge=0, le=STRONGEST, allow_inf_nan=False)]
"""Of an action unit, in [0, 5]: 0 is absent, 1 to 5 are FACS's A (trace) to E (maximum)."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Description = Literal["expression", "valence", "arousal", "action_units"]
"""The label fields. The paper's three descriptions are expression, valence/arousal and action units."""
Origin = Literal["manual", "generated"]
Split = Literal["train", "validation", "test"]
NOBODY: Final = "none"
"""The `annotator` of an instruction whose labels were inferred without asking anybody."""
WITNESS: Final = "witness "
"""What the `annotator` begins with where nobody was asked and witnesses, tables of what other tools say, were heard."""
AnswerStatus = Literal[Status, "unanswered"]
"""What became of an answer."""
Row = TypeVar("Row", bound=BaseModel)


class RecordError(UserError):
    """A row that breaks its format; the message names file, line and field."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__("file", path, problem, "fix the file or make it anew")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Labels(_Frozen):
    """What is known about one face."""

    expression: str | None = None
    valence: Unit | None = None
    arousal: Unit | None = None
    action_units: Mapping[int, bool] | None = None
    """Only the AUs that somebody annotated; the rest of the 17 are unknown."""
    au_intensity: Mapping[int, Intensity] | None = None
    """Intensity of the AUs for which somebody gave one. Whether an AU occurs is said by `action_units` alone: sources
    differ in where occurrence begins, so neither is ever derived from the other here. No key in rows without it."""

    @field_validator("expression")
    @classmethod
    def _known_expression(cls, value: str | None) -> str | None:
        if value is not None and value not in EXPRESSIONS:
            raise ValueError(f"{value!r} is none of {', '.join(EXPRESSIONS)}")
        return value

    @field_validator("action_units", "au_intensity", mode="before")
    @classmethod
    def _integer_keys(cls, value: Any) -> Any:
        # JSON has string keys only; strict mode would refuse to read back what we wrote.
        if not isinstance(value, Mapping) or set(map(type, value)) == {int}:
            return value
        if all(isinstance(key, int) or str(key).isdecimal() for key in value):
            return {int(key): said for key, said in value.items()}
        return value

    @field_validator("action_units", "au_intensity")
    @classmethod
    def _known_action_units(cls, value: Mapping[int, Any] | None) -> Mapping[int, Any] | None:
        if value is None:
            return None
        for au in value:
            if au not in ACTION_UNITS:
                raise ValueError(f"AU{au} is none of the 17 ({', '.join(map(str, ACTION_UNITS))})")
        return {au: value[au] for au in sorted(value)} or None

    @model_serializer(mode="wrap")
    def _without_unknown_intensity(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        if self.au_intensity is None:
            row.pop("au_intensity", None)
        return row

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return what `repr` shows: an intensity only where there is one."""
        return [pair for pair in super().__repr_args__() if pair != ("au_intensity", None)]

    @property
    def active(self) -> tuple[int, ...]:
        """The AUs annotated as active, ascending."""
        return tuple(au for au, active in (self.action_units or {}).items() if active)

    @property
    def complete(self) -> bool:
        """Whether all three descriptions are known, with all 17 AUs."""
        return self.described and len(self.action_units or {}) == len(ACTION_UNITS)

    @property
    def described(self) -> bool:
        """Whether all three descriptions are there; of the action units those that the source annotates."""
        known = self.expression is not None and self.valence is not None and self.arousal is not None
        return known and bool(self.action_units)

    @property
    def empty(self) -> bool:
        """Whether nothing at all is known."""
        said = self.expression is not None or self.valence is not None or self.arousal is not None
        return not said and not self.action_units and not self.au_intensity

    def completed_by(self, other: "Labels") -> "Labels":
        """Fill what is unknown here from `other`, AU by AU; nothing known here ever changes.

        Intensities stay those that are known here: what an annotator says of them is not a label.
        """
        units = {**(other.action_units or {}), **(self.action_units or {})}
        return Labels(
            expression=self.expression if self.expression is not None else other.expression,
            valence=self.valence if self.valence is not None else other.valence,
            arousal=self.arousal if self.arousal is not None else other.arousal,
            action_units=units or None,
            au_intensity=self.au_intensity,
        )


class Clip(_Frozen):
    """Where a record's picture stands in a video, and the frames that are shown in its place."""

    video: str = Field(min_length=1)
    """Name of the video within its source: records of one video share it."""
    time: Seconds | None = None
    """Of the record's own picture, from the beginning of the video; None where nothing says how fast it runs."""
    frames: tuple[str, ...] = ()
    """Paths of the frames that are shown, relative to `image_root`, in their order; empty: the picture stands alone."""
    times: tuple[Seconds, ...] | None = None
    """Of each of `frames`, from the beginning of the video, ascending; None as for `time`."""
    file: str | None = None
    """The video itself, relative to `image_root`, where it may be played."""
    sha256: tuple[str, ...] | None = None
    """Of each of `frames`' bytes; None until the files were looked at. No key where it is None."""

    @field_validator("frames", "times", "sha256", mode="before")
    @classmethod
    def _json_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.times is not None and len(self.times) != len(self.frames):
            raise ValueError(f"{len(self.times)} times of {len(self.frames)} frames")
        if self.times is not None and any(after < before for before, after in pairwise(self.times)):
            raise ValueError("its times are not in order")
        if self.sha256 is not None and len(self.sha256) != len(self.frames):
            raise ValueError(f"{len(self.sha256)} sha256 of {len(self.frames)} frames")
        return self

    @model_serializer(mode="wrap")
    def _without_unknown_sha256(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        if self.sha256 is None:
            row.pop("sha256", None)
        return row

    def of(self, places: Sequence[int]) -> "Clip":
        """Return the clip that shows these of its frames, in this order, each with its time and sha256.

        >>> Clip(video="v", frames=("0.jpg", "1.jpg", "2.jpg"), times=(0, 1, 2)).of([0, 2]).frames
        ('0.jpg', '2.jpg')
        """

        def taken(values: Any) -> Any:
            return None if values is None else tuple(values[place] for place in places)

        parts = {name: taken(getattr(self, name)) for name in ("frames", "times", "sha256")}
        return self.model_copy(update=parts)


class ImageRecord(_Frozen):
    """One face as its source gives it: a row of train.jsonl, validation.jsonl or test.jsonl."""

    id: str = Field(min_length=1)
    image: str = Field(min_length=1)
    """Path relative to the manifest's `image_root`."""
    sha256: str | None
    """Of the image file's bytes; None until the file was looked at, never in a prepared set."""
    source: str
    subject: str | None
    """None where the source names no subjects (RAF-DB, AffectNet)."""
    split: Split
    labels: Labels
    attributes: dict[str, Any] = Field(default_factory=dict)
    clip: Clip | None = None
    """Of faces in a video. No key where there is none."""

    @model_serializer(mode="wrap")
    def _without_unknown_clip(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        if self.clip is None:
            row.pop("clip", None)
        return row


class Turn(BaseModel):
    """One turn of a LLaVA conversation; on disk its speaker is called `from`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True, serialize_by_alias=True)

    speaker: Literal["human", "gpt"] = Field(alias="from")
    value: str


class Origins(_Frozen):
    """Where each label of an instruction came from; None where there is no label."""

    expression: Origin | None = None
    valence: Origin | None = None
    arousal: Origin | None = None
    action_units: Mapping[str, Origin] = Field(default_factory=dict)


class Uncertainty(_Frozen):
    """Normalised epistemic uncertainty per description (Eq. 3), in [0, 1]; None where nothing was sampled."""

    expression: Probability | None = None
    valence: Probability | None = None
    arousal: Probability | None = None
    action_units: Probability | None = None
    max: Probability | None = None


class InstructionRecord(_Frozen):
    """One row of instructions.jsonl: also a row of LLaVA conversation data as it stands."""

    id: str = Field(min_length=1)
    image: str
    source: str
    subject: str | None
    conversations: tuple[Turn, ...] = Field(min_length=2)
    labels: Labels
    origin: Origins
    uncertainty: Uncertainty
    confidence: dict[str, Any] | None = None
    samples: int = Field(ge=0)
    """S_n: how many draws the record took."""
    grades: Mapping[str, Intensity] | None = None
    """Mean intensity that the annotator's graded draws gave each AU it was asked about: what it said, no label (that is
    `labels.au_intensity`, of people alone). No key where nothing was graded."""
    annotator: str
    """The exact model that answered; `NOBODY` where none was asked, or the names of witnesses behind `WITNESS`."""
    simulated: bool | None = None
    """Whether a simulation answered, and no model; None, and no key, in rows that were made before this was kept."""
    flags: tuple[str, ...] = ()
    sha256: str | None = None
    """Of the image file that the annotator saw; None, and no key, in rows that were made before this was kept."""
    attributes: dict[str, Any] = Field(default_factory=dict)
    """What the instruction was made from beside labels: its kind, a scene's emotion and caption. No key where empty."""
    clip: Clip | None = None
    """Of the record it was made for. No key where there is none."""

    @field_validator("conversations", "flags", mode="before")
    @classmethod
    def _json_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        absent = {name for name in ("attributes", "sha256") if not getattr(self, name)}
        absent |= {name for name in ("simulated", "grades", "clip") if getattr(self, name) is None}
        return {name: value for name, value in row.items() if name not in absent}


class Rejection(_Frozen):
    """One row of rejected.jsonl: an input that gave no output, and why."""

    id: str
    reason: str
    detail: str = ""


class Trace(_Frozen):
    """One row of draws.jsonl: how a record's labels came about."""

    id: str
    prior: Labels
    """What the annotator was told; empty where the prompt showed no human labels."""
    draws: tuple[Labels, ...]
    """Only what was asked."""
    summary: Labels | None
    """The last answer's labels, only what was asked; None where there was none."""
    requests: int = Field(ge=0)
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)

    @field_validator("draws", mode="before")
    @classmethod
    def _json_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Prediction(_Frozen):
    """One row of predictions.jsonl: what a model said about one face, and the truth it is scored against."""

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    text: str
    judged: str | None
    """The text after the judge rewrote it into the universal template; None where the parser read it directly."""
    labels: Labels
    truth: Labels
    status: AnswerStatus
    confidence: dict[str, Any] | None = None
    """How sure each label is, by description (of action units: by AU), in [0, 1]: the share of further answers to the
    same question that agree. No key where nobody asked for any."""

    @model_serializer(mode="wrap")
    def _without_unknown_confidence(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        if self.confidence is None:
            row.pop("confidence", None)
        return row


def read_jsonl(path: str | os.PathLike[str], row: type[Row]) -> Iterator[Row]:
    """Yield the validated rows of a JSON Lines file, ignoring blank lines.

    Raises:
        RecordError: at the first bad line, naming file, line number and field.
    """
    with Path(path).open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(_decoded(lines, path), start=1):
            if line.strip():
                yield _parsed(row, line, path, number)


def lost_beside(records_file: Path) -> Path:
    """Return where `prepare` writes the records of a benchmark's questions whose picture is missing or broken.

    >>> lost_beside(Path("prepare/ferbench/test.jsonl")).name
    'test.without_picture.jsonl'
    """
    return records_file.with_name(f"{records_file.stem}.without_picture.jsonl")


def without_picture(records_file: Path | None) -> list[ImageRecord]:
    """Return the records beside a file of them whose picture is missing or broken; none where nobody wrote any."""
    file = None if records_file is None else lost_beside(records_file)
    return list(read_jsonl(file, ImageRecord)) if file is not None and file.is_file() else []


def _decoded(lines: Iterable[str], path: str | os.PathLike[str]) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise RecordError(path, f"not UTF-8 text ({error.reason})") from error


def _parsed(row: type[Row], line: str, path: str | os.PathLike[str], number: int) -> Row:
    try:
        return row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "whole line"
        raise RecordError(path, f"line {number}, field {field}: {first['msg']}") from None


def to_line(row: BaseModel) -> str:
    """Return the row as one line of JSON, without the line's end."""
    return json.dumps(row.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[BaseModel]) -> int:
    """Write rows to `path` and return their number; the file appears whole or not at all."""
    count = 0
    with files.whole(Path(path)) as out:
        for count, row in enumerate(rows, start=1):  # noqa: B007  (the last count is the result)
            out.write(to_line(row) + "\n")
    return count
