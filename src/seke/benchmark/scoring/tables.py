"""The benchmark's tables: a run's row under the paper's Table 2, and every metric with its interval."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.benchmark.release import Release
from seke.core import old_runs
from seke.core.affect import TABLE2_AUS
from seke.core.escape import markdown, visible
from seke.core.intervals import FEWEST
from seke.core.records import ImageRecord
from seke.core.rules import ENOUGH_ANSWERED, MEASURES, competing, percent_answered
from seke.core.runs import manifest_beside
from seke.core.small_data import few_images
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
INTENSITY: Final = {"icc31": "ICC(3,1)", "icc11": "ICC(1,1)", "mae": "MAE"}
"""The metrics of `au_intensity`, which metrics.json has where the truth carries intensities."""
ABSENT: Final = "–"

OF_PAPER: Final = {measure.paper: measure for measure in MEASURES}
LOWER_IS_BETTER: Final = [column for column, measure in OF_PAPER.items() if measure.better == "low"]
TABLE2_COLUMNS: Final = ("EXP", *(f"AU{au}" for au in TABLE2_AUS), "All", "Valence", "Arousal")


SILENCE: Final = (
    "n = %: the share of the images whose answer states the number; the MAE is of these alone. Over all "
    "(mae_over_all): every image, silence counted as the best constant answer, the median of the truth."
)
"""What is said below tables in which answers are missing."""


CALIBRATION: Final = ("ECE, debiased", "p, calibrated", "ECE, binned", "Brier", "AURC", "Excess AURC", "n")
"""Heads of the calibration of confidences."""
CALIBRATION_NOTE: Final = (
    "ECE, debiased: root of the mean squared gap without what chance adds, 0 for true confidences. p: the share of "
    "truly calibrated annotators with gaps as large; below 0.05 the confidences are not true. ECE, binned: mean "
    "absolute gap of 15 bins of equal mass, the larger the fewer labels. A dash: of an earlier release, or labels are "
    "ranked by how far the draws agree, no probability."
)


class Line(NamedTuple):
    """One metric as people read it."""

    task: str
    metric: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    """Images whose truth for this task (for an AU's F1: for any AU) is known."""
    unanswered: int
    subjects: int | None = None
    """Who have such an image; None in runs of earlier releases."""


def paper(file: str) -> list[dict[str, str]]:
    """Return the rows of one of the paper's tables, e.g. "table2.csv", cells as the paper prints them."""
    with (PAPER / file).open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def table2_row(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return metrics.json as a row of Table 2: accuracy and F1 in percent, MAE as it is, absent numbers as a dash.

    Where answers are missing, an MAE says of which share of the images it is, and beside it stands the MAE over all of
    them with silence counted as the constant answer: "0.102 (n = 44 %; over all 0.231)".
    """
    values = _table2_values(metrics)
    cells = {column: ABSENT if value is None else f"{100 * value:.1f}" for column, value in values.items()}
    for column, measure in OF_PAPER.items():
        if (value := values[column]) is not None:
            cells[column] = measure.printed(value)
        found = metrics[measure.task] or {}
        if (coverage := found.get("coverage", 1.0)) < 1:
            over_all = measure.printed(found["mae_over_all"])
            cells[column] += f" (n = {percent_answered(coverage)}; over all {over_all})"
    return cells


def _table2_values(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what metrics.json says of each column of Table 2, in metrics.json's own units."""
    units = (metrics["action_units"] or {"f1": {}})["f1"]
    values = {f"AU{au}": units.get(str(au)) for au in TABLE2_AUS}
    for column, measure in OF_PAPER.items():
        values[column] = None if metrics[measure.task] is None else metrics[measure.task][measure.metric]
    return {column: values[column] for column in TABLE2_COLUMNS}


def _table2_rivals(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers with which our row competes for the best, as printed; see `rules.competing`."""
    rivals = {}
    for column, value in _table2_values(metrics).items():
        measure = OF_PAPER.get(column)
        found = (measure and metrics[measure.task]) or {}
        at_worst = found.get("at_worst", {}).get(measure.metric) if measure else None
        rival = competing(value, found.get("coverage", 1.0), at_worst)
        if rival is not None:
            rivals[column] = float(measure.printed(rival) if measure else f"{100 * rival:.1f}")
    return rivals


def table2(name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return Table 2 in Markdown with this run's row last, and below it why that row may not be comparable.

    A row that is comparable competes for the bold numbers; one that is not (`notes` say why) stands outside. One of
    very few images stands alone.
    """
    few = few_images(metrics["n"])
    theirs = [] if few else [_Competitor(row["method"], row, _numbers(row)) for row in paper("table2.csv")]
    ours = [_Competitor(markdown(name) + (" †" if notes else ""), table2_row(metrics), _table2_rivals(metrics))]
    head = ["Method", "EXP Acc (%)", *(f"AU{au}" for au in TABLE2_AUS), "All", "Valence MAE", "Arousal MAE"]
    rows = _block(theirs) + _block(ours) if notes else _block([*theirs, *ours])
    bar = f"; no MAE of less than {percent_answered(ENOUGH_ANSWERED)} of the images, nor one that is best by silence"
    beside = [
        "AU columns: positive-class F1 (%), All: their mean. Rows above the last: the paper's, on its own FEAB;",
        f"best {'of them ' if notes else ''}in bold{bar if _silent(metrics) else ''}, * closed-source.",
    ]
    lines = [
        markdown_table(head, rows, "lr"),
        "",
        *([f"AU columns: positive-class F1 (%), All: their mean. {few}."] if few else beside),
        *([f"\n† Not comparable with the paper's rows: {markdown('; '.join(notes))}."] if notes else []),
    ]
    return "\n".join(lines) + "\n"


OWN_DRAW: Final = "own draw"
"""What begins the note of a run on real images that are not known to be the paper's."""


def what_differs(
    records_file: Path, records: Sequence[ImageRecord], models: Sequence[str], release: Release | None = None
) -> list[str]:
    """Return why a run's numbers cannot be held against the paper's; empty if nothing is known to differ.

    As many images of each source as Table 1 counts are not the paper's: only the ids of its `release` say that.
    """
    if old_runs.synthetic(manifest_beside(records_file).get("synthetic"), records_file.parent) == "faces":
        return [f"synthetic faces ({len(records)} images), not FEAB's photographs"]
    if release is None:
        return [f"{OWN_DRAW} of {len(records)} images, not known to be the released FEAB"]
    if found := release.difference(records):
        return [f"{OWN_DRAW} of {len(records)} images, not the released FEAB: {found}"]
    if str(len(records)) != paper("table1.csv")[-1]["test"]:
        return [f"the {len(records)} images of the list in benchmark.release, not the paper's 3035"]
    return []


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


def summary(metrics: Mapping[str, Any]) -> list[Line]:
    """Return the headline metrics; a task without truth gives no line."""
    tasks: dict[str, Sequence[str]] = {task: names for task, names in HEADLINE.items() if metrics[task] is not None}
    if metrics.get("au_intensity"):
        tasks["au_intensity"] = [f"{name}_mean" for name in INTENSITY]
    return [
        Line(
            task,
            metric,
            metrics[task][metric],
            None if (bounds := metrics["ci95"][task].get(metric)) is None else (bounds[0], bounds[1]),
            metrics[task]["n"],
            metrics["unanswered"][task],
            metrics.get("subjects", {}).get(task) if metric in metrics["ci95"][task] else None,
        )
        for task, names in tasks.items()
        for metric in (*names, *_over_all(metrics[task]))
    ]


def _silent(metrics: Mapping[str, Any]) -> bool:
    return any(_over_all(metrics[measure.task] or {}) for measure in MEASURES)


def _over_all(found: Mapping[str, Any]) -> tuple[str, ...]:
    return ("mae_over_all",) if found.get("coverage", 1.0) < 1 else ()


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
        f"Intervals: bootstrap over subjects, of at least {FEWEST} that do not all give the same number.",
        "",
        markdown_table(["Source", "n", *TABLE2_COLUMNS], by_source, "lr"),
        *([f"\n{SILENCE}"] if _silent(metrics) else []),
    ]
    return "\n".join([*lines, *_au_lines(metrics), *_intensity_lines(metrics)]) + "\n"


def absent(metrics: Mapping[str, Any]) -> list[str]:
    """Return the tasks whose truth no image has."""
    return [task for task in HEADLINE if metrics[task] is None]


def calibration_table(metrics: Mapping[str, Any]) -> str:
    """Return the calibration of the labels' confidences in Markdown; empty where metrics.json has none."""
    found = {task: values for task, values in (metrics.get("calibration") or {}).items() if values is not None}
    if not found:
        return ""
    rows = []
    for task, values in found.items():
        bounds = metrics["ci95"]["calibration"][task]
        rows.append([task, *calibration_cells(values, bounds)])
    return f"{markdown_table(['Confidence of', *CALIBRATION], rows, 'lr')}\n\n{CALIBRATION_NOTE}\n"


def calibration_cells(values: Mapping[str, Any], bounds: Mapping[str, Any]) -> list[str]:
    """Return one task's cells under `CALIBRATION`; an error below 0, which is chance alone, is printed as 0."""
    error, ends, p = values.get("ece_debiased"), bounds.get("ece_debiased"), values.get("calibration_p")
    subjects = values.get("subjects")
    return [
        with_interval(None if error is None else max(error, 0.0), ends and [max(end, 0.0) for end in ends], subjects),
        ABSENT if p is None else f"{p:.3f}",
        *(with_interval(values[name], bounds[name], subjects) for name in ("ece", "brier", "aurc", "excess_aurc")),
        str(values["n"]),
    ]


def with_interval(
    value: float | None, bounds: Sequence[float] | None, clusters: int | None = None, over: str = "subjects"
) -> str:
    """Return a number with its interval, as "0.123 (0.101 to 0.140)", or a dash.

    Without an interval it is said what it would be from, where that is known: `clusters` subjects, or `over` what else.
    """
    if value is None:
        return ABSENT
    return f"{value:.3f}{_between(bounds, '.3f', clusters, over)}"


def with_signed_interval(
    value: float | None, bounds: Sequence[float] | None, clusters: int | None = None, over: str = "subjects"
) -> str:
    """Return a difference with its interval, as "+0.123 (-0.010 to +0.256)", or a dash; else as `with_interval`."""
    if value is None:
        return ABSENT
    return f"{value:+.3f}{_between(bounds, '+.3f', clusters, over)}"


def _between(bounds: Sequence[float] | None, digits: str, clusters: int | None, over: str) -> str:
    if bounds:
        return f" ({bounds[0]:{digits}} to {bounds[1]:{digits}})"
    return "" if clusters is None else f" ({counted(clusters, over)})"


def counted(clusters: int, over: str = "subjects") -> str:
    """Return a number of clusters in words.

    >>> counted(2), counted(1, "pictures")
    ('2 subjects', '1 picture')
    """
    return f"{clusters} {over.removesuffix('s') if clusters == 1 else over}"


def show(metrics: Mapping[str, Any], title: str) -> None:
    """Print `summary` to the terminal."""
    from rich.console import Console
    from rich.table import Table

    print(visible(title))
    table = Table("task", "metric")
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
    interval = ABSENT if line.subjects is None or line.value is None else counted(line.subjects)
    if line.interval is not None:
        interval = f"{line.interval[0]:.3f} to {line.interval[1]:.3f}"
    return [value, interval, str(line.n), str(line.unanswered)]


class _Competitor(NamedTuple):
    """One row of Table 2."""

    method: str
    cells: Mapping[str, str]
    rivals: Mapping[str, float]
    """The numbers with which it competes; a column that is not in it has none."""


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {column: float(row[column]) for column in TABLE2_COLUMNS}


def _block(rows: Sequence[_Competitor]) -> list[list[str]]:
    """Return the cells of rows, the best of each column in bold if there is more than one row to compare."""
    best: dict[str, float] = {}
    for column in TABLE2_COLUMNS:
        numbers = [row.rivals[column] for row in rows if column in row.rivals]
        if len(rows) > 1 and numbers:
            best[column] = min(numbers) if column in LOWER_IS_BETTER else max(numbers)
    return [
        [
            row.method,
            *(
                f"**{row.cells[column]}**"
                if column in best and row.rivals.get(column) == best[column]
                else row.cells[column]
                for column in TABLE2_COLUMNS
            ),
        ]
        for row in rows
    ]


def _share(active: int | None, annotated: int) -> str:
    """Return how many images are active, and their share."""
    return ABSENT if active is None else f"{active} ({_percent(active / annotated)})" if annotated else str(active)


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.1f} %"


def _au_lines(metrics: Mapping[str, Any]) -> list[str]:
    units = metrics["action_units"]
    if units is None:
        return []
    bounds, subjects = metrics["ci95"]["action_units"]["f1"], metrics.get("subjects", {}).get("f1", {})
    active, false_alarms = units.get("active", {}), units.get("false_alarms", {})  # not in runs of earlier releases
    given = units.get("at_prevalence", {"f1": {}, "prevalence": {}})
    rows = [
        [
            au,
            with_interval(f1, bounds[au], subjects.get(au)),
            str(annotated := units["annotated"][au]),
            _share(active.get(au), annotated),
            *([with_interval(given["f1"].get(au), None), _percent(given["prevalence"].get(au))] if given["f1"] else []),
        ]
        for au, f1 in units["f1"].items()
    ]
    elsewhere = ["F1 at another share active", "namely"] if given["f1"] else []
    table = markdown_table(["AU", "F1 (95 % interval)", "Images annotated", "of them active", *elsewhere], rows, "lrrr")
    if given["f1"]:
        mean = with_interval(given["f1_mean_14"], None)
        table += f"\n\nMean F1 at these shares: {mean}, of {given['f1_n_aus']} of the paper's {len(TABLE2_AUS)} AUs."
    absent = [au for au, count in active.items() if units["annotated"][au] and not count]
    if not absent:
        return ["", table]
    raised = sum(false_alarms[au] for au in absent)
    named = ", ".join(f"AU{au}" for au in absent)
    return ["", table, "", f"{named}: never active here, so without F1 and in no mean; predicted {raised} times."]


def _intensity_lines(metrics: Mapping[str, Any]) -> list[str]:
    found = metrics.get("au_intensity")
    if not found:
        return []
    bounds = metrics["ci95"]["au_intensity"]
    rows = [
        [au, *(with_interval(found[name][au], bounds[name][au]) for name in INTENSITY), str(annotated), str(answered)]
        for (au, annotated), answered in zip(found["annotated"].items(), found["answered"].values(), strict=True)
    ]
    head = ["AU", *(f"{name} of intensity" for name in INTENSITY.values()), "Intensity annotated", "and answered"]
    note = "Intensities 0 to 5, over the images whose intensity is annotated and answered; occurrence is scored apart."
    return ["", markdown_table(head, rows, "lr"), "", note]
