"""Action units by the protocols of DISFA's and BP4D's literature: few AUs, folds of subjects, F1 averaged over folds.

A model that was tuned on none of these subjects is asked about all of them, each in the fold in which it is tested; so
is one that was tuned on the other folds, `records=` being the test records of its fold. FEAB itself averages over other
AUs and images, so that its numbers and these cannot be held against each other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import Paired, PairedMetric, RankedMetric
from seke.benchmark.scoring.arrays import AUS, Columns, columns
from seke.benchmark.scoring.au_folds import FoldF1, Sums, fold_f1, resampled, sums
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.feab import Feab
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.intervals import SHARE, interval
from seke.core.records import ImageRecord, Labels, Prediction
from seke.core.text_tables import markdown_table

DRAWS = 1000


@dataclass(frozen=True)
class AUFolds(Feab):
    """FEAB's question, its answer scored by a protocol of AUs and folds.

    Raises:
        UserError: if `aus` are none, unknown or twice there, or a subject is in two folds, or there is none.
    """

    source: str = ""
    """Whose records count."""
    aus: Sequence[int] = ()
    folds: Sequence[Sequence[str]] = ()
    """The subjects of each."""
    name: str = "au_folds"
    row: ClassVar[type[BaseModel]] = Prediction
    headline: ClassVar[str] = "protocol.f1_mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.aus or len(set(self.aus)) < len(self.aus) or not set(self.aus) <= set(AUS):
            allowed = ", ".join(map(str, AUS))
            raise UserError("benchmark.aus", list(self.aus), "not a list of different AUs", f"choose from {allowed}")
        twice = [
            subject for subject, number in Counter(who for fold in self.folds for who in fold).items() if number > 1
        ]
        if twice or not all(self.folds) or not self.folds:
            problem = f"{twice[0]} is in two folds" if twice else "there is a fold without subjects, or no fold"
            raise UserError("benchmark.folds", f"{len(self.folds)} folds", problem, "list each subject once")

    @property
    def board(self) -> str:
        """Its name on a leaderboard."""
        return self.name

    @cached_property
    def _fold(self) -> Mapping[str, int]:
        return {subject: fold for fold, subjects in enumerate(self.folds) for subject in subjects}

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Prediction], int]:
        """Return one prediction per record of the protocol, and how many of them nobody answered.

        Raises:
            UserError: if no record is of the protocol: of its source and subjects, with one of its AUs annotated.
        """
        mine = [record for record in records if self._counts(record)]
        if not mine:
            found = ", ".join(sorted({record.source for record in records})) or "none"
            problem = (
                f"no record is of {self.source}'s {len(self._fold)} subjects with its AUs annotated; sources: {found}"
            )
            remedy = (
                f"prepare all of them: python prepare.py source={self.source} name={self.source} source.test_share=1"
            )
            raise UserError("records", f"{len(records)} records", problem, remedy)
        masked = [record.model_copy(update={"labels": self._protocol(record.labels)}) for record in mine]
        return super().predictions(masked, answers, judge)

    def _counts(self, record: ImageRecord) -> bool:
        return (
            record.source == self.source
            and record.subject in self._fold
            and self._protocol(record.labels).action_units is not None
        )

    def _protocol(self, labels: Labels) -> Labels:
        units = {au: active for au, active in (labels.action_units or {}).items() if au in self.aus}
        return Labels(action_units=units or None)

    def metrics(self, predictions: Sequence[Prediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        parts, fold_S, data = self._parts(predictions)
        found, drawn = self._f1(parts, fold_S), self._drawn(parts, fold_S, seed, DRAWS)
        clusters = len(fold_S)
        of_aus = {str(au): _number(found.mean_BA[0, place]) for place, au in enumerate(self.aus)}
        bounds = {
            str(au): interval(drawn.mean_BA[:, place], found.mean_BA[0, place], _showing(parts, place), SHARE)
            for place, au in enumerate(self.aus)
        }
        silent = int((~data.au_answered_N).sum())
        warnings = [
            f"AU{au}: fold {fold + 1} has no image that shows it, and does not count for it"
            for fold in np.unique(fold_S)
            for place, au in enumerate(self.aus)
            if np.isnan(found.f1_BKA[0, fold, place])
        ]
        absent = len(self._fold) - clusters
        if absent:
            warnings.append(f"{absent} of the protocol's {len(self._fold)} subjects have no record")
        if silent == len(predictions):
            warnings.append("no answer names an action unit")
        return {
            "n": len(predictions),
            "unanswered": {"protocol": silent},
            "status": dict(sorted(Counter(row.status for row in predictions).items())),
            "protocol": {
                "f1_mean": _number(found.mean_B[0]),
                "f1_pooled": _number(found.pooled_B[0]),
                "f1": of_aus,
                "folds": [
                    {
                        "subjects": int((fold_S == fold).sum()),
                        "n": int((fold_S[data.group_N] == fold).sum()),
                        "f1": {str(au): _number(found.f1_BKA[0, fold, place]) for place, au in enumerate(self.aus)},
                    }
                    for fold in range(len(self.folds))
                ],
                "n": len(predictions),
                "subjects": clusters,
            },
            "ci95": {
                "protocol": {
                    "f1_mean": interval(drawn.mean_B, found.mean_B[0], clusters, SHARE),
                    "f1_pooled": interval(drawn.pooled_B, found.pooled_B[0], clusters, SHARE),
                    "f1": bounds,
                }
            },
            **dict.fromkeys(("expression", "action_units", "valence", "arousal")),
            "by_source": {},
            "warnings": warnings,
        }

    def paired(self, ours: Sequence[Prediction], theirs: Sequence[Prediction], seed: int, draws: int) -> Paired:
        """Return what is compared of two runs: the protocol's mean F1, subjects resampled within their folds."""
        each = []
        for rows in (ours, theirs):
            parts, fold_S, _ = self._parts(rows)
            each.append((self._f1(parts, fold_S).mean_B[0], self._drawn(parts, fold_S, seed, draws).mean_B))
        (a, a_B), (b, b_B) = each
        mean = PairedMetric("protocol", "f1_mean", len(ours), len(fold_S), float(a), float(b), a_B - b_B, SHARE)
        return Paired([mean], None, "subjects")

    def ranked(self, predictions: Sequence[Prediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return the mean F1; who stays silent calls no AU active."""
        parts, fold_S, _ = self._parts(predictions)
        value, drawn_B = float(self._f1(parts, fold_S).mean_B[0]), self._drawn(parts, fold_S, seed, draws).mean_B
        title = f"AU F1, mean of {len(self.aus)}, %"
        return [RankedMetric(self.headline, title, "high", True, value, value, drawn_B, len(predictions), len(fold_S))]

    def what_differs(self, records_file: Any, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why numbers cannot be held against published ones."""
        absent = set(self._fold) - {record.subject for record in records if record.source == self.source}
        if not absent:
            return []
        return [f"{len(absent)} of the protocol's {len(self._fold)} subjects are not in it, such as {min(absent)}"]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: the mean over folds of each AU's F1, and each fold's."""
        found, bounds = metrics["protocol"], metrics["ci95"]["protocol"]
        row = [
            markdown(name),
            *(with_interval(found[key], bounds[key], found["subjects"]) for key in ("f1_mean", "f1_pooled")),
        ]
        counts = [str(found["n"]), str(found["subjects"]), str(metrics["unanswered"]["protocol"])]
        head = ["Method", "F1, mean over folds and AUs", "F1, all folds pooled", "Images", "Subjects", "Names no AU"]
        folds = [f"Fold {number}" for number in range(1, len(self.folds) + 1)]
        aus = [
            [
                f"AU{au}",
                with_interval(found["f1"][str(au)], bounds["f1"][str(au)]),
                *(with_interval(fold["f1"][str(au)], None) for fold in found["folds"]),
            ]
            for au in self.aus
        ]
        said = "".join(f"- {visible(note)}\n" for note in (*notes, *metrics["warnings"]))
        each = markdown_table(["Action unit", "Mean over folds", *folds], aus, "lr")
        title = f"# {markdown(self.name)}: {markdown(name)}"
        return f"{title}\n\n{markdown_table(head, [[*row, *counts]], 'lr')}\n\n{each}\n{said and chr(10) + said}"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print the mean F1."""
        print(visible(title))
        for key in ("f1_mean", "f1_pooled"):
            print(f"  {key}: {with_interval(metrics['protocol'][key], metrics['ci95']['protocol'][key])}")

    def _parts(self, predictions: Sequence[Prediction]) -> tuple[Sums, NDArray[np.int64], Columns]:
        """Return sums by subject, each subject's fold, and the rows as columns."""
        data = columns(predictions)
        fold_S = np.zeros(int(data.group_N.max()) + 1, dtype=np.int64)
        fold_S[data.group_N] = [self._fold[row.subject or ""] for row in predictions]
        return sums(data, self.aus), fold_S, data

    def _f1(self, parts: Sums, fold_S: NDArray[np.int64]) -> FoldF1:
        return fold_f1(parts, fold_S, len(self.folds))

    def _drawn(self, parts: Sums, fold_S: NDArray[np.int64], seed: int, draws: int) -> FoldF1:
        return resampled(parts, fold_S, len(self.folds), draws, seed)


def _showing(parts: Sums, place: int) -> int:
    """Return how many subjects show an AU: of them its F1 is."""
    return int(np.count_nonzero(parts.active_SA[:, place]))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
