"""Attribution of failures: to the request that fails, or to the server.

A request that has used up its tries is at fault as soon as any other gets through after it, and the server is once
`DIFFERENT` requests fail and none gets through. Until one of the two is known the request waits, and others take its
place. Where no other is left to tell (a run of one face; the last few), the server is: it is asked for its models.

Draws of one picture are one request here, as they fail together. All of it lives in one event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from seke.core.vlm import Request

DIFFERENT = 5
"""Requests that must fail, and none get through, for the fault to be the server's though others could still tell."""


async def _alive() -> bool:
    return True


class FaultTracker:
    """Tracks which subjects fail, a subject being what a request is about (see `subject_of`).

    Args:
        more: whether the caller may bring further requests.
        alive: asks the server for something that is free, and returns whether it answers.
        answered: whether this server has ever answered, as far as is written down; asked at most once.
        stuck: told when a request fails, and others may take its place.
    """

    def __init__(
        self,
        more: Callable[[], bool] = lambda: False,
        alive: Callable[[], Awaitable[bool]] = _alive,
        answered: Callable[[], bool] = lambda: False,
        stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._more, self._alive, self._make_room, self._answered_before = more, alive, stuck, answered
        self._open: Counter[str] = Counter()
        self._failing: Counter[str] = Counter()
        """Subjects that failed since anything got through, and how often."""
        self._spent: set[str] = set()
        """Those among them whose tries are used up."""
        self._given_up: set[str] = set()
        self._changed = asyncio.Event()
        self.successes = 0

    @property
    def places(self) -> int:
        """How many requests beyond those in flight may be sent, since so many of those fail."""
        return sum(self._failing.values()) if len(self._failing) < DIFFERENT else DIFFERENT

    @property
    def few_left(self) -> bool:
        """Whether all that is left fails, and is too little to tell anything about the server."""
        return 0 < len(self._failing) < DIFFERENT and not self._others

    @property
    def answered(self) -> bool:
        """Whether this server has ever answered a request, as far as is known."""
        return self.successes > 0 or self._answered_before()

    @property
    def nobody(self) -> bool:
        """Whether no request fails."""
        return not self._failing

    @contextmanager
    def waiting(self, subject: str) -> Iterator[None]:
        """Count a request as one that may tell something, for as long as it waits for its answer."""
        self._open[subject] += 1
        try:
            yield
        finally:
            self._open -= Counter([subject])
            self.changed()

    def changed(self) -> None:
        """Let all who wait for a verdict look again."""
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    def succeeded(self, subject: str) -> None:
        """Take note that something got through."""
        self.successes += 1
        self._given_up.discard(subject)
        self._failing.clear()
        self._spent.clear()
        self.changed()

    def failed(self, subject: str) -> None:
        """Take note of a failure that may be the request's own."""
        if subject not in self._given_up:
            self._failing[subject] += 1
            self._make_room()
            self.changed()

    def is_known(self, subject: str) -> bool:
        """Return whether it has been given up before: it then gets no further tries."""
        return subject in self._given_up

    async def own(self, subject: str, patience_s: float, hard: bool = False) -> bool:
        """Return whether a failure is the request's own, as soon as that can be told; after `patience_s` at the latest.

        `hard`: it was told no, and need not be told again; that nobody was told yes does then not speak for it.
        """
        before = self.successes
        if subject in self._given_up:
            return True
        self._spent.add(subject)
        self.changed()
        ends = asyncio.get_running_loop().time() + patience_s
        while self.successes == before and len(self._failing) < DIFFERENT and self._others:
            left_s = ends - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:  # not the built-in one before Python 3.11
                break
        own = self.successes > before or await self._alone(hard)
        if own:
            self._given_up.add(subject)
            self._spent.discard(subject)
            del self._failing[subject]
            self.changed()
        return own

    @property
    def _others(self) -> bool:
        """Whether any other request may still tell."""
        return self._more() or bool(self._open.keys() - self._spent - self._given_up)

    async def _alone(self, hard: bool) -> bool:
        if len(self._failing) >= DIFFERENT:
            return False
        if (hard or len(self._failing) > 1) and not self.answered:
            return False
        return await self._alive()


def subject_of(request: Request) -> str:
    """Return what a request is about: its pictures, or its text if it has none."""
    return " ".join(image.key for image in request.images) or request.text
