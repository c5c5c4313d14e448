"""dry_run: what a generation would cost, found by running it against an annotator that makes its answers up.

The same code asks the same questions in the same rounds, so calls and prompts are exact; what nobody knows beforehand
is how much the draws will disagree and how long the answers will be. Two made-up annotators bracket that: one that
disagrees with itself as much as a fair one might, and the worst, which never agrees and uses every token it may.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from seke.generation.outcome import Face, Generator, planned
from seke.records import ImageRecord
from seke.vlm import VLM, Choice, Reply, Request, Usage

CHARACTERS_PER_TOKEN: Final = 4
"""Of English text and JSON, by and large."""
IMAGE_TOKENS: Final = 255
"""What GPT-4o bills for an image of up to 512 x 512 pixels; other models differ, and `usage` of a pilot tells."""
TEXT: Final = "x" * 240
"""A text as long as two short sentences."""
LISTED: Final = 4
"""Entries of a list of such texts."""
SAMPLE: Final = 300
"""Records that are played through; the rest is taken to be like them."""
MODEL: Final = "dry-run"


class MadeUp:
    """A `VLM` that answers at once, as the schema wants it; `worst` draws never agree and fill `max_tokens`."""

    def __init__(self, worst: bool = False) -> None:
        self.worst = worst
        self.requests = self.input_tokens = self.output_tokens = 0

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) in order, and count."""
        for index, request in enumerate(requests):
            texts = [self._answer(request, request.draw + number) for number in range(request.n)]
            into = len(request.text) // CHARACTERS_PER_TOKEN + IMAGE_TOKENS * len(request.images)
            out = sum(request.max_tokens if self.worst else len(text) // CHARACTERS_PER_TOKEN for text in texts)
            self.requests += 1
            self.input_tokens += into
            self.output_tokens += out
            yield index, Reply(tuple(Choice(text) for text in texts), MODEL, Usage(into, out))

    def _answer(self, request: Request, draw: int) -> str:
        if request.schema is None:
            return TEXT
        pictures = "/".join(image.key for image in request.images)
        of_image, of_draw = Random(pictures), Random(f"{pictures}/{draw}")
        kinds: Mapping[str, Any] = request.schema["properties"]
        return json.dumps({name: self._value(kind, of_image, of_draw, draw) for name, kind in kinds.items()})

    def _value(self, kind: Mapping[str, Any], of_image: Random, of_draw: Random, draw: int) -> Any:
        if kind["type"] == "string" and "enum" not in kind:
            return TEXT
        if kind["type"] == "number":
            fair = min(max(of_image.uniform(-0.8, 0.8) + of_draw.gauss(0, 0.1), -1.0), 1.0)
            return draw % 2 * 2 - 1.0 if self.worst else round(fair, 2)
        if kind["type"] == "string":
            usual = of_image.choice(kind["enum"])
            if self.worst:
                return kind["enum"][draw % len(kind["enum"])]
            return usual if of_draw.random() < 0.85 else of_draw.choice(kind["enum"])
        if kind["type"] == "object":  # uncertainty=logprobs: each AU by name
            return {au: draw % 2 if self.worst else int(of_image.random() < 0.15) for au in kind["properties"]}
        if "enum" not in kind["items"]:  # a list of objects that hold texts
            return [dict.fromkeys(kind["items"]["properties"], TEXT)] * LISTED
        units = kind["items"]["enum"]
        if self.worst:
            return units if draw % 2 else []
        usual_units = {au for au in units if of_image.random() < 0.15}
        return [au for au in units if (au in usual_units) != (of_draw.random() < 0.05)]


class Estimate(NamedTuple):
    """What all records would take."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def usd(self, price: Sequence[float | None]) -> float | None:
        """Return dollars at `price`: USD per million tokens of input and output."""
        into, out = price[0], price[1]
        return None if into is None or out is None else (self.input_tokens * into + self.output_tokens * out) / 1e6


def estimate(
    generator: Generator, made_up: MadeUp, records: Sequence[ImageRecord], opened: Callable[[ImageRecord], Face | None]
) -> Estimate:
    """Return what `generator`, which asks `made_up`, would take: the pilot whole, the records from a sample of them."""
    with TemporaryDirectory() as folder:
        generator.learn(records, opened, Path(folder))
    pilot = Estimate(made_up.requests, made_up.input_tokens, made_up.output_tokens)
    played = sorted(records, key=lambda record: sha256(record.id.encode()).digest())[:SAMPLE]
    faces = [face for record in played if (face := opened(record)) is not None]
    for _ in generator.generate(faces):
        pass
    share = len(records) / max(len(played), 1)
    total = Estimate(made_up.requests, made_up.input_tokens, made_up.output_tokens)
    return Estimate(*(before + (after - before) * share for before, after in zip(pilot, total, strict=True)))


def dry_run(
    generator: Callable[[VLM], Generator], records: Sequence[ImageRecord],
    opened: Callable[[ImageRecord], Face | None], prices: Mapping[str, Sequence[float | None]],
) -> str:  # fmt: skip
    """Return what annotating `records` would cost; `generator` makes one that asks the given annotator."""
    annotators = MadeUp(), MadeUp(worst=True)
    generators = [generator(made_up) for made_up in annotators]
    entries = planned(generators[0], records)
    expected, worst = (
        estimate(asking, made_up, entries, opened) for asking, made_up in zip(generators, annotators, strict=True)
    )
    return table(len(entries), expected, worst, prices)


def table(number: int, expected: Estimate, worst: Estimate, prices: Mapping[str, Sequence[float | None]]) -> str:
    """Return the estimate as lines of text: calls and tokens, and dollars for each model of the price table."""
    lines = [
        f"{number} records; nothing was asked, nothing was bought; what the ledger holds already would be free",
        f"{'':<24}{'expected':>16}{'worst case':>16}",
    ]
    for name in Estimate._fields:
        values = [getattr(expected, name), getattr(worst, name)]
        lines.append(f"{name.replace('_', ' '):<24}{values[0]:>16,.0f}{values[1]:>16,.0f}")
    for model, price in prices.items():
        usd = [found.usd(price) for found in (expected, worst)]
        cells = ["unknown" if amount is None else f"${amount:,.2f}" for amount in usd]
        lines.append(f"{model:<24}{cells[0]:>16}{cells[1]:>16}")
    if not prices:
        lines.append("no price is known for this backend: set backend.prices={model: [input, output]}")
    return "\n".join(lines)
