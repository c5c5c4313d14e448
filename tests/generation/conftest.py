"""A handful of faces with partial labels, their true labels, and annotators that say what a test tells them to."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import yaml
from PIL import Image as Pictures

from seke.backends.simulated.faces import Simulated
from seke.core import images
from seke.core.affect import AUS_OF_SOURCE
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import VLM, Choice, Image, Reply, Request, Usage
from seke.generation.outcome import Face
from seke.generation.seke.generator import Seke
from seke.generation.seke.stopping import uamc
from seke.sources.synthetic.face_model import draw_face

CONF = Path(__file__).resolve().parents[2] / "conf"


class Scripted:
    """A VLM that answers each request by `script(request, number of the choice)` and remembers what it was asked."""

    def __init__(self, script: Callable[[Request, int], Choice], reverse: bool = False) -> None:
        self.script, self.reverse, self.asked = script, reverse, list[Request]()
        self.name = "scripted"

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Answer all, the last one first if `reverse`."""
        numbered = list(enumerate(requests))
        for index, request in reversed(numbered) if self.reverse else numbered:
            self.asked.append(request)
            choices = tuple(self.script(request, number) for number in range(request.n))
            yield index, Reply(choices, self.name, Usage(100, 10))


class Data(NamedTuple):
    """Prepared records on disk."""

    records: list[ImageRecord]
    truth: dict[str, Labels]
    """Latent labels by record id."""
    folder: Path
    """Holds train.jsonl, truth.jsonl, manifest.json and images/."""

    @property
    def faces(self) -> list[Face]:
        return [Face(row, Image(self.folder / "images" / row.image, row.sha256)) for row in self.records]


def settings(name: str) -> dict[str, Any]:
    """Return conf/backend/<name>.yaml without what only Hydra can resolve."""
    loaded = yaml.safe_load((CONF / "backend" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in loaded.items() if key not in ("_target_", "truth")}


GENEROUS = {"seen": 2.0, "unseen": 0.3, "knowledge": 0.8, "couplings": "faces", "uncertainty_weight": 1.0}
"""What made the simulated annotator of version 0.3 and before out of today's neutral one."""


def partial(labels: Labels, kind: int) -> Labels:
    """Keep what the six sources keep: expression; expression and VA; one of three sets of twelve AUs; all three."""
    aus = AUS_OF_SOURCE[("disfa", "bp4d", "aff_wild2")[kind % 3]]
    units = {au: active for au, active in (labels.action_units or {}).items() if au in aus}
    if kind % 4 == 0:
        return Labels(expression=labels.expression)
    if kind % 4 == 1:
        return Labels(expression=labels.expression, valence=labels.valence, arousal=labels.arousal)
    if kind % 4 == 2:
        return Labels(action_units=units)
    return labels.model_copy(update={"action_units": units})


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Forty small pictures; the annotator knows them by their bytes, so one colour each is enough."""
    folder = tmp_path_factory.mktemp("outputs") / "prepare" / "tiny"
    (folder / "images").mkdir(parents=True)
    rng = Random(7)
    records, truths = [], []
    for number in range(40):
        face = draw_face(rng)
        name = f"{number:02}.png"
        Pictures.new("RGB", (8, 8), (number, 10 + number, 200 - number)).save(folder / "images" / name)
        row = ImageRecord(
            id=f"tiny-{number:02}",
            image=name,
            sha256=images.sha256((folder / "images" / name).read_bytes()),
            source="synthetic",
            subject=f"s{number % 5}",
            split="train",
            labels=partial(face.labels, number),
        )
        records.append(row)
        intensity = {str(au): value for au, value in face.au_intensity.items()}
        truths.append(row.model_copy(update={"labels": face.labels, "attributes": {"au_intensity": intensity}}))
    write_jsonl(folder / "train.jsonl", records)
    write_jsonl(folder / "truth.jsonl", truths)
    (folder / "manifest.json").write_text('{"image_root": "images"}')
    return Data(records, {row.id: row.labels for row in truths}, folder)


@pytest.fixture(scope="session")
def prompts() -> Prompts:
    return Prompts(yaml.safe_load((CONF / "prompts" / "seke.yaml").read_text(encoding="utf-8"))["templates"])


@pytest.fixture(scope="session")
def annotator(data: Data) -> Simulated:
    return Simulated(truth=str(data.folder / "truth.jsonl"), **settings("simulated"))


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture(scope="session")
def make_seke(prompts: Prompts, annotator: Simulated) -> Callable[..., Seke]:
    """Return `make_seke(vlm=..., stopping=..., **settings)`; the simulated annotator unless another is given."""

    def make(vlm: VLM | None = None, **options: Any) -> Seke:
        rule = options.pop("stopping", None) or uamc(max(options.get("max_samples", 5), 2))
        return Seke(vlm or annotator, rule, options.pop("prompts", prompts), **options)

    return make
