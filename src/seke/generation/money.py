"""Budgets: a wrapper around any backend that stops feeding it before more is spent than was allowed.

Backends pull requests as they have room, so holding the next one back lets what is in flight come in, be recorded and
be counted; then the run pauses. What was bought is in the ledger, and the same command goes on. A backend without a
ledger is stopped at the end of a chunk of records instead, and may overdraw its budget by that much.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seke.errors import Paused, UserError
from seke.vlm import VLM, Reply, Request


@dataclass(frozen=True)
class Budget:
    """What one command may spend; None is no limit. What the ledger already holds costs nothing.

    Raises:
        UserError: for a limit that is not positive.
    """

    usd: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (("usd", self.usd), ("tokens", self.tokens)):
            if limit is not None and (isinstance(limit, bool) or not limit > 0):
                raise UserError(f"budget.{name}", limit, "nothing could be bought for it", "set more than 0, or null")


@dataclass
class Spent:
    """What this command has spent so far."""

    requests: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    """None once a reply had no known price."""
    recalled: int = 0
    """Replies that came from the ledger."""

    def row(self) -> dict[str, float | None]:
        """Return the numbers for a dashboard."""
        return {"calls": self.requests, "tokens": self.tokens, "usd": self.usd, "recalled": self.recalled}

    def line(self) -> str:
        """Return what stands behind the progress bar."""
        usd = "$?" if self.usd is None else f"${self.usd:,.2f}"
        recalled = f", {self.recalled:,} recalled" if self.recalled else ""
        return f"{self.requests:,} calls, {self.tokens / 1e6:,.2f} M tokens, {usd}{recalled}"


class Metered:
    """A `VLM` with a meter: counts what `vlm` answers, and pauses before the budget is overdrawn.

    A request in flight is taken to cost what the dearest so far did, so a budget is overdrawn at most by how much one
    request is dearer than all before it.
    """

    # No dataclass: Hydra takes those for settings and turns them into dictionaries.
    def __init__(self, vlm: VLM, budget: Budget | None = None, spent: Spent | None = None) -> None:
        self.vlm, self.budget, self.spent = vlm, budget or Budget(), spent or Spent()
        self._dearest = (0.0, 0)
        self._landed = 0
        # Without a ledger half a record would have to be asked anew: such a backend pauses between chunks only.
        self._holds_back = hasattr(vlm, "ledger")

    def other(self, vlm: VLM) -> "Metered":
        """Return a meter around another backend that counts into the same purse."""
        return Metered(vlm, self.budget, self.spent)

    def __enter__(self) -> "Metered":
        """Return itself: leaving the block closes what the backend has opened."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the backend, if there is anything to close."""
        if callable(close := getattr(self.vlm, "close", None)):
            close()

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the replies of the backend.

        Raises:
            Paused: when the budget allows no further request, after all that were under way have come in.
            UserError: if a budget in dollars is set and the model's price is not known.
        """
        numbered = enumerate(requests)
        held_back: list[tuple[int, Request]] = []
        while True:
            flying: list[int] = []
            for place, reply in self.vlm.reply(self._allowed(numbered, held_back, flying)):
                self._landed += 1
                self._count(reply)
                yield flying[place], reply
            if not held_back:
                return
            if not self._room(0):
                raise Paused(self._statement())

    def _allowed(
        self, numbered: Iterator[tuple[int, Request]], held_back: list[tuple[int, Request]], flying: list[int]
    ) -> Iterator[Request]:
        """Yield requests as long as the budget has room for them, next to those that are in flight."""
        self._landed = 0
        while True:
            entry = held_back.pop() if held_back else next(numbered, None)
            if entry is None:
                return
            if self._holds_back and not self._room(len(flying) - self._landed):
                held_back.append(entry)
                return
            flying.append(entry[0])
            yield entry[1]

    def pause_if_spent(self) -> None:
        """Stop here, between two chunks, if the budget is spent.

        Raises:
            Paused: if it is.
        """
        usd, tokens = self.budget.usd, self.budget.tokens
        if (usd is not None and (self.spent.usd or 0.0) >= usd) or (tokens is not None and self.spent.tokens >= tokens):
            raise Paused(self._statement())

    def _room(self, flying: int) -> bool:
        usd, tokens = self._dearest
        after_usd = (self.spent.usd or 0.0) + (flying + 1) * usd
        after_tokens = self.spent.tokens + (flying + 1) * tokens
        # The first request of all goes out alone: until it is back, nobody knows what one costs.
        unknown = self._limited and flying > 0 and not self.spent.requests
        within = (self.budget.usd is None or after_usd <= self.budget.usd) and (
            self.budget.tokens is None or after_tokens <= self.budget.tokens
        )
        return within and not unknown

    @property
    def _limited(self) -> bool:
        return self.budget.usd is not None or self.budget.tokens is not None

    def _count(self, reply: Reply) -> None:
        if reply.recalled:
            self.spent.recalled += 1
            return
        _, tokens, usd = reply.bound
        if self.budget.usd is not None and usd is None:
            raise UserError(
                "budget.usd", self.budget.usd, f"the price of {reply.model} is not known",
                "set it in backend.prices, or use budget.tokens",
            )  # fmt: skip
        self.spent.requests += 1
        self.spent.tokens += tokens
        self.spent.usd = None if self.spent.usd is None or usd is None else self.spent.usd + usd
        self._dearest = (max(self._dearest[0], usd or 0.0), max(self._dearest[1], tokens))

    def _statement(self) -> str:
        limits = {"budget.usd": self.budget.usd, "budget.tokens": self.budget.tokens}
        limit = ", ".join(f"{name}={value}" for name, value in limits.items() if value is not None)
        usd = "" if self.spent.usd is None else f" and ${self.spent.usd:.4f}"
        return f"{limit} is spent ({self.spent.requests} requests, {self.spent.tokens} tokens{usd})"
