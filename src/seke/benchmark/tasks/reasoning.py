"""Affective reasoning and humour: free questions about a scene, the answers marked by two judges with a rubric.

    records -> plan: a question each -> model under test -> answer -> two judges, one rubric -> predictions.jsonl

A picture's question comes from a generate run's reasoning instructions (kind "given"), or is drawn from the lists in
conf/benchmark/affective_reasoning.yaml, by kind: about feelings or about humour. No question tells the emotion.

An answer's mark is the mean of what the judges gave it. Without an answer, or without a judge's marks, a mark is
unknown, which is counted and takes no part in a mean.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from seke.answers.extract import is_refusal
from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.judging import rubric
from seke.benchmark.judging.rubric import Answered, Marks, Rubric
from seke.benchmark.protocol import Paired, PairedMetric
from seke.benchmark.scoring.tables import ABSENT, with_interval
from seke.benchmark.tasks.questions import own_request, without_question
from seke.core import images, old_runs
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.records import AnswerStatus, ImageRecord, InstructionRecord, read_jsonl
from seke.core.shown import shown
from seke.core.text_tables import markdown_table
from seke.core.vlm import VLM, Image, Request

DRAWS: Final = 1000
BOTH: Final = "Marks from 1 to 5: over the pictures on which both answered the same question to the same judge."
GIVEN: Final = "given"
REASONING: Final = "reasoning"
QUESTION, KIND, EMOTION = "question", "question_kind", "emotion"
"""Attributes of an entry."""
_REMEDY: Final = "ask about prepared scenes, as EmoSet's are"


class JudgedAnswer(BaseModel):
    """One row of predictions.jsonl: a question, what the model answered, and every judge's marks for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    kind: str
    question: str
    text: str
    judged: None = None
    """No judge rewrites the answer."""
    truth: str
    """The emotion that the picture's annotators felt."""
    status: AnswerStatus
    model: str | None
    """That answered."""
    marks: dict[str, Marks]
    """By judge; empty where there was no answer to mark."""


