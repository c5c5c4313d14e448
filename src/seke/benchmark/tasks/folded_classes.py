"""DFEW and MAFW: which emotion a clip shows, by WAR and UAR over the official five folds.

    python prepare.py source=dfew source.fold=all name=dfew       a model that was tuned on none of the clips
    python evaluate.py benchmark=dfew records=dfew ...            is asked about all of them, each in its fold

A model that is tuned on a fold's training clips is asked about its test clips alone (source.fold=1, ...); the numbers
of the five runs together are scored by predictions= of their rows, joined in one file. A refusal, and an answer that
names no class or several, is wrong and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import Paired, PairedMetric, RankedMetric, Right
from seke.benchmark.scoring.classes import CLASS_SCORES, class_metrics
from seke.benchmark.scoring.folds import confusions, differences, drawn, fold_metrics, means
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.picture_classes import ClassPrediction, PictureClasses
from seke.core.escape import markdown, visible
from seke.core.intervals import SHARE
from seke.core.records import ImageRecord
from seke.core.text_tables import markdown_table

TITLES: Final = {"war": "WAR", "uar": "UAR"}
FOLDS: Final = 5


class FoldedPrediction(ClassPrediction):
    """One row of predictions.jsonl."""

    fold: int | None = None
    """That tests the clip; None where the records say none."""


@dataclass(frozen=True)
class FoldedClasses(PictureClasses):
    """The question about a clip; the truth is its expression, or `attribute` where that is no expression of ours.

    Raises:
        UserError: as `PictureClasses` does.
    """

    dataset: str = ""
    """Its name, for titles."""
    row: ClassVar[type[BaseModel]] = FoldedPrediction
    headline: ClassVar[str] = "folds.war"

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[FoldedPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        rows = []
        for record in records:
            truth = record.labels.expression or record.attributes.get(self.attribute)
            known = {**record.attributes, self.attribute: truth}
            row = self._row(record.model_copy(update={"attributes": known}), answers, judge)
            fold = record.attributes.get("fold")
            rows.append(FoldedPrediction(**dict(row), fold=fold if type(fold) is int else None))
        return rows, sum(record.id not in answers for record in records)

    @property
    def board(self) -> str:
        """Its name on a leaderboard."""
        return self.dataset.lower()

    def paired(
        self, ours: Sequence[FoldedPrediction], theirs: Sequence[FoldedPrediction], seed: int, draws: int
    ) -> Paired:
        """Return WAR and UAR of two models that were asked about the same clips, each drawn with both its answers."""
        known = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.truth is not None]
        if not known:
            return Paired((), None, "clips")
        names, n = list(self.classes), len(known)
        place = {name: index for index, name in enumerate(names)}
        folds = sorted({a.fold for a, _ in known}, key=lambda fold: (fold is None, fold or 0))
        counts_FCPP = np.zeros((len(folds), len(names), len(names) + 1, len(names) + 1), dtype=np.int64)
        for a, b in known:
            said = (len(names) if row.named is None else place[row.named] for row in (a, b))
            counts_FCPP[(folds.index(a.fold), place[str(a.truth)], *said)] += 1
        found, other = means(counts_FCPP.sum(3)), means(counts_FCPP.sum(2))
        drawn_B = differences(counts_FCPP, seed, draws)
        measures = [PairedMetric("folds", key, n, n, found[key], other[key], drawn_B[key], SHARE) for key in TITLES]
        right = [np.array([row.named == row.truth for row in rows]) for rows in zip(*known, strict=True)]
        return Paired(measures, Right("class", *right), "clips")

    def ranked(self, predictions: Sequence[Any], seed: int, draws: int) -> list[RankedMetric]:
        """Return WAR and UAR, each the mean over the folds; the clips have no subjects."""
        answered = _answered(predictions)
        if not answered:
            return []
        _, counts_FCP = confusions(list(self.classes), answered)
        found, drawn_B, n = means(counts_FCP), drawn(counts_FCP, seed, draws), len(answered)
        return [
            RankedMetric(f"folds.{key}", f"{title}, %", "high", True, found[key], found[key], drawn_B[key], n, n)
            for key, title in TITLES.items()
        ]

    def metrics(self, predictions: Sequence[Any], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json: WAR and UAR over the folds beside the scores of all clips at once."""
        answered = _answered(predictions)
        pairs = [(truth, named) for _, truth, named in answered]
        found = class_metrics("class", list(self.classes), pairs, [row.status for row in predictions], seed)
        if not answered:
            return {**found, "attribute": self.attribute, "folds": None}
        folds, bounds = fold_metrics(list(self.classes), answered, seed)
        return {
            **found,
            "attribute": self.attribute,
            "folds": folds,
            "ci95": {**found["ci95"], "folds": bounds},
            "warnings": [*found["warnings"], *_warnings(folds)],
        }

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against the field's numbers."""
        folds = {record.attributes.get("fold") for record in records}
        return [] if len(folds - {None}) == FOLDS else [f"clips of {len(folds - {None})} of the {FOLDS} official folds"]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: the means over the folds, each fold's, and each class's recall."""
        title, found = f"# {self.dataset}: {markdown(name)}", metrics["folds"]
        if found is None:
            return f"{title}\n\nNo record has one of the classes: nothing to score.\n"
        bounds = metrics["ci95"]["folds"]
        silent = str(metrics["unanswered"]["class"])
        scores = [with_interval(found[key], bounds[key]) for key in TITLES]
        rows = [["Mean over folds", *scores, str(found["n"]), silent]]
        for each in found["each"]:
            label = f"Fold {each['fold']}" if each["fold"] is not None else "Without a fold"
            own = [with_interval(each[key], None) for key in TITLES]
            rows.append([label, *own, str(each["n"]), str(each["unanswered"])])
        pooled = [with_interval(found[f"{key}_pooled"], None) for key in TITLES]
        rows.append(["All clips at once", *pooled, str(found["n"]), silent])
        classes = [
            [markdown(of_class), *(with_interval(row[key], None) for key in CLASS_SCORES), str(row["n"])]
            for of_class, row in metrics["class"]["classes"].items()
        ]
        said = ", ".join(f"{status} {number}" for status, number in metrics["status"].items())
        lines = [
            title,
            "",
            markdown_table(["", *TITLES.values(), "n", "Unanswered"], rows, "lr"),
            "",
            "WAR: share of clips that are right. UAR: mean recall of the classes. Unanswered, and an answer that names "
            f"no class or several, is wrong. Answers: {said}.",
            "",
            markdown_table(["Class", "Precision", "Recall", "F1", "n"], classes, "lr"),
            "",
            *(f"- {markdown(note)}" for note in notes),
        ]
        return "\n".join(lines).rstrip() + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print WAR and UAR."""
        print(visible(title))
        for key, head in TITLES.items() if metrics["folds"] else ():
            print(f"  {head}: {with_interval(metrics['folds'][key], metrics['ci95']['folds'][key])}")


def _answered(predictions: Sequence[Any]) -> list[tuple[int | None, str, str | None]]:
    return [(row.fold, row.truth, row.named) for row in predictions if row.truth is not None]


def _warnings(folds: Mapping[str, Any]) -> list[str]:
    """Return what makes a mean over folds less than the official one."""
    there = {each["fold"] for each in folds["each"]} - {None}
    missing = sorted(set(range(1, FOLDS + 1)) - there)
    lines = [f"no clip of fold {', '.join(map(str, missing))}: the mean is over the others"] if missing else []
    absent = [f"fold {each['fold']} tests no {' or '.join(each['absent'])}" for each in folds["each"] if each["absent"]]
    return lines + absent
