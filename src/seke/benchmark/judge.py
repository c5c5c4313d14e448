"""From an answer to its labels. `parse` is deterministic and ours; another judge is one more function here.

Unanswered is a status, never a default class: what an answer does not say stays unknown.
"""

from collections.abc import Callable
from typing import NamedTuple

from seke import answers
from seke.benchmark.answer import Answer, Status
from seke.errors import UserError
from seke.records import Labels

SILENT = ("refusal", "filtered", "unanswered")
"""Statuses of answers that say nothing about the face, whatever words came with them."""


class Verdict(NamedTuple):
    """What a judge read."""

    labels: Labels
    judged: str | None
    """The answer rewritten into the universal template; None where it was read as it stands."""
    status: Status


Judge = Callable[[Answer], Verdict]


def named(judge: str) -> Judge:
    """Return the judge of that name.

    Raises:
        UserError: if there is none.
    """
    if judge != "parse":
        raise UserError("judge", judge, "no such judge yet", "use judge=parse")
    return parse


def parse(answer: Answer) -> Verdict:
    """Read the labels from the answer's own text; an answer without text keeps the labels that came with it."""
    if answer.status in SILENT:
        return Verdict(Labels(), None, answer.status)
    labels = answers.extract(answer.text) if answer.text.strip() else answer.labels
    if answer.status == "ok" and labels.empty:
        return Verdict(labels, None, "refusal" if answers.is_refusal(answer.text) else "unanswered")
    return Verdict(labels, None, answer.status)
