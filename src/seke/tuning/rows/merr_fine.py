"""MERR-Fine: what a person in a clip feels and why, annotated from the clip's peak frame (facts 2.3).

    <path>/MERR_fine_grained.json     {"<video>": {"peak_index": 23, "smp_reason_caption": "...", "text": "...", ...}}
    <path>/MERR_fine_grained.txt      "<video> <frames> <emotion> <valence>", optional: the label for keep=expression
    <root>/**/<video>.mp4             MER2023's clips, or folders of their extracted frames

The set has no question of its own: it is the setting `question`. Unknown to us is whether `peak_index` counts from 0
in every copy; `first_frame` says what extracted frames begin with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seke.errors import UserError
from seke.records import Labels, RecordError, Rejection
from seke.tuning.rows.clips import Clips, cache_of
from seke.tuning.rows.find import label_file
from seke.tuning.rows.objects import mapping
from seke.tuning.rows.row import Keep, Row, UnusableError, exchange, expression, kept, made


@dataclass(frozen=True)
class MerrFine:
    """Reads MERR's fine-grained part."""

    question: str
    answer: Literal["smp_reason_caption", "text"] = "smp_reason_caption"
    first_frame: int = 0
    frames: str | None = None
    """Folder for frames taken from videos; None: `frames` in the dataset's folder."""

    def __post_init__(self) -> None:
        if self.answer not in ("smp_reason_caption", "text"):
            raise UserError("data.reader.answer", self.answer, "no such field", "use smp_reason_caption or text")

    def files(self, path: Path) -> list[Path]:
        """Return the annotations, and the list of emotions where there is one."""
        file = label_file(path, "MERR_fine_grained.json")
        emotions = file.with_suffix(".txt")
        return [file, emotions] if emotions.is_file() else [file]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per clip."""
        file, *more = self.files(path)
        annotations = mapping(file)
        emotions = _emotions(more[0]) if more else {}
        clips = Clips(root, annotations, cache_of(path, self.frames), self.first_frame)
        for clip, fields in annotations.items():
            labels = Labels(expression=emotions.get(clip))
            yield made(file, clip, clip, partial(self._row, clip, fields, labels, clips, keep))

    def _row(self, clip: str, fields: dict[str, Any], labels: Labels, clips: Clips, keep: Keep) -> Row:
        turns = kept(exchange(self.question, fields.get(self.answer) or ""), labels, keep)
        peak = fields.get("peak_index")
        if type(peak) is not int or peak < 0:
            raise UnusableError("no image", f"peak_index={peak!r} is no frame")
        picture, frame = clips.picture(clip, peak)
        return Row(clip, turns, (picture,), frame)


def _emotions(file: Path) -> dict[str, str | None]:
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(file, f"cannot be read ({error})") from error
    return {fields[0]: expression(fields[2]) for fields in lines if len(fields) >= 3}
