"""What a model knows beside emotion: each record brings its own question, asked before and after tuning.

    attributes: {"kind": "glasses", "question": "Does this person wear glasses? ...",
                 "expected": [[["glasses", "yes"], ["no glasses", "no"]]]}

An answer's score is the share of the expected statements that it gets right (`scoring.statements`): 0 or 1 where there
is one, as of a visual question; a share where a description is asked for. Accuracy is the mean score over the records,
in all and by kind; whatever is refused, unreadable or not there scores 0. Records come from
`source=synthetic_questions`, or are anybody's with these attributes.

    G  pictures, or subjects where these are known        K  all records, and each kind        B  draws
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.protocol import Paired, PairedMetric, RankedMetric, Right
from seke.benchmark.scoring.bootstrap import resampled
from seke.benchmark.scoring.classes import DRAWS
from seke.benchmark.scoring.significance import compare
from seke.benchmark.scoring.statements import Wordings, clash, outcome
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.questions import OwnQuestions, answer_about, facts_of, question_of, unshown
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.intervals import SHARE, interval
from seke.core.records import AnswerStatus, ImageRecord, read_jsonl
from seke.core.text_tables import markdown_table

TASK: Final = "general"
ALL: Final = "accuracy"
REFUSED: Final = ("refusal", "filtered")
_EXPECTED: Final = TypeAdapter(tuple[Wordings, ...])
_REMEDY: Final = "prepare them by source=synthetic_questions, or see docs/training.md for the attributes"


class GeneralPrediction(BaseModel):
    """One row of predictions.jsonl: the answer, and how many of the expected statements it gets right."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    kind: str
    text: str
    judged: None = None
    """No judge rewrites the answer."""
    right: int = Field(ge=0)
    """Statements."""
    unstated: int = Field(ge=0)
    """Statements of which the answer says nothing."""
    truth: tuple[Wordings, ...] = Field(min_length=1)
    """The expected statements."""
    status: AnswerStatus

    @property
    def score(self) -> float:
        """The share of the statements that are right, in [0, 1]."""
        return self.right / len(self.truth)


class Scored(Protocol):
    """What two models' answers are compared by, of a row of predictions.jsonl."""

    @property
    def id(self) -> str:
        """Of the record."""
        ...

    @property
    def source(self) -> str:
        """Of the record."""
        ...

    @property
    def subject(self) -> str | None:
        """Who the record shows; None: unknown."""
        ...

    @property
    def kind(self) -> str:
        """Of the question."""
        ...

    @property
    def right(self) -> int:
        """How many of `truth` are right."""
        ...

    @property
    def truth(self) -> Sequence[Any]:
        """The expected statements."""
        ...

    @property
    def score(self) -> float:
        """`right` over their number."""
        ...


