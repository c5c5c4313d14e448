"""FaceXBench (arXiv 2501.10360): questions with four options about one face or several, by our rule and by theirs.

Ours    what an answer says in the end: a letter that stands alone or in brackets, "the answer is B", or the words of
        one option, a denied one not counting. A letter beside the words of another option, or two letters, is none.
Theirs  the first letter that `PATTERNS` find in the whole answer, in their order ("A person ..." is A); without one the
        first option whose text is in it ("unhappy" is happy, 10 is 1). As aggregate_results.py of
        Kartik-3004/facexbench does at 07b4445; an answer without any is wrong, too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.scoring.statements import stated
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.general import ALL, General, GeneralPrediction
from seke.benchmark.tasks.questions import answer_about, facts_of, final_answer, own_request, unshown
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.escape import markdown
from seke.core.files import write_text
from seke.core.records import ImageRecord
from seke.core.text_tables import csv_table
from seke.core.vlm import Clip, Image, Request

LETTERS: Final = "ABCD"
PUBLISHED: Final = 400
"""Questions about expressions."""
PATTERNS: Final = (
    r"\b\(?([A-Za-z])\)?\b", r"\bOption\s+([A-Za-z])\b", r"\b([A-Za-z])\.", r"\b([A-Za-z]):", r"\b([A-Za-z])\s+-",
    r"\b\(([A-Za-z])\)",
)  # fmt: skip
"""Theirs, in the order in which they are tried."""
_ALONE: Final = re.compile(r"^\W*([A-D])\W*$|^\W*([A-D])\s*[).:,\n-]")
_SAID: Final = re.compile(r"(?:answer|option|choice)(?:\s+is)?\W+([A-D])(?!\w)|\(([A-D])\)", re.IGNORECASE)
_DENIED: Final = re.compile(r"(?:\bnot\b|n['’]t|\bnever\b|\brather than\b)(?:(?!\bbut\b)[^.;!?])*$", re.IGNORECASE)


class FaceXBenchPrediction(GeneralPrediction):
    """One row of predictions.jsonl: the option that is chosen, as we read it and as they would."""

    chosen: str | None
    """The letter; None: none, or several."""
    theirs: str | None


@dataclass(frozen=True)
class FaceXBench(General):
    """The questions of the records, and how answers become scores."""

    max_tokens: int = 512
    prepared_by: ClassVar[str] = "facexbench"
    row: ClassVar[type[BaseModel]] = FaceXBenchPrediction
    task: ClassVar[str] = "options"
    title: ClassVar[str] = "FaceXBench"
    board: ClassVar[str] = "facexbench"
    headline: ClassVar[str] = f"options.{ALL}"

    @property
    def remedy(self) -> str:
        """What to do about records that cannot be asked about."""
        return "prepare them by source=facexbench"

    def check(self, record: ImageRecord) -> None:
        """Make sure that a record has a question, its kind, options and the letter of the right one.

        Raises:
            UserError: if it has not.
        """
        told = record.attributes
        options, right = told.get("options"), str(told.get("answer"))
        if not isinstance(options, list) or right not in tuple(LETTERS[: len(options)]) or not told.get("kind"):
            raise UserError("records", record.id, "no options, no kind, or no answer among them", self.remedy)

    def ask(self, record: ImageRecord, image: Image) -> Request:
        """Return a record's question after its pictures, one after the other, as they are published."""
        pictures = image.frames if isinstance(image, Clip) else (image,)
        return own_request(record, pictures, self.max_tokens, self.remedy)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[Sequence[FaceXBenchPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered; no judge is asked."""
        return [_row(record, answers) for record in records], sum(row.id not in answers for row in records)

    def metrics(self, predictions: Sequence[Any], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json: accuracy by our rule, over all and by kind, and by theirs."""
        right = sum(row.theirs == row.truth[0][0][0] for row in predictions)
        differing = [
            [row.id, row.truth[0][0][0], row.chosen, row.theirs]
            for row in sorted(predictions, key=lambda row: row.id)
            if row.chosen != row.theirs
        ]
        theirs = {ALL: right / len(predictions) if predictions else None, "n": len(predictions)}
        return {**super().metrics(predictions, seed), "theirs": theirs, "differences": differing}

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against the paper's numbers."""
        few = [] if len(records) == PUBLISHED else [f"{len(records):,} of its {PUBLISHED:,} questions on expressions"]
        return [*few, *unshown(records)]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: our rule over all and by kind, theirs below."""
        theirs = metrics["theirs"][ALL]
        told = "–" if theirs is None else with_interval(theirs, None)
        differ = f"{len(metrics['differences'])} answers are read differently (differences.csv)."
        lines = "".join(f"- {markdown(note)}\n" for note in notes)
        return f"{super().table(name, metrics, notes)}\nBy their rule: {told}. {differ}\n\n{lines}"

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write differences.csv: every answer in which the two rules read different options."""
        rows = [["" if cell is None else str(cell) for cell in row] for row in metrics["differences"]]
        write_text(path / "differences.csv", csv_table(["id", "truth", "ours", "theirs"], rows))


def chosen(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the option that an answer chooses in the end; None where it is none, or several.

    >>> chosen("B", ["sad", "happy"]), chosen("A person who is happy.", ["sad", "happy"]), chosen("unhappy", ["happy"])
    ('B', 'B', None)
    >>> chosen("It is not (A) but (B).", ["sad", "happy"]), chosen("A. happy", ["sad", "happy"])
    ('B', None)
    """
    final = final_answer(text)
    wordings = tuple((option, *_alike(option)) for option in options)
    said = stated(final, wordings) if _tell_apart(wordings) else set()
    alone = _ALONE.search(final)
    if alone:
        letters = {alone[1] or alone[2]}
    else:
        found = [(match[1] or match[2], final[: match.start()]) for match in _SAID.finditer(final)]
        letters = {letter.upper() for letter, before in found if not _DENIED.search(before)}
    known = {letter for letter in letters if letter in LETTERS[: len(options)]}
    if not known:
        return LETTERS[said.pop()] if len(said) == 1 else None
    letter = known.pop()
    return letter if not known and (not said or LETTERS.index(letter) in said) else None


def their_option(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that their program reads from an answer.

    >>> their_option("A person, so B", ["sad", "happy"]), their_option("unhappy", ["sad", "happy"])
    ('A', 'B')
    """
    letters, clean = LETTERS[: len(options)], text.strip()
    for pattern in PATTERNS:
        match = re.match(pattern, clean)
        if match and match[1] in letters:
            return match[1]
    for pattern in PATTERNS:
        for letter in re.findall(pattern, clean):
            if letter in letters:
                return str(letter)
    return next((letter for letter, option in zip(letters, options, strict=True) if option.strip() in clean), None)


def _alike(option: str) -> tuple[str, ...]:
    """Return the other words for an option that is an expression."""
    name = NAMES.get(option.strip().lower())
    return tuple(word for word, of in NAMES.items() if name is not None and of == name and word != option.lower())


def _tell_apart(wordings: Sequence[Sequence[str]]) -> bool:
    """Whether no wording stands for two options, and each has one that can be looked for."""
    every = [word.lower() for words in wordings for word in words]
    return len(set(every)) == len(every) and all(word.strip() for word in every)


def _row(record: ImageRecord, answers: Mapping[str, Answer]) -> FaceXBenchPrediction:
    answer = answer_about(record, answers)
    options, right = [str(option) for option in record.attributes["options"]], str(record.attributes["answer"])
    letter = None if answer.status in SILENT else chosen(answer.text, options)
    return FaceXBenchPrediction(
        **facts_of(record),
        kind=str(record.attributes["kind"]),
        text=answer.text,
        right=int(letter == right),
        unstated=int(letter is None),
        truth=(tuple((each,) for each in (right, *LETTERS[: len(options)].replace(right, ""))),),
        chosen=letter,
        theirs=their_option(answer.text, options),
        status="unanswered" if letter is None and answer.status == "ok" else answer.status,
    )
