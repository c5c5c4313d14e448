"""Tables of faces: benchmark scores, reliability of labels, cost of sampling, from finished runs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from seke.core import old_runs
from seke.core.affect import ACTION_UNITS, TABLE2_AUS
from seke.core.intervals import Estimate
from seke.core.records import InstructionRecord, Labels
from seke.core.rules import ENOUGH_ANSWERED, MEASURES, competing, percent_answered
from seke.reporting.data.cases import verdict
from seke.reporting.data.run_labels import NO_DRAWS, NamedRun
from seke.reporting.data.runs import FinishedRun, estimate
from seke.reporting.data.spread import level_words
from seke.reporting.data.tables import Cell, Column, Partial, Row, Table

DESCRIPTIONS: Final = {
    "expression": "Expression", "valence": "Valence", "arousal": "Arousal", "action_units": "Action units",
}  # fmt: skip
"""What is said of a face, and its name in tables and figures."""


def _errors(mae: Column) -> tuple[Column, ...]:
    task = mae.group.lower()
    rmse = Column(f"{task}.rmse", "RMSE", mae.group, better="low")
    return mae, rmse, Column(f"{task}.ccc", "CCC", mae.group, better="high")


ACCURACY, F1_OF_14, VALENCE_MAE, AROUSAL_MAE = map(Column.of, MEASURES)
SCORES: Final = (
    ACCURACY,
    Column.percent("expression.f1_macro", "F1 %", "Expression"),
    F1_OF_14,
    Column.percent("action_units.f1_mean_17", "F1 (17) %", "Action units"),
    *_errors(VALENCE_MAE),
    *_errors(AROUSAL_MAE),
    Column.count("n", "n", "Answers"),
    Column.count("subjects", "subjects", "Answers"),
    Column.count("unanswered", "no answer", "Answers"),
)
"""FEAB's columns, in the order of Table 2. Shares are printed as per cent; errors on the scale [-1, 1]."""


def is_reliability(run: FinishedRun) -> bool:
    """Whether an evaluation scores labels that were generated, not a model's answers."""
    return old_runs.scores(run.manifest.get("scores"), run.config) == "labels"


def score_table(name: str, title: str, head: str, runs: Sequence[NamedRun], caption: str) -> Table:
    """Return one row per evaluation with all of FEAB's columns."""
    rows = []
    for run, words, _ in runs:
        metrics = run.scores
        counts = {
            "n": per_task(metrics, "n", "{}.n"),
            "subjects": per_task(metrics, "", "subjects.{}"),
            "unanswered": per_task(metrics, "unanswered", "unanswered.{}"),
        }
        cells = {**metrics, **counts}
        partial = partly_answered(SCORES, {key: found.value for key, found in metrics.items()})
        rows.append(Row(words.label, cells, run.name, run.anchor, words.reference, partial))
    return Table(name, title, head, SCORES, tuple(rows), " ".join([caption, *silence(rows), *_own_draws(runs)]))


def _own_draws(runs: Sequence[NamedRun]) -> list[str]:
    """Say whose test images are not known to be the released FEAB: nothing of the paper's is comparable with them."""
    own = [words.label for run, words, _ in runs if run.manifest.get("own_draw") and not is_reliability(run)]
    which = "" if len(own) == len(runs) else f" ({', '.join(own)})"
    return [f"Own draw of the test images, not known to be the released FEAB{which}."] if own else []


def gain_column(column: Column) -> Column:
    """Return the column of what a row gains on a measure over another one."""
    key, under = f"{column.key}.gain", column.key
    return Column(key, "gain", column.group, column.digits, column.scale, signed=True, under=under)


