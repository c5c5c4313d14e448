"""Tables of scenes: which emotion a picture evokes, and how well an answer reasons about it, from finished runs.

An evaluation belongs here by what its metrics.json measures, "emotion", "class" (of another attribute) or "reasoning",
whatever benchmark measured it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seke.core import old_runs
from seke.core.intervals import Estimate
from seke.core.records import RecordError
from seke.core.rules import EMOTIONS
from seke.reporting.data.results import shares_across
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import FinishedRun, SceneAnswer, estimate
from seke.reporting.data.tables import Cell, Column, Row, Table

EMOTION: Final = "emotion"
CLASS: Final = "class"
REASONING: Final = "reasoning"
SYNTHETIC: Final = "synthetic_scenes"
CLASSES: Final = "emotion.classes."
TASKS: Final = {EMOTION: "Emotion", CLASS: "Class"}
"""What a benchmark that asks for a picture's class measures, and a heading for it: its emotion, or any attribute."""


def _scores(task: str) -> tuple[Column, ...]:
    return (
        Column.percent(f"{task}.accuracy", "acc. %", TASKS[task]),
        Column.percent(f"{task}.f1_macro", "macro F1 %", TASKS[task]),
        Column.percent(f"{task}.chance", "chance %", "Without a model", better=""),
        Column.percent(f"{task}.commonest", "commonest %", "Without a model", better=""),
        Column.count(f"{task}.n", "n", "Pictures"),
        Column.count(f"unanswered.{task}", "no answer", "Pictures"),
    )


SCORES: Final = _scores(EMOTION)
CLASS_SCORES: Final = _scores(CLASS)
"""The columns of a benchmark that asks for a picture's emotion, and for its class by another attribute."""
CAPTION: Final = "Chance: one of the emotions at random; commonest: always the most frequent of these pictures. "


def measures(run: FinishedRun, task: str) -> bool:
    """Whether an evaluation measures this task."""
    return task in run.metrics


def without_a_model(metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the accuracies that need no model, of as many classes and pictures as were scored; {} without any."""
    found: dict[str, Estimate] = {}
    for task in TASKS:
        ours = [key for key in metrics if key.startswith(f"{task}.classes.") and key.endswith(".n")]
        sizes = [metrics[key].value or 0.0 for key in ours]
        if sum(sizes):
            found[f"{task}.chance"] = Estimate(1 / len(sizes))
            found[f"{task}.commonest"] = Estimate(max(sizes) / sum(sizes))
    return found


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
    return Table(
        "scenes", "Emotions named, beside what needs no model", "Model", SCORES, tuple(rows), CAPTION + caption
    )


def classified_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return one row per evaluation of another attribute than the emotion; each is a reference: classes differ."""
    rows = []
    for run, words, _ in runs:
        metrics = run.scores
        label = f"{words.label}: {run.metrics.get('attribute', 'class')}"
        rows.append(Row(label, {**metrics, **without_a_model(metrics)}, run.name, run.anchor, reference=True))
    title = "Classes named, beside what needs no model"
    return Table("classes", title, "Model and attribute", CLASS_SCORES, tuple(rows), caption)


def class_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return the F1 of each emotion, one row per emotion and one column per evaluation; their mean ends it."""
    scored = [key for run, _, _ in runs for key in run.scores if key.startswith(CLASSES) and key.endswith(".f1")]
    keys = [(key.removeprefix(CLASSES).removesuffix(".f1"), key) for key in dict.fromkeys(scored)]
    keys.append(("Mean of those present", "emotion.f1_macro"))
    alike = same_pictures(runs)
    return shares_across("scene_emotions", "F1 of each emotion, %", "Emotion", runs, keys, caption, compete=alike)


def marks_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return one row per evaluation: the mean of each criterion's marks, and who gave them."""
    names = dict.fromkeys(name for item in runs for name in item.run.metrics[REASONING]["criteria"])
    columns = (
        *(Column(name, name, "Mark, 1 to 5", 2) for name in names),
        Column.count("n", "n", "Answers"),
        Column.count("unanswered", "no answer", "Answers"),
        Column("judges", "judges", "Answers"),
    )
    rows = []
    for run, words, _ in runs:
        metrics = run.metrics
        marks = {name: estimate(mark, "mean") for name, mark in metrics[REASONING]["criteria"].items()}
        who = {judge: ", ".join(each["models"]) or "none" for judge, each in metrics["judges"].items()}
        cells: dict[str, Cell] = {
            **marks,
            "n": Estimate(metrics["n"]),
            "unanswered": Estimate(metrics["unanswered"][REASONING]),
            "judges": "; ".join(f"{judge}: {models}" for judge, models in who.items()),
        }
        rows.append(Row(words.label, cells, run.name, run.anchor, words.reference))
    title = "Affective reasoning, as judges mark it"
    return Table("reasoning", title, "Model", columns, tuple(rows), caption)


def agreement_table(runs: Sequence[NamedRun]) -> Table | None:
    """Return how far each two judges agree on each criterion; None where nobody was judged twice."""
    agreements = [(item, item.run.metrics["agreement"]) for item in runs]
    names = dict.fromkeys(name for _, pairs in agreements for criteria in pairs.values() for name in criteria)
    columns = tuple(
        column
        for name in names
        for column in (Column(name, "κ", name, 2), Column(f"{name}.exact", "same %", name, 0, 100))
    )
    rows = [
        Row(f"{words.label}: {pair}", _agreement_cells(criteria), run.name, run.anchor)
        for (run, words, _), pairs in agreements
        for pair, criteria in pairs.items()
    ]
    caption = "κ: Cohen's kappa with quadratic weights, with its 95 % interval; same: marks that are equal."
    title = "How far two judges agree"
    return Table("agreement", title, "Answers and judges", columns, tuple(rows), caption) if rows else None


def _agreement_cells(criteria: Mapping[str, Any]) -> dict[str, Cell]:
    kappas = {name: estimate(pair, "kappa") for name, pair in criteria.items()}
    return {**kappas, **{f"{name}.exact": Estimate(pair["exact"]) for name, pair in criteria.items()}}


def judges(run: FinishedRun) -> list[bool]:
    """Return of each model that judged an evaluation's answers whether it is a simulation."""
    judges_of_run = run.metrics.get("judges") or {}
    return [
        old_runs.simulated(model in each["simulated"] if "simulated" in each else None, model)
        for each in judges_of_run.values()
        for model in each["models"]
    ]


def count_synthetic(run: FinishedRun) -> tuple[int, int]:
    """Return how many of an evaluation's scenes are synthetic, of how many: its predictions name their source."""
    if not any(measures(run, task) for task in (EMOTION, CLASS, REASONING)):
        return 0, 0
    return sum(row.source == SYNTHETIC for row in run.scene_answers), len(run.scene_answers)


def answers_by_id(run: FinishedRun, source: str | None = None) -> dict[str, SceneAnswer]:
    """Return by id the answers about pictures, of one source or of all, whose emotion is known.

    Raises:
        RecordError: if an answer or a truth is none of Mikels' eight emotions.
    """
    answers = {row.id: row for row in run.scene_answers if row.truth is not None and source in (None, row.source)}
    for id_, row in answers.items():
        if row.truth not in EMOTIONS or row.emotion not in (None, *EMOTIONS):
            raise RecordError(run.path / "predictions.jsonl", f"{id_}: {row.emotion} or {row.truth} is no such emotion")
    return answers
