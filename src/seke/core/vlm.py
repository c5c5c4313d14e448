"""The interface to any vision LLM: Request -> Reply.

The annotator, the model under test, GPT-4o, the judge and the simulated annotator are all the same `VLM`. A backend
gets an iterable of requests and yields `(index, reply)` as they finish; concurrency is its own business.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Prices = Mapping[str, Sequence[float | None]]
"""Of each model, in USD per million tokens: input, output and cached input."""
Status = Literal["ok", "refusal", "filtered", "truncated", "invalid"]


@dataclass(frozen=True)
class Image:
    """An image part: the file and the sha256 of its bytes, which stands for it in keys and logs."""

    path: Path
    sha256: str
    face: tuple[int, int, int, int] | None = None
    """Where in the upright picture the face is: left, top, width and height in pixels; None where it is unknown."""

    @property
    def key(self) -> str:
        """What stands for this image in a request's key."""
        return self.sha256 if self.face is None else f"{self.sha256} {self.face}"

    @property
    def mark(self) -> str:
        """Name of the file and the beginning of its hash: how people, and `forget`, find it in the ledger."""
        return f"{self.path.name}#{self.sha256[:12]}"

    def read(self) -> bytes:
        """Return the file's bytes."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class InMemory(Image):
    """An image part that is no file: its bytes, which are nowhere on a disk."""

    data: bytes = b""

    def read(self) -> bytes:
        """Return the bytes."""
        return self.data


@dataclass(frozen=True)
class Clip(Image):
    """A part that is a clip: the picture it stands for, and the frames that are shown in its place."""

    frames: tuple[Image, ...] = ()
    times: tuple[float, ...] | None = None
    """Of each frame, in seconds from the video's beginning; None where that is unknown."""

    @property
    def key(self) -> str:
        """What stands for this clip in a request's key."""
        return " ".join(frame.key for frame in self.frames) + (f" {list(self.times)}" if self.times else "")

    @property
    def spelt(self) -> tuple[str | Image, ...]:
        """Its frames in order, each after a line that says which it is, and when."""
        lines = [f"Frame {place} of {len(self.frames)}" for place in range(1, len(self.frames) + 1)]
        if self.times is not None:
            lines = [f"{line}, at {time:.2f} s" for line, time in zip(lines, self.times, strict=True)]
        return tuple(part for pair in zip(lines, self.frames, strict=True) for part in (f"{pair[0]}:", pair[1]))


@dataclass(frozen=True)
class Message:
    """One message; its parts keep their order, text and images mixed."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Image, ...]

    @property
    def text(self) -> str:
        """The text parts, joined by a newline."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def shown(self) -> tuple[Image, ...]:
        """The image parts, a clip as one."""
        return tuple(part for part in self.parts if isinstance(part, Image))

    @property
    def images(self) -> tuple[Image, ...]:
        """The pictures that are sent, of a clip its frames."""
        return tuple(part for part in self.spelt if isinstance(part, Image))

    @property
    def spelt(self) -> tuple[str | Image, ...]:
        """The parts as those are told who read pictures alone: a clip as its frames and their times."""
        return tuple(one for part in self.parts for one in (part.spelt if isinstance(part, Clip) else (part,)))


