"""The benchmark's tables: a run's row under the paper's Table 2, and every metric with its interval."""

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import old_runs
from seke.core.affect import TABLE2_AUS
from seke.core.escape import markdown, visible
from seke.core.records import ImageRecord
from seke.core.rules import MEASURES
from seke.core.runs import manifest_beside
from seke.core.text_tables import markdown_table

PAPER: Final = Path(__file__).parent / "paper"
"""The paper's Tables 1 to 4, numbers verbatim."""
HEADLINE: Final = {
    "expression": ("accuracy", "f1_macro"),
    "action_units": ("f1_mean_14", "f1_mean_17"),
    "valence": ("mae", "rmse", "ccc", "pearson"),
    "arousal": ("mae", "rmse", "ccc", "pearson"),
}
"""The metrics that a reader compares, in the paper's order."""
ABSENT: Final = "–"

OF_PAPER: Final = {measure.paper: measure for measure in MEASURES}
LOWER_IS_BETTER: Final = [column for column, measure in OF_PAPER.items() if measure.better == "low"]
TABLE2_COLUMNS: Final = ("EXP", *(f"AU{au}" for au in TABLE2_AUS), "All", "Valence", "Arousal")


class Line(NamedTuple):
    """One metric as people read it."""

    task: str
    metric: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    """Images whose truth for this task (for an AU's F1: for any AU) is known."""
    unanswered: int


