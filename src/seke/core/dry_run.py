"""Estimate of the calls, tokens and dollars that a run would take, from a made-up model that answers at once.

The same code asks the same questions, so calls and prompts are exact; what nobody knows beforehand is how much draws
will disagree and how long answers will be. Two made-up models bracket that: one that disagrees with itself as much as
a fair one might, and the worst, which never agrees and uses every token it may.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any, Final, NamedTuple

from seke.core.budget import model_of, prices_of
from seke.core.vlm import Choice, Prices, Reply, Request, Simulation, Usage

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
    """A `VLM` that answers at once, as the schema wants it.

    Args:
        worst: whether draws never agree and fill `max_tokens`.
        recalls: whether a request that was asked before is free, as where a ledger keeps the replies.
    """

    def __init__(self, worst: bool = False, recalls: bool = False) -> None:
        self.worst, self.recalls = worst, recalls
        self._asked = set[str]()
        self.requests = self.input_tokens = self.output_tokens = 0

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) in order, and count."""
        for index, request in enumerate(requests):
            texts = [self._answer(request, request.draw + number) for number in range(request.n)]
            if self.recalls and request.key in self._asked:
                yield index, Reply(tuple(Choice(text) for text in texts), MODEL, recalled=True)
                continue
            self._asked.add(request.key)
            into = len(request.text) // CHARACTERS_PER_TOKEN + IMAGE_TOKENS * len(request.images)
            out = sum(request.max_tokens if self.worst else len(text) // CHARACTERS_PER_TOKEN for text in texts)
            self.requests += 1
            self.input_tokens += into
            self.output_tokens += out
            yield index, Reply(tuple(Choice(text) for text in texts), MODEL, Usage(into, out))

    def _answer(self, request: Request, draw: int) -> str:
        if request.schema is None:
            return _text(request, draw)
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
        if kind["type"] == "integer":  # a judge's mark
            return (draw if self.worst else of_image.randrange(97)) % len(kind["enum"]) + min(kind["enum"])
        if kind["type"] == "object":  # uncertainty=logprobs or graded: each AU, or expression, by name
            names = list(kind["properties"])
            top = kind["properties"][names[0]].get("maximum", 1)
            if self.worst:
                return {name: top * ((draw + place) % 2) for place, name in enumerate(names)}
            usual = {name: top * int(of_image.random() < 0.15) for name in names}
            return usual if any(usual.values()) else {**usual, names[-1]: top}
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

    def times(self, share: float) -> "Estimate":
        """Return this estimate for so many times the records."""
        return Estimate(*(share * number for number in self))


class Asked(NamedTuple):
    """What one model would be asked."""

    role: str
    """What for: annotator, answers, judge, ..."""
    model: str
    prices: Prices | None
    """None: it runs here and costs nothing."""
    expected: Estimate
    worst: Estimate


def asked(role: str, vlm: object, expected: Estimate, worst: Estimate) -> Asked:
    """Return what `vlm` would be asked, with its own model and prices as far as it has them."""
    model, prices = model_of(vlm), prices_of(vlm)
    if isinstance(vlm, Simulation) and vlm.usd_per_million:
        model, prices = "simulated", {"simulated": vlm.usd_per_million}
    return Asked(role, model, prices, expected, worst)


def counted(made_up: MadeUp) -> Estimate:
    """Return what a made-up model has been asked so far."""
    return Estimate(made_up.requests, made_up.input_tokens, made_up.output_tokens)


def sampled(ids: Sequence[str]) -> list[int]:
    """Return the places of up to `SAMPLE` records, always the same ones, ascending."""
    ranked = sorted(range(len(ids)), key=lambda place: sha256(ids[place].encode(errors="surrogatepass")).digest())
    return sorted(ranked[:SAMPLE])


def table(number: int, parts: Sequence[Asked]) -> str:
    """Return the estimate as lines of text: calls and tokens of each model, and dollars where its price is known."""
    lines = [
        f"{number} records; nothing was asked, nothing was paid; what the ledger holds already would be free",
        f"prompts: {CHARACTERS_PER_TOKEN} characters and {IMAGE_TOKENS} tokens a picture are assumed; "
        "worst case: no two draws agree, every answer is as long as it may be",
        f"{'':<24}{'expected':>16}{'worst case':>16}",
    ]
    for part in parts:
        lines += [f"{part.role}{f' ({part.model})' if part.model else ''}"] if len(parts) > 1 else []
        for name in Estimate._fields:
            values = [getattr(part.expected, name), getattr(part.worst, name)]
            lines.append(f"{name.replace('_', ' '):<24}{values[0]:>16,.0f}{values[1]:>16,.0f}")
        lines += _priced(part)
    if len(parts) > 1 and all(_own(part) for part in parts):
        sums = [_together(parts, which) for which in ("expected", "worst")]
        lines.append(_dollars("together", sums))
    return "\n".join(lines)


def _priced(part: Asked) -> list[str]:
    """Return dollars of the model asked; of every model that has a price where it is unknown which is asked."""
    if not part.worst.requests:
        return [_dollars("nobody is asked", [0.0, 0.0])]
    if part.prices is None:
        return ["it has no price: it runs on this machine, or is simulated"]
    if not part.prices:
        return ["no price is known for this backend: set backend.prices={model: [input, output]}"]
    if part.model and part.model not in part.prices:
        return [_dollars(part.model, [None, None])]
    models = [part.model] if part.model else list(part.prices)
    return [
        _dollars(model, [estimate.usd(part.prices[model]) for estimate in (part.expected, part.worst)])
        for model in models
    ]


def _own(part: Asked) -> bool:
    return part.prices is None or part.model in part.prices or not part.worst.requests


def _together(parts: Sequence[Asked], which: str) -> float | None:
    amounts = [
        0.0 if part.prices is None or not part.worst.requests else getattr(part, which).usd(part.prices[part.model])
        for part in parts
    ]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _dollars(name: str, amounts: Sequence[float | None]) -> str:
    return f"{name:<24}" + "".join(f"{_usd(usd):>16}" for usd in amounts)


def _usd(usd: float | None) -> str:
    """Return dollars; cents are not enough for small amounts.

    >>> _usd(12.345), _usd(0.00123), _usd(0.0), _usd(None)
    ('$12.35', '$0.0012', '$0.00', 'unknown')
    """
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:,.4f}"


def _text(request: Request, draw: int) -> str:
    """Return a text as no other request gets it: a judge is asked about equal answers once."""
    seed = "/".join([request.text, *(image.key for image in request.images), str(draw)])
    return sha256(seed.encode(errors="surrogatepass")).hexdigest()[:16] + TEXT[16:]
