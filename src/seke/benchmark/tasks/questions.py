"""Benchmarks whose records bring their own questions: how these are planned and asked, and what has no picture.

    attributes: {"question": "Does this person wear glasses? ...", ...}      what is asked about the record

The question is the record's, not the picture's: one picture may stand under several. A record whose picture is missing
or broken stays a question: `prepare` writes it beside the records (`core.records.without_picture`), nobody is asked
about it, and it counts as wrong.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from seke.benchmark.answer import Answer, Judge, Verdict
from seke.core.errors import UserError
from seke.core.records import ImageRecord, without_picture
from seke.core.vlm import Image, Message, Request

TAG: Final = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.IGNORECASE | re.DOTALL)
_REASONING: Final = re.compile(r".*</think>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class OwnQuestions:
    """What such benchmarks share; each says in `check` what else its records need."""

    max_tokens: int = 256
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    prepared_by: ClassVar[str]
    """The source whose records have what is needed, as a remedy names it."""

    def check(self, record: ImageRecord) -> None:
        """Make sure that a record can be asked about and scored.

        Raises:
            UserError: if it has no question, or lacks what else the benchmark needs.
        """
        question_of(record, self.remedy)

    @property
    def remedy(self) -> str:
        """What to do about records that cannot be asked about."""
        return f"prepare them by source={self.prepared_by}"

    def plan(self, records: Sequence[ImageRecord], root: Path, files: Mapping[str, Path]) -> Sequence[ImageRecord]:
        """Return the records, and after them those whose picture is missing or broken: they are questions, too.

        Raises:
            UserError: if one cannot be asked about or scored.
        """
        known = {record.id for record in records}
        lost = [record for record in without_picture(files.get("records")) if record.id not in known]
        every = [*records, *lost]
        for record in every:
            self.check(record)
        return every

    def ask(self, record: ImageRecord, image: Image) -> Request:
        """Return a record's question."""
        return own_request(record, (image,), self.max_tokens, self.remedy)

    def request(self, image: Image) -> Request:
        """Refuse: a picture alone has no question."""
        raise without_question(image, self.remedy)


def own_request(record: ImageRecord, images: Sequence[Image], max_tokens: int, remedy: str) -> Request:
    """Return a record's own question after what it shows; greedy, for a benchmark wants a model's one answer.

    Raises:
        UserError: if it has none.
    """
    message = Message("user", (*images, question_of(record, remedy)))
    return Request((message,), temperature=0.0, max_tokens=max_tokens)


def without_question(image: Image, remedy: str) -> UserError:
    """Return the error of a picture that is asked about without its record."""
    problem = "this benchmark puts a question of its own about each record, and a picture alone has none"
    return UserError("image", image.path.name, problem, remedy)


def question_of(record: ImageRecord, remedy: str) -> str:
    """Return a record's question.

    Raises:
        UserError: if it has none.
    """
    question = record.attributes.get("question")
    if not isinstance(question, str) or not question.strip():
        raise UserError("records", record.id, "no attributes.question", remedy)
    return question


def answer_about(record: ImageRecord, answers: Mapping[str, Answer]) -> Answer:
    """Return the answer about a record, or one that says that there is none."""
    return answers.get(record.id) or Answer(id=record.id, status="unanswered", detail="no prediction")


def final_answer(text: str) -> str:
    """Return what an answer says in the end: the last <answer>, else what follows the reasoning, else all of it.

    >>> final_answer("<think>sad?</think> <answer> Happy.</answer>"), final_answer("<think>sad</think>Happy")
    ('Happy.', 'Happy')
    """
    tags = TAG.findall(text)
    return (tags[-1] if tags else _REASONING.sub("", text)).strip()


def read_final(answer: Answer, judge: Judge) -> Verdict:
    """Return what a judge reads from what an answer says in the end; from all of it where the judge rewrites it."""
    whole = judge(answer)
    if whole.judged is not None:
        return whole
    return judge(answer.model_copy(update={"text": final_answer(answer.text)}))


def unshown(records: Sequence[ImageRecord]) -> list[str]:
    """Return a note on how many of the records have no picture on this disk; none where all have one."""
    lost = sum(record.sha256 is None for record in records)
    if not lost:
        return []
    return [f"{lost:,} of {len(records):,} questions have no picture here: nobody was asked, and they count as wrong"]


def facts_of(record: ImageRecord) -> dict[str, Any]:
    """Return the fields by which a row of predictions.jsonl names its record."""
    return {"id": record.id, "source": record.source, "subject": record.subject}
