"""What is shown of each photograph of a folder, by `source.faces`: the whole of it, or the face that a box marks.

    null      to the box of the table's column attributes.face where there is one, else the whole picture
    whole     the whole picture, whatever the table says
    box       to the table's box; a picture without one is rejected
    detect    to the face that is found; a picture in which none is found is rejected
    crop      to the table's box, and where there is none to the face that is found

A picture with several faces is about the largest, and keeps their number in `attributes.faces`. What was found lies in
<run>/faces.jsonl, by the hash of the picture, so that a resume or an update finds it there.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from seke.core import files
from seke.core.errors import UserError
from seke.core.images import ImageError, decode, resolve
from seke.core.records import ImageRecord, Rejection
from seke.core.runs import earlier
from seke.sources.base.face_detection import Detector, Faces

MODES: Final = (None, "whole", "box", "detect", "crop")
FACE: Final = "face"
NUMBER: Final = "faces"
FILE: Final = "faces.jsonl"


def checked_mode(mode: object) -> str | None:
    """Return the setting `source.faces`.

    Raises:
        UserError: if it is none of `MODES`.
    """
    if mode not in MODES:
        raise UserError("source.faces", mode, "no such way to show faces", "use whole, box, detect or crop, or null")
    return mode


class FaceBoxes:
    """The boxes of one folder's faces.

    Raises:
        UserError: from the constructor if faces are to be found and the detector is not installed.
    """

    def __init__(self, mode: str | None) -> None:
        self.mode = mode
        self.detector = Detector(mode) if mode in ("detect", "crop") else None
        self.found: dict[str, Faces] = {}
        """By sha256 of the picture."""
        self.counts: Counter[str] = Counter()

    def look(self, records: Sequence[ImageRecord], root: Path, run_path: Path) -> Iterator[Rejection]:
        """Find the faces of records that are to be shown by them; yield those that cannot be."""
        if self.mode == "box":
            without = [record for record in records if FACE not in record.attributes]
            self.counts["no box"] += len(without)
            yield from (_rejected(record, "no box", "the table has no attributes.face for it") for record in without)
        wanted = [record for record in records if self._is_to_be_found(record)]
        if not wanted or self.detector is None:
            return
        for place in filter(None, (earlier(run_path), run_path)):
            self.found |= dict(_read(place / FILE))
        with files.journal(run_path / FILE) as file:
            for record in tqdm(wanted, desc="finding faces", unit="image", disable=None):
                faces = self._faces(record, root)
                if faces is None:
                    continue  # no whole picture: the image check says so
                if record.sha256 not in self.found:
                    file.write(json.dumps({"sha256": record.sha256, FACE: faces.largest, NUMBER: faces.number}) + "\n")
                    self.found[str(record.sha256)] = faces
                self.counts["none" if faces.largest is None else "one" if faces.number == 1 else "several"] += 1
                if faces.largest is None:
                    yield _rejected(record, "no face", "no face is found in it (source.faces=whole keeps it)")

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a record with the box of the face that it is about, or without one."""
        attributes: dict[str, Any] = dict(record.attributes)
        if self.mode in ("whole", "detect"):
            attributes.pop(FACE, None)
        faces = self.found.get(str(record.sha256)) if self._is_to_be_found(record) else None
        if faces is not None and faces.largest is not None:
            attributes |= {FACE: list(faces.largest)} | ({NUMBER: faces.number} if faces.number > 1 else {})
        return record.model_copy(update={"attributes": attributes})

    def summary(self) -> list[str]:
        """Return what was found, in lines for a person."""
        if self.mode == "box" and self.counts["no box"]:
            return [f"faces: {self.counts['no box']} pictures have no box and are rejected"]
        if not (total := sum(self.counts[kind] for kind in ("none", "one", "several"))):
            return []
        several, none = self.counts["several"], self.counts["none"]
        told = f"faces: looked for in {total} pictures; {several} show several, of which the largest is taken"
        return [f"{told}; in {none} none is found, and they are rejected"]

    def _is_to_be_found(self, record: ImageRecord) -> bool:
        return self.mode == "detect" or (self.mode == "crop" and FACE not in record.attributes)

    def _faces(self, record: ImageRecord, root: Path) -> Faces | None:
        if (known := self.found.get(str(record.sha256))) is not None:
            return known
        assert self.detector is not None
        try:
            return self.detector.find(decode(resolve(root, record.image).read_bytes(), record.image))
        except (ImageError, OSError):
            return None


def _rejected(record: ImageRecord, reason: str, detail: str) -> Rejection:
    return Rejection(id=record.id, reason=reason, detail=detail)


def _read(file: Path) -> Iterator[tuple[str, Faces]]:
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                yield row["sha256"], Faces(tuple(row[FACE]) if row[FACE] else None, row[NUMBER])
            except (ValueError, TypeError, KeyError):
                continue  # the line that an interruption cut short
