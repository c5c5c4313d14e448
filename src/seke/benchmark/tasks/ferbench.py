"""FERBench (UniFER, arXiv 2511.00389): its questions, scored by our rule and by theirs, side by side.

Ours    what the last <answer> holds is read as any answer is (`answers.extract`), negation and all; without one, the
        text after the reasoning. Whatever is refused, unreadable or has no picture is wrong.
Theirs  the first candidate that is a substring of the first <answer> (of one line), else of the whole response, else a
        synonym's; else "unknown", which is a class of its own. Errors of the model leave the denominator. Macro F1 is
        over all labels that are true or were read, "unknown" among them. As in eval_total/code/eval_unifer.py of their
        repository at 08c2ed6.

`differences.csv` lists every answer that the two read differently, and why. Backends cut marked thoughts out of answers
before they are kept, so that of answers asked for here their rule sees no reasoning; of `predictions=` it sees all.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.protocol import RankedMetric
from seke.benchmark.scoring.classes import class_metrics
from seke.benchmark.scoring.ranked import ranked_classes
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.questions import TAG, OwnQuestions, answer_about, facts_of, read_final, unshown
from seke.core.affect import EXPRESSIONS
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.files import write_text
from seke.core.records import AnswerStatus, ImageRecord
from seke.core.text_tables import csv_table, markdown_table

PUBLISHED: Final = 11_072
UNKNOWN: Final = "unknown"
"""Their label of what they cannot read."""
ERRORS: Final = ("unanswered", "invalid", "filtered")
"""Statuses of what their scorer would have noted as an error of the model, and dropped."""
_THEIR_TAG: Final = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.IGNORECASE)
_COMMON: Final = {
    "disgust": ("revulsion", "repulsion"), "fear": ("terror", "fright"), "neutral": ("normal", "calm", "blank"),
    "surprise": ("shock", "astonishment"),
}  # fmt: skip
SYNONYMS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "RAF-DB": {
        "anger": ("angry",), "disgust": _COMMON["disgust"], "fear": _COMMON["fear"], "happiness": ("joy", "happy"),
        "sadness": ("sad",), "neutral": _COMMON["neutral"], "surprise": _COMMON["surprise"],
    },
    "AffectNet": {
        "anger": ("angry", "mad"), "contempt": ("scorn", "disdain"), "disgust": _COMMON["disgust"],
        "fear": _COMMON["fear"], "happiness": ("joy", "happy"), "sadness": ("sad",), "neutral": _COMMON["neutral"],
        "surprise": _COMMON["surprise"],
    },
    "FERPlus": {
        "angry": ("anger",), "contempt": ("scorn", "disdain"), "disgust": _COMMON["disgust"], "fear": _COMMON["fear"],
        "happy": ("joy", "happiness"), "sad": ("sorrow", "unhappy"), "neutral": _COMMON["neutral"],
        "surprise": _COMMON["surprise"],
    },
    "SFEW-2.0": {
        "angry": ("anger", "mad"), "disgust": _COMMON["disgust"], "fear": _COMMON["fear"],
        "happy": ("joy", "happiness"), "sad": ("sorrow", "unhappy"), "neutral": _COMMON["neutral"],
        "surprise": _COMMON["surprise"],
    },
}  # fmt: skip
"""Their words for each label, in the order in which they are tried, by the first folder of a set's pictures."""