@dataclass
class AffectiveReasoning:
    """The questions, and how answers become marks and means.

    Raises:
        UserError: if there is no judge, or no question of a kind.
    """

    rubric: Rubric
    judges: Mapping[str, VLM | None]
    """By what the table calls them; None: left out."""
    questions: Mapping[str, Sequence[str]]
    """By kind."""
    questions_from: str | None = None
    """A generate run whose reasoning instructions are asked instead; pictures without one are left out."""
    seed: int = 0
    max_tokens: int = 512
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    row: ClassVar[type[BaseModel]] = JudgedAnswer
    _root: Path = field(default=Path(), init=False)

    def __post_init__(self) -> None:
        if not self._asked:
            raise UserError("benchmark.judges", dict(self.judges), "nobody to judge", "name one or two backends")
        if not self.questions or not all(self.questions.values()):
            raise UserError("benchmark.questions", dict(self.questions), "a kind without a question", "add one")

    @property
    def reads(self) -> dict[str, tuple[str | None, str, str]]:
        """What it reads beside the records: name -> (reference, command, file)."""
        return {"questions": (self.questions_from, "generate", "instructions.jsonl")}

    def plan(self, records: Sequence[ImageRecord], root: Path, files: Mapping[str, Path]) -> list[ImageRecord]:
        """Return the records that a question is asked about; `attributes` of each say which.

        Raises:
            UserError: if a record has no emotion to judge by, or none has a question.
        """
        self._root = root
        if missing := [record.id for record in records if record.attributes.get(EMOTION) is None]:
            raise UserError("records", missing[0], "no attributes.emotion to judge by", "use scenes, as EmoSet's are")
        given = questions_by_record(files["questions"]) if "questions" in files else None
        entries = [entry for record in records if (entry := self._entry(record, given)) is not None]
        if not entries:
            remedy = "generate them from the same records: kind reasoning, split=test"
            raise UserError("benchmark.questions_from", self.questions_from, "no question about any record", remedy)
        return entries

    def _entry(self, record: ImageRecord, given: Mapping[str, str] | None) -> ImageRecord | None:
        if given is None:
            kind, question = self._drawn(record.sha256)
        elif record.id in given:
            kind, question = GIVEN, given[record.id]
        else:
            return None
        return record.model_copy(update={"attributes": {**record.attributes, KIND: kind, QUESTION: question}})

    def _drawn(self, sha256: str | None) -> tuple[str, str]:
        rng = Random(f"{self.seed}/{sha256}")
        kind = rng.choice(sorted(self.questions))
        return kind, rng.choice(list(self.questions[kind])).strip()

    def ask(self, record: ImageRecord, image: Image) -> Request:
        """Return the question that `plan` gave a record."""
        return own_request(record, (image,), self.max_tokens, _REMEDY)

    def request(self, image: Image) -> Request:
        """Refuse: a picture alone has no question."""
        raise without_question(image, _REMEDY)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[JudgedAnswer], int]:
        """Return one row per record, in their order, and how many records nobody answered.

        The rubric's judges mark the answers; `judge`, which reads labels, has no part in it.
        """
        given = [answers.get(record.id) or Answer(id=record.id, status="unanswered") for record in records]
        marks = self._marked(records, given)
        rows = []
        for record, answer, of_answer in zip(records, given, marks, strict=True):
            kind, question = (record.attributes.get(name, "") for name in (KIND, QUESTION))
            rows.append(
                JudgedAnswer(
                    id=record.id,
                    source=record.source,
                    subject=record.subject,
                    kind=kind,
                    question=question,
                    text=answer.text,
                    truth=str(record.attributes.get(EMOTION)),
                    status=answer_status(answer),
                    model=answer.model,
                    marks=of_answer,
                )
            )
        return rows, sum(record.id not in answers for record in records)

    def through(self, wrap: Callable[[str, VLM], VLM]) -> None:
        """Put what `wrap` makes of them in the place of the judges."""
        self.judges = {name: wrap(f"judge {name}", vlm) for name, vlm in self._asked.items()}

    @property
    def _asked(self) -> dict[str, VLM]:
        return {name: vlm for name, vlm in self.judges.items() if vlm is not None}

    def _marked(self, records: Sequence[ImageRecord], given: Sequence[Answer]) -> list[dict[str, Marks]]:
        """Return the marks of each answer by judge; nobody is asked about silence, or about a picture that is gone."""
        seen: dict[int, Answered] = {}
        marks: list[dict[str, Marks]] = [{} for _ in given]
        for number, (record, answer) in enumerate(zip(records, given, strict=True)):
            if answer_status(answer) in SILENT:
                continue
            try:
                image = shown(record, self._root)
            except images.ImageError:
                marks[number] = dict.fromkeys(self._asked, Marks(status="unseen"))
                continue
            about = record.attributes
            seen[number] = Answered(image, about.get(QUESTION, ""), str(about.get(EMOTION)), answer.text)
        for name, vlm in self._asked.items():
            for number, found in zip(seen, self.rubric.judge(vlm, list(seen.values()), name), strict=True):
                marks[number][name] = found
        return marks

    def metrics(self, predictions: Sequence[JudgedAnswer], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        return scores(predictions, self.rubric.criteria, list(self._asked), seed)

    def paired(self, ours: Sequence[JudgedAnswer], theirs: Sequence[JudgedAnswer], seed: int, draws: int) -> Paired:
        """Return what is compared of two runs: the mean mark by each criterion."""
        found = [_paired(ours, theirs, criterion, seed, draws) for criterion in self.rubric.criteria]
        return Paired(found, None, "pictures", (BOTH,))

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return what a reader of the marks has to know; there is no figure of the paper's to hold them against."""
        return []

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: mean marks over all questions and by kind, each judge's own, and the judges' agreement."""
        lines = [
            f"# Affective reasoning: {markdown(name)}",
            "",
            *(f"**Warning:** {markdown(line)}.\n" for line in metrics["warnings"]),
        ]
        groups = {"All": metrics["reasoning"]["criteria"], **metrics["reasoning"]["kinds"]}
        rows = [
            [criterion, *(_shown(of_group[criterion], "mean") for of_group in groups.values()), str(found["n"])]
            for criterion, found in groups["All"].items()
        ]
        lines.append(markdown_table(["Criterion", *map(markdown, groups), "n"], rows, "lr"))
        silent = metrics["unanswered"]["reasoning"]
        legend = (
            f"Means of marks from 1 to 5 over the answers that were judged; {silent} of {metrics['n']} pictures have "
        )
        lines += ["", legend + "no answer, and no mark. Intervals: bootstrap over pictures."]
        rows = []
        for judge, found in metrics["judges"].items():
            marks = [_shown(found["criteria"][criterion], "mean") for criterion in groups["All"]]
            lost = ", ".join(f"{count} {status}" for status, count in found["status"].items() if status != "ok")
            rows.append([markdown(judge), markdown(", ".join(found["models"])), *marks, lost or "0"])
        lines += ["", markdown_table(["Judge", "Model", *groups["All"], "Without marks"], rows, "llr")]
        for pair, criteria in metrics["agreement"].items():
            rows = []
            for criterion, found in criteria.items():
                exact = ABSENT if found["exact"] is None else f"{100 * found['exact']:.1f}"
                rows.append([criterion, _shown(found, "kappa"), exact, str(found["n"])])
            head = [f"Agreement of {markdown(pair)}", "Quadratic-weighted κ", "Same mark (%)", "n"]
            lines += ["", markdown_table(head, rows, "lr")]
        lines += [f"\nNote: {markdown('; '.join(notes))}."] if notes else []
        return "\n".join(lines) + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print the mean marks and how far the judges agree."""
        print(visible(title))
        for criterion, found in metrics["reasoning"]["criteria"].items():
            print(f"  {criterion}: {_shown(found, 'mean')}, n={found['n']}")
        for pair, criteria in metrics["agreement"].items():
            kappas = ", ".join(f"{name} {_shown(found, 'kappa')}" for name, found in criteria.items())
            print(f"  agreement of {pair} (quadratic-weighted kappa): {kappas}")


def questions_by_record(file: Path) -> dict[str, str]:
    """Return the questions of a generate run's reasoning instructions, by the id of the record each is about."""
    rows = (row for row in read_jsonl(file, InstructionRecord) if row.attributes.get("kind") == REASONING)
    return {
        row.id.removesuffix(f"/{REASONING}"): row.conversations[0].value.removeprefix("<image>").strip() for row in rows
    }


def answer_status(answer: Answer) -> AnswerStatus:
    """Return the status of an answer: no words are no answer, and declining is none either."""
    if answer.status not in ("ok", "truncated", "invalid"):
        return answer.status
    if not answer.text.strip():
        return "unanswered"
    return "refusal" if is_refusal(answer.text) else answer.status


def scores(
    rows: Sequence[JudgedAnswer], criteria: Sequence[str], judges: Sequence[str], seed: int = 0, draws: int = DRAWS
) -> dict[str, Any]:
    """Return mean marks in [1, 5] with 95 % intervals, by kind of question and by judge, and the judges' agreement."""
    means = {kind: _means([row for row in rows if row.kind == kind], criteria, seed, draws) for kind in _kinds(rows)}
    found = {judge: _of_judge(rows, criteria, judge, seed, draws) for judge in judges}
    return {
        "n": len(rows),
        "unanswered": {REASONING: sum(row.status in SILENT for row in rows)},
        "status": dict(sorted(Counter(row.status for row in rows).items())),
        **dict.fromkeys(("expression", "action_units", "valence", "arousal")),
        "by_source": {},
        "ci95": {},
        REASONING: {"criteria": _means(rows, criteria, seed, draws), "kinds": means},
        "judges": found,
        "agreement": {
            f"{a} and {b}": {name: _agreed(rows, a, b, name, seed, draws) for name in criteria}
            for a, b in combinations(judges, 2)
        },
        "warnings": suspicions(rows, judges),
    }


def _kinds(rows: Sequence[JudgedAnswer]) -> list[str]:
    return sorted({row.kind for row in rows})


def _means(rows: Sequence[JudgedAnswer], criteria: Sequence[str], seed: int, draws: int) -> dict[str, Any]:
    found = {}
    for criterion in criteria:
        given = [[marks.marks[criterion] for marks in row.marks.values() if marks.marks] for row in rows]
        found[criterion] = rubric.mean([fmean(marks) for marks in given if marks], seed, draws)
    return found


def _paired(
    ours: Sequence[JudgedAnswer], theirs: Sequence[JudgedAnswer], criterion: str, seed: int, draws: int
) -> PairedMetric:
    """Return the mean marks of two models over what the same judges marked of both, in the same order of rows."""
    pairs = [found for a, b in zip(ours, theirs, strict=True) if (found := _both(a, b, criterion))]
    means_2N = np.array([[fmean(marks) for marks in zip(*of_picture, strict=True)] for of_picture in pairs]).T
    if not pairs:
        return PairedMetric(REASONING, criterion, 0, 0, np.nan, np.nan, np.full(draws, np.nan))
    gains, counts = np.unique(means_2N[0] - means_2N[1], return_counts=True)
    gain_B = np.random.default_rng(seed).multinomial(len(pairs), counts / len(pairs), size=draws) @ gains / len(pairs)
    ours_mean, theirs_mean = (float(mean) for mean in means_2N.mean(1))
    return PairedMetric(REASONING, criterion, len(pairs), len(pairs), ours_mean, theirs_mean, gain_B)


def _both(a: JudgedAnswer, b: JudgedAnswer, criterion: str) -> list[tuple[int, int]]:
    """Return each judge's marks for two answers to the same question; a judge of another model is another judge."""
    given = [(a.marks[judge], b.marks[judge]) for judge in a.marks if judge in b.marks and a.question == b.question]
    return [
        (one.marks[criterion], other.marks[criterion])
        for one, other in given
        if one.model == other.model and one.marks and other.marks and criterion in other.marks
    ]


def _of_judge(
    rows: Sequence[JudgedAnswer], criteria: Sequence[str], judge: str, seed: int, draws: int
) -> dict[str, Any]:
    given = [row.marks[judge] for row in rows if judge in row.marks]
    alone = [row.model_copy(update={"marks": {judge: row.marks[judge]}}) for row in rows if judge in row.marks]
    return {
        "models": sorted({marks.model for marks in given if marks.model}),
        "simulated": _simulated(given),
        "status": dict(sorted(Counter(marks.status for marks in given).items())),
        "criteria": _means(alone, criteria, seed, draws),
    }


def _agreed(rows: Sequence[JudgedAnswer], a: str, b: str, criterion: str, seed: int, draws: int) -> dict[str, Any]:
    both = [(row.marks[a].marks, row.marks[b].marks) for row in rows if a in row.marks and b in row.marks]
    pairs = [(first[criterion], second[criterion]) for first, second in both if first and second]
    return rubric.agreement([first for first, _ in pairs], [second for _, second in pairs], seed, draws)


def suspicions(rows: Sequence[JudgedAnswer], judges: Sequence[str]) -> list[str]:
    """Return sentences: most is silence, nothing was marked, a judge is simulated, or one marks its own answers."""
    silent = sum(row.status in SILENT for row in rows)
    lines = [f"{silent} of {len(rows)} pictures have no answer: the means are of the others"] * (2 * silent > len(rows))
    for judge in judges:
        given = [row.marks[judge] for row in rows if judge in row.marks]
        models = {marks.model for marks in given if marks.model}
        if not any(marks.marks for marks in given):
            lines.append(f"{judge} marked none of {len(rows)} answers")
        if simulated := _simulated(given):
            lines.append(f"{judge} is simulated ({', '.join(simulated)}): its marks say nothing of any model")
        elif own := sorted(models & {row.model for row in rows if row.model}):
            lines.append(f"{judge} marked its own answers ({', '.join(own)})")
    return lines


def _simulated(given: Sequence[Marks]) -> list[str]:
    """Return which of the models that gave these marks are simulations."""
    return sorted({marks.model for marks in given if marks.model and old_runs.simulated(marks.simulated, marks.model)})


def _shown(found: Mapping[str, Any], value: str) -> str:
    return with_interval(found[value], found["ci95"], found["n"], "pictures")
