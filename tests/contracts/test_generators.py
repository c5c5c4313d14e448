"""What every generator of conf/generator/ promises (`seke.generation.outcome.Generator`), with the backend it brings.

A new one is found by its YAML. It is tried on drawn faces, or on drawn scenes where its backend's truth is of these.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from omegaconf import DictConfig

from seke.core.plugins import replies
from seke.core.records import ImageRecord, InstructionRecord, Rejection
from seke.core.vlm import VLM, Choice, Reply
from seke.generation.outcome import Face, Generator, Outcome, completed, planned
from seke.generation.run.generate import opener
from seke.sources.base.source import Source
from seke.sources.prepare.prepare import listed

from .offered import built, composed, options

SOURCES = {"truth.jsonl": "synthetic", "scenes.jsonl": "synthetic_scenes"}
"""Which source writes the true labels that a simulated backend reads."""
IMAGES = 24


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def prepared(outputs: Path) -> Callable[[str], tuple[list[ImageRecord], Path]]:
    @cache
    def of(name: str) -> tuple[list[ImageRecord], Path]:
        """Return a source's records, and the folder of its pictures."""
        run_path = outputs / "prepare" / name
        run_path.mkdir(parents=True)
        source: Source = built(
            composed("prepare", f"source={name}", f"source.images={IMAGES}", "source.workers=1").source
        )
        records, _ = listed(source, run_path)
        assert not list(source.fetch(records))
        return [source.shown(record) for record in records], run_path / source.image_root(run_path)

    return of


class Tried:
    """A generator's settings, and what it works on."""

    def __init__(self, name: str, outputs: Path, prepared: Callable[[str], tuple[list[ImageRecord], Path]]) -> None:
        self.settings: DictConfig = composed("generate", f"generator={name}", f"paths.outputs={outputs}")
        records, self.root = prepared(SOURCES[Path(str(self.settings.backend.truth)).name])
        self.records = planned(self._made(), records)
        self.lessons = outputs / "lessons" / name
        self.lessons.mkdir(parents=True)

    def _made(self, vlm: VLM | None = None, seed: int = 0) -> Generator:
        vlm = vlm or built(self.settings.backend)
        parts: dict[str, Any] = {"vlm": vlm, "prompts": built(self.settings.prompts), "seed": seed}
        return built(self.settings.generator, **parts)

    def generator(self, vlm: VLM | None = None, seed: int = 0) -> Generator:
        """Return the generator, made anew, with its backend or another; it has learnt what it needs."""
        made = self._made(vlm, seed)
        made.learn(self.records, opener(self.root), self.lessons)
        return made

    def faces(self) -> list[Face]:
        opened = [opener(self.root)(record) for record in self.records]
        return [face for face in opened if face is not None]


@pytest.fixture(scope="module", params=options("generator"))
def tried(request: pytest.FixtureRequest, outputs: Path, prepared: Callable[[str], Any]) -> Tried:
    return Tried(request.param, outputs, prepared)


def rows(outcomes: list[Outcome]) -> list[str]:
    return [outcome.row.model_dump_json() + outcome.trace.model_dump_json() for outcome in outcomes]


def test_each_face_becomes_an_instruction_or_a_rejection_with_its_trace(tried: Tried) -> None:
    faces = tried.faces()
    assert len({face.record.id for face in faces}) == len(faces) > 0
    made = completed(tried.generator(), faces)
    assert any(isinstance(outcome.row, InstructionRecord) for outcome in made)
    for face, outcome in zip(faces, made, strict=True):
        assert outcome.trace.id == face.record.id
        assert outcome.trace.requests == outcome.cost.requests
        if isinstance(outcome.row, InstructionRecord):
            assert outcome.row.image == face.record.image
            assert outcome.row.conversations[0].speaker == "human"
            assert outcome.row.conversations[-1].speaker == "gpt"
            assert "<image>" in outcome.row.conversations[0].value


def test_what_humans_annotated_stands_in_the_result_as_it_was(tried: Tried) -> None:
    for face, outcome in zip(tried.faces(), completed(tried.generator(), tried.faces()), strict=True):
        if isinstance(outcome.row, InstructionRecord) and not outcome.row.labels.empty:
            assert face.record.labels.completed_by(outcome.row.labels) == outcome.row.labels


def test_order_and_chunks_change_nothing(tried: Tried) -> None:
    faces = tried.faces()
    whole = dict(zip((face.record.id for face in faces), rows(completed(tried.generator(), faces)), strict=True))
    for chunk in (1, 7):
        generator, shuffled = tried.generator(), Random(chunk).sample(faces, len(faces))
        for start in range(0, len(faces), chunk):
            some = shuffled[start : start + chunk]
            assert rows(completed(generator, some)) == [whole[face.record.id] for face in some]


class Babbling:
    """Says the same to everything, as an annotator that understands nothing."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def reply(self, requests):
        for index, request in enumerate(requests):
            yield index, Reply((self.choice,) * request.n, "babbling")


@pytest.mark.parametrize(
    "choice",
    [
        Choice("no JSON"), Choice("{}"), Choice("[]"), Choice("null"), Choice('{"conversation": [1], "expression": 3}'),
        Choice("I can't help with that.", "refusal"), Choice("", "filtered"), Choice('{"expr', "truncated"),
        Choice("HTTP 400", "invalid"), Choice("\udc80\0<image>" + json.dumps("x" * 500)),
    ],
    ids=range(10),
)  # fmt: skip
def test_an_annotator_that_answers_nonsense_gives_rejections_that_say_why(tried: Tried, choice: Choice) -> None:
    faces = tried.faces()[:3] + tried.faces()[-3:]
    asks = any(outcome.cost.requests for outcome in completed(tried.generator(), faces))
    asked: list[bool] = []
    for outcome in completed(tried.generator(Babbling(choice)), faces):
        asked.append(outcome.cost.requests > 0)
        if asked[-1]:
            assert isinstance(outcome.row, Rejection)
            assert outcome.row.reason
    assert any(asked) == asks


def test_its_requests_can_be_answered_in_any_order(tried: Tried) -> None:
    class Backwards:
        """Its backend, last request first."""

        def __init__(self, vlm: VLM) -> None:
            self.vlm = vlm

        def reply(self, requests):
            yield from list(replies(self.vlm, requests))[::-1]

    backwards = tried.generator(Backwards(built(tried.settings.backend)))
    assert rows(completed(backwards, tried.faces())) == rows(completed(tried.generator(), tried.faces()))
