"""A few scenes with emotions, EmoVIT on them, and a model that says what it was told."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image as Pictures

from seke.core import images
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Choice, Image, Reply, Request, Usage
from seke.generation.emovit.captioners import Asked
from seke.generation.emovit.generator import Emovit
from seke.generation.outcome import Face

CONF = Path(__file__).resolve().parents[2] / "conf"
SETTINGS = yaml.safe_load((CONF / "generator" / "emovit.yaml").read_text(encoding="utf-8"))["generator"]
PROMPTS = Prompts(yaml.safe_load((CONF / "prompts" / "emovit.yaml").read_text(encoding="utf-8"))["templates"])
EMOTIONS = list(SETTINGS["classes"])
ATTRIBUTES = re.compile(r"<attributes>\n(.*?)\n</attributes>", re.DOTALL)


def make(folder: Path, each: int = 3, **attributes: Any) -> list[ImageRecord]:
    """Draw `each` one-coloured scenes for every emotion; return their records."""
    records = []
    for place, emotion in enumerate(EMOTIONS):
        for number in range(each):
            name = f"{emotion}/{emotion}_{number:05}.png"
            (folder / emotion).mkdir(parents=True, exist_ok=True)
            Pictures.new("RGB", (12, 10), (20 * place, 10 * number, 90)).save(folder / name)
            records.append(record(folder, name, {"emotion": emotion, **attributes}))
    return records


def record(folder: Path, name: str, attributes: Mapping[str, Any]) -> ImageRecord:
    """Return the record of a picture that is there."""
    return ImageRecord(
        id=f"scenes/{Path(name).stem}", image=name, sha256=images.sha256((folder / name).read_bytes()),
        source="scenes", subject=None, split="train", labels=Labels(), attributes=dict(attributes),
    )  # fmt: skip


def faces(records: Iterable[ImageRecord], folder: Path) -> list[Face]:
    """Open the pictures of entries."""
    return [Face(row, Image(folder / row.image, row.sha256 or "")) for row in records]


def told(request: Request) -> dict[str, str]:
    """Return the attributes that a request tells of its scene."""
    (block,) = ATTRIBUTES.findall(request.messages[-1].text)
    return dict(line.split(": ", 1) for line in block.splitlines())


class Writer:
    """A `VLM` that captions by the picture's hash and writes texts that name the emotion it was told."""

    def __init__(self, change: Callable[[Request, Any], Any] = lambda request, said: said) -> None:
        self.change, self.asked = change, list[Request]()

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Answer all, in order."""
        for index, request in enumerate(requests):
            self.asked.append(request)
            said = self.change(request, self._said(request))
            choice = said if isinstance(said, Choice) else Choice(said if isinstance(said, str) else json.dumps(said))
            yield index, Reply((choice,), "writer-1", Usage(50, 20), cost=0.001)

    def _said(self, request: Request) -> Any:
        if request.schema is None:
            return f"A scene called {request.images[0].sha256[:6]}."
        if set(request.schema["properties"]) == {"emotion"}:
            return {"emotion": "awe"}
        final = {
            "question": "What does it evoke?",
            "answer": f"It evokes {next(iter(told(request).values()))}, by its light.",
        }
        if set(request.schema["properties"]) == {"question", "answer"}:
            return final
        assert set(request.schema["properties"]) == {"conversation"}
        plain = {"question": "What is to be seen?", "answer": "One colour."}
        return {"conversation": [plain, plain, final]}


def make_emovit(vlm: Any = None, captioner: Any = None, **changes: Any) -> Emovit:
    """Return the generator as its YAML sets it, but for `changes`; two, one and one picture of a class by default."""
    plain = {name: value for name, value in SETTINGS.items() if name not in ("_target_", "captioner")}
    few = {"counts": {"categorical": 2, "conversation": 1, "reasoning": 1}}
    settings = {**plain, **few, **changes}
    return Emovit(vlm or Writer(), settings.pop("prompts", PROMPTS), captioner or Asked(), **settings)
