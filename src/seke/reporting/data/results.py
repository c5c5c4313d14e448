"""The report's tables: benchmark scores, reliability of labels, cost of sampling; from files to `Table`s."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from seke.core import old_runs
from seke.core.affect import ACTION_UNITS, TABLE2_AUS
from seke.core.intervals import Estimate
from seke.core.records import InstructionRecord, Labels
from seke.core.rules import MEASURES, near
from seke.reporting.data.run_labels import NO_DRAWS, NamedRun
from seke.reporting.data.runs import FinishedRun
from seke.reporting.data.tables import Cell, Column, Row, Table

DESCRIPTIONS = ("expression", "valence", "arousal", "action_units")

ACCURACY, F1_OF_14, *ERRORS = map(Column.of, MEASURES)
SCORES = (
    ACCURACY,
    Column("expression.f1_macro", "F1 %", "Expression", 1, 100, "high"),
    F1_OF_14,
    Column("action_units.f1_mean_17", "F1 (17) %", "Action units", 1, 100, "high"),
    *(
        column
        for error in ERRORS
        for task in (error.group.lower(),)
        for column in (
            error,
            Column(f"{task}.rmse", "RMSE", error.group, 3, 1, "low"),
            Column(f"{task}.ccc", "CCC", error.group, 3, 1, "high"),
        )
    ),
    Column("n", "n", "Answers", 0),
    Column("unanswered", "no answer", "Answers", 0),
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
        counts = {"n": per_task(metrics, "n", "{}.n"), "unanswered": per_task(metrics, "unanswered", "unanswered.{}")}
        cells = {**metrics, **counts}
        rows.append(Row(words.label, cells, run.name, run.anchor, words.reference))
    return Table(name, title, head, SCORES, tuple(rows), caption)


TASKS = {"E": "expression", "AU": "action_units", "V": "valence", "A": "arousal"}


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
    name: str, title: str, head: str, runs: Sequence[NamedRun], keys: Sequence[tuple[str, str]], caption: str,
    compete: bool = True,
) -> Table:  # fmt: skip
    """Return one row per (label, key in metrics.json) and one column per evaluation, as per cent; more is better."""
    scores = {words.label: run.scores for run, words, _ in runs}
    columns = tuple(
        Column(words.label, words.short, "", 1, 100, "high" if compete and not words.reference else "")
        for _, words, _ in runs
    )
    rows = tuple(Row(label, {run: found.get(key) for run, found in scores.items()}) for label, key in keys)
    return Table(name, title, head, columns, rows, caption, across=True)


class Confusion(NamedTuple):
    """How often each class was taken for which; the last column counts answers that name none."""

    counts: tuple[tuple[int, ...], ...]
    """A row for each true class, in the order of `classes`, and a column more than classes."""
    classes: tuple[str, ...]


def confusion(run: FinishedRun) -> Confusion | None:
    """Return how often each class was taken for which, as the evaluation counted it; None where it did not."""
    found = run.metrics.get("confusion")
    return found and Confusion(tuple(map(tuple, found["counts"])), tuple(found["truth"]))


class Sampling(NamedTuple):
    """What one generation took."""

    distribution: Mapping[int, int]
    """S_n -> number of records."""
    mean: float | None
    """E[S]."""
    floor: float | None
    """What Algorithm 1 takes at zero uncertainty; None where another rule stops the sampling."""


def sampling(run: FinishedRun, rows: Sequence[InstructionRecord]) -> Sampling:
    """Return how many draws the records of a generation took, beside the floor of its stopping rule."""
    distribution = dict(sorted(Counter(row.samples for row in rows).items()))
    mean = sum(row.samples for row in rows) / len(rows) if rows else None
    floor: float | None = run.manifest["floor"] if "floor" in run.manifest else old_runs.floor(run.config)
    verified = any(draws >= 2 for draws in distribution)
    return Sampling(distribution, mean, floor if verified else None)


def _setting(config: Mapping[str, object], key: str) -> int | None:
    for group in ("generator", "stopping"):
        node = config.get(group)
        if isinstance(node, Mapping) and isinstance(value := node.get(key), int):
            return value
    return None


COST = (
    Column("records", "written", "Records", 0),
    Column("rejected", "rejected", "Records", 0),
    Column("mean_samples", "E[S]", "Draws", 3),
    Column("floor", "floor", "Draws", 3),
    Column("requests", "requests", "Per record", 2),
    Column("input_tokens", "tokens in", "Per record", 0),
    Column("output_tokens", "tokens out", "Per record", 0),
    Column("usd", "US$", "Whole run", 2),
    Column("rate", "records/s", "Whole run", 0),
    Column("annotator", "annotator", "Whole run"),
)


def cost_table(runs: Sequence[NamedRun], rows: Mapping[str, Sequence[InstructionRecord]], caption: str) -> Table:
    """Return what each generation cost, per written record; `rows` holds its instructions by run name."""
    lines = []
    for run, words, _ in runs:
        cost = {key: value for key, value in run.cost.items() if _is_number(value)}
        drawn = sampling(run, rows[run.name])
        records = cost.get("records", len(rows[run.name]))
        cells: dict[str, Cell] = {
            "records": Estimate(records),
            "rejected": Estimate(cost.get("rejected")),
            "mean_samples": Estimate(drawn.mean) if any(drawn.distribution) else NO_DRAWS,
            "floor": Estimate(drawn.floor),
            "usd": Estimate(cost.get("usd")),
            "rate": Estimate(_ratio(records, cost.get("seconds"))),
            "annotator": ", ".join(sorted({row.annotator for row in rows[run.name]})) or None,
        }
        for key in ("requests", "input_tokens", "output_tokens"):
            cells[key] = Estimate(_ratio(cost.get(key), records))
        lines.append(Row(words.label, cells, run.name, run.anchor))
    return Table("cost", "Draws, tokens and price of each generation", "Generation", COST, tuple(lines), caption)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


class Bin(NamedTuple):
    """Generated labels of like uncertainty, and how many of them are right."""

    label: str
    top: float
    """The highest uncertainty in this bin's range."""
    n: int
    right: int


