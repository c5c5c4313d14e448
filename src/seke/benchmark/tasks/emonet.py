"""EmoNet-Face: does a model see in a face what experts see, and how far do the experts themselves agree?

Each expert has an opinion: one of our expressions, an emotion that is none of them, or none at all
(`attributes.opinions` of `source=emonet_face`). Three numbers, each in [0, 1]:

    agreement  how often the model names what an expert, drawn at random, sees
    ceiling    the same of the best answer there is: of each picture the commonest opinion. No model can be above it
    experts    the same of one expert about another, on pictures that two or more have an opinion of

and accuracy on the pictures of which a majority says the same. Pictures count where more than half of the experts who
have an opinion see an expression at all; an opinion that is no expression can be nobody's answer: it lowers the
ceiling.

    N  pictures that count        B  resamples
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import Paired, PairedMetric, RankedMetric, Right
from seke.benchmark.scoring.bootstrap import resampled
from seke.benchmark.scoring.classes import CLASS_SCORES, DRAWS, class_metrics
from seke.benchmark.scoring.ranked import ranked_classes
from seke.benchmark.scoring.tables import with_interval
from seke.core.affect import EXPRESSIONS
from seke.core.escape import markdown, visible
from seke.core.intervals import SHARE, interval
from seke.core.records import AnswerStatus, ImageRecord
from seke.core.text_tables import markdown_table
from seke.core.vlm import Image, Message, Request

NO_CLASS: Final = "none"
"""An opinion that is no expression, as `source=emonet_face` writes it."""
CLASSES: Final = tuple(name for name in EXPRESSIONS if name != "neutral")
"""What an expert can see; nobody was asked for a face without an emotion."""
TASK: Final = "class"
HEADS: Final = {"agreement": "Agreement with an expert", "ceiling": "Ceiling", "experts": "Expert with expert"}


class EmoNetPrediction(BaseModel):
    """One row of predictions.jsonl: what a model named, and what each expert saw."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    text: str
    judged: str | None
    named: str | None
    """One of our expressions; None: unanswered."""
    truth: tuple[str, ...] | None = Field(strict=False)
    """The experts' opinions, sorted; None where the picture does not count."""
    majority: str | None
    """What more than half of these say; None: nobody's opinion has a majority."""
    status: AnswerStatus


