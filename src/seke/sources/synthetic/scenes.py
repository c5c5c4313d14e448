"""Synthetic scenes as EmoSet would have them: pictures that evoke one of eight emotions, with annotated attributes.

    <run>/scenes/image/amusement/amusement_00001.jpg
    <run>/scenes/annotation/amusement/amusement_00001.json
    <run>/scenes.jsonl                                      the truth, which only the simulated annotator reads

The emotions take turns. Every picture depends on (seed, emotion, number) alone, so any number of worker processes, and
a resumed run, give the same bytes. What evokes the emotion is in `scenes`. Rows are like those of source=emoset, which
also reads the folder itself: `python prepare.py source=emoset source.root=outputs/prepare/<name>/scenes`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from seke.core.records import ImageRecord, Labels, Split
from seke.core.rules import EMOTIONS
from seke.sources.base.split import VALIDATION_SHARE, assign, checked_share
from seke.sources.synthetic.base import Drawn, chunks, drawn_once, picture_folder
from seke.sources.synthetic.scene_renderer import Scene, View, draw, draw_scene, draw_view

NAME: Final = "synthetic_scenes"


class SyntheticScenes(Drawn):
    """`images` pictures, as many of each emotion, drawn into `<run>/scenes/`; each is a group of the split.

    Raises:
        UserError: if a number or a share is out of range.
    """

    synthetic = "scenes"
    folder = "scenes"
    truth = "scenes.jsonl"
    fewest = len(EMOTIONS)
    one_process = 800

    def __init__(
        self,
        images: int = 4000,
        size: int = 96,
        workers: int | None = None,
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        super().__init__(images, size, workers, seed, validation_share)
        self.test_share = checked_share("source.test_share", test_share)

    def labelled(self) -> Iterator[tuple[ImageRecord, ImageRecord]]:
        """Yield each picture's row twice: EmoSet's annotations tell all there is; there is no sha256 yet."""
        keys = [place(index)[1] for index in range(self.images)]
        splits = assign((f"{NAME}/{key}" for key in keys), self.seed, self.test_share, self.validation_share)
        for index, key in enumerate(keys):
            record = self._record(index, splits[f"{NAME}/{key}"])
            yield record, record

    def drawn(self, ids: Sequence[str], root: Path) -> Iterator[tuple[str, str]]:
        """Draw and annotate those pictures of these records that are not there yet; yield id and sha256 of each."""
        for emotion in EMOTIONS:
            for kind in ("image", "annotation"):
                picture_folder(root / kind / emotion)
        jobs = [Job(self.seed, indices, self.size, root) for indices in chunks([index_of(id_) for id_ in ids])]
        digests = (digest for of_job in self.draw_all(render, jobs, len(ids), "scenes") for digest in of_job)
        return zip(ids, digests, strict=True)

    def _record(self, index: int, split: Split) -> ImageRecord:
        emotion, key = place(index)
        return ImageRecord(
            id=f"{NAME}/{key}",
            image=f"image/{emotion}/{key}.jpg",
            sha256=None,
            source=NAME,
            subject=None,
            split=split,
            labels=Labels(),
            attributes=annotation(self.seed, index),
        )


class Job(NamedTuple):
    """Pictures for one worker."""

    seed: int
    indices: Sequence[int]
    size: int
    root: Path


def place(index: int) -> tuple[str, str]:
    """Return the emotion and the name of picture `index`.

    >>> place(0), place(9)
    (('amusement', 'amusement_00001'), ('anger', 'anger_00002'))
    """
    emotion = EMOTIONS[index % len(EMOTIONS)]
    return emotion, f"{emotion}_{index // len(EMOTIONS) + 1:05d}"


def index_of(id_: str) -> int:
    """Return which picture a record is of: the inverse of `place`.

    >>> index_of("synthetic_scenes/anger_00002")
    9
    """
    emotion, _, number = id_.removeprefix(f"{NAME}/").rpartition("_")
    return (int(number) - 1) * len(EMOTIONS) + EMOTIONS.index(emotion)


def latent(seed: int, index: int) -> tuple[Scene, View]:
    """Return what picture `index` shows and how it was taken."""
    emotion, key = place(index)
    rng = Random(f"{seed}/{NAME}/{key}")
    return draw_scene(rng, emotion), draw_view(rng)


def annotation(seed: int, index: int) -> dict[str, Any]:
    """Return the attributes of picture `index` as EmoSet's annotation has them."""
    scene, _ = latent(seed, index)
    attributes = scene.attributes
    return {"emotion": attributes.pop("emotion"), "image_id": place(index)[1], **attributes}


def render(job: Job) -> list[str]:
    """Draw and annotate a job's pictures and return their sha256; a whole picture that is already there stays."""
    return [_rendered(job, index) for index in job.indices]


def _rendered(job: Job, index: int) -> str:
    emotion, key = place(index)
    note = job.root / "annotation" / emotion / f"{key}.json"
    note.write_text(json.dumps(annotation(job.seed, index)) + "\n", encoding="utf-8")
    return drawn_once(job.root / "image" / emotion / f"{key}.jpg", lambda: draw(*latent(job.seed, index), job.size))
