"""Records with human labels as what reinforcement learns on: a question about each face, and nothing to imitate.

    prepared set -> faces: picture, human labels | rejected.jsonl: those without any label, or whose picture is lost

Only what people (or the source's own annotators) labelled is in a prepared set, so that nothing here was generated.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from seke.core import images, limit, runs
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection, read_jsonl
from seke.core.setting_checks import check_whole
from seke.training.data.pictures import ImageFile

TRAIN: Final = "train.jsonl"
VALIDATION: Final = "validation.jsonl"


class Face(NamedTuple):
    """A picture that is asked about, and the human labels that an answer is rewarded by."""

    id: str
    source: str
    picture: ImageFile
    labels: Labels


class Faces(NamedTuple):
    """What a prepared set gives."""

    file: Path
    faces: list[Face]
    rejected: list[Rejection]

    @property
    def rejected_for(self) -> dict[str, int]:
        """How many were rejected, by reason."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


@dataclass
class Records:
    """Which records are asked about, and how (conf/data/records.yaml)."""

    path: str
    """Name of a prepared set, whose train.jsonl is taken, or a file of records."""
    question: str
    """Put to the model about every face, behind the picture."""
    validation: str | None = None
    """A file or set whose reward is watched; None: the set's own validation.jsonl, where it has any."""
    watched: int = 256
    """So many of the validation's faces are asked, spread over sources; 0: none, and nothing is watched."""
    limit: int | None = None
    """So many of the faces that are trained on, spread over sources."""
    without: Sequence[str] = ()
    """Sources that are left out of training and of validation (leave one dataset out)."""
    image_root: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.question, str) or not self.question.strip():
            raise UserError("data.question", self.question, "no text", "write what is to be asked about a face")
        if not self.path:
            raise UserError("data.path", self.path, "no records", "give the name of a prepared set")
        limit.checked(self.limit, "data.limit")
        check_whole("data.watched", self.watched, 0)

    def train_file(self, outputs: Path) -> Path:
        """Return the file of records.

        Raises:
            UserError: if there is no such set.
        """
        return runs.locate("data.path", str(self.path), outputs, "prepare", TRAIN)

    def files(self, outputs: Path) -> dict[str, list[Path]]:
        """Return the files that decide what is trained on and watched.

        Raises:
            UserError: if there is no such set.
        """
        watched = self._watched_file(outputs)
        return {"data0": [self.train_file(outputs)], **({"validation": [watched]} if watched else {})}

    def train(self, outputs: Path, seed: int = 0) -> Faces:
        """Return the faces that are trained on.

        Raises:
            UserError: if there is no such set, or none of its records can be used.
        """
        return self._faces("data.path", self.train_file(outputs), seed)

    def held_out(self, outputs: Path, seed: int = 0) -> Faces | None:
        """Return the faces whose reward is watched; None where nothing is.

        Raises:
            UserError: as `train`, of a set that `validation` names.
        """
        file = self._watched_file(outputs)
        if file is None:
            return None
        found = self._faces("data.validation", file, seed)
        return found._replace(faces=limit.limited(found.faces, self.watched, seed))

    def _watched_file(self, outputs: Path) -> Path | None:
        if not self.watched:
            return None
        if self.validation:
            return runs.locate("data.validation", str(self.validation), outputs, "prepare", VALIDATION)
        own = self.train_file(outputs).parent / VALIDATION
        return own if own.is_file() and own.stat().st_size else None

    def _faces(self, argument: str, file: Path, seed: int) -> Faces:
        root = runs.image_root(file, self.image_root)
        records = [record for record in read_jsonl(file, ImageRecord) if record.source not in set(self.without)]
        if argument == "data.path":
            records = limit.limited(records, self.limit, seed)
        usable = [face_or_rejection(record, root) for record in records]
        faces = [found for found in usable if isinstance(found, Face)]
        rejected = [found for found in usable if isinstance(found, Rejection)]
        if not faces:
            reasons = ", ".join(
                f"{number} {reason}" for reason, number in Faces(file, [], rejected).rejected_for.items()
            )
            remedy = "give records that people have labelled; a reward needs at least one label of them"
            raise UserError(argument, file, f"no usable record ({reasons or 'the file holds none'})", remedy)
        return Faces(file, faces, rejected)


def face_or_rejection(record: ImageRecord, root: Path) -> Face | Rejection:
    """Return a record as a face that can be rewarded, or why it cannot."""
    if record.labels.empty:
        return Rejection(id=record.id, reason="no human label", detail="nothing says what a right answer would be")
    try:
        path, digest, face = images.unchanged(record, root)
    except images.ImageError as error:
        return Rejection(id=record.id, reason="no image", detail=str(error))
    return Face(record.id, record.source, ImageFile(str(path), digest, face), record.labels)


def order(faces: int, steps: int, prompts: int, seed: int) -> list[int]:
    """Return the faces of all steps, `prompts` a step, one after another: passes over all, each in an order of its own.

    The order of step n depends on seed and n alone, so that a resumed run goes on with the faces that come next.
    """
    needed, chosen, epoch = steps * prompts, list[int](), 0
    while len(chosen) < needed:
        chosen += np.random.default_rng([seed, epoch]).permutation(faces).tolist()
        epoch += 1
    return chosen[:needed]


def shuffled(faces: Sequence[Face], seed: int) -> list[Face]:
    """Return the faces with the labels of others of their source: the control whose rewards say nothing.

    Within a source, so that which tasks are rewarded, and how often what is right, stays as it is.
    """
    places: dict[str, list[int]] = {}
    for place, face in enumerate(faces):
        places.setdefault(face.source, []).append(place)
    found = list(faces)
    for number, source in enumerate(sorted(places)):
        mine = places[source]
        dealt = np.random.default_rng([seed, number]).permutation(len(mine))
        for place, other in zip(mine, dealt, strict=True):
            found[place] = faces[place]._replace(labels=faces[mine[int(other)]].labels)
    return found


def labels_of(faces: Iterable[Face]) -> dict[str, Labels]:
    """Return the labels by id.

    Raises:
        UserError: if an id occurs twice.
    """
    found: dict[str, Labels] = {}
    for face in faces:
        if face.id in found:
            raise UserError("data.path", face.id, "this id occurs twice", "give every record its own id")
        found[face.id] = face.labels
    return found


def conversation(question: str) -> list[dict[str, Any]]:
    """Return the question as a conversation of one turn."""
    return [{"role": "user", "content": question}]