@dataclass(frozen=True)
class Request:
    """One call: `n` answers to the same messages."""

    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    """JSON Schema that each answer must satisfy; None for free text."""
    temperature: float = 1.0
    n: int = 1
    """How many answers (choices) are wanted; the prompt and its image are billed once."""
    max_tokens: int = 512
    seed: int = 0
    """Sampling seed of the run; servers honour it as best they can."""
    draw: int = 0
    """Number of the first answer among all draws of this prompt: the same prompt is asked again on purpose."""
    logprobs: bool = False
    """Whether the answers' log probabilities are wanted, too; a server may not give them."""

    @property
    def text(self) -> str:
        """All text as sent, messages joined by a newline."""
        return "\n".join(message.text for message in self.messages)

    @property
    def images(self) -> tuple[Image, ...]:
        """All pictures as sent, of a clip its frames."""
        return tuple(image for message in self.messages for image in message.images)

    @property
    def shown(self) -> tuple[Image, ...]:
        """All image parts, a clip as one."""
        return tuple(image for message in self.messages for image in message.shown)

    @cached_property
    def key(self) -> str:
        """sha256 of everything that is sent, images by their content; the backend adds its model's name."""
        parts = [
            [message.role, [part if isinstance(part, str) else {"image": part.key} for part in message.parts]]
            for message in self.messages
        ]
        sent: list[Any] = [parts, self.schema, self.temperature, self.n, self.max_tokens, self.seed, self.draw]
        if self.logprobs:
            sent.append("logprobs")  # not there otherwise: keys from before this setting existed stay
        return hashlib.sha256(json.dumps(sent, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Usage(NamedTuple):
    """Billed tokens of one reply."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens among `input_tokens` that the server had kept from an earlier prompt, and bills at less."""


class Bill(NamedTuple):
    """What may have been billed, at most."""

    requests: int = 0
    """Sendings that may have been billed."""
    tokens: int = 0
    """Input and output together."""
    usd: float | None = 0.0
    """None where no price is known."""


@dataclass(frozen=True)
class Choice:
    """One answer. Anything but `ok` is an outcome of its own, never an empty answer."""

    text: str
    status: Status = "ok"
    logprobs: tuple[tuple[str, float], ...] | None = None
    """(token, log probability) pairs where the server gives them."""


@dataclass(frozen=True)
class Reply:
    """The answers to one request and what they cost.

    Raises:
        ValueError: if neither `usage` nor `bound` says what was billed.
    """

    choices: tuple[Choice, ...]
    model: str
    """The exact model that answered."""
    usage: Usage | None = Usage()  # noqa: RUF009  (immutable)
    """What the server stated; None: it stated nothing, or nothing that can be true. Unknown is not 0."""
    cost: float | None = None
    """US dollars for `usage`; None where that or the price is not known."""
    recalled: bool = field(default=False, compare=False)
    """Whether it was paid for earlier: it came from a ledger, and cost nothing now."""
    simulated: bool = False
    """Whether no model answered, but a simulation of one. Results say so of what comes of it."""
    blind: bool = False
    """Whether who answered could not make out the picture, and guessed."""
    bound: Bill = field(default=None, compare=False)  # type: ignore[assignment]
    """What was billed at most: all that was sent for this reply, also what timed out or broke off. As `usage` and
    `cost` state it if not given."""

    def __post_init__(self) -> None:
        if self.bound is None:
            if self.usage is None:
                raise ValueError("a reply of unknown usage needs a bound")
            tokens = self.usage.input_tokens + self.usage.output_tokens
            object.__setattr__(self, "bound", Bill(1, tokens, self.cost))


@runtime_checkable
class VLM(Protocol):
    """Anything that answers requests."""

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, its reply) in any order, each request exactly once."""
        ...


# What a backend may have beside `reply`. Nobody need inherit from these; without one, nothing of the kind is done.


@runtime_checkable
class Closing(Protocol):
    """A backend that has something open: connections, a ledger, a model in memory."""

    def close(self) -> None:
        """Close it. Whoever asks again has it opened anew; closing twice is no mistake."""
        ...


@runtime_checkable
class Loading(Protocol):
    """A backend with a model in memory, which the first request would else wait for."""

    def load(self) -> None:
        """Load it, unless it is loaded."""
        ...


@runtime_checkable
class Recording(Protocol):
    """A backend that keeps each reply in a ledger as it comes, so that it can pause between any two requests."""

    ledger: Any
    """The open ledger, or its path; None where nothing is kept."""


@runtime_checkable
class Priced(Protocol):
    """A backend whose replies cost money."""

    prices: Prices | None
    """None: it costs nothing."""


@runtime_checkable
class Remarking(Protocol):
    """A backend of whose answers a reader of the results should know something."""

    @property
    def remarks(self) -> Sequence[str]:
        """What is to be known, a sentence each."""
        ...


@runtime_checkable
class Simulation(Protocol):
    """No model, but what plays through what one would cost."""

    usd_per_million: Sequence[float] | None
    """USD per million tokens, input first, then output; None: nothing is played through."""


@runtime_checkable
class Tabular(Protocol):
    """No model, but a table of what one said of all pictures: nobody is asked."""

    table: Mapping[str, Any]
    """Its `path` and `columns`."""


class Screen(Protocol):
    """What counts the answers of a backend that can be used."""

    last_resort: bool
    """Whether it is asked only what another one gave no answer to, and may well decline all of it."""


@runtime_checkable
class Screened(Protocol):
    """A backend that ends a run in which none of its answers can be used."""

    usable: Screen


@runtime_checkable
class Wrapping(Protocol):
    """A backend around another one, such as a meter."""

    vlm: VLM
    """The inner one."""


def layers(vlm: object) -> Iterator[object]:
    """Yield a backend and those that it wraps, the outermost first."""
    yield vlm
    while isinstance(vlm, Wrapping):
        vlm = vlm.vlm
        yield vlm


def close(vlm: VLM) -> None:
    """Close what a backend has open, if it has anything."""
    if isinstance(vlm, Closing):
        vlm.close()


@contextmanager
def closing(vlm: VLM) -> Iterator[VLM]:
    """Close at the end what a backend has opened; its next request would open it anew."""
    try:
        yield vlm
    finally:
        close(vlm)