def with_gains(table: Table, runs: Sequence[NamedRun]) -> Table:
    """Return a `score_table` with what each run gains beside Table 2's measures, as `evaluate.py compare=` found it.

    As it is where no run was compared, or not all with the same other one: the columns would mean several things.
    """
    compared = {run.name: run.comparison for run, _, _ in runs if run.comparison}
    against = {str(found["against"]) for found in compared.values()}
    if len(against) != 1:
        return table
    [other] = against
    label = next((words.label for run, words, _ in runs if run.name == other), other)
    headline = {column.key: column for column in (ACCURACY, F1_OF_14, VALENCE_MAE, AROUSAL_MAE)}
    rows = []
    for row in table.rows:
        gains = dict.fromkeys((f"{key}.gain" for key in headline), "" if row.run == other else None)
        found = compared.get(row.run, {}).get("metrics", ())
        rows.append(replace(row, cells={**row.cells, **gains, **dict(_gains(found, headline))}))
    columns = [each for column in table.columns for each in (column, *_beside(column, headline))]
    counts = sorted({int(found["n"]) for found in compared.values()})
    shared = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    said = f"Gain: over {label}, + is better; paired by subject, on the pictures that both scored ({shared})."
    return replace(table, columns=tuple(columns), rows=tuple(rows), caption=f"{table.caption} {said}")


def _beside(column: Column, headline: Mapping[str, Column]) -> list[Column]:
    return [gain_column(column)] if column.key in headline else []


def _gains(found: Sequence[Mapping[str, Any]], headline: Mapping[str, Column]) -> Iterator[tuple[str, Cell]]:
    """Yield the differences of comparison.json, turned so that + is better."""
    for each in found:
        column = headline.get(f"{each['task']}.{each['metric']}")
        if column is not None and each["difference"] is not None:
            gain = estimate(each, "difference")
            if column.better == "low":
                gain = Estimate(*map(_minus, (gain.value, gain.high, gain.low)))
            yield f"{column.key}.gain", gain


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


SILENCE: Final = (
    "n = %: the share of images whose answer states the number; over all: silence counted as the best constant answer. "
    f"Below {percent_answered(ENOUGH_ANSWERED)} no such number is the best; above, it competes as if each missing "
    "answer were wholly wrong."
)


def silence(rows: Iterable[Row]) -> list[str]:
    """Return what is to be said of a table some of whose numbers are not over all images."""
    return [SILENCE] if any(row.partial for row in rows) else []


def partly_answered(columns: Iterable[Column], numbers: Mapping[str, float | None]) -> dict[str, Partial]:
    """Return, by key, the valence and arousal columns of a row that some images have no answer for.

    Args:
        columns: of the table.
        numbers: the row's, by their keys in metrics.json.
    """
    found = {}
    for key in (column.key for column in columns):
        task, _, metric = key.partition(".")
        coverage = _coverage(task, numbers) if task in ("valence", "arousal") else 1.0
        if coverage < 1:
            rival = competing(numbers.get(key), coverage, numbers.get(f"{task}.at_worst.{metric}"))
            found[key] = Partial(coverage, numbers.get(f"{task}.{metric}_over_all"), rival)
    return found


TASKS = {"E": "expression", "AU": "action_units", "V": "valence", "A": "arousal"}


def _coverage(task: str, numbers: Mapping[str, float | None]) -> float:
    """Return the answered share of a task's images; of runs of earlier releases from what they counted."""
    if (noted := numbers.get(f"{task}.coverage")) is not None:
        return noted
    silent, images = numbers.get(f"unanswered.{task}"), numbers.get(f"{task}.n")
    return 1 - silent / images if silent is not None and images else 1.0


def per_task(metrics: Mapping[str, Estimate], total: str, key: str) -> Cell:
    """Return a count: one number where all tasks have as many, else one for each task, as "E 165, AU 317, ...".

    `key` names a task's count, with {} for the task; `total` is the count to fall back on where no task has its own.
    """
    counts = {short: found for short, task in TASKS.items() if (found := metrics.get(key.format(task)))}
    known = {short: found.value for short, found in counts.items() if found.value is not None}
    if len(set(known.values())) > 1:
        return ", ".join(f"{short} {value:.0f}" for short, value in known.items())
    return metrics.get(total, Estimate(next(iter(known.values()), None)))


