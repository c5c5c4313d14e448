"""Rubric judge: a model's marks for free answers, by the criteria in conf/prompts/rubric.yaml, each marked from 1 to 5.

    picture, question, emotion, answer -> rubric -> judge VLM (and its ledger) -> {"reasons", criterion: 1..5, ...}

The judge sees the picture and is given the emotion that people felt: it is to mark the answer against what is there. It
writes its reasons before its marks. Marks that it declined to give, or gave in another form, are unknown: never a
default.

`kappa` says how far two judges agree beyond chance.

    B  tables (bootstrap draws)        K  the marks, 1 to 5
"""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from seke.core.errors import UserError
from seke.core.intervals import CORRELATION, interval
from seke.core.prompts import Prompts
from seke.core.vlm import VLM, Choice, Image, Message, Request, Status, closing

SCALE: Final = (1, 2, 3, 4, 5)
CRITERION: Final = "criterion_"
REASONS: Final = "reasons"
"""The field that a judge fills before the marks."""


class Marks(BaseModel):
    """What one judge gave one answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    status: Literal[Status, "unseen"]
    """unseen: the picture could not be read, so that no judge was asked."""
    marks: dict[str, int] | None = None
    """By criterion, 1 to 5; None unless the status is ok."""
    reasons: str = ""
    model: str | None = None
    """The exact model that judged."""
    simulated: bool | None = None
    """Whether a simulation judged, and no model; None where nobody noted it, or nobody was asked."""


class Answered(NamedTuple):
    """What a judge is shown."""

    image: Image
    question: str
    emotion: str
    """What the picture's annotators felt."""
    answer: str


class Rubric:
    """The criteria, and how they are put to a judge.

    Args:
        prompts: `rubric_system` with {criteria}, `rubric` with {question}, {emotion} and {answer}, and a text for each
            criterion, called `criterion_<its name>`.
        max_tokens: cap on a judge's reasons and marks.

    Raises:
        UserError: if a prompt is missing or has other slots.
    """

    def __init__(self, prompts: Prompts, max_tokens: int = 512) -> None:
        names = [name for name in prompts.templates if name.startswith(CRITERION)]
        if not names:
            raise UserError("prompts.templates", list(prompts.templates), "no criterion", f"add {CRITERION}<name>")
        wanted = {"rubric_system": {"criteria"}, "rubric": {"question", "emotion", "answer"}}
        prompts.require(**wanted, **{name: set[str]() for name in names})
        self.prompts, self.max_tokens = prompts, max_tokens
        self.criteria = tuple(name.removeprefix(CRITERION) for name in names)
        listed = "\n".join(f"- {name.removeprefix(CRITERION)}: {prompts.render(name)}" for name in names)
        self._system = prompts.render("rubric_system", criteria=listed)

    @property
    def schema(self) -> dict[str, Any]:
        """What a judge must send back."""
        properties: dict[str, Any] = {REASONS: {"type": "string"}}
        properties |= {name: {"type": "integer", "enum": list(SCALE)} for name in self.criteria}
        required = {"required": list(properties), "additionalProperties": False}
        return {"type": "object", "properties": properties, **required}

    def request(self, answered: Answered) -> Request:
        """Return the call about one answer; greedy, for marks are a reading and no draw."""
        slots = answered._asdict() | {"image": ""}
        parts = (answered.image, self.prompts.render("rubric", **slots))
        messages = (Message("system", (self._system,)), Message("user", parts))
        return Request(messages, self.schema, temperature=0.0, max_tokens=self.max_tokens)

    def read(self, choice: Choice, model: str | None = None) -> Marks:
        """Return the marks in a judge's answer; anything but whole marks of the scale is the status `invalid`."""
        if choice.status != "ok":
            return Marks(status=choice.status, model=model)
        try:
            found = json.loads(choice.text)
        except ValueError:
            return Marks(status="invalid", model=model)
        given = found if isinstance(found, dict) else {}
        marks = {name: mark for name in self.criteria if type(mark := given.get(name)) is int and mark in SCALE}
        if len(marks) < len(self.criteria):
            return Marks(status="invalid", model=model)
        return Marks(status="ok", marks=marks, reasons=str(given.get(REASONS, "")), model=model)

    def judge(self, vlm: VLM, given: Sequence[Answered], name: str = "judge") -> list[Marks]:
        """Have `vlm` mark all answers, and return its marks in their order."""
        found: dict[int, Marks] = {}
        with closing(vlm), tqdm(total=len(given), desc=name, unit="answer") as bar:
            for index, reply in vlm.reply(self.request(answered) for answered in given):
                choice = reply.choices[0] if reply.choices else Choice("", "invalid")
                marks = self.read(choice, reply.model)
                found[index] = marks.model_copy(update={"simulated": reply.simulated})
                bar.update()
        return [found[index] for index in range(len(given))]


