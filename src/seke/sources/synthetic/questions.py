"""A general set: visual questions and instructions about drawn faces and scenes, none of them about emotion.

    <run>/questions/glasses/glasses_00001.jpg                one question a picture
    attributes: {"kind": "glasses", "question": "Does this person wear ...?", "answer": "No glasses.",
                 "expected": [[["no glasses", "no", ...], ["glasses", "yes", ...]]]}

`benchmark=general` asks them, and data.mixture replays them, so that one can see and hold down what tuning on emotions
takes from a model. `expected` is what a right answer states: for each statement its wordings, then those of everything
that it must not say instead. Values of a question take turns, so that guessing gives one in as many as there are.
The kinds take turns, and each picture depends on (seed, kind, number) alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Split
from seke.core.rules import EMOTIONS
from seke.sources.base.split import VALIDATION_SHARE, assign, checked_share
from seke.sources.synthetic import face_captions, face_renderer, scene_renderer
from seke.sources.synthetic.base import Drawn, chunks, drawn_once, picture_folder
from seke.sources.synthetic.face_identity import HAIR, Identity, draw_identity
from seke.sources.synthetic.face_model import Face, draw_face

if TYPE_CHECKING:
    from PIL.Image import Image

NAME: Final = "synthetic_questions"
Statement = list[list[str]]
"""The wordings of what is right, and then those of each thing that is wrong."""


class Kind(NamedTuple):
    """One kind of question."""

    about: str
    """"face" or "scene"."""
    trait: str
    """The field of the identity or the scene that it asks for; "" for the description of the whole face."""
    question: str
    values: Mapping[Any, Sequence[str]]
    """What the field may be, each with its wordings; the first is the answer that is taught."""


def _choice(question: str, values: Mapping[Any, Sequence[str]]) -> str:
    first = [wordings[0] for wordings in values.values()]
    return f"{question} Choose one: {', '.join(first[:-1])} or {first[-1]}."


_GLASSES: Final = {
    True: ("glasses", "yes", "spectacles"),
    False: ("no glasses", "no", "without glasses", "not wear glasses", "not wearing glasses", "no spectacles"),
}
_BEARD: Final = {
    True: ("beard", "yes", "bearded"),
    False: ("no beard", "no", "without a beard", "not have a beard", "clean-shaven", "beardless"),
}
_HAIR: Final = {
    "none": ("no hair", "bald"), "short": ("short hair",), "fringe": ("hair with a fringe", "fringe", "bangs"),
    "curly": ("curly hair", "curly", "curls"), "long": ("long hair",), "bun": ("hair in a bun", "bun"),
}  # fmt: skip
_PLACES: Final = {
    "funfair": ("funfair", "carnival"), "park": ("park",), "street": ("street", "road"),
    "stadium": ("stadium", "arena"), "landfill": ("landfill", "dump"), "mountain": ("mountain", "mountains"),
    "beach": ("beach", "seaside"), "forest": ("forest", "woods"), "bedroom": ("bedroom",),
    "cemetery": ("cemetery", "graveyard"),
}  # fmt: skip
_ACTIONS: Final = {
    "dancing": ("dancing", "dances"), "jumping": ("jumping", "jumps"), "fighting": ("fighting", "fights"),
    "running": ("running", "runs"), "gazing": ("gazing", "gazes"), "sitting": ("sitting", "sits"),
    "lying": ("lying", "lies", "lying down"),
}  # fmt: skip
_GROUND: Final = {
    "dog": ("dog",), "gift": ("gift", "present"), "flower": ("flower", "flowers"), "garbage": ("garbage", "rubbish"),
    "spider": ("spider",), "tombstone": ("tombstone", "gravestone"), "wreck": ("wreck", "car"),
}  # fmt: skip
_AIR: Final = {
    "balloon": ("balloon", "balloons"), "bird": ("bird", "birds"), "rainbow": ("rainbow",), "fireworks": ("fireworks",),
    "lightning": ("lightning",), "ghost": ("ghost",), "rain": ("rain",), "smoke": ("smoke",),
}  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = {
    "description": Kind("face", "", "Describe the picture.", {}),
    "glasses": Kind("face", "glasses", _choice("Does this person wear glasses?", _GLASSES), _GLASSES),
    "beard": Kind("face", "beard", _choice("Does this person have a beard?", _BEARD), _BEARD),
    "hair": Kind("face", "hair", _choice("Which hair does this person have?", _HAIR), _HAIR),
    "place": Kind("scene", "scene_type", _choice("Which place does this picture show?", _PLACES), _PLACES),
    "action": Kind("scene", "human_action", _choice("What is the person in this picture doing?", _ACTIONS), _ACTIONS),
    "ground": Kind("scene", "ground", _choice("Which thing is on the ground in this picture?", _GROUND), _GROUND),
    "air": Kind("scene", "sky", _choice("Which thing is in the air in this picture?", _AIR), _AIR),
}
"""`description` is in the words in which the tiny base was pre-trained; the others any model may be asked."""


class Questions(Drawn):
    """`images` pictures, each with a question of its own, drawn into `<run>/questions/`.

    Raises:
        UserError: if a number or a share is out of range, or a kind is none of `KINDS`.
    """

    asked_by = "general"
    folder = "questions"
    truth = "questions.jsonl"
    fewest = 1
    one_process = 400

    def __init__(
        self,
        images: int = 1600,
        size: int = 96,
        workers: int | None = None,
        seed: int = 0,
        kinds: Sequence[str] = tuple(KINDS),
        test_share: float = 0.25,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        super().__init__(images, size, workers, seed, validation_share)
        self.test_share = checked_share("source.test_share", test_share)
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds or len(set(kinds)) < len(kinds):
            problem = f"no kind {unknown[0]!r}" if unknown else "no kind, or one of them twice"
            raise UserError("source.kinds", list(kinds), problem, f"use some of {', '.join(KINDS)}")
        self.kinds = tuple(kinds)
        self.synthetic = "scenes" if any(KINDS[kind].about == "scene" for kind in self.kinds) else "faces"

    def labelled(self) -> Iterator[tuple[ImageRecord, ImageRecord]]:
        """Yield each picture's row twice: its question tells all there is; there is no sha256 yet."""
        places = [self._place(index) for index in range(self.images)]
        splits = assign(
            (_id(kind, number) for kind, number in places), self.seed, self.test_share, self.validation_share
        )
        for kind, number in places:
            record = self._record(kind, number, splits[_id(kind, number)])
            yield record, record

    def drawn(self, ids: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
        """Draw those pictures of these records that are not there yet; yield the id and sha256 of each."""
        wanted: dict[str, list[int]] = {}
        for id_ in ids:
            kind, _, number = id_.removeprefix(f"{NAME}/").rpartition("_")
            wanted.setdefault(kind, []).append(int(number))
        jobs = [
            Job(self.seed, kind, numbers, self.size, root / kind)
            for kind, of_kind in wanted.items()
            for numbers in chunks(of_kind)
        ]
        for job in jobs:
            picture_folder(job.folder)
        for job, digests in zip(jobs, self.draw_all(render, jobs, len(ids), "questions"), strict=True):
            yield from zip((_id(job.kind, number) for number in job.numbers), digests, strict=True)

    def _place(self, index: int) -> tuple[str, int]:
        return self.kinds[index % len(self.kinds)], index // len(self.kinds) + 1

    def _record(self, kind: str, number: int, split: Split) -> ImageRecord:
        answer, expected = solution(self.seed, kind, number)
        told = {"kind": kind, "question": KINDS[kind].question, "answer": answer, "expected": expected}
        return ImageRecord(
            id=_id(kind, number),
            image=f"{kind}/{kind}_{number:05d}.jpg",
            sha256=None,
            source=NAME,
            subject=None,
            split=split,
            labels=Labels(),
            attributes=told,
        )


class Job(NamedTuple):
    """Pictures of one kind for one worker."""

    seed: int
    kind: str
    numbers: Sequence[int]
    size: int
    folder: Path


class Shown(NamedTuple):
    """A face of a question, and what is left of its random stream."""

    face: Face
    identity: Identity
    rng: Random


def solution(seed: int, kind: str, number: int) -> tuple[str, list[Statement]]:
    """Return the answer that is taught to the question about a picture, and what any right answer states."""
    if kind == "description":
        shown = _face(seed, kind, number)
        return face_captions.caption(shown.face, shown.identity, shown.rng), described(shown.face, shown.identity)
    wordings = list(KINDS[kind].values.values())
    right = (number - 1) % len(wordings)
    answer = wordings[right][0]
    return f"{answer.capitalize()}.", [_statement(wordings, right)]


def described(face: Face, identity: Identity) -> list[Statement]:
    """Return what a description of a face states: the grades of all movements, glasses, beard and hair."""
    statements = [
        _statement(
            [(f"{movement.thing} {grade}",) for grade in movement.grades],
            face_captions.grade(face.au_intensity[unit]),
        )
        for unit, movement in face_captions.MOVEMENTS.items()
    ]
    for trait in ("glasses", "beard"):
        statements.append(_statement([(f"no {trait}",), (trait,)], int(getattr(identity, trait))))
    hair = [(words,) for words in face_captions.HAIR_WORDS]
    return [*statements, _statement(hair, HAIR.index(identity.hair))]


def _statement(wordings: Sequence[Sequence[str]], right: int) -> Statement:
    return [list(wordings[right]), *(list(words) for k, words in enumerate(wordings) if k != right)]


def _face(seed: int, kind: str, number: int) -> Shown:
    """Return a face; the trait that is asked for takes the next of its values."""
    rng = Random(f"{seed}/{NAME}/{_name(kind, number)}")
    face, identity = draw_face(rng), draw_identity(rng)
    return Shown(face, replace(identity, **_asked(kind, number)), rng)


def _asked(kind: str, number: int) -> dict[str, Any]:
    trait, values = KINDS[kind].trait, list(KINDS[kind].values)
    return {trait: values[(number - 1) % len(values)]} if trait else {}


def _id(kind: str, number: int) -> str:
    return f"{NAME}/{_name(kind, number)}"


def _name(kind: str, number: int) -> str:
    return f"{kind}_{number:05d}"


def picture(seed: int, kind: str, number: int, size: int) -> "Image":
    """Draw a question's picture, RGB, `size` x `size`."""
    if KINDS[kind].about == "face":
        shown = _face(seed, kind, number)
        scene = face_renderer.draw_scene(Random(f"{seed}/{NAME}/{_name(kind, number)}/taken"))
        return face_renderer.draw(shown.face.au_intensity, shown.identity, scene, size)
    rng = Random(f"{seed}/{NAME}/{_name(kind, number)}")
    scene_ = scene_renderer.draw_scene(rng, rng.choice(EMOTIONS))._replace(**_asked(kind, number))
    return scene_renderer.draw(scene_, scene_renderer.draw_view(rng), size)


def render(job: Job) -> list[str]:
    """Draw a job's pictures and return their sha256; a whole picture that is already there stays."""
    return [_rendered(job, number) for number in job.numbers]


def _rendered(job: Job, number: int) -> str:
    file = job.folder / f"{_name(job.kind, number)}.jpg"
    return drawn_once(file, lambda: picture(job.seed, job.kind, number, job.size))
