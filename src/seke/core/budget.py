"""Budgets: a wrapper around any backend that stops sending requests before more is spent than allowed.

Backends pull requests as they have room, so holding the next one back lets what is in flight come in, be recorded and
be counted; then the run pauses. What was paid for is in the ledger, and the same command goes on.

Two sums are kept apart. Known is what servers stated. At most is that, and an upper bound of what nobody stated:
replies without (believable) usage, and sendings that were never answered, which may be billed all the same. Budgets
hold on the second.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from seke.core import plugins
from seke.core.errors import Paused, UserError
from seke.core.vlm import VLM, Priced, Prices, Recording, Reply, Request, close

STOPPED: Final = "told to stop"
LEAST_CHARACTERS: Final = 12
"""No tokenizer makes fewer tokens of English, of JSON or of any other prompt here than one for so many characters."""


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
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0):
                raise UserError(f"budget.{name}", limit, "pays for nothing", "set more than 0, or null for no limit")

    def share(self, spent: "Spent", among: int) -> "Budget":
        """Return one process's share of what is left, when `among` work at once.

        >>> Budget(usd=50.0, tokens=1_000_001).share(Spent(usd_at_most=10.0, tokens_at_most=500_000), 2)
        Budget(usd=20.0, tokens=250000)
        """
        usd = None if self.usd is None else (self.usd - (spent.usd_at_most or 0.0)) / among
        tokens = None if self.tokens is None else max((self.tokens - spent.tokens_at_most) // among, 1)
        return Budget(usd, tokens)


@dataclass
class Spent:
    """What replies have cost."""

    requests: int = 0
    """Replies."""
    sent: int = 0
    """Sendings: a reply takes more than one where tries failed, or where a server gives one choice at a time."""
    input_tokens: int = 0
    """Stated by servers."""
    output_tokens: int = 0
    tokens_at_most: int = 0
    usd: float | None = 0.0
    """Known; None once a reply had no known price."""
    usd_at_most: float | None = 0.0
    unknown: int = 0
    """Replies whose usage no server stated: they are in the upper bounds alone."""
    recalled: int = 0
    """Replies that came from the ledger, and cost nothing now."""

    @property
    def tokens(self) -> int:
        """Tokens that servers stated."""
        return self.input_tokens + self.output_tokens

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        self.requests += 1
        self.sent += reply.bound.requests
        if reply.usage is None:
            self.unknown += 1
        else:
            self.input_tokens += reply.usage.input_tokens
            self.output_tokens += reply.usage.output_tokens
        self.tokens_at_most += reply.bound.tokens
        self.usd = _sum(self.usd, _known_usd(reply))
        self.usd_at_most = _sum(self.usd_at_most, reply.bound.usd)

    def closed(self) -> bool:
        """Whether nothing more may be spent, whatever the budget says: where several processes work, all may stop."""
        return False

    def plus(self, other: "Spent") -> None:
        """Count what another has counted."""
        for name in (field.name for field in fields(Spent)):
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))

    def row(self) -> dict[str, float | None]:
        """Return the numbers for a dashboard."""
        return {
            "calls": self.requests, "tokens": self.tokens, "usd": self.usd, "recalled": self.recalled,
            "tokens_at_most": self.tokens_at_most, "usd_at_most": self.usd_at_most,
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Return the numbers for cost.json."""
        dollars = {"usd": self.usd, "usd_at_most": self.usd_at_most}
        return {**self.numbers(), **{name: None if usd is None else round(usd, 6) for name, usd in dollars.items()}}

    def numbers(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return {field.name: getattr(self, field.name) for field in fields(Spent)}

    def line(self) -> str:
        """Return what stands behind the progress bar."""
        recalled = f", {self.recalled:,} recalled" if self.recalled else ""
        tokens = f"{self.tokens / 1e6:,.2f} M tokens"
        if self.tokens_at_most > self.tokens:
            tokens += f" known, at most {self.tokens_at_most / 1e6:,.2f} M"
        return f"{self.requests:,} calls, {tokens}, {self.dollars()}{recalled}"

    def dollars(self, digits: int = 2) -> str:
        """Return what is known, and the upper bound where it is another.

        >>> Spent(usd=0.12, usd_at_most=0.31).dollars(), Spent(usd=1.0, usd_at_most=1.0).dollars()
        ('$0.12 known, at most $0.31', '$1.00')
        """
        if self.usd is None or self.usd_at_most is None:
            return "$?"
        known, most = f"${self.usd:,.{digits}f}", f"${self.usd_at_most:,.{digits}f}"
        return known if self.usd_at_most <= self.usd + 1e-12 else f"{known} known, at most {most}"


def model_of(vlm: object) -> str:
    """Return the name of the model that a backend asks, which on this machine is an object; empty where it has none."""
    names = (getattr(vlm, "model", None), getattr(vlm, "name", None))
    return next((name for name in names if isinstance(name, str)), "")


def prices_of(vlm: object) -> Prices | None:
    """Return what a backend's models cost; None where it costs nothing."""
    return vlm.prices if isinstance(vlm, Priced) else None


def _known_usd(reply: Reply) -> float | None:
    """Return what is known to have been paid: nothing of a reply without usage, though its price be known."""
    return 0.0 if reply.usage is None and reply.bound.usd is not None else reply.cost


def _sum(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


class Metered:
    """A `VLM` with a meter: counts what `vlm` answers, and pauses before the budget may be overdrawn.

    A request in flight is taken to cost what the dearest so far did, so a budget is overdrawn at most by how much one
    request is dearer than all before it; the first goes alone. Where not even its text can be paid for, nothing is
    sent. `kept`: whether every reply is kept as it comes; without that, and without a ledger, half a record would have
    to be paid for anew, so such a backend pauses between two chunks of records only.
    """

    # No dataclass: Hydra takes those for settings and turns them into dictionaries.
    def __init__(self, vlm: VLM, budget: Budget | None = None, spent: Spent | None = None, kept: bool = False) -> None:
        plugins.require("backend", vlm, "reply")
        self.vlm, self.budget, self.spent = vlm, budget or Budget(), spent or Spent()
        self.worth = Spent()
        """What this backend's replies cost, whenever that was paid: those from the ledger are counted, too."""
        self._dearest = (0.0, 0)
        self._answered = 0
        self._seen = False
        self._kept, self._others = kept, list[Metered]()

    def other(self, vlm: VLM) -> "Metered":
        """Return a meter around another backend that counts against the same budget."""
        self._others.append(Metered(vlm, self.budget, self.spent, self._kept))
        return self._others[-1]

    @property
    def backends(self) -> list[VLM]:
        """All backends that are paid from the same budget, its own first."""
        return [self.vlm, *(meter.vlm for meter in self._others)]

    def __enter__(self) -> "Metered":
        """Return itself: leaving the block closes what the backend has opened."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the backend."""
        self.close()

    def close(self) -> None:
        """Close what this backend and those of the same budget have opened, if there is anything to close."""
        for meter in self._others:
            meter.close()
        close(self.vlm)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the replies of the backend.

        Raises:
            Paused: when the budget allows no further request, after all that were under way have come in.
            UserError: if a budget in dollars is set and the model's price is not known, or if the backend breaks a
                promise of `VLM`: each request has one reply, with as many choices as it asks for.
        """
        self._check_price()
        numbered = enumerate(requests)
        held_back: list[tuple[int, Request]] = []
        while True:
            in_flight: list[int] = []
            for place, reply in plugins.replies(self.vlm, self._allowed(numbered, held_back, in_flight)):
                self._answered += 1
                self._count(reply)
                yield in_flight[place], reply
            if not held_back:
                return
            if self.spent.closed() or not self._room(0, held_back[-1][1]):
                raise Paused(self._statement(held_back[-1][1]))

    def _allowed(
        self, numbered: Iterator[tuple[int, Request]], held_back: list[tuple[int, Request]], in_flight: list[int]
    ) -> Iterator[Request]:
        """Yield requests as long as the budget has room for them, next to those that are in flight."""
        self._answered = 0
        while True:
            entry = held_back.pop() if held_back else next(numbered, None)
            if entry is None:
                return
            pausable = self._kept or isinstance(self.vlm, Recording)
            if self.spent.closed() or (pausable and not self._room(len(in_flight) - self._answered, entry[1])):
                held_back.append(entry)
                return
            in_flight.append(entry[0])
            yield entry[1]

    def pause_if_spent(self) -> None:
        """Stop here, between two chunks, if the budget is spent.

        Raises:
            Paused: if it is.
        """
        usd, tokens = self.budget.usd, self.budget.tokens
        spent = usd is not None and (self.spent.usd_at_most or 0.0) >= usd
        if self.spent.closed() or spent or (tokens is not None and self.spent.tokens_at_most >= tokens):
            raise Paused(self._statement())

    def _room(self, in_flight: int, request: Request) -> bool:
        usd, tokens = (max(pair) for pair in zip(self._dearest, self._least(request), strict=True))
        after_usd = (self.spent.usd_at_most or 0.0) + (in_flight + 1) * usd
        after_tokens = self.spent.tokens_at_most + (in_flight + 1) * tokens
        # The first request of all goes out alone: until it is back, nobody knows what one costs.
        unknown = self._limited and in_flight > 0 and not self._seen
        within = (self.budget.usd is None or after_usd <= self.budget.usd) and (
            self.budget.tokens is None or after_tokens <= self.budget.tokens
        )
        return within and not unknown

    def _least(self, request: Request) -> tuple[float, int]:
        """Return dollars and tokens that a request cannot cost less than, by its text alone; 0 where nobody knows."""
        tokens = len(request.text) // LEAST_CHARACTERS if self._limited else 0
        price = self._price()
        return (tokens * (price[0] or 0.0) / 1e6 if price else 0.0), tokens

    def _price(self) -> Sequence[float | None] | None:
        """Return the price of the backend's model: USD per million tokens, input first; None where it has none."""
        return (prices_of(self.vlm) or {}).get(model_of(self.vlm))

    @property
    def _limited(self) -> bool:
        return self.budget.usd is not None or self.budget.tokens is not None

    def _check_price(self) -> None:
        """Refuse a budget in dollars where no price can be known, before the first request is paid for."""
        prices, model = prices_of(self.vlm), model_of(self.vlm)
        if self.budget.usd is None or prices is None:
            return
        # A model may answer by the name of its snapshot, which alone may be priced.
        priced = [name for name, price in prices.items() if price and None not in tuple(price)[:2]]
        if not any(name.startswith(model) or model.startswith(name) for name in priced):
            raise self._unpriced(model)

    def _unpriced(self, model: str) -> UserError:
        remedy = "set it in backend.prices, or use budget.tokens"
        return UserError("budget.usd", self.budget.usd, f"the price of {model} is not known", remedy)

    def _count(self, reply: Reply) -> None:
        most = reply.bound
        self._seen = True
        self._dearest = (max(self._dearest[0], most.usd or 0.0), max(self._dearest[1], most.tokens))
        self.worth.add(reply)
        if reply.recalled:
            self.spent.recalled += 1
            self.worth.recalled += 1
            return
        if self.budget.usd is not None and most.usd is None:
            raise self._unpriced(reply.model)
        self.spent.add(reply)

    def _statement(self, held_back: Request | None = None) -> str:
        if self.spent.closed():
            return STOPPED
        limits = {"budget.usd": self.budget.usd, "budget.tokens": self.budget.tokens}
        limit = ", ".join(f"{name}={value}" for name, value in limits.items() if value is not None)
        spent = self.spent
        if held_back is not None and not spent.requests:
            usd, tokens = (max(pair) for pair in zip(self._dearest, self._least(held_back), strict=True))
            return f"{limit} does not reach for one request (${usd:.6f} and {tokens} tokens at least): none was sent"
        usd_text = "" if spent.usd is None else f" and {spent.dollars(4)}"
        more = f" known, at most {spent.tokens_at_most}" if spent.tokens_at_most > spent.tokens else ""
        return f"{limit} is spent ({spent.requests} requests, {spent.tokens} tokens{more}{usd_text})"