def table(first: Sequence[int], second: Sequence[int]) -> NDArray[np.int64]:
    """Return how often the first judge gave one mark and the second another, (K, K)."""
    counts_KK = np.zeros((len(SCALE), len(SCALE)), dtype=np.int64)
    np.add.at(counts_KK, (np.asarray(first, int) - SCALE[0], np.asarray(second, int) - SCALE[0]), 1)
    return counts_KK


def kappa(counts_BKK: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Cohen's kappa with quadratic weights (Cohen, 1968) of tables of two judges' marks, (B,).

    1 - disagreement seen / disagreement expected of independent judges with the same habits; a disagreement weighs its
    distance squared. NaN where none can be expected: both give one and the same mark throughout.

    >>> float(kappa(table([1, 2, 5, 5], [1, 2, 5, 4])[None])[0].round(3))
    0.957
    """
    marks_K = np.arange(len(SCALE))
    weights_KK = (marks_K[:, None] - marks_K[None, :]) ** 2
    rows_BK, columns_BK = counts_BKK.sum(2), counts_BKK.sum(1)
    seen_B = (weights_KK * counts_BKK).sum((1, 2))
    expected_B = np.einsum("bi,ij,bj->b", rows_BK, weights_KK, columns_BK) / counts_BKK.sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        share_B: NDArray[np.float64] = np.where(expected_B > 0, seen_B / expected_B, np.nan)
    return 1 - share_B


def agreement(first: Sequence[int], second: Sequence[int], seed: int, draws: int) -> dict[str, Any]:
    """Return {"n", "exact", "kappa", "ci95"}: how far two judges' marks of the same answers, in [1, 5], agree.

    The interval is kappa's, by the bootstrap over answers, which is to draw the cells of their table anew.
    """
    counts_KK = table(first, second)
    n = int(counts_KK.sum())
    if n == 0:
        return {"n": 0, "exact": None, "kappa": None, "ci95": None}
    value = float(kappa(counts_KK[None])[0])
    drawn_BKK = np.random.default_rng(seed).multinomial(n, counts_KK.ravel() / n, size=draws)
    kappa_B = kappa(drawn_BKK.reshape(draws, *counts_KK.shape))
    return {
        "n": n,
        "exact": float(np.trace(counts_KK) / n),
        "kappa": None if np.isnan(value) else value,
        "ci95": interval(kappa_B, value, n, CORRELATION),
    }


def mean(values: Sequence[float], seed: int, draws: int) -> dict[str, Any]:
    """Return {"mean", "ci95", "n"} of marks; the bootstrap draws the counts of the distinct ones anew."""
    n = len(values)
    if n == 0:
        return {"mean": None, "ci95": None, "n": 0}
    distinct, counts = np.unique(np.asarray(values, float), return_counts=True)
    mean_B = np.random.default_rng(seed).multinomial(n, counts / n, size=draws) @ distinct / n
    found = float(np.mean(values))
    return {"mean": found, "ci95": interval(mean_B, found, n, (SCALE[0], SCALE[-1])), "n": n}
