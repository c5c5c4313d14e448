"""DISFA (Mavadati et al., IEEE TAC 2013): video frames with the intensities, 0 to 5, of twelve AUs.

    ActionUnit_Labels/SN001/SN001_au1.txt ... SN001_au26.txt    twelve files a subject, lines "frame,intensity"
    SN001/0.png, 1.png, ...                                     frames that somebody extracted, anywhere below root;
    SN001/SN001_00001.png, frame_det_00_000001.bmp              likewise, called by the number that ends the name; or
    Videos_LeftCamera/LeftVideoSN001_comp.avi                   the videos, from which the drawn frames are written

Two numberings meet here. Label files count frames from 1 and extracted pictures from 0 or 1, as their maker liked:
label n is picture n - first_label + first_frame, and frame n - first_label of the video in the order of display. That
labels begin at 1 is common knowledge of the field and no more; hence the setting. Extracted frames go before videos,
for all subjects or none, so that a set never mixes the two.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Unpack

from seke.core import file_tree
from seke.core.affect import AUS_OF_SOURCE, STRONGEST
from seke.core.clip_frames import ClipError
from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection
from seke.core.setting_checks import check_whole
from seke.core.video import VideoError
from seke.sources.base import label_text
from seke.sources.base.filmed import Filmed, FilmSettings, around, video_end
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad, intensities
from seke.sources.base.video_frames import NOTE, DrawnFrames, WantedFrames

AUS: Final = AUS_OF_SOURCE["disfa"]
LABELS: Final = "ActionUnit_Labels"
SUBJECT: Final = re.compile(r"SN\d{3}(?!\d)", re.IGNORECASE)
"""Subjects are those whose folders are there, never a range: 14, 15, 19, 20 and 22 do not exist, and 33 may."""
OTHER: Final = {"left": "right", "right": "left"}
TELLING: Final = 20
"""So many ones without a 2 are no accident."""


class DISFA(Filmed):
    """One record for each labelled frame, subject `SN001`, with occurrence and intensity (also `attributes.intensity`).

    An AU occurs from intensity `threshold` on, as public loaders have it; with `inclusive` off only above it, as the
    paper says (Sec. 4.1: "higher than 2"). An intensity that is no number from 0 to 5 leaves that AU unknown, and so
    does a file that ends early (SN010 has one line less).

    Raises:
        UserError: if a setting is none, if neither pictures nor videos are below `root`, if a subject has two sets of
            either, or if one of its twelve label files is missing.
    """

    name = "disfa"
    filmed_at = 20.0

    def __init__(
        self,
        root: str | None,
        camera: str = "left",
        images: str | None = None,
        first_frame: int | None = None,
        first_label: int = 1,
        threshold: int = 2,
        inclusive: bool = True,
        frames: str = "frames",
        **film: Unpack[FilmSettings],
    ) -> None:
        super().__init__(root, **film)
        if camera not in OTHER:
            raise UserError("source.camera", camera, "there are two cameras", "use left or right")
        check_whole("source.first_label", first_label, 0)
        check_whole("source.threshold", threshold, 0, STRONGEST)
        check_whole("source.first_frame", first_frame, 0, optional=True)
        self.camera, self.first_frame, self.first_label = camera, first_frame, first_label
        self.threshold, self.inclusive = threshold, inclusive
        self._bad: list[Bad] = []
        self._values: Counter[int] = Counter()
        self._lengths: dict[str, tuple[int, int]] = {}
        self.pictured = file_tree.folder_inside(self.root, "source.images", images or "")
        folder = file_tree.folder_inside(self.root, "source.frames", frames, there=False)
        self.drawn = DrawnFrames(folder, first_label, f"the {camera} camera's videos")

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """All label files."""
        labels = [file for files in self._labels.values() for file in files.values()]
        if not self._pictures and not self._videos:
            raise file_tree.missing(self.pictured, f"SN001/0.png and no {self.camera.title()}VideoSN001_comp.avi")
        return {"labels": labels}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every labelled frame with its picture, extracted or still to be drawn, and what lacks either.

        Raises:
            UserError: if a label file is not what it should be, if subjects' pictures are not counted alike, or if
                the folder for drawn frames holds those of the other camera.
        """
        numbered = {
            subject: file_tree.by_number(file_tree.images(folder)) for subject, folder in self._pictures.items()
        }
        first = self._counted_from({subject: list(names) for subject, (names, _) in numbered.items()})
        if self._videos:
            self.drawn.check()
        self._bad.clear()
        self._values.clear()
        for subject in sorted({*self._labels, *self._pictures, *self._videos}):
            if subject not in self._labels:
                seen = self._pictures.get(subject) or self._videos[subject]
                yield self.no_label(subject, f"{self.relative(seen)}: there is no {LABELS}/{subject}")
            elif subject in numbered:
                yield from self._extracted(subject, *numbered[subject], first - self.first_label)
            elif subject in self._videos:
                yield from self._filmed(subject)
            else:
                missing = "video" if self._videos else "folder of pictures"
                yield self.no_image(subject, f"{len(self._coding(subject))} labelled frames, but no {missing}")
        yield from self.bad_rows(self._bad)
        self._check_scale()

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Write those frames of the videos that are not there yet, and yield the ones that their video lacks.

        Raises:
            UserError: if the folder `frames` cannot be written, or if PyAV is not installed.
        """
        wanted = {subject: WantedFrames(subject, file, {}) for subject, file in self._videos.items()}
        lost: set[str] = set()
        for record in records:
            subject, frame = record.id.split("/")[-2:]
            if subject not in wanted:
                continue
            try:
                shown = [] if self.choice is None else around(self.choice, int(frame), self._ends(subject), self.rate)
            except (ClipError, VideoError) as error:
                lost.add(record.id)
                yield Rejection(id=record.id, reason="clip", detail=f"{subject}, frame {frame}: {error}")
                continue
            for number in shown:
                wanted[subject].ids.setdefault(number, record.id)
            wanted[subject].ids[int(frame)] = record.id
        for rejection in self.drawn.draw(wanted.values()):
            if rejection.id not in lost:
                lost.add(rejection.id)
                yield rejection
        yield from super().fetch([record for record in records if record.id not in lost])

    def ends(self, record: ImageRecord, names: Mapping[int, str]) -> tuple[int, int]:
        """Return the numbers of the first and the last picture of a record's video, drawn or not."""
        subject = record.id.split("/")[-2]
        return self._ends(subject) if subject in self._videos else super().ends(record, names)

    def _ends(self, subject: str) -> tuple[int, int]:
        if subject not in self._lengths:
            self._lengths[subject] = video_end(self._videos[subject], self.first_label)
        return self._lengths[subject]

    def _extracted(
        self, subject: str, names: Mapping[int, str], nameless: Sequence[str], shift: int
    ) -> Iterator[Listed]:
        folder, coding = self.relative(self._pictures[subject]), self._coding(subject)
        for frame, intensity in coding.items():
            if name := names.get(frame + shift):
                yield self._record(subject, frame, f"{folder}/{name}", intensity)
            else:
                detail = f"{LABELS}/{subject}, frame {frame}: {folder} has no picture {frame + shift}"
                yield self.no_image(_key(subject, frame), detail)
        for number in sorted(names.keys() - {frame + shift for frame in coding}):
            yield self.no_label(
                _key(subject, number - shift), f"{folder}/{names[number]}: no label file names its frame"
            )
        for name in nameless:
            yield self.no_label(f"{subject}/{name}", f"{folder}/{name}: not called by a frame number of its own")

    def _filmed(self, subject: str) -> Iterator[Listed]:
        for frame, intensity in self._coding(subject).items():
            yield self._record(subject, frame, self.relative(self.drawn.file(subject, frame)), intensity)

    def _record(self, subject: str, frame: int, image: str, intensity: Mapping[int, int]) -> Listed:
        labels = Labels(
            action_units={au: self._occurs(value) for au, value in intensity.items()} or None,
            au_intensity={au: float(value) for au, value in intensity.items()} or None,
        )
        attributes = {"intensity": {str(au): value for au, value in intensity.items()}}
        row = self.record(_key(subject, frame), image, labels, self.split(subject), subject, attributes)
        return self.in_film(row, subject, frame - self.first_label)

    def _occurs(self, intensity: int) -> bool:
        return intensity > self.threshold or (self.inclusive and intensity == self.threshold)

    def _coding(self, subject: str) -> dict[int, dict[int, int]]:
        """Return the known intensities, by AU, of each frame that any of the twelve files has a line for."""
        columns = {au: intensities(file, self._bad) for au, file in self._labels[subject].items()}
        frames = sorted(set().union(*columns.values()))
        if frames[0] < self.first_label:
            problem = f"{LABELS}/{subject} has a frame {frames[0]}"
            raise UserError("source.first_label", self.first_label, problem, "set it to the first frame's number")
        coding = {
            frame: {au: value for au, column in columns.items() if (value := column.get(frame)) is not None}
            for frame in frames
        }
        self._values.update(value for known in coding.values() for value in known.values())
        return coding

    def _check_scale(self) -> None:
        """Refuse files of occurrences, 0 and 1, that stand where intensities should: nothing would ever occur.

        Raises:
            UserError: if there are ones enough to tell and nothing above, and a 1 does not count as present.
        """
        if self._values[1] >= TELLING and max(self._values) == 1 and not self._occurs(1):
            problem = f"no intensity above 1 in any label file ({self._values[1]} ones): these look like occurrences"
            raise UserError("source.threshold", self.threshold, problem, "set source.threshold=1 if a 1 means present")

    def _counted_from(self, numbers: Mapping[str, Sequence[int]]) -> int:
        """Return the number of the first frame's picture: as set, or as all subjects that tell agree."""
        if self.first_frame is not None or not numbers:
            return self.first_frame or 0
        first = {min(found): subject for subject, found in numbers.items() if found}
        if not first:
            folder = next(iter(self._pictures.values()))
            name = file_tree.images(folder)[0].name
            problem = f"pictures such as {self.relative(folder)}/{name} are not called by a frame number"
            raise UserError(
                "source.images", self.pictured, problem, "call them 0.png, 1.png, ... or SN001_00000.png, ..."
            )
        if 0 in first and 1 in first:
            problem = f"{first[0]}'s pictures begin at 0 and {first[1]}'s at 1"
        elif 0 not in first and 1 not in first:
            problem = "no subject's pictures begin at 0 or 1"
        else:
            return 0 if 0 in first else 1
        raise UserError("source.first_frame", None, problem, "set the number that the first frame's picture has")

    @cached_property
    def _labels(self) -> dict[str, dict[int, Path]]:
        """The twelve label files of each subject, by AU."""
        folder = file_tree.required(self.root, LABELS)
        found = {e.name.upper(): Path(e.path) for e in file_tree.folders(folder) if SUBJECT.fullmatch(e.name)}
        if not found:
            raise file_tree.missing(folder, "SN001/SN001_au1.txt")
        return {subject: _label_files(subject, path) for subject, path in found.items()}

    @cached_property
    def _pictures(self) -> dict[str, Path]:
        """The folder of each subject's extracted frames; frames that we drew ourselves are none."""
        found = (
            (subject[0].upper(), folder)
            for folder in file_tree.below(self.pictured, SUBJECT)
            if (subject := SUBJECT.search(folder.name)) and not (folder.parent / NOTE).is_file()
            if self._of_camera(folder) and file_tree.images(folder)
        )
        return file_tree.unique(found, "set source.images to the folder that holds the frames you mean")

    @cached_property
    def _videos(self) -> dict[str, Path]:
        """The video of each subject, where no frames were extracted."""
        if self._pictures:
            return {}
        found = (
            (subject[0].upper(), Path(entry.path))
            for folder in file_tree.below(self.pictured, SUBJECT)
            for entry in file_tree.files(folder, *VIDEOS)
            if (subject := SUBJECT.search(entry.name)) and self._of_camera(Path(entry.path))
        )
        return file_tree.unique(found, "set source.images to the folder that holds the videos you mean")

    def _of_camera(self, path: Path) -> bool:
        """Whether a path names our camera, or none; the word nearest to its end counts."""
        name = self.relative(path).lower()
        return name.rfind(self.camera) >= name.rfind(OTHER[self.camera])


def _label_files(subject: str, folder: Path) -> dict[int, Path]:
    there = {file.name.lower(): file for file in file_tree.walk(folder, ".txt")}
    files = {}
    for au in AUS:
        name = f"{subject}_au{au}.txt"
        if name.lower() not in there:
            raise label_text.damaged(folder / name, None, "no such file; a subject has twelve")
        files[au] = there[name.lower()]
    return files


def _key(subject: str, frame: int) -> str:
    return f"{subject}/{frame:04d}"