class FERBenchPrediction(BaseModel):
    """One row of predictions.jsonl: the answer as we read it and as they would."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    of_set: str
    text: str
    judged: str | None
    named: str | None
    """One of our expressions; None: unanswered."""
    theirs: str | None
    """As they read it, in our words; None: they would leave it out."""
    truth: str | None
    status: AnswerStatus


@dataclass(frozen=True)
class FERBench(OwnQuestions):
    """The questions of the records, and how answers become two scores."""

    max_tokens: int = 1024
    judge_template: str = "faces"
    prepared_by: ClassVar[str] = "ferbench"
    row: ClassVar[type[BaseModel]] = FERBenchPrediction
    board: ClassVar[str] = "ferbench"
    headline: ClassVar[str] = "class.accuracy"

    def check(self, record: ImageRecord) -> None:
        """Make sure that a record has a question of one of the four sets.

        Raises:
            UserError: if it has not.
        """
        super().check(record)
        if record.attributes.get("set") not in SYNONYMS:
            raise UserError("records", record.id, "no question of FERBench", self.remedy)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[FERBenchPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        return [_row(record, answers, judge) for record in records], sum(row.id not in answers for row in records)

    def metrics(self, predictions: Sequence[FERBenchPrediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        pairs = [(row.truth, row.named) for row in predictions if row.truth is not None]
        found = class_metrics("class", EXPRESSIONS, pairs, [row.status for row in predictions], seed)
        sets = sorted({row.of_set for row in predictions})
        return {
            **found,
            "attribute": "true_label",
            "theirs": their_scores(predictions),
            "by_set": {name: _accuracies([row for row in predictions if row.of_set == name]) for name in sets},
            "differences": [
                [row.id, row.truth, row.named, row.theirs, why]
                for row in sorted(predictions, key=lambda row: row.id)
                if (why := differs(row))
            ],
        }

    def ranked(self, predictions: Sequence[FERBenchPrediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return accuracy and macro F1 by our rule; the pictures have no subjects."""
        answered = [(row.id, row.truth, row.named) for row in predictions]
        return ranked_classes("class", EXPRESSIONS, answered, seed, draws)

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against the paper's numbers."""
        notes = [] if len(records) == PUBLISHED else [f"{len(records):,} of FERBench's {PUBLISHED:,} questions"]
        scaled = "pictures as they are, or as the backend scales them; theirs are scaled to 224 x 224"
        return [*notes, *unshown(records), scaled]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: both rules side by side, overall and for each set."""
        title, found, theirs = f"# FERBench: {markdown(name)}", metrics["class"], metrics["theirs"]
        if found is None:
            return f"{title}\n\nNo record has a label: nothing to score.\n"
        bounds = metrics["ci95"]["class"]
        ours = [with_interval(found[key], bounds[key]) for key in ("accuracy", "f1_macro")]
        others = [with_interval(theirs[key], None) for key in ("accuracy", "f1_macro")]
        rows = [
            ["ours", *ours, str(found["n"]), str(metrics["unanswered"]["class"])],
            ["theirs", *others, str(theirs["n"]), str(theirs["unknown"])],
        ]
        of_sets = [
            [markdown(of), with_interval(both["ours"], None), with_interval(both["theirs"], None), str(both["n"])]
            for of, both in metrics["by_set"].items()
        ]
        why = Counter(row[4] for row in metrics["differences"])
        told = "; ".join(f"{markdown(reason)} {count}" for reason, count in why.most_common()) or "none"
        lines = [
            title,
            "",
            markdown_table(["Rule", "Accuracy", "Macro F1", "n", "Not read"], rows, "lr"),
            "",
            f"Theirs leaves out {theirs['dropped']} answers. Answers that the two read differently: {told} "
            "(differences.csv).",
            "",
            markdown_table(["Set", "Ours", "Theirs", "n"], of_sets, "lr"),
            "",
            *(f"- {markdown(note)}" for note in notes),
        ]
        return "\n".join(lines) + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print accuracy by both rules."""
        print(visible(title))
        if metrics["class"]:
            accuracy = with_interval(metrics["class"]["accuracy"], metrics["ci95"]["class"]["accuracy"])
            print(f"  accuracy: {accuracy}; by their rule {with_interval(metrics['theirs']['accuracy'], None)}")

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write differences.csv: every answer that the two rules read differently."""
        head = ["id", "truth", "ours", "theirs", "why"]
        rows = [["" if cell is None else str(cell) for cell in row] for row in metrics["differences"]]
        write_text(path / "differences.csv", csv_table(head, rows))


def their_label(response: str, candidates: Sequence[str], of_set: str) -> str:
    """Return the label that their scorer reads from a response: a candidate, a synonym's label, or `UNKNOWN`.

    >>> their_label("<answer>not sad, happy</answer>", ["angry", "happy", "sad"], "SFEW-2.0")
    'happy'
    >>> their_label("It is unhappy.", ["angry", "happy", "sad"], "SFEW-2.0")
    'happy'
    """
    tagged = _THEIR_TAG.search(response)
    if tagged and (found := _contained(tagged[1].strip().lower(), [(label.lower(), label) for label in candidates])):
        return found
    lower = response.lower()
    if found := _contained(lower, [(label, label) for label in candidates]):
        return found
    return next((label for label, words in SYNONYMS[of_set].items() if any(word in lower for word in words)), UNKNOWN)


def their_scores(predictions: Sequence[FERBenchPrediction]) -> dict[str, Any]:
    """Return accuracy and macro F1 as their scorer has them, None without answers, and what it leaves out."""
    kept = [(row.truth, row.theirs) for row in predictions if row.theirs is not None and row.truth is not None]
    labels = sorted({label for pair in kept for label in pair})
    right = Counter(truth for truth, said in kept if truth == said)
    true, said = Counter(truth for truth, _ in kept), Counter(said for _, said in kept)
    f1 = [2 * right[label] / (true[label] + said[label]) for label in labels]
    return {
        "accuracy": right.total() / len(kept) if kept else None,
        "f1_macro": sum(f1) / len(f1) if f1 else None,
        "n": len(kept),
        "dropped": len(predictions) - len(kept),
        "unknown": said[UNKNOWN],
    }


def differs(row: FERBenchPrediction) -> str | None:
    """Return why the two rules read an answer differently; None where they do not, or only in who counts unread."""
    if row.theirs is None:
        return "left out of their denominator"
    if row.theirs == (row.named or UNKNOWN):
        return None
    if row.named is None:
        return "they read a label, ours none"
    if row.theirs == UNKNOWN:
        return "they do not know the word"
    tags = TAG.findall(row.text)
    if not tags:
        return "they take a word out of the reasoning"
    return "they take the first candidate that is part of a word, denied or not"


def _contained(text: str, labels: Sequence[tuple[str, str]]) -> str | None:
    return next((label for part, label in labels if part in text), None)


def _accuracies(rows: Sequence[FERBenchPrediction]) -> dict[str, Any]:
    known = [row for row in rows if row.truth is not None]
    right = sum(row.named == row.truth for row in known)
    return {"ours": right / len(known) if known else None, "theirs": their_scores(rows)["accuracy"], "n": len(known)}


def _row(record: ImageRecord, answers: Mapping[str, Answer], judge: Judge) -> FERBenchPrediction:
    answer = answer_about(record, answers)
    labels, judged, status = read_final(answer, judge)
    of_set, candidates = str(record.attributes.get("set")), record.attributes.get("candidates") or ()
    theirs = None
    if answer.status not in ERRORS and of_set in SYNONYMS:
        label = their_label(answer.text, candidates, of_set)
        theirs = NAMES.get(label.lower(), label)
    named = None if answer.status in SILENT else labels.expression
    return FERBenchPrediction(
        **facts_of(record),
        of_set=of_set,
        text=answer.text,
        judged=judged,
        named=named,
        theirs=theirs,
        truth=record.labels.expression,
        status="unanswered" if named is None and status == "ok" else status,
    )
