"""Synthetic scenes as EmoSet would have them: pictures that evoke one of eight emotions, with annotated attributes.

    <run>/scenes/image/amusement/amusement_00001.jpg
    <run>/scenes/annotation/amusement/amusement_00001.json
    <run>/scenes.jsonl                                      the truth, which only the simulated annotator reads

The emotions take turns. Every picture depends on (seed, emotion, number) alone, so any number of worker processes, and
a resumed run, give the same bytes. What evokes the emotion is in `scenes`. Rows are like those of source=emoset, which
also reads the folder itself: `python prepare.py source=emoset source.root=outputs/prepare/<name>/scenes`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from seke.core.records import ImageRecord, Labels, Rejection, Split, write_jsonl
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

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Draw and annotate what is not yet there, write scenes.jsonl, and yield the records."""
        digests = self._drawn(run_path / "scenes")
        keys = [place(index)[1] for index in range(len(digests))]
        splits = assign((f"{NAME}/{key}" for key in keys), self.seed, self.test_share, self.validation_share)
        records = [self._record(index, digest, splits[f"{NAME}/{keys[index]}"]) for index, digest in enumerate(digests)]
        write_jsonl(run_path / "scenes.jsonl", records)
        yield from records

    def _drawn(self, root: Path) -> list[str]:
        """Return each picture's sha256, after drawing the missing ones."""
        for emotion in EMOTIONS:
            for kind in ("image", "annotation"):
                picture_folder(root / kind / emotion)
        jobs = [Job(self.seed, indices, self.size, root) for indices in chunks(self.images)]
        return [digest for digests in self.draw_all(render, jobs, "scenes") for digest in digests]

    def _record(self, index: int, digest: str, split: Split) -> ImageRecord:
        emotion, key = place(index)
        return ImageRecord(
            id=f"{NAME}/{key}",
            image=f"image/{emotion}/{key}.jpg",
            sha256=digest,
            source=NAME,
            subject=None,
            split=split,
            labels=Labels(),
            attributes=annotation(self.seed, index),
        )


class Job(NamedTuple):
    """Pictures for one worker."""

    seed: int
    indices: range
    size: int
    root: Path


def place(index: int) -> tuple[str, str]:
    """Return the emotion and the name of picture `index`.

    >>> place(0), place(9)
    (('amusement', 'amusement_00001'), ('anger', 'anger_00002'))
    """
    emotion = EMOTIONS[index % len(EMOTIONS)]
    return emotion, f"{emotion}_{index // len(EMOTIONS) + 1:05d}"


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
