"""Soft labels: what an annotator's log probabilities say about the answers that it did not give.

The schema leaves an AU two values, 0 and 1, so the probability of the chosen one tells the other's, too: one draw can
say "inactive, but only just". Looked at are the tokens over the characters of each value, however the text is cut:

    {"expression": "fear", "valence": -0.5, "action_units": {"AU1": 1, "AU2": 0}}
                    ^^^^                                            ^         ^

Of the expression only the chosen one's probability is known; the rest is spread evenly over the other seven. All this
is the model's own belief, over-confident as a rule, so it is kept beside the labels that were answered and read by an
annotator that was fitted to such draws (`annotator`). Labels without it count as what they are: probabilities 0 and 1.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Mapping, Sequence
from itertools import accumulate
from json import JSONDecoder
from math import exp
from typing import Any, Final, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels, Probability

ROUNDING: Final = 1e-3
"""A log probability may exceed 0 by so much; one that exceeds it by more is none."""


class Soft(BaseModel):
    """How probable an annotator's answers were to itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    expression: Probability | None = None
    """P(the expression that was answered); None where none was asked."""
    action_units: Mapping[int, Probability] = Field(default_factory=dict)
    """P(active) of each AU asked."""
    shares: Mapping[str, Probability] | None = None
    """P(expression) of all eight, where the annotator gave a share of each; no key where it did not."""

    @field_validator("action_units", mode="before")
    @classmethod
    def _integer_keys(cls, value: Any) -> Any:
        return {int(key): p for key, p in value.items()} if isinstance(value, Mapping) else value

    @model_serializer(mode="wrap")
    def _without_unknown_shares(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = written(self)
        return row if self.shares is not None else {name: value for name, value in row.items() if name != "shares"}


class SoftDraw(Labels):
    """One draw: the labels as they were answered, and how probable they were. A draw without the latter is `Labels`."""

    soft: Soft


class Value(NamedTuple):
    """One value in a JSON text."""

    name: str
    start: int
    """Of its characters, quotes left out ..."""
    end: int
    """... and the place after the last one."""


def p_active(draw: Labels) -> Mapping[int, float]:
    """Return P(active) of each AU asked according to one draw: 0 or 1 where its labels are all there is.

    >>> p_active(Labels(action_units={6: False, 12: True}))
    {6: 0.0, 12: 1.0}
    """
    if isinstance(draw, SoftDraw):
        return draw.soft.action_units
    return {au: float(active) for au, active in (draw.action_units or {}).items()}


def p_expressions(draw: Labels) -> list[float] | None:
    """Return the probabilities of the eight `EXPRESSIONS` according to one draw; None if none was asked."""
    if draw.expression is None:
        return None
    if isinstance(draw, SoftDraw) and draw.soft.shares is not None:
        return [draw.soft.shares[expression] for expression in EXPRESSIONS]
    p = draw.soft.expression if isinstance(draw, SoftDraw) else 1.0
    assert p is not None, "a soft draw has a probability for every label"
    rest = (1 - p) / (len(EXPRESSIONS) - 1)
    return [p if expression == draw.expression else rest for expression in EXPRESSIONS]


def soften(labels: Labels, text: str, logprobs: Sequence[tuple[str, float]] | None) -> Labels:
    """Return `labels` as a `SoftDraw` if the log probabilities of `text`, the answer that gave them, can be read.

    They cannot, and `labels` are returned as they are, if there are none, if the tokens are not those of the text, or
    if one token covers parts of two values.

    Args:
        labels: what was answered.
        text: a JSON object as the soft form of `asking.schema` wants it.
        logprobs: (token, natural logarithm of its probability) of the whole text.
    """
    p_of = _probabilities(text, logprobs or ())
    if p_of is None:
        return labels
    said = {au: (active, p_of[f"AU{au}"]) for au, active in (labels.action_units or {}).items()}
    units = {au: p if active else 1 - p for au, (active, p) in said.items()}
    return SoftDraw(**dict(labels), soft=Soft(expression=p_of.get("expression"), action_units=units))


def _probabilities(text: str, logprobs: Sequence[tuple[str, float]]) -> dict[str, float] | None:
    """Return the probability of each value in `text` by its name."""
    # What follows the text is the mark of its end, which some servers hand on.
    if not "".join(token for token, _ in logprobs).startswith(text):
        return None
    ends = list(accumulate(len(token) for token, _ in logprobs))
    found: dict[str, float] = {}
    free = 0
    for value in _values(text, _past_space(text, 0)):
        first, last = bisect_right(ends, value.start), bisect_left(ends, value.end)
        log_p = sum(log_p for _, log_p in logprobs[first : last + 1])
        if first < free or not log_p <= ROUNDING:  # NaN is not, either
            return None
        found[value.name] = exp(min(log_p, 0.0))
        free = last + 1
    return found


def _values(text: str, at: int) -> Generator[Value, None, int]:
    """Yield the values of the JSON object that begins at `at` and of those in it; return the place after it."""
    at = _past_space(text, at + 1)
    while text[at] != "}":
        name, at = _JSON.raw_decode(text, at)
        at = _past_space(text, _past_space(text, at) + 1)  # the colon
        if text[at] == "{":
            end = yield from _values(text, at)
        else:
            value, end = _JSON.raw_decode(text, at)
            quote = int(isinstance(value, str))
            yield Value(name, at + quote, end - quote)
        at = _past_space(text, end)
        if text[at] == ",":
            at = _past_space(text, at + 1)
    return at + 1


def _past_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    assert space, "matches nothing, too"
    return space.end()


_JSON: Final = JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")
