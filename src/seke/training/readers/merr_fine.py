"""MERR-Fine: what a person in a clip feels and why, annotated from the clip's peak frame (facts 2.3).

Shown is that frame, or, with `shown`, so many frames of the clip, as the paper's Table 3 was tuned.

    <path>/MERR_fine_grained.json     {"<video>": {"peak_index": 23, "smp_reason_caption": "...", "text": "...", ...}}
    <path>/MERR_fine_grained.txt      "<video> <frames> <emotion> <valence>", optional: the label for keep=expression
    <root>/**/<video>.mp4             MER2023's clips, or folders of their extracted frames

The set has no question of its own: it is the setting `question`. Peaks count from 0: one as large as its clip's number
of frames shows a copy that counts from 1, which is refused unless `first_peak` says so. Extracted frames begin with 0
or with 1, as the folders show all together; `first_frame` overrules them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seke.core.clip_frames import Around
from seke.core.errors import UserError
from seke.core.records import Labels, RecordError, Rejection
from seke.training.readers.clips import Clips, choice_of, frames_folder
from seke.training.readers.find import label_file
from seke.training.readers.objects import members
from seke.training.readers.row import (
    Keep,
    Row,
    UnusableError,
    as_object,
    exchange,
    expression,
    keep_only,
    rejected,
    row_or_rejection,
    whole_number,
)


class Listed(NamedTuple):
    """What the .txt file says of a clip."""

    frames: int | None
    expression: str | None


@dataclass(frozen=True)
class MerrFine:
    """Reads MERR's fine-grained part."""

    question: str
    answer: Literal["smp_reason_caption", "text"] = "smp_reason_caption"
    first_frame: int | None = None
    """The number of the first extracted frame; None: what the extracted frames of all clips together say."""
    first_peak: int = 0
    """The `peak_index` of a clip's first frame."""
    frames: str | None = None
    """Folder for frames taken from videos; None: `frames` in the dataset's folder."""
    shown: int | None = None
    """Frames of a clip; None: its peak frame alone."""
    around: Around = "whole"
    """What they are spread over: the whole clip, or around its peak."""
    every: float | None = None
    """Seconds between them; None: see `seke.core.clip_frames`."""

    def __post_init__(self) -> None:
        choice_of(self.shown, self.around, self.every)
        if self.answer not in ("smp_reason_caption", "text"):
            raise UserError("data.reader.answer", self.answer, "no such field", "use smp_reason_caption or text")

    def files(self, path: Path) -> list[Path]:
        """Return the annotations, and the list of emotions where there is one."""
        file = label_file(path, "MERR_fine_grained.json")
        emotions = file.with_suffix(".txt")
        return [file, emotions] if emotions.is_file() else [file]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per clip; of a clip that is annotated twice, the first."""
        file, *more = self.files(path)
        listed = _listed(more[0]) if more else {}
        # Once for the names, which say what to look for on disk, and once for the rows.
        annotated = {
            clip: whole_number(raw.get("peak_index")) if isinstance(raw, dict) else None for clip, raw in members(file)
        }
        self._check_peaks(annotated, listed)
        clips = Clips(root, annotated, frames_folder(path, self.frames), self.first_frame)
        seen: set[str] = set()
        for clip, raw in members(file):
            if clip in seen:
                yield rejected(clip, "duplicate", "annotated before")
                continue
            seen.add(clip)
            labels = Labels(expression=listed[clip].expression if clip in listed else None)
            yield row_or_rejection(file, clip[:80], clip, partial(self._row, clip, raw, labels, clips, keep))

    def _check_peaks(self, peaks: Mapping[str, int | None], listed: Mapping[str, Listed]) -> None:
        """Refuse peaks of which the file as a whole shows that they count from another number."""
        known = [peak for peak in peaks.values() if peak is not None]
        for clip, peak in peaks.items():
            frames = listed[clip].frames if clip in listed else None
            behind = frames is not None and peak == frames + self.first_peak
            if behind and min(known) > self.first_peak:
                problem = f"{clip} has {frames} frames and the peak_index {peak}: they count from {self.first_peak + 1}"
                raise UserError("data.reader.first_peak", self.first_peak, problem, f"set {self.first_peak + 1}")

    def _row(self, clip: str, raw: Any, labels: Labels, clips: Clips, keep: Keep) -> Row:
        row = as_object(raw)
        turns = keep_only(exchange(self.question, row.get(self.answer)), labels, keep)
        peak = whole_number(row.get("peak_index"))
        if peak is None or peak < self.first_peak:
            raise UnusableError("no image", f"peak_index={row.get('peak_index')!r:.40} is no frame")
        return clips.row(clip, turns, peak - self.first_peak, choice_of(self.shown, self.around, self.every))


def _listed(file: Path) -> dict[str, Listed]:
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(file, f"cannot be read ({error})") from error
    return {words[0]: Listed(whole_number(words[1]), expression(words[2])) for words in lines if len(words) >= 3}