def au_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return the F1 of each AU, one row per AU and one column per evaluation; the means of 14 and 17 end it."""
    keys = [(f"AU{au} {label}", f"action_units.f1.{au}") for au, label in ACTION_UNITS.items()]
    keys += [
        (f"Mean of the paper's {len(TABLE2_AUS)}", "action_units.f1_mean_14"),
        (f"Mean of all {len(ACTION_UNITS)}", "action_units.f1_mean_17"),
    ]
    return shares_across("action_units", "F1 of each action unit, %", "Action unit", runs, keys, caption)


def shares_across(
    name: str,
    title: str,
    head: str,
    runs: Sequence[NamedRun],
    keys: Sequence[tuple[str, str]],
    caption: str,
    compete: bool = True,
) -> Table:
    """Return one row per (label, key in metrics.json) and one column per evaluation, as per cent; more is better."""
    scores = {words.label: run.scores for run, words, _ in runs}
    columns = tuple(
        replace(
            Column.percent(words.label, words.short, "", "high" if compete and not words.reference else ""),
            run=run.name,
        )
        for run, words, _ in runs
    )
    rows = tuple(Row(label, {run: found.get(key) for run, found in scores.items()}, about=key) for label, key in keys)
    return Table(name, title, head, columns, rows, caption, across=True)


class Confusion(NamedTuple):
    """How often each class was taken for which; the last column counts answers that name none."""

    counts: tuple[tuple[int, ...], ...]
    """A row for each true class, in the order of `classes`, and a column more than classes."""
    classes: tuple[str, ...]
    task: str = "expression"
    """What was asked for, as metrics.json calls it."""


def confusion(run: FinishedRun) -> Confusion | None:
    """Return how often each class was taken for which, as the evaluation counted it; None where it did not."""
    matrix = run.metrics.get("confusion")
    task = next((task for task in ("emotion", "class") if task in run.metrics), "expression")
    return matrix and Confusion(tuple(map(tuple, matrix["counts"])), tuple(matrix["truth"]), task)


class Sampling(NamedTuple):
    """What one generation took."""

    distribution: Mapping[int, int]
    """S_n -> number of records."""
    mean: float | None
    """E[S]."""
    floor: float | None
    """What Algorithm 1 takes at zero uncertainty; None where another rule stops the sampling."""


def sampling(run: FinishedRun) -> Sampling:
    """Return how many draws the records of a generation took, beside the floor of its stopping rule."""
    rows = run.instructions
    distribution = dict(sorted(Counter(row.samples for row in rows).items()))
    mean = sum(row.samples for row in rows) / len(rows) if rows else None
    floor: float | None = run.manifest["floor"] if "floor" in run.manifest else old_runs.floor(run.config)
    verified = any(draws >= 2 for draws in distribution)
    return Sampling(distribution, mean, floor if verified else None)


COST: Final = (
    Column.count("records", "written", "Records"),
    Column.count("rejected", "rejected", "Records"),
    Column("mean_samples", "E[S]", "Draws"),
    Column("floor", "floor", "Draws"),
    Column("requests", "requests", "Per record", 2),
    Column.count("input_tokens", "tokens in", "Per record"),
    Column.count("output_tokens", "tokens out", "Per record"),
    Column("usd", "US$", "Whole run", 2),
    Column.count("rate", "records/s", "Whole run"),
    Column("annotator", "annotator", "Whole run"),
)


def cost_table(runs: Sequence[NamedRun], caption: str) -> Table:
    """Return what each generation cost, per written record."""
    lines = []
    for run, words, _ in runs:
        cost, draws = run.cost, sampling(run)
        records = cost.get("records", len(run.instructions))
        cells: dict[str, Cell] = {
            "records": Estimate(records),
            "rejected": Estimate(cost.get("rejected")),
            "mean_samples": Estimate(draws.mean) if any(draws.distribution) else NO_DRAWS,
            "floor": Estimate(draws.floor),
            "usd": Estimate(cost.get("usd")),
            "rate": Estimate(_ratio(records, cost.get("seconds"))),
            "annotator": ", ".join(sorted({row.annotator for row in run.instructions})) or None,
            **{key: Estimate(_ratio(cost.get(key), records)) for key in ("requests", "input_tokens", "output_tokens")},
        }
        lines.append(Row(words.label, cells, run.name, run.anchor))
    return Table("cost", "Draws, tokens and price of each generation", "Generation", COST, tuple(lines), caption)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


class Bin(NamedTuple):
    """Generated labels of like uncertainty, and how many of them are right."""

    label: str
    bottom: float
    """The lowest uncertainty that occurs in it."""
    top: float
    """The highest."""
    n: int
    """At least 1."""
    right: int


LEVELS: Final = {1: ("all",), 2: ("low", "high"), 3: ("low", "middle", "high")}
"""What bins are called, by how many there are."""


def right_by_uncertainty(rows: Sequence[InstructionRecord], truth: Mapping[str, Labels]) -> dict[str, tuple[Bin, ...]]:
    """Return, per description, how often generated labels are right at low, middle and high uncertainty.

    The bins are thirds of the records by that description's uncertainty; records of equal uncertainty stay together,
    so there may be fewer than three, of unequal size; none where no label can be judged. An expression is right when
    it equals the truth, valence and arousal within 0.2 of it; each generated AU counts by itself, under the
    uncertainty of its record's AUs. Manual labels do not enter.
    """
    return {field: tuple(_thirds(list(_judged(rows, truth, field)))) for field in DESCRIPTIONS}


def _judged(
    rows: Sequence[InstructionRecord], truth: Mapping[str, Labels], field: str
) -> Iterator[tuple[float, list[bool]]]:
    """Yield the uncertainty of each record that has generated labels of `field`, and which of them are right."""
    for row in rows:
        known, level = truth.get(row.id), getattr(row.uncertainty, field)
        if known is not None and level is not None and (right := _generated_right(row, known, field)):
            yield level, right


def _thirds(judged: list[tuple[float, list[bool]]]) -> Iterator[Bin]:
    levels = sorted(level for level, _ in judged)
    edges = sorted({levels[-(-len(levels) * part // 3) - 1] for part in (1, 2, 3)}) if levels else []
    bottom = -1.0
    for label, edge in zip(LEVELS.get(len(edges), ()), edges, strict=True):
        inside = [(level, found) for level, found in judged if bottom < level <= edge]
        right = [each for _, found in inside for each in found]
        yield Bin(label, min(level for level, _ in inside), edge, len(right), sum(right))
        bottom = edge


def _generated_right(row: InstructionRecord, known: Labels, field: str) -> list[bool]:
    if field == "action_units":
        labels, true = row.labels.action_units or {}, known.action_units or {}
        made = [int(au) for au, origin in row.origin.action_units.items() if origin == "generated"]
        return [labels[au] == true[au] for au in made if au in labels and au in true]
    judged = verdict(row.labels, known, field) if getattr(row.origin, field) == "generated" else "unknown"
    return [] if judged == "unknown" else [judged == "right"]


def uncertainty_table(bins: Mapping[str, tuple[Bin, ...]], caption: str) -> Table:
    """Return the shares of `right_by_uncertainty`, a row for each level of uncertainty that a description has."""
    columns = (
        Column("spread", "draws lie apart by"),
        Column.percent("right", "right %", "", better=""),
        Column.count("n", "n", ""),
        Column("uncertainty", "uncertainty up to"),
    )
    rows = []
    for field, levels in bins.items():
        for level in levels:
            ends = dict.fromkeys((level_words(field, level.bottom), level_words(field, level.top)))
            cells: dict[str, Cell] = {
                "spread": " to ".join(ends),
                "right": Estimate(level.right / level.n),
                "n": Estimate(level.n),
                "uncertainty": Estimate(level.top),
            }
            rows.append(Row(f"{DESCRIPTIONS[field]}, {level.label}", cells))
    return Table("trust", "Right labels by uncertainty", "Uncertainty of", columns, tuple(rows), caption)