@dataclass(frozen=True)
class EmoNet:
    """The question, and how answers become agreement."""

    question: str
    max_tokens: int = 64
    judge_template: str = "faces"
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    attribute: ClassVar[str] = "opinions"
    row: ClassVar[type[BaseModel]] = EmoNetPrediction
    board: ClassVar[str] = "emonet"
    headline: ClassVar[str] = "agreement.agreement"

    def request(self, image: Image) -> Request:
        """Return the question about one picture; greedy, for a benchmark wants a model's one answer."""
        return Request((Message("user", (image, self.question.strip())),), temperature=0.0, max_tokens=self.max_tokens)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[EmoNetPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        return [_row(record, answers, judge) for record in records], sum(row.id not in answers for row in records)

    def metrics(self, predictions: Sequence[EmoNetPrediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        pairs = [(row.majority, row.named) for row in predictions if row.majority is not None]
        of_majority = [(truth, named if named in CLASSES else None) for truth, named in pairs]
        found = class_metrics(TASK, CLASSES, of_majority, [row.status for row in predictions], seed)
        counted = [row for row in predictions if row.truth is not None]
        if not counted:
            return {**found, "attribute": "opinions", "agreement": None}
        values_NK = np.array([shares(row) for row in counted])
        drawn_B = _drawn(values_NK, seed, DRAWS)
        point = _point(values_NK)
        agreement = {name: _known(value) for name, value in point.items()}
        bounds = {
            name: interval(drawn_B[name], value, _clusters(values_NK, name), SHARE) for name, value in point.items()
        }
        return {
            **found,
            "attribute": "opinions",
            "agreement": {**agreement, "n": len(counted), "experts_per_picture": float(values_NK[:, 4].mean())},
            "ci95": {**found["ci95"], "agreement": bounds},
        }

    def ranked(self, predictions: Sequence[EmoNetPrediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return agreement with an expert, and accuracy and macro F1 where experts have a majority."""
        counted = [row for row in predictions if row.truth is not None]
        if not counted:
            return []
        values_NK = np.array([shares(row) for row in counted])
        value = _point(values_NK)["agreement"]
        agreement = RankedMetric(
            "agreement.agreement", "Agreement with an expert, %", "high", True, value, value,
            _drawn(values_NK, seed, draws)["agreement"], len(counted), len(counted),
        )  # fmt: skip
        answered = [(row.id, row.majority, row.named if row.named in CLASSES else None) for row in predictions]
        return [agreement, *ranked_classes("class", CLASSES, answered, seed, draws)]

    def paired(
        self, ours: Sequence[EmoNetPrediction], theirs: Sequence[EmoNetPrediction], seed: int, draws: int
    ) -> Paired:
        """Return what is compared of two runs: agreement, and who is right where experts have a majority."""
        both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.truth is not None]
        if not both:
            return Paired((), None, "pictures")
        of_ours, of_theirs = (np.array([shares(row) for row in rows]) for rows in zip(*both, strict=True))
        mine, others = (_point(of)["agreement"] for of in (of_ours, of_theirs))
        drawn = [_drawn(of, seed, draws)["agreement"] for of in (of_ours, of_theirs)]
        agreement = PairedMetric(
            "agreement", "agreement", len(both), len(both), mine, others, drawn[0] - drawn[1], SHARE
        )
        known = [(a, b) for a, b in both if a.majority is not None]
        right = [np.array([row.named == row.majority for row in rows]) for rows in zip(*known, strict=True)]
        return Paired([agreement], Right("expression", *right) if known else None, "pictures")

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against the dataset's paper: that one asks for strengths of 40 emotions."""
        return ["the dataset's paper asks for the strengths of 40 emotions, this for one of our expressions"]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: agreement below its ceiling, and each expression's scores."""
        title, found = f"# EmoNet-Face: {markdown(name)}", metrics["agreement"]
        if found is None:
            return f"{title}\n\nNo expert's opinion of any picture is an expression: nothing to score.\n"
        bounds = metrics["ci95"]["agreement"]
        rows = [[head, with_interval(found[key], bounds[key])] for key, head in HEADS.items()]
        of_ceiling = f"{found['agreement'] / found['ceiling']:.1%}" if found["ceiling"] else "–"
        lines = [
            title,
            "",
            markdown_table(["", "Share of experts"], rows, "lr"),
            "",
            f"{found['n']} pictures that an expression is seen in, {found['experts_per_picture']:.1f} opinions each; "
            f"the model has {of_ceiling} of what can be had. No answer agrees more often than the ceiling.",
        ]
        if metrics[TASK] is not None:
            classes = [
                [markdown(of_class), *(with_interval(row[key], None) for key in CLASS_SCORES), str(row["n"])]
                for of_class, row in metrics[TASK]["classes"].items()
            ]
            accuracy = with_interval(metrics[TASK]["accuracy"], metrics["ci95"][TASK]["accuracy"])
            lines += [
                "",
                f"Where a majority sees the same ({metrics[TASK]['n']} pictures): accuracy {accuracy}.",
                "",
                markdown_table(["Expression", "Precision", "Recall", "F1", "n"], classes, "lr"),
            ]
        return "\n".join([*lines, "", *(f"- {markdown(note)}" for note in notes)]) + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print agreement and its ceiling."""
        print(visible(title))
        for key, head in HEADS.items() if metrics["agreement"] else ():
            print(f"  {head}: {with_interval(metrics['agreement'][key], metrics['ci95']['agreement'][key])}")


def held(opinions: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the experts' opinions, sorted; None where no more than half of them are an expression.

    >>> held({"a": "fear", "b": "none", "c": "fear", "d": None}), held({"a": "fear", "b": "none"}), held({})
    (('fear', 'fear', 'none'), None, None)
    """
    said = sorted(str(opinion) for opinion in opinions.values() if opinion is not None)
    return tuple(said) if 2 * sum(opinion != NO_CLASS for opinion in said) > len(said) else None


def shares(row: EmoNetPrediction) -> tuple[float, ...]:
    """Return of a picture that counts: agreement, ceiling, expert with expert, whether two have one, how many, and 1.

    >>> row = EmoNetPrediction(id="a", source="s", subject=None, text="fear", judged=None, named="fear",
    ...                        truth=("anger", "fear", "fear"), majority="fear", status="ok")
    >>> [round(value, 3) for value in shares(row)]
    [0.667, 0.667, 0.333, 1.0, 3.0, 1.0]
    """
    opinions = row.truth or ()
    votes, k = Counter(opinions), len(opinions)
    best = max((count for opinion, count in votes.items() if opinion != NO_CLASS), default=0)
    alike = sum(count * (count - 1) for count in votes.values())
    several = k > 1
    return (
        votes[row.named] / k if row.named is not None else 0.0,
        best / k,
        alike / (k * (k - 1)) if several else 0.0,
        float(several),
        float(k),
        1.0,
    )


def _row(record: ImageRecord, answers: Mapping[str, Answer], judge: Judge) -> EmoNetPrediction:
    answer = answers.get(record.id) or Answer(id=record.id, status="unanswered", detail="no prediction")
    labels, judged, status = judge(answer)
    opinions = held(record.attributes.get("opinions") or {})
    votes = Counter(opinions or ())
    first = next(iter(votes.most_common(1)), None)
    decided = first is not None and 2 * first[1] > votes.total() and first[0] != NO_CLASS
    named = labels.expression
    return EmoNetPrediction(
        id=record.id,
        source=record.source,
        subject=record.subject,
        text=answer.text,
        judged=judged,
        named=named,
        truth=opinions,
        majority=first[0] if first is not None and decided else None,
        status="unanswered" if named is None and status == "ok" else status,
    )


def _drawn(values_NK: NDArray[np.float64], seed: int, draws: int) -> dict[str, NDArray[np.float64]]:
    """Return the three numbers in every resample of pictures, (B,) each."""
    return _means(resampled({"sums": values_NK}, draws, seed)["sums"])


def _means(sums_BK: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the three numbers of sums of `shares`, (B,) each; NaN where no picture has two opinions."""
    agreed, best, alike, several, _, n = sums_BK.T
    return {
        "agreement": agreed / n,
        "ceiling": best / n,
        "experts": np.where(several > 0, alike / np.maximum(several, 1), np.nan),
    }


def _point(values_NK: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(of[0]) for name, of in _means(values_NK.sum(0, keepdims=True)).items()}


def _clusters(values_NK: NDArray[np.float64], name: str) -> int:
    return int(values_NK[:, 3].sum()) if name == "experts" else len(values_NK)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
