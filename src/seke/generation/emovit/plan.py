"""EmoVIT's plan: which pictures of a class get which kind of instruction, drawn instead of numbered.

The authors take the pictures 0-99 of a class for reasoning, 0-999 for conversation and 1000-5599 for categorical
instructions (facts 2.1): a picture whose class is asked for outright is none that a text was written about. So it is
here, on an order that the seed draws.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

KINDS: Final = ("categorical", "conversation", "reasoning")


class Wanted(NamedTuple):
    """Pictures of one class for each kind of instruction; None: all that the others leave."""

    categorical: int | None
    conversation: int | None
    reasoning: int | None


def shared(available: int, wanted: Wanted) -> dict[str, int]:
    """Return how many of a class's pictures each kind gets: what is wanted, in proportion where there are too few.

    Conversation and reasoning share pictures, categorical has others.

    >>> shared(5600, Wanted(4600, 1000, 100))
    {'categorical': 4600, 'conversation': 1000, 'reasoning': 100}
    >>> shared(56, Wanted(4600, 1000, 100))
    {'categorical': 46, 'conversation': 10, 'reasoning': 1}
    >>> shared(56, Wanted(None, 10, None))
    {'categorical': 28, 'conversation': 10, 'reasoning': 28}
    """
    numbers = [number for number in (wanted.conversation, wanted.reasoning) if number is not None]
    named, greedy = max(numbers, default=0), len(numbers) < 2
    left = max(available - named, 0)
    categorical = wanted.categorical
    if categorical is None:
        categorical = min(left, available // 2) if greedy else left  # two that want all get half each
    rest = max(available - categorical, 0) if greedy else named
    texts = [rest if number is None else min(number, rest) for number in (wanted.conversation, wanted.reasoning)]
    if (both := categorical + rest) > available:
        # Rounded up for the texts and down for the rest, which together are never more than there are.
        texts = [-(-number * available // both) for number in texts]
        categorical = categorical * available // both
    return dict(zip(KINDS, (categorical, *texts), strict=True))


def allotted(pictures: Iterable[str], wanted: Wanted, seed: int) -> dict[str, list[str]]:
    """Return the ids of a class's pictures that each kind gets, in the order drawn.

    The draw knows nothing but the seed and each id: neither the pictures' order nor the other classes change it, and a
    new picture changes little.
    """
    drawn = sorted(pictures, key=lambda name: sha256(f"{seed}/plan/{name}".encode()).digest())
    numbers = shared(len(drawn), wanted)
    written = max(numbers["conversation"], numbers["reasoning"])
    return {
        "categorical": drawn[written : written + numbers["categorical"]],
        "conversation": drawn[: numbers["conversation"]],
        "reasoning": drawn[: numbers["reasoning"]],
    }
