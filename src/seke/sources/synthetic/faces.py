"""Synthetic faces in six sub-sources that imitate the paper's six datasets: their labels, subjects and proportions.

Nothing is downloaded and nobody is depicted. Every picture depends on (seed, source, index) alone, so any number of
worker processes, and a resumed run, give the same bytes. What each picture truly shows goes to truth.jsonl, which only
the simulated annotator and the reliability experiment read.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from seke.core.affect import AUS_OF_SOURCE, EXPRESSIONS
from seke.core.records import ImageRecord, Labels, Split
from seke.sources.base.split import VALIDATION_SHARE, assign
from seke.sources.prepare.statistics import TABLE1
from seke.sources.synthetic.base import Drawn, chunks, drawn_once, picture_folder
from seke.sources.synthetic.face_identity import Identity, draw_identity
from seke.sources.synthetic.face_model import Face, draw_face
from seke.sources.synthetic.face_renderer import Scene, draw, draw_scene
from seke.sources.synthetic.worlds import DRAWN, NAMES, World, records_of, world

if TYPE_CHECKING:
    from PIL.Image import Image


class Style(NamedTuple):
    """How a sub-source differs from the others, apart from Table 1."""

    expressions: tuple[str, ...]
    balanced: bool
    """Expression datasets are sampled evenly over their classes (Sec. 4.1); spontaneous ones are as life is."""
    per_subject: int
    named: bool
    """Whether rows name the subject; RAF-DB and AffectNet do not."""
    wild: bool


NO_CONTEMPT: Final = tuple(e for e in EXPRESSIONS if e != "contempt")
STYLES: Final[Mapping[str, Style]] = {
    "ck_plus": Style(tuple(e for e in EXPRESSIONS if e != "neutral"), True, 3, True, False),
    "raf_db": Style(NO_CONTEMPT, True, 2, False, True),
    "affectnet": Style(EXPRESSIONS, True, 2, False, True),
    "disfa": Style(EXPRESSIONS, False, 10, True, False),
    "bp4d": Style(EXPRESSIONS, False, 10, True, False),
    "aff_wild2": Style(NO_CONTEMPT, True, 8, True, True),
}
SPONTANEOUS: Final = {
    "neutral": 0.20, "happiness": 0.20, "sadness": 0.13, "surprise": 0.12,
    "fear": 0.09, "disgust": 0.10, "anger": 0.08, "contempt": 0.08,
}  # fmt: skip
"""What people show in films of their spontaneous reactions; ours, chosen, not measured."""


class Synthetic(Drawn):
    """`images` pictures over six sub-sources, drawn into `<run>/images/<source>/`.

    Raises:
        UserError: as `Drawn` does, or if `world` is neither one nor the path of labelled records (`worlds.world`).
    """

    synthetic = "faces"
    folder = "images"
    truth = "truth.jsonl"
    fewest = len(TABLE1)
    one_process = 400

    def __init__(
        self,
        images: int = 7000,
        size: int = 96,
        workers: int | None = None,
        seed: int = 0,
        validation_share: float = VALIDATION_SHARE,
        world: str = "drawn",
    ) -> None:
        super().__init__(images, size, workers, seed, validation_share)
        self.world = str(world)
        self.worlds = worlds_of(self.world)
        self.counts = proportional(images, {name: row.train + row.test for name, row in TABLE1.items()})

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The records that the faces are drawn after, if there are any."""
        return {} if self.world in NAMES else {"world": records_of(self.world)}

    def labelled(self) -> Iterator[tuple[ImageRecord, ImageRecord]]:
        """Yield each picture's row as its dataset would give it, and with the whole truth; neither has a sha256."""
        for source, count in self.counts.items():
            paper, people = TABLE1[source], {_person(source, index) for index in range(count)}
            splits = assign(people, self.seed, paper.test / (paper.train + paper.test), self.validation_share)
            for index in range(count):
                yield self._record(source, index, splits)

    def drawn(self, ids: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
        """Draw those pictures of these records that are not there yet; yield the id and sha256 of each."""
        wanted: dict[str, list[int]] = {}
        for id_ in ids:
            source, _, number = id_.rpartition("-")
            wanted.setdefault(source, []).append(int(number))
        jobs = [
            Job(self.seed, source, indices, self.size, root / source, self.worlds[source])
            for source, numbers in wanted.items()
            for indices in chunks(numbers)
        ]
        for job in jobs:
            picture_folder(job.folder)
        for job, digests in zip(jobs, self.draw_all(render, jobs, len(ids), "faces"), strict=True):
            yield from zip((_id(job.source, index) for index in job.indices), digests, strict=True)

    def _record(self, source: str, index: int, splits: Mapping[str, Split]) -> tuple[ImageRecord, ImageRecord]:
        """Return the row as its dataset would give it, and the same row with the whole truth."""
        style = STYLES[source]
        face, identity, _ = latent(self.seed, source, index, self.worlds[source])
        person = _person(source, index)
        truth = face.labels
        record = ImageRecord(
            id=_id(source, index),
            image=f"{source}/{_id(source, index)}.jpg",
            sha256=None,
            source=source,
            subject=person if style.named else None,
            split=splits[person],
            labels=annotated(truth, source),
            attributes={
                "skin_tone": round(identity.skin_tone, 2),
                "wrinkles": round(identity.wrinkles, 2),
                "glasses": identity.glasses,
                "beard": identity.beard,
            },
        )
        intensity = {str(au): value for au, value in face.au_intensity.items()}
        hidden = {**record.attributes, "person": person, "au_intensity": intensity}
        whole = truth.model_copy(update={"au_intensity": dict(face.au_intensity)})
        return record, record.model_copy(update={"labels": whole, "attributes": hidden})


def _id(source: str, index: int) -> str:
    return f"{source}-{index:05d}"


def _person(source: str, index: int) -> str:
    """Return whose picture `index` of a sub-source is."""
    return f"{source}-s{index // STYLES[source].per_subject:04d}"


class Job(NamedTuple):
    """Pictures for one worker."""

    seed: int
    source: str
    indices: Sequence[int]
    size: int
    folder: Path
    world: World = DRAWN


def worlds_of(name: str) -> Mapping[str, World]:
    """Return the world of each sub-source's faces; records that it is fitted to are read once.

    Raises:
        UserError: as `worlds.world` does.
    """
    if name in NAMES:
        return {source: world(name, source) for source in TABLE1}
    return dict.fromkeys(TABLE1, world(name, ""))


def latent(seed: int, source: str, index: int, world: World = DRAWN) -> tuple[Face, Identity, Scene]:
    """Return what picture `index` of a sub-source shows, whose it is and how it was taken."""
    style = STYLES[source]
    identity = draw_identity(Random(f"{seed}/{source}/subject/{index // style.per_subject}"))
    rng = Random(f"{seed}/{source}/image/{index}")
    if style.balanced:
        # Each block holds every expression once, in an order of its own.
        block, place = divmod(index, len(style.expressions))
        expression = Random(f"{seed}/{source}/block/{block}").sample(style.expressions, len(style.expressions))[place]
    else:
        shown = world.expressions or SPONTANEOUS
        expression = rng.choices(list(shown), list(shown.values()))[0]
    return draw_face(rng, expression, world), identity, draw_scene(rng, style.wild)


def annotated(truth: Labels, source: str) -> Labels:
    """Return what a dataset like `source` tells of the truth: Table 1's labels, and its own twelve AUs."""
    carries = TABLE1[source].labels.split(", ")
    units = truth.action_units or {}
    return Labels(
        expression=truth.expression if "EXP" in carries else None,
        valence=truth.valence if "VA" in carries else None,
        arousal=truth.arousal if "VA" in carries else None,
        action_units={au: units[au] for au in AUS_OF_SOURCE[source]} if "AU" in carries else None,
    )


def proportional(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share `total` among the weights, at least one each; largest remainders get what rounding leaves.

    >>> proportional(10, {"a": 300, "b": 100, "c": 1})
    {'a': 6, 'b': 3, 'c': 1}
    """
    spare, whole = total - len(weights), sum(weights.values())
    exact = {name: spare * weight / whole for name, weight in weights.items()}
    shares = {name: 1 + int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: int(exact[name]) - exact[name])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def render(job: Job) -> list[str]:
    """Draw a job's pictures and return their sha256; a whole picture that is already there stays."""
    return [_rendered(job, index) for index in job.indices]


def _rendered(job: Job, index: int) -> str:
    def picture() -> "Image":
        face, identity, scene = latent(job.seed, job.source, index, job.world)
        return draw(face.au_intensity, identity, scene, job.size)

    return drawn_once(job.folder / f"{_id(job.source, index)}.jpg", picture)