THIRDS = ("low", "middle", "high")


def trust(rows: Sequence[InstructionRecord], truth: Mapping[str, Labels]) -> dict[str, tuple[Bin, ...]]:
    """Say, per description, how often generated labels are right at low, middle and high uncertainty.

    The bins are thirds of the records by that description's uncertainty; records of equal uncertainty stay together,
    so a third may be empty. An expression is right when it equals the truth, valence and arousal within 0.2 of it;
    each generated AU counts by itself, under the uncertainty of its record's AUs. Manual labels do not enter.
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
    edges = [levels[max(0, -(-len(levels) * part // 3) - 1)] for part in (1, 2, 3)] if levels else [0.0] * 3
    bottom = -1.0
    for label, top in zip(THIRDS, edges, strict=True):
        right = [each for level, found in judged if bottom < level <= top for each in found]
        yield Bin(label, top, len(right), sum(right))
        bottom = max(bottom, top)


def _generated_right(row: InstructionRecord, known: Labels, field: str) -> list[bool]:
    if field == "action_units":
        said, true = row.labels.action_units or {}, known.action_units or {}
        made = [int(au) for au, origin in row.origin.action_units.items() if origin == "generated"]
        return [said[au] == true[au] for au in made if au in said and au in true]
    value, fact = getattr(row.labels, field), getattr(known, field)
    if getattr(row.origin, field) != "generated" or value is None or fact is None:
        return []
    return [value == fact if field == "expression" else near(value, fact)]


def trust_table(bins: Mapping[str, tuple[Bin, ...]], caption: str) -> Table:
    """Return the shares of `trust` as a table: a row per level of uncertainty, a column per description."""
    names = {"expression": "Expression", "valence": "Valence", "arousal": "Arousal", "action_units": "Action units"}
    columns = tuple(
        column
        for field, name in names.items()
        for column in (
            Column(field, "right %", name, 1, 100),
            Column(f"{field}.n", "n", name, 0),
            Column(f"{field}.top", "up to", name, 3),
        )
    )
    rows = []
    for place, label in enumerate(THIRDS):
        cells: dict[str, Cell] = {}
        for field, levels in bins.items():
            found = levels[place]
            cells[field] = Estimate(found.right / found.n if found.n else None)
            cells[f"{field}.n"] = Estimate(found.n)
            cells[f"{field}.top"] = Estimate(found.top if found.n else None)
        rows.append(Row(label, cells))
    return Table("trust", "Right labels by uncertainty", "Uncertainty", columns, tuple(rows), caption)
