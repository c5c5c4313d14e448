"""Uncertainty-aware Monte Carlo sampling (Algorithm 1), written as a dialogue with one image's annotator.

A dialogue is a Python generator: it yields a Request and is sent the Reply. `in_rounds` plays many at once: round r
carries the next request of every dialogue that is still open, so one code path serves a web API, a batch API and a
local GPU, and what one image asks never depends on its neighbours.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from seke.core.budget import Spent
from seke.core.records import Labels, Uncertainty
from seke.core.vlm import VLM, Choice, Reply, Request
from seke.generation.seke.normalisation import Scales
from seke.generation.seke.schema import Unusable
from seke.generation.seke.stopping import State, StoppingRule, wanted
from seke.generation.seke.uncertainty import PerAU, uncertainty

Result = TypeVar("Result")
Dialogue = Generator[Request, Reply, Result]

REASKS = 2
"""How often an unusable answer is asked for again before the image is given up."""


class Ask(Protocol):
    """Makes the request for `n` answers, the first of which is draw number `draw`, and any others framed alike."""

    def __call__(self, n: int, draw: int, again: bool) -> Request:
        """Return the request; `again`: an earlier answer was unusable."""
        ...


@dataclass
class Bill(Spent):
    """What one image has cost so far, and who was asked; what the ledger held counts as if it was paid for now."""

    models: list[str] = field(default_factory=list)
    simulated: bool = False
    """Whether a simulation was among them."""
    blind: bool = False
    """Whether one of them could not make out the picture."""

    def add(self, reply: Reply) -> None:
        """Add one reply; its unknown price makes the sum unknown."""
        super().add(reply)
        if reply.model not in self.models:
            self.models.append(reply.model)
        self.simulated |= reply.simulated
        self.blind |= reply.blind


def total(bills: Sequence[Bill]) -> dict[str, float | None]:
    """Return the sum of several bills."""
    together = Spent()
    for bill in bills:
        together.plus(bill)
    return together.facts()


class Sampled(NamedTuple):
    """The usable draws, how much they disagree, and why the last unusable one was so (None: all were usable)."""

    draws: Sequence[Labels] = ()
    uncertainty: Uncertainty = Uncertainty()
    failure: Unusable | None = None


def in_rounds(dialogues: Sequence[Dialogue[Result]], vlm: VLM) -> list[Result]:
    """Play dialogues to their ends, one request of each per round; return their results in the order given."""
    results: dict[int, Result] = {}
    waiting: list[tuple[int, Request]] = []

    def go_on(number: int, reply: Reply | None) -> None:
        try:
            # A generator that has not begun takes no reply.
            dialogue = dialogues[number]
            waiting.append((number, next(dialogue) if reply is None else dialogue.send(reply)))
        except StopIteration as end:
            results[number] = end.value

    for number in range(len(dialogues)):
        go_on(number, None)
    while waiting:
        asking, waiting = waiting, []
        for index, reply in vlm.reply([request for _, request in asking]):
            go_on(asking[index][0], reply)
        # Replies come as they finish; the next round keeps the images' order.
        waiting.sort(key=lambda entry: entry[0])
    return [results[number] for number in range(len(dialogues))]


def sample(
    ask: Ask,
    read: Callable[[Choice, int], Labels],
    more: StoppingRule,
    rng: Random,
    bill: Bill,
    max_samples: int,
    per_au: PerAU = "mean",
    known: Labels = Labels(),  # noqa: B008  (frozen)
    scales: Scales = Scales(),  # noqa: B008  (frozen)
    framings: int = 1,
) -> Dialogue[Sampled]:
    """Draw one image's labels until the stopping rule has enough (Algorithm 1, lines 2-14).

    The rule decides by the uncertainty as `scales` normalise it (line 5). An unusable draw is asked for anew, at most
    `REASKS` times; then the sampling ends with the draws there are. It does not count towards S_n, and it does not ask
    the rule again.

    Draw number i is framed in way i mod `framings`; `read` takes the number of a draw, since ways differ in what they
    ask. Those wanted at once are one request for each way, so one in all where there is a single way.
    """
    draws: list[Labels] = []
    failure: Unusable | None = None
    asked = reasks = 0
    while True:
        u = uncertainty(draws, per_au)
        enough = min(len(draws) + wanted(more, State(known, tuple(draws), scales.largest(u)), rng), max_samples)
        if len(draws) >= enough:
            return Sampled(draws, u, failure)
        while len(draws) < enough:
            lacking = enough - len(draws)
            usable: dict[int, Labels] = {}
            received = 0
            for first in range(asked, asked + min(framings, lacking)):
                numbers = range(first, asked + lacking, framings)
                reply = yield ask(len(numbers), first, reasks > 0)
                bill.add(reply)
                received += len(reply.choices)
                for number, choice in zip(numbers, reply.choices, strict=False):  # some servers give fewer, or more
                    try:
                        usable[number] = read(choice, number)
                    except Unusable as unusable:
                        failure = unusable
            asked += lacking
            draws += [usable[number] for number in sorted(usable)]
            if len(draws) < enough:
                failure = failure or Unusable("invalid", f"{received} answers instead of {lacking}")
                if reasks == REASKS:
                    return Sampled(draws, uncertainty(draws, per_au), failure)
                reasks += 1


def insist(ask: Ask, read: Callable[[Choice], Result], bill: Bill) -> Dialogue[Result]:
    """Ask for one answer, again at most `REASKS` times while it is unusable.

    Raises:
        Unusable: as the last answer was.
    """
    failure = Unusable("invalid", "no answer")
    for attempt in range(1 + REASKS):
        reply = yield ask(1, attempt, attempt > 0)
        bill.add(reply)
        try:
            if reply.choices:
                return read(reply.choices[0])
        except Unusable as unusable:
            failure = unusable
    raise failure
