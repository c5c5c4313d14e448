"""Upper bounds on what a sending is billed, where the server states nothing, or nothing that can be true.

No tokenizer of any model is at hand, so text counts a token a byte (no token is shorter), and a picture what the
dearest model bills for its size. Output is what the request allows. Where a server did state the tokens of this prompt,
the other sendings of it cost the same, and its word goes before the estimate.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seke.core.vlm import Bill, Request, Usage

MESSAGE_TOKENS = 64
"""What a chat template writes around a message, at most; and around the whole."""
PICTURE_TOKENS, TILE_TOKENS, TILE = 2833, 5667, 512
"""gpt-4o-mini's, the dearest of OpenAI's: of every picture, and of each of its tiles except with low detail."""
ANY_PICTURE_TOKENS = 7500
"""Of models that take all pictures alike; LLaVA-OneVision's ten tiles are 7,371."""
Prices = Mapping[str, Sequence[float | None]]
"""Of a model, in USD per million tokens: input, output and cached input."""
LIMITS = ("max_tokens", "max_completion_tokens")


class Sending(NamedTuple):
    """A request that left, and may have been billed."""

    request: Request
    model: str | None = None
    """Which answered; None if no reply came."""
    usage: Usage | None = None
    """What the server stated."""


def prompt_tokens(request: Request, side: int, detail: str, extra_body: Mapping[str, Any]) -> int:
    """Return how many tokens the prompt has at most; `side`: the most pixels of a picture's longer side.

    >>> from seke.core.vlm import Message
    >>> prompt_tokens(Request((Message("user", ("Who?",)),)), 512, "high", {})
    132
    """
    text = "\n".join(part for message in request.messages for part in message.spelt if isinstance(part, str))
    written = len(text.encode(errors="surrogatepass"))
    for form in filter(None, (request.schema, extra_body)):
        written += len(json.dumps(form, default=str).encode())
    tiles = 0 if detail == "low" else math.ceil(side / TILE) ** 2
    picture = max(PICTURE_TOKENS + tiles * TILE_TOKENS, ANY_PICTURE_TOKENS)
    return written + MESSAGE_TOKENS * (1 + len(request.messages)) + picture * len(request.images)


def output_tokens(request: Request, extra_body: Mapping[str, Any]) -> int:
    """Return how many tokens all answers may have together; `extra_body` goes before the request's own limits."""
    most = max([request.max_tokens, *(_count(extra_body.get(name)) for name in LIMITS)])
    return most * max(request.n, _count(extra_body.get("n")))


def bound(
    sendings: Sequence[Sending],
    prompt_at_most: int,
    extra_body: Mapping[str, Any],
    prices: Prices,
    model: str,
) -> Bill:
    """Return what `sendings` of one prompt to `model` were billed at most.

    `prompt_at_most`: tokens of the prompt, unless the server has stated them.
    """
    prompts = [sending.usage.input_tokens for sending in sendings if sending.usage is not None]
    into = max(prompts, default=prompt_at_most)
    usages = [sending.usage or Usage(into, output_tokens(sending.request, extra_body)) for sending in sendings]
    costs = [cost(usage, _price(sending, prices, model)) for usage, sending in zip(usages, sendings, strict=True)]
    return Bill(len(sendings), sum(usage.input_tokens + usage.output_tokens for usage in usages), _sum(costs))


def stated(sendings: Sequence[Sending]) -> Usage | None:
    """Return what the server stated for those `sendings` that brought a reply; None if one lacks it, or all were lost.

    >>> stated([Sending(Request(()), "m", Usage(90, 7)), Sending(Request(()))])
    Usage(input_tokens=90, output_tokens=7, cached_tokens=0)
    """
    replied = [sending.usage for sending in sendings if sending.model is not None]
    usages = [usage for usage in replied if usage is not None]
    if len(usages) < len(replied) or (sendings and not replied):
        return None
    return Usage(*(sum(counts) for counts in zip(Usage(), *usages, strict=True)))


def tokens(usage: Usage | None) -> tuple[int, int] | tuple[None, None]:
    """Return a reply's tokens, input and output, as the ledger keeps them; None for what was not stated."""
    return (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)


def known_cost(sendings: Sequence[Sending], prices: Prices, model: str) -> float | None:
    """Return US dollars for what the server stated; `model` was asked. None where a price is not known."""
    return _sum([cost(sending.usage, _price(sending, prices, model)) for sending in sendings if sending.usage])


def _price(sending: Sending, prices: Prices, model: str) -> Sequence[float | None] | None:
    return prices.get(sending.model or "") or prices.get(model)


def _sum(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, 0.0) if len(known) == len(amounts) else None


def cost(usage: Usage, price: Sequence[float | None] | None) -> float | None:
    """Return US dollars for `usage` at `price`: input, output and cached input, USD per million tokens.

    >>> cost(Usage(1_000_000, 100_000, 500_000), [2.5, 10.0, 1.25])
    2.875
    """
    if price is None:
        return None
    into, out, cached = [*price, None, None][:3]
    if into is None or out is None:
        return None
    fresh = usage.input_tokens - usage.cached_tokens
    return (fresh * into + usage.cached_tokens * (into if cached is None else cached) + usage.output_tokens * out) / 1e6


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
