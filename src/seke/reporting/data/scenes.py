"""Scenes in the report: which emotion a picture evokes, and how well an answer reasons about it; from files to tables.

An evaluation belongs here by what its metrics.json measures, "emotion" or "reasoning", whatever benchmark measured it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from seke.core import old_runs
from seke.core.intervals import Estimate, estimated
from seke.reporting.data.results import shares_across
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Felt, FinishedRun
from seke.reporting.data.tables import Cell, Column, Row, Table

EMOTION: Final = "emotion"
REASONING: Final = "reasoning"
SYNTHETIC: Final = "synthetic_scenes"
DRAWS: Final = 10_000
CLASSES: Final = "emotion.classes."
SCORES: Final = (
    Column("emotion.accuracy", "acc. %", "Emotion", 1, 100, "high"),
    Column("emotion.f1_macro", "macro F1 %", "Emotion", 1, 100, "high"),
    Column("emotion.chance", "chance %", "Without a model", 1, 100),
    Column("emotion.commonest", "commonest %", "Without a model", 1, 100),
    Column("emotion.n", "n", "Pictures", 0),
    Column("unanswered.emotion", "no answer", "Pictures", 0),
)
"""The columns of a benchmark that asks for a picture's emotion."""
SAID: Final = "Chance: one of the emotions at random; commonest: always the most frequent of these pictures. "


def measures(run: FinishedRun, task: str) -> bool:
    """Whether an evaluation measures this task."""
    return task in run.metrics


def without_a_model(metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the accuracies that need no model, of as many classes and pictures as were scored; {} without any."""
    sizes = [found.value or 0.0 for key, found in metrics.items() if key.startswith(CLASSES) and key.endswith(".n")]
    if not sum(sizes):
        return {}
    return {
        "emotion.chance": Estimate(1 / len(sizes)),
        "emotion.commonest": Estimate(max(sizes) / sum(sizes)),
    }


def same_pictures(runs: Sequence[NamedRun]) -> bool:
    """Whether all evaluations asked about the same records: only then is one of them the best."""
    return len({(run.manifest.get("inputs") or {}).get("records") for run, _, _ in runs}) == 1


def score_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return one row per evaluation: accuracy and macro F1 beside what needs no model."""
    rows, alike = [], same_pictures(runs)
    for run, words, _ in runs:
        metrics = run.scores
        cells = {**metrics, **without_a_model(metrics)}
        rows.append(Row(words.label, cells, run.name, run.anchor, words.reference or not alike))
    return Table("scenes", "Emotions named, beside what needs no model", "Model", SCORES, tuple(rows), SAID + caption)


def class_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return the F1 of each emotion, one row per emotion and one column per evaluation; their mean ends it."""
    scored = [key for run, _, _ in runs for key in run.scores if key.startswith(CLASSES) and key.endswith(".f1")]
    keys = [(key.removeprefix(CLASSES).removesuffix(".f1"), key) for key in dict.fromkeys(scored)]
    keys.append(("Mean of those present", "emotion.f1_macro"))
    alike = same_pictures(runs)
    return shares_across("scene_emotions", "F1 of each emotion, %", "Emotion", runs, keys, caption, compete=alike)


def marks_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return one row per evaluation: the mean of each criterion's marks, and who gave them."""
    told = [(item, item.run.metrics) for item in runs]
    names = dict.fromkeys(name for _, found in told for name in found[REASONING]["criteria"])
    columns = (
        *(Column(name, name, "Mark, 1 to 5", 2) for name in names),
        Column("n", "n", "Answers", 0),
        Column("unanswered", "no answer", "Answers", 0),
        Column("judges", "judges", "Answers"),
    )
    rows = []
    for (run, words, _), found in told:
        marks = {name: _estimate(mark, "mean") for name, mark in found[REASONING]["criteria"].items()}
        who = {judge: ", ".join(each["models"]) or "none" for judge, each in found["judges"].items()}
        cells: dict[str, Cell] = {
            **marks,
            "n": Estimate(found["n"]),
            "unanswered": Estimate(found["unanswered"][REASONING]),
            "judges": "; ".join(f"{judge}: {models}" for judge, models in who.items()),
        }
        rows.append(Row(words.label, cells, run.name, run.anchor, words.reference))
    title = "Affective reasoning, as judges mark it"
    return Table("reasoning", title, "Model", columns, tuple(rows), caption)


def agreement_table(runs: Sequence[NamedRun]) -> Table | None:
    """Return how far each two judges agree on each criterion; None where nobody was judged twice."""
    told = [(item, item.run.metrics["agreement"]) for item in runs]
    names = dict.fromkeys(name for _, pairs in told for criteria in pairs.values() for name in criteria)
    columns = tuple(
        column
        for name in names
        for column in (Column(name, "κ", name, 2), Column(f"{name}.exact", "same %", name, 0, 100))
    )
    rows = [
        Row(f"{words.label}: {pair}", _agreed(criteria), run.name, run.anchor)
        for (run, words, _), pairs in told
        for pair, criteria in pairs.items()
    ]
    caption = "κ: Cohen's kappa with quadratic weights, with its 95 % interval; same: marks that are equal."
    title = "How far two judges agree"
    return Table("agreement", title, "Answers and judges", columns, tuple(rows), caption) if rows else None


def _agreed(criteria: Mapping[str, Any]) -> dict[str, Cell]:
    kappas = {name: _estimate(found, "kappa") for name, found in criteria.items()}
    return {**kappas, **{f"{name}.exact": Estimate(found["exact"]) for name, found in criteria.items()}}


def _estimate(found: Mapping[str, Any], key: str) -> Estimate:
    return Estimate(found[key], *(found["ci95"] or (None, None)))


def judges(run: FinishedRun) -> list[bool]:
    """Return of each model that judged an evaluation's answers whether it is a simulation."""
    found = run.metrics.get("judges") or {}
    return [
        old_runs.simulated(model in each["simulated"] if "simulated" in each else None, model)
        for each in found.values()
        for model in each["models"]
    ]


def drawn(run: FinishedRun) -> tuple[int, int]:
    """Return how many of an evaluation's scenes are synthetic, of how many: its predictions name their source."""
    if not (measures(run, EMOTION) or measures(run, REASONING)):
        return 0, 0
    return sum(row.source == SYNTHETIC for row in run.felt), len(run.felt)


def felt(run: FinishedRun, source: str | None = None) -> dict[str, Felt]:
    """Return by id what was said about the pictures, of one source or of all, whose emotion is known."""
    return {row.id: row for row in run.felt if row.truth is not None and source in (None, row.source)}


def difference(ours: Mapping[str, Felt], theirs: Mapping[str, Felt]) -> dict[str, Estimate]:
    """Return by how much our accuracy exceeds theirs, with its interval, over the pictures that both were asked about.

    The pictures are drawn anew together: each is right in both, in neither, or in one of the two, which is a draw from
    a multinomial. Empty where no picture is in both, or where their truths differ.
    """
    pairs = [(row, theirs[id_]) for id_, row in ours.items() if id_ in theirs]
    if not pairs or any(a.truth != b.truth for a, b in pairs):
        return {}
    gains_N = np.array([(a.emotion == a.truth) - (b.emotion == b.truth) for a, b in pairs])
    gains, counts = np.unique(gains_N, return_counts=True)
    means_B = np.random.default_rng(0).multinomial(len(pairs), counts / len(pairs), size=DRAWS) @ gains / len(pairs)
    return {"emotion.accuracy": estimated(means_B, float(gains_N.mean()), len(pairs))}