@dataclass(frozen=True)
class General(OwnQuestions):
    """The questions of the records, and how answers become scores."""

    prepared_by: ClassVar[str] = "synthetic_questions"
    row: ClassVar[type[BaseModel]] = GeneralPrediction
    task: ClassVar[str] = TASK
    """What its scores are called in metrics.json."""
    title: ClassVar[str] = "General questions"
    board: ClassVar[str] = TASK
    headline: ClassVar[str] = f"{TASK}.{ALL}"

    @property
    def remedy(self) -> str:
        """What to do about records that cannot be asked about."""
        return _REMEDY

    def check(self, record: ImageRecord) -> None:
        """Make sure that a record has a question, a kind and expected statements.

        Raises:
            UserError: if it has not.
        """
        expected_of(record)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[Sequence[GeneralPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered; no judge is asked."""
        return [_row(record, answers) for record in records], sum(row.id not in answers for row in records)

    def metrics(self, predictions: Sequence[Any], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        unanswered = sum(row.status != "ok" for row in predictions)
        total = {
            "n": len(predictions),
            "unanswered": {self.task: unanswered},
            "status": dict(sorted(Counter(row.status for row in predictions).items())),
            **dict.fromkeys(("expression", "action_units", "valence", "arousal")),
            "by_source": {},
        }
        if not predictions:
            return {**total, self.task: None, "ci95": {}, "warnings": ["no record: nothing to score"]}
        names = kinds_of(predictions)
        sums_GK, n_GK = _sums(predictions, names)
        values_K, bounds_K = _measured(sums_GK, n_GK, seed)
        n_K, refused = n_GK.sum(0), Counter(row.kind for row in predictions if row.status in REFUSED)
        unread = Counter(row.kind for row in predictions if row.status != "ok")
        kinds = {
            name: {ALL: float(values_K[k]), "n": int(n_K[k]), "unanswered": unread[name], "refused": refused[name]}
            for k, name in enumerate(names, start=1)
        }
        stated = sum(len(row.truth) for row in predictions)
        found = {
            ALL: float(values_K[0]),
            "n": len(predictions),
            "statements": {
                "n": stated,
                "right": sum(row.right for row in predictions),
                "unstated": sum(row.unstated for row in predictions),
            },
            "kinds": kinds,
        }
        bounds = {ALL: bounds_K[0], "kinds": {name: {ALL: bounds_K[k]} for k, name in enumerate(names, start=1)}}
        nothing = f"none of {len(predictions)} answers says anything that was asked"
        warnings = [nothing] if unanswered == len(predictions) else []
        return {**total, self.task: found, "ci95": {self.task: bounds}, "warnings": warnings}

    def paired(self, ours: Sequence[Any], theirs: Sequence[Any], seed: int, draws: int) -> Paired:
        """Return the accuracy of two models over all records and by kind."""
        return paired(ours, theirs, seed, draws, self.task)

    def ranked(self, predictions: Sequence[Any], seed: int, draws: int) -> list[RankedMetric]:
        """Return accuracy over all records, and by kind."""
        if not predictions:
            return []
        names = kinds_of(predictions)
        sums_GK, n_GK = _sums(predictions, names)
        values_K, drawn_BK = _means(sums_GK.sum(0), n_GK.sum(0)), _drawn(sums_GK, n_GK, seed, draws)
        found = []
        for k, name in enumerate((ALL, *names)):
            key, title = (
                (ALL, f"{self.task.capitalize()} accuracy, %")
                if k == 0
                else (f"kinds.{key_of(name)}.{ALL}", f"{name.capitalize()}, %")
            )
            clusters = int(np.count_nonzero(n_GK[:, k]))
            value, n = float(values_K[k]), int(n_GK[:, k].sum())
            found.append(
                RankedMetric(f"{self.task}.{key}", title, "high", True, value, value, drawn_BK[:, k], n, clusters)
            )
        return found

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against a paper's numbers: none has asked these questions."""
        return ["questions of this program's own: no paper has numbers on them", *unshown(records)]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: accuracy over all records and by kind."""
        title, found = f"# {self.title}: {markdown(name)}", metrics[self.task]
        if found is None:
            return f"{title}\n\nNo record: nothing to score.\n"
        bounds, n = metrics["ci95"][self.task], found["n"]
        whole = ["all", with_interval(found[ALL], bounds[ALL]), str(n), str(metrics["unanswered"][self.task])]
        refused = sum(metrics["status"].get(status, 0) for status in REFUSED)
        rows = [
            [markdown(kind), with_interval(row[ALL], bounds["kinds"][kind][ALL]), str(row["n"]), str(row["unanswered"])]
            for kind, row in found["kinds"].items()
        ]
        said = found["statements"]
        told = (
            f"{said['right']:,} of {said['n']:,} expected statements are right; of {said['unstated']:,} nothing is "
            f"said. Unanswered scores 0; {refused} of them are refusals."
        )
        table = markdown_table(["Kind", "Accuracy", "n", "Unanswered"], [whole, *rows], "lr")
        return f"{title}\n\n{table}\n\n{told}\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print accuracy, over all records and by kind."""
        print(visible(title))
        if metrics[self.task]:
            bounds = metrics["ci95"][self.task]
            print(f"  accuracy: {with_interval(metrics[self.task][ALL], bounds[ALL])}")
            for kind, row in metrics[self.task]["kinds"].items():
                print(f"  {visible(kind)}: {with_interval(row[ALL], bounds['kinds'][kind][ALL])}")


def expected_of(record: ImageRecord) -> tuple[Wordings, ...]:
    """Return what a right answer to a record's question states.

    Raises:
        UserError: if the record has no question, no kind, or no such statements, or one wording stands for two things.
    """
    told = record.attributes
    question_of(record, _REMEDY)
    if not isinstance(told.get("kind"), str) or not str(told["kind"]).strip():
        raise UserError("records", record.id, "no attributes.kind", _REMEDY)
    try:
        statements = _EXPECTED.validate_python(told.get("expected"))
    except ValidationError:
        statements = ()
    if not statements or not all(len(of) > 1 and all(of) for of in statements):
        problem = "attributes.expected is no list of statements, each with wordings of two things or more"
        raise UserError("records", record.id, problem, _REMEDY)
    for statement in statements:
        if (twice := clash(statement)) is not None:
            raise UserError("records", record.id, f"its wording {twice!r} tells nothing apart", _REMEDY)
    return statements


def kinds_of(predictions: Sequence[Scored]) -> list[str]:
    """Return the kinds of the records, sorted."""
    return sorted({row.kind for row in predictions})


def key_of(kind: str) -> str:
    """Return a kind as a leaderboard's row names it: its words may be anybody's.

    >>> key_of("Hair colour"), key_of("glasses")
    ('hair_colour', 'glasses')
    """
    return re.sub(r"[^a-z0-9_]+", "_", kind.lower())


def paired(ours: Sequence[Scored], theirs: Sequence[Scored], seed: int, draws: int, task: str = TASK) -> Paired:
    """Return the accuracy of two models that were asked the same questions, each picture drawn with both answers.

    conf/report.yaml names this function, too.
    """
    if not ours:
        return Paired((), None, "pictures")
    right = [np.array([row.right == len(row.truth) for row in rows]) for rows in (ours, theirs)]
    over = "pictures" if all(row.subject is None for row in ours) else "subjects"
    return Paired(differences(ours, theirs, seed, draws, task), Right(task, *right), over)


def lost(ours: Path, base: Path) -> dict[str, Any]:
    """Return comparison.json's content of two runs' folders: of a tuned model and of its base, model minus base.

    Raises:
        UserError: if they were not asked the same, or rows do not read.
    """
    mine, theirs = (list(read_jsonl(path / "predictions.jsonl", GeneralPrediction)) for path in (ours, base))
    return compare(mine, theirs, base.name, pairing=paired)


def differences(
    ours: Sequence[Scored], theirs: Sequence[Scored], seed: int, draws: int, task: str = TASK
) -> list[PairedMetric]:
    """Return the accuracy of two models that were asked the same questions, in the same order: all, then each kind."""
    names = kinds_of(ours)
    (mine_GK, n_GK), (others_GK, _) = _sums(ours, names), _sums(theirs, names)
    mine_K, others_K = (_means(sums_GK.sum(0), n_GK.sum(0)) for sums_GK in (mine_GK, others_GK))
    difference_BK = _drawn(mine_GK - others_GK, n_GK, seed, draws)
    return [
        PairedMetric(
            name,
            ALL,
            int(n_GK[:, k].sum()),
            int(np.count_nonzero(n_GK[:, k])),
            float(mine_K[k]),
            float(others_K[k]),
            difference_BK[:, k],
            SHARE,
        )
        for k, name in enumerate((task, *names))
    ]


def _row(record: ImageRecord, answers: Mapping[str, Answer]) -> GeneralPrediction:
    answer = answer_about(record, answers)
    expected = expected_of(record)
    text = "" if answer.status in SILENT else answer.text
    found = Counter(outcome(text, statement) for statement in expected)
    nothing = found["unstated"] == len(expected)
    return GeneralPrediction(
        **facts_of(record),
        kind=str(record.attributes["kind"]),
        text=answer.text,
        right=found["right"],
        unstated=found["unstated"],
        truth=expected,
        status="unanswered" if nothing and answer.status == "ok" else answer.status,
    )


def _sums(predictions: Sequence[Scored], names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of scores and the numbers of records, (G, K) each: over all records, then of each kind.

    Subjects, or pictures, are in the order of their names, so that runs on the same records are resampled alike.
    """
    of_row = [row.id if row.subject is None else f"{row.source}/{row.subject}" for row in predictions]
    place = {group: g for g, group in enumerate(sorted(set(of_row)))}
    kind_at = {name: k for k, name in enumerate(names, start=1)}
    sums_GK, n_GK = (np.zeros((len(place), 1 + len(names))) for _ in range(2))
    for row, group in zip(predictions, of_row, strict=True):
        for k in (0, kind_at[row.kind]):
            sums_GK[place[group], k] += row.score
            n_GK[place[group], k] += 1
    return sums_GK, n_GK


def _drawn(sums_GK: NDArray[np.float64], n_GK: NDArray[np.float64], seed: int, draws: int) -> NDArray[np.float64]:
    drawn = resampled({"sums": sums_GK, "n": n_GK}, draws, seed)
    return _means(drawn["sums"], drawn["n"])


def _means(sums: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums / n, NaN where there is none."""
    return np.where(n > 0, sums / np.where(n > 0, n, 1), np.nan)


def _measured(
    sums_GK: NDArray[np.float64], n_GK: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], list[list[float] | None]]:
    """Return the accuracies, (K,), and their 95 % intervals."""
    values_K, drawn_BK = _means(sums_GK.sum(0), n_GK.sum(0)), _drawn(sums_GK, n_GK, seed, DRAWS)
    clusters_K = np.count_nonzero(n_GK, axis=0)
    bounds = [interval(drawn_BK[:, k], float(values_K[k]), int(clusters_K[k]), SHARE) for k in range(len(values_K))]
    return values_K, bounds