def paper(file: str) -> list[dict[str, str]]:
    """Return the rows of one of the paper's tables, e.g. "table2.csv", cells as the paper prints them."""
    with (PAPER / file).open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def table2_row(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return metrics.json as a row of Table 2: accuracy and F1 in percent, MAE as it is, absent numbers as a dash."""
    units = (metrics["action_units"] or {"f1": {}})["f1"]
    shares = {f"AU{au}": units.get(str(au)) for au in TABLE2_AUS}
    cells = {column: ABSENT if value is None else f"{100 * value:.1f}" for column, value in shares.items()}
    for column, measure in OF_PAPER.items():
        value = None if metrics[measure.task] is None else metrics[measure.task][measure.metric]
        cells[column] = ABSENT if value is None else measure.printed(value)
    return {column: cells[column] for column in TABLE2_COLUMNS}


def table2(name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return Table 2 in Markdown with this run's row last, and below it why that row may not be comparable.

    A row that is comparable competes for the bold numbers; one that is not (`notes` say why) stands outside.
    """
    theirs = [(row["method"], row) for row in paper("table2.csv")]
    ours = [(markdown(name) + (" †" if notes else ""), table2_row(metrics))]
    head = ["Method", "EXP Acc (%)", *(f"AU{au}" for au in TABLE2_AUS), "All", "Valence MAE", "Arousal MAE"]
    rows = _block(theirs) + _block(ours) if notes else _block([*theirs, *ours])
    lines = [
        markdown_table(head, rows, "lr"),
        "",
        "AU columns: positive-class F1 (%), All: their mean. Rows above the last: the paper's, on its own FEAB;",
        f"best {'of them ' if notes else ''}in bold, * closed-source.",
        *([f"\n† Not comparable with the paper's rows: {markdown('; '.join(notes))}."] if notes else []),
    ]
    return "\n".join(lines) + "\n"


def what_differs(records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
    """Return why a run's numbers cannot be held against the paper's; empty if nothing is known to differ."""
    notes = []
    expected = {_folder(row["dataset"]): row["test"] for row in paper("table1.csv")[:6]}
    found = {source: str(count) for source, count in Counter(record.source for record in records).items()}
    if old_runs.synthetic(manifest_beside(records_file).get("synthetic"), records_file.parent) == "faces":
        notes.append(f"synthetic faces ({len(records)} images), not FEAB's photographs")
    elif found != expected:
        notes.append(f"other images than the paper's 3035 ({len(records)} here)")
    return notes


def simulated_note(simulated: Collection[str], models: Collection[str]) -> list[str]:
    """Return what must be known where some of the `models` that answered, or all, are `simulated`.

    >>> simulated_note(["a"], ["a"]), simulated_note([], ["a"])
    (['answers of a simulated annotator, not of a model'], [])
    """
    if not simulated:
        return []
    if len(simulated) == len(models):
        return ["answers of a simulated annotator, not of a model"]
    return [f"some of the answers are of a simulated annotator ({', '.join(sorted(simulated))}), not of a model"]


def _folder(dataset: str) -> str:
    """Return the source name of a dataset of Table 1: "CK+" is ck_plus, "Aff-Wild2" is aff_wild2."""
    return dataset.lower().replace("+", "_plus").replace("-", "_")


def summary(metrics: Mapping[str, Any]) -> list[Line]:
    """Return the headline metrics; a task without truth gives no line."""
    return [
        Line(
            task,
            metric,
            metrics[task][metric],
            None if (bounds := metrics["ci95"][task][metric]) is None else (bounds[0], bounds[1]),
            metrics[task]["n"],
            metrics["unanswered"][task],
        )
        for task, names in HEADLINE.items()
        if metrics[task] is not None
        for metric in names
    ]


def summary_table(metrics: Mapping[str, Any]) -> str:
    """Return what is suspicious and `summary` in Markdown, then the same numbers source by source and AU by AU."""
    lines = [f"**Warning:** {markdown(warning)}.\n" for warning in metrics["warnings"]]
    headline = [[line.task, line.metric, *cells_of(line)] for line in summary(metrics)]
    headline += [[task, "absent: no image has its truth", ABSENT, ABSENT, "0", ABSENT] for task in absent(metrics)]
    by_source = []
    for source, found in metrics["by_source"].items():
        row = table2_row(found)
        by_source.append([markdown(source), str(found["n"]), *(row[column] for column in TABLE2_COLUMNS)])
    lines += [
        markdown_table(["Task", "Metric", "Value", "95 % interval", "n", "Unanswered"], headline, "llrlr"),
        "",
        "Intervals: bootstrap over subjects.",
        "",
        markdown_table(["Source", "n", *TABLE2_COLUMNS], by_source, "lr"),
    ]
    return "\n".join([*lines, *_au_lines(metrics)]) + "\n"


def absent(metrics: Mapping[str, Any]) -> list[str]:
    """Return the tasks whose truth no image has."""
    return [task for task in HEADLINE if metrics[task] is None]


def calibration_table(metrics: Mapping[str, Any]) -> str:
    """Return the calibration of the labels' confidences in Markdown; empty where metrics.json has none."""
    found = {task: values for task, values in (metrics.get("calibration") or {}).items() if values is not None}
    if not found:
        return ""
    names = {"ece": "ECE", "brier": "Brier", "aurc": "AURC", "excess_aurc": "Excess AURC"}
    rows = []
    for task, values in found.items():
        bounds = metrics["ci95"]["calibration"][task]
        rows.append([task, *(with_interval(values[name], bounds[name]) for name in names), str(values["n"])])
    note = "ECE: bins of equal mass. A dash: labels are ranked by how far the draws agree, no probability."
    return f"{markdown_table(['Confidence of', *names.values(), 'n'], rows, 'lr')}\n\n{note}\n"


def with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    """Return a number with its interval, as "0.123 (0.101 to 0.140)", or a dash."""
    if value is None:
        return ABSENT
    return f"{value:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")


def with_signed_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    """Return a difference with its interval, as "+0.123 (-0.010 to +0.256)", or a dash."""
    if value is None:
        return ABSENT
    return f"{value:+.3f}" + (f" ({bounds[0]:+.3f} to {bounds[1]:+.3f})" if bounds else "")


def show(metrics: Mapping[str, Any], title: str) -> None:
    """Print `summary` to the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("task", "metric", title=Text(visible(title)), title_justify="left")
    for column in ("value", "95 % interval", "n", "unanswered"):
        table.add_column(column, justify="right")
    for line in summary(metrics):
        table.add_row(line.task, line.metric, *cells_of(line))
    for task in absent(metrics):
        table.add_row(task, "absent", ABSENT, ABSENT, "0", ABSENT)
    Console().print(table)


def cells_of(line: Line) -> list[str]:
    """Return value, interval, n and unanswered as text."""
    value = ABSENT if line.value is None else f"{line.value:.3f}"
    interval = ABSENT if line.interval is None else f"{line.interval[0]:.3f} to {line.interval[1]:.3f}"
    return [value, interval, str(line.n), str(line.unanswered)]


def _block(rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[list[str]]:
    """Return the cells of rows, the best of each column in bold if there is more than one row to compare."""
    best: dict[str, float] = {}
    for column in TABLE2_COLUMNS:
        numbers = [float(row[column]) for _, row in rows if row[column] != ABSENT]
        if len(rows) > 1 and numbers:
            best[column] = min(numbers) if column in LOWER_IS_BETTER else max(numbers)
    lines = []
    for method, row in rows:
        cells = [
            f"**{row[column]}**" if row[column] != ABSENT and best.get(column) == float(row[column]) else row[column]
            for column in TABLE2_COLUMNS
        ]
        lines.append([method, *cells])
    return lines


def _au_lines(metrics: Mapping[str, Any]) -> list[str]:
    units = metrics["action_units"]
    if units is None:
        return []
    bounds = metrics["ci95"]["action_units"]["f1"]
    active, false_alarms = units.get("active", {}), units.get("false_alarms", {})  # not in runs of earlier releases
    rows = [
        [au, with_interval(f1, bounds[au]), *(str(of_au.get(au, ABSENT)) for of_au in (units["annotated"], active))]
        for au, f1 in units["f1"].items()
    ]
    table = markdown_table(["AU", "F1 (95 % interval)", "Images annotated", "of them active"], rows, "lrrr")
    absent = [au for au, count in active.items() if units["annotated"][au] and not count]
    if not absent:
        return ["", table]
    raised = sum(false_alarms[au] for au in absent)
    named = ", ".join(f"AU{au}" for au in absent)
    return ["", table, "", f"{named}: never active here, so without F1 and in no mean; predicted {raised} times."]
