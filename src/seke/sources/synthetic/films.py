"""Drawn films of one face over time, in three sub-sources that imitate DISFA, BP4D and Aff-Wild2.

    as a rule      every frame is a record with its film and time (`clip`), labelled as its dataset would label it
    shown=8        every record is a clip of 8 frames; `attributes.movement` says how the face moves there, which no
                   single frame tells: an offset is the frames of an onset the other way round

Nothing is downloaded and nobody is depicted. A frame depends on (seed, source, film, frame) alone, so any number of
worker processes, and a resumed run, give the same bytes. The whole truth of every record goes to truth.jsonl.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.core.records import Clip, ImageRecord, Labels, Split
from seke.core.setting_checks import check_between, check_whole
from seke.sources.base.split import VALIDATION_SHARE, assign
from seke.sources.prepare.statistics import TABLE1
from seke.sources.synthetic import film_model
from seke.sources.synthetic.base import Drawn, chunks, drawn_once, picture_folder
from seke.sources.synthetic.face_identity import Identity, draw_identity
from seke.sources.synthetic.face_model import Face
from seke.sources.synthetic.face_renderer import draw, draw_scene
from seke.sources.synthetic.faces import SPONTANEOUS, STYLES, annotated, proportional
from seke.sources.synthetic.film_model import MOVEMENTS, Film, Movement, draw_clip, draw_film
from seke.sources.synthetic.worlds import DRAWN

SOURCES: Final = ("disfa", "bp4d", "aff_wild2")
PER_SUBJECT: Final = 2
"""Films of a subject."""


class Settings(NamedTuple):
    """What a film depends on beside its source and number."""

    seed: int
    frames: int
    """Of a film, or of a clip."""
    rate: float
    """Frames a second."""
    shown: bool
    """Whether records are clips."""


class Films(Drawn):
    """`images` records drawn into `<run>/images/<source>/`: frames of films, or clips.

    Args:
        images: records, over all sub-sources and splits; films have `frames` of them each, the last one what is left.
        size: pixels a side.
        workers: processes; None: one for every core.
        seed: of everything.
        validation_share: of the training subjects.
        frames: of a film.
        rate: frames a second.
        annotated_every: only every n-th frame of a film has its human labels, the others have none.
        shown: frames of a clip; None: records are single frames of films.
        movements: of clips; each picture is the middle of one clip of each of them.

    Raises:
        UserError: as `Drawn` does, or if a number is out of range, or a movement is none.
    """

    synthetic = "faces"
    folder = "images"
    truth = "truth.jsonl"
    fewest = len(SOURCES)
    one_process = 400

    def __init__(
        self,
        images: int = 4800,
        size: int = 96,
        workers: int | None = None,
        seed: int = 0,
        validation_share: float = VALIDATION_SHARE,
        frames: int = 32,
        rate: float = 8.0,
        annotated_every: int = 1,
        shown: int | None = None,
        movements: Sequence[Movement] = MOVEMENTS,
    ) -> None:
        super().__init__(images, size, workers, seed, validation_share)
        check_whole("source.frames", frames, 2, 100_000)
        check_whole("source.annotated_every", annotated_every, 1, 100_000)
        check_whole("source.shown", shown, 2, 256, optional=True)
        check_between("source.rate", rate, 0.1, 240)
        self.movements = tuple(movements)
        if not set(self.movements) <= set(MOVEMENTS) or len(set(self.movements)) < max(len(self.movements), 2):
            remedy = f"name two or more of {', '.join(MOVEMENTS)}"
            raise UserError("source.movements", list(movements), "not different movements", remedy)
        self.annotated_every = annotated_every
        self.settings = Settings(seed, shown or frames, float(rate), shown is not None)
        self.each = len(self.movements) if shown else frames
        self.counts = proportional(images, {name: TABLE1[name].train + TABLE1[name].test for name in SOURCES})

    def labelled(self) -> Iterator[tuple[ImageRecord, ImageRecord]]:
        """Yield each record as its dataset would give it, and with the whole truth; neither has a sha256."""
        for source, count in self.counts.items():
            paper, people = TABLE1[source], {_person(source, index // self.each) for index in range(count)}
            splits = assign(people, self.seed, paper.test / (paper.train + paper.test), self.validation_share)
            for index in range(count):
                yield self._record(source, *divmod(index, self.each), splits)

    def drawn(self, ids: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
        """Draw those pictures of these records that are not there yet; yield the id and sha256 of each."""
        wanted: dict[str, list[str]] = {}
        for id_ in ids:
            wanted.setdefault(id_.partition("-")[0], []).append(id_)
        jobs = [
            Job(self.settings, source, [own[place] for place in places], self.size, root / source)
            for source, own in wanted.items()
            for places in chunks(range(len(own)))
        ]
        for folder in {job.folder for job in jobs}:
            picture_folder(folder)
        for job, digests in zip(jobs, self.draw_all(render, jobs, len(ids), "frames"), strict=True):
            yield from zip(job.ids, digests, strict=True)

    def _record(
        self, source: str, film: int, place: int, splits: Mapping[str, Split]
    ) -> tuple[ImageRecord, ImageRecord]:
        """Return a row as its dataset would give it, and the same row with the whole truth."""
        settings, person = self.settings, _person(source, film)
        name, movement = _film(source, film), self.movements[place] if settings.shown else None
        identity = identity_of(settings.seed, source, film)
        if movement is None:
            time = place / settings.rate
            face = film_of(settings, source, film).face(time)
            id_ = image = f"{name}-{place:04d}"
            clip = Clip(video=name, time=time)
        else:
            face = clip_of(settings, source, film, movement).film.face(0.0)
            id_, image = f"{name}-{movement}", f"{name}-middle"
            paths = tuple(f"{source}/{file}.jpg" for file in _files(name, movement, settings.frames))
            times = tuple(frame / settings.rate for frame in range(settings.frames))
            clip = Clip(video=id_, time=times[-1] / 2, frames=paths, times=times)
        truth = face.labels
        told = settings.shown or place % self.annotated_every == 0
        record = ImageRecord(
            id=id_,
            image=f"{source}/{image}.jpg",
            sha256=None,
            source=source,
            subject=person,
            split=splits[person],
            labels=annotated(truth, source) if told else Labels(),
            attributes={
                "skin_tone": round(identity.skin_tone, 2),
                "wrinkles": round(identity.wrinkles, 2),
                "glasses": identity.glasses,
                "beard": identity.beard,
                **({"movement": movement} if movement else {}),
            },
            clip=clip,
        )
        hidden = {**record.attributes, "au_intensity": {str(au): value for au, value in face.au_intensity.items()}}
        whole = truth.model_copy(update={"au_intensity": dict(face.au_intensity)})
        return record, record.model_copy(update={"labels": whole, "attributes": hidden})


class Job(NamedTuple):
    """Records whose pictures one worker draws."""

    settings: Settings
    source: str
    ids: Sequence[str]
    size: int
    folder: Path


def _film(source: str, film: int) -> str:
    return f"{source}-f{film:05d}"


def _person(source: str, film: int) -> str:
    return f"{source}-s{film // PER_SUBJECT:04d}"


def _files(name: str, movement: Movement, frames: int) -> list[str]:
    """Return the names of a clip's pictures as they are shown: an offset shows the onset's, the last one first."""
    forward = [f"{name}-{'onset' if movement == 'offset' else movement}-{frame:03d}" for frame in range(frames)]
    return forward[::-1] if movement == "offset" else forward


def identity_of(seed: int, source: str, film: int) -> Identity:
    """Return whose face a film shows."""
    return draw_identity(Random(f"{seed}/{source}/films/subject/{film // PER_SUBJECT}"))


@lru_cache(maxsize=64)
def film_of(settings: Settings, source: str, film: int) -> Film:
    """Return a film."""
    rng = Random(f"{settings.seed}/{source}/film/{film}")
    style = STYLES[source]
    often = {name: SPONTANEOUS[name] for name in style.expressions}
    return draw_film(rng, settings.frames / settings.rate, often, draw_scene(rng, style.wild), DRAWN)


@lru_cache(maxsize=64)
def clip_of(settings: Settings, source: str, film: int, movement: Movement) -> film_model.Clip:
    """Return a clip; all movements of a `film` have the same face in the same light, and the same middle."""
    rng = Random(f"{settings.seed}/{source}/clip/{film}")
    style = STYLES[source]
    expressions = [name for name in style.expressions if name != "neutral"]
    scene = draw_scene(rng, style.wild)
    return draw_clip(rng, movement, settings.frames, settings.rate, rng.choice(expressions), scene, DRAWN)


def render(job: Job) -> list[str]:
    """Draw the pictures of a job's records; return the sha256 of each record's own picture."""
    return [_rendered_clip(job, id_) if job.settings.shown else _rendered_frame(job, id_) for id_ in job.ids]


def _rendered_frame(job: Job, id_: str) -> str:
    _, film, frame = id_.rsplit("-", 2)
    number, place = int(film[1:]), int(frame)
    shown = film_of(job.settings, job.source, number)
    return _drawn(job, id_, shown, number, place / job.settings.rate, place)


def _rendered_clip(job: Job, id_: str) -> str:
    name, _, movement = id_.rpartition("-")
    number = int(name.rpartition("-")[2][1:])
    kind: Movement = "onset" if movement == "offset" else movement  # type: ignore[assignment]  # of MOVEMENTS
    clip = clip_of(job.settings, job.source, number, kind)
    for frame, (file, time) in enumerate(zip(_files(name, kind, job.settings.frames), clip.times, strict=True)):
        _drawn(job, file, clip.film, number, time, frame)
    return _drawn(job, f"{name}-middle", clip.film, number, 0.0, job.settings.frames)


def _drawn(job: Job, file: str, film: Film, number: int, time: float, frame: int) -> str:
    face: Face = film.face(time)
    identity = identity_of(job.settings.seed, job.source, number)
    taken, closed = film.taken(time, frame), film.closed(time)
    return drawn_once(job.folder / f"{file}.jpg", lambda: draw(face.au_intensity, identity, taken, job.size, closed))
