"""From an answer to its labels: what a judge is, and the one of ours that reads by rules alone (conf/judge/).

A judge is made ready once for all answers of a run, so that one which has to ask a model (`llm_judge`) asks about all
of them together; what it then is reads one answer at a time. Unanswered is a status, never a default class: what an
answer does not say stays unknown.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from seke import answers
from seke.benchmark.answer import Answer, Status
from seke.records import Labels

SILENT = ("refusal", "filtered", "unanswered")
"""Statuses of answers that say nothing about the face, whatever words came with them."""


class Verdict(NamedTuple):
    """What a judge read."""

    labels: Labels
    judged: str | None
    """The answer rewritten into the universal template; None where it was read as it stands, "" where that failed."""
    status: Status


Judge = Callable[[Answer], Verdict]


class Ready(NamedTuple):
    """A judge that knows all it needs."""

    read: Judge
    remarks: tuple[str, ...] = ()
    """What a reader of the scores has to know about the judging."""


class Judging(Protocol):
    """What conf/judge/ offers."""

    def ready(self, answers: Mapping[str, Answer]) -> Ready:
        """Return the judge of these answers, by id."""


class Parse:
    """Reads the labels from the answer's own words (`seke.answers`): the same text always gives the same labels."""

    def ready(self, answers: Mapping[str, Answer]) -> Ready:
        """Return `parse`, which needs nothing."""
        return Ready(parse)


def parse(answer: Answer) -> Verdict:
    """Read the labels from the answer's own text; an answer without text keeps the labels that came with it."""
    if answer.status in SILENT:
        return Verdict(Labels(), None, answer.status)
    labels = answers.extract(answer.text) if answer.text.strip() else answer.labels
    return Verdict(labels, None, status(answer, labels))


def status(answer: Answer, labels: Labels) -> Status:
    """Return the status of an answer from which `labels` were read: an answer that states none of them is none."""
    if answer.status == "ok" and labels.empty:
        return "refusal" if answers.is_refusal(answer.text) else "unanswered"
    return answer.status
