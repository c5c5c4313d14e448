"""The judge protocol (conf/judge/), and the judge that reads labels from an answer by rules alone.

A judge is made ready once for all answers of a run, so that one which has to ask a model (`llm`) asks about all of
them together; what it then is reads one answer at a time. Unanswered is a status, never a default class: what an
answer does not say stays unknown.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, get_args

from pydantic import ValidationError

from seke.answers.extract import extract, is_refusal
from seke.benchmark.answer import SILENT, Answer, Judge, Verdict
from seke.core import plugins
from seke.core.records import AnswerStatus, Labels


class Ready(NamedTuple):
    """A judge that knows all it needs."""

    read: Judge
    remarks: tuple[str, ...] = ()
    """What a reader of the scores has to know about the judging."""


class Judging(Protocol):
    """What conf/judge/ offers."""

    def ready(self, answers: Mapping[str, Answer]) -> Ready:
        """Return the judge of these answers, by id."""


def ready(judging: Judging, answers: Mapping[str, Answer]) -> Ready:
    """Return the judge of these answers, by id; each of its verdicts is checked.

    Raises:
        UserError: if what it gives is no judge, or later no verdict.
    """
    plugins.require("judge", judging, "ready")
    judge = judging.ready(answers)
    if not isinstance(judge, Ready):
        raise plugins.broken("judge", judging, f"ready() returned {plugins.shown(judge)}", "return a Ready")

    def read(answer: Answer) -> Verdict:
        try:
            verdict: Any = judge.read(answer)
        except ValidationError as error:
            raise plugins.invalid("judge", judging, error) from error
        if not isinstance(verdict, Verdict) or not _holds(verdict):
            problem = f"made {plugins.shown(verdict)} of answer {answer.id}"
            remedy = (
                f"return a Verdict: Labels, the rewritten text or None, and one of {', '.join(get_args(AnswerStatus))}"
            )
            raise plugins.broken("judge", judging, problem, remedy)
        return verdict

    return judge._replace(read=read)


def _holds(verdict: Verdict) -> bool:
    labels, judged, status = verdict
    return isinstance(labels, Labels) and isinstance(judged, str | None) and status in get_args(AnswerStatus)


class Parse:
    """Reads the labels from the answer's own words (`seke.answers.extract`): the same text always gives the same
    labels.
    """

    def ready(self, answers: Mapping[str, Answer]) -> Ready:
        """Return `parse`, which needs nothing."""
        return Ready(parse)


def parse(answer: Answer) -> Verdict:
    """Read the labels from the answer's own text; an answer without text keeps the labels that came with it."""
    if answer.status in SILENT:
        return Verdict(Labels(), None, answer.status)
    labels = extract(answer.text) if answer.text.strip() else answer.labels
    return Verdict(labels, None, status(answer, labels))


def status(answer: Answer, labels: Labels) -> AnswerStatus:
    """Return the status of an answer from which `labels` were read: an answer that states none of them is none."""
    if answer.status == "ok" and labels.empty:
        return "refusal" if is_refusal(answer.text) else "unanswered"
    return answer.status
