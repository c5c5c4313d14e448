"""Tables of runs that need no truth: how far annotators agree, where they differ, and how many new labels there are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from seke.core.affect import ACTION_UNITS
from seke.core.intervals import Estimate
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import FinishedRun
from seke.reporting.data.tables import Cell, Column, Row, Table, signed

MOST: Final = 5
"""Kinds of difference that a cell lists."""
DIMENSIONS: Final = ("valence", "arousal")
AGREEMENT: Final = (
    Column.percent("expression.agreement", "agree %", "Expression", ""),
    Column("expression.kappa", "kappa", "Expression", 2),
    Column.percent("action_units.agreement", "agree %", "Action units", ""),
    Column("action_units.kappa_mean", "kappa", "Action units", 2),
    *(
        column
        for name in DIMENSIONS
        for column in (
            Column(f"{name}.icc", "ICC", name.capitalize(), 2),
            Column(f"{name}.bias", "difference", name.capitalize(), 3, signed=True),
            Column(f"{name}.limits", "limits", name.capitalize()),
        )
    ),
    Column.count("n", "n", "Images"),
)
"""Of two annotators."""
ALPHA: Final = {
    "expression.alpha": "expression.kappa", "action_units.alpha_mean": "action_units.kappa_mean",
    "valence.alpha": "valence.icc", "arousal.alpha": "arousal.icc",
}  # fmt: skip
"""Where the alphas of all annotators stand, in the columns of what they go beside."""


def is_agreement(run: FinishedRun) -> bool:
    """Whether a run holds annotators against each other and scores nothing."""
    return run.manifest.get("scores") == "agreement"


def is_labelling(run: FinishedRun) -> bool:
    """Whether a run labels new pictures, of which nothing is known that could be scored."""
    return run.manifest.get("scores") == "nothing"


def agreement_table(runs: Sequence[NamedRun]) -> Table:
    """Return a row of every two annotators, and one of the alphas of more than two."""
    rows = []
    for run, _, _ in runs:
        found = run.agreement
        names = [str(name) for name in found["annotators"]]
        if len(names) > 2:
            rows.append(Row(f"all {len(names)}: alpha", dict(_alphas(found)), run.name, run.anchor))
        rows += [
            Row(f"{pair['first']} and {pair['second']}", dict(_pair(pair)), run.name, run.anchor)
            for pair in found["pairs"]
        ]
    caption = (
        "Nobody knows here what is right. Agree: the same expression, or state of an action unit. Kappa: Cohen's, of "
        "action units the mean. ICC(2,1): absolute agreement. Difference: first - second, with Bland and Altman's "
        "limits of agreement, the mean ± 1.96 standard deviations. Rows of alpha: Krippendorff's, of all annotators, "
        "nominal and interval. 95 % intervals, bootstrap by subject."
    )
    return Table("annotators", "Agreement of annotators", "Annotators", AGREEMENT, tuple(rows), caption)


def _pair(pair: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    for column in AGREEMENT[:-1]:
        task, _, name = column.key.partition(".")
        if name == "limits":
            low, high = pair[task]["loa_low"], pair[task]["loa_high"]
            yield column.key, None if low is None else f"{signed(low)} to {signed(high)}"
        else:
            yield column.key, _estimate(pair, task, name)
    yield "n", Estimate(max(pair[task]["n"] for task in ("expression", "action_units", *DIMENSIONS)))


def _alphas(found: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    for key, place in ALPHA.items():
        task, _, name = key.partition(".")
        yield place, _estimate(found, task, name)
    yield "n", Estimate(found["n"])


def _estimate(block: Mapping[str, Any], task: str, name: str) -> Estimate:
    return Estimate(block[task][name], *(block["ci95"][task][name] or (None, None)))


DIFFER: Final = (
    Column("expression", "first says, second says", "Expression"),
    Column("first", "active to the first alone", "Action units"),
    Column("second", "to the second alone", "Action units"),
    Column.count("valence", "apart", "Valence"),
    Column.count("arousal", "apart", "Arousal"),
    Column("sources", "images that differ", "By source"),
)


def differences_table(runs: Sequence[NamedRun]) -> Table:
    """Return where every two annotators differ most."""
    rows = []
    for run, _, _ in runs:
        for where in run.agreement["differences"]:
            words = [f"{each['first']}, {each['second']} ({each['n']:,})" for each in where["expression"][:MOST]]
            units = {
                side: sorted(((each[f"only_{side}"], each["au"]) for each in where["action_units"]), reverse=True)
                for side in ("first", "second")
            }
            cells: dict[str, Cell] = {
                "expression": "; ".join(words) or "nowhere",
                **{
                    side: "; ".join(f"AU{au} {ACTION_UNITS[au]} ({n:,})" for n, au in counts[:MOST] if n) or "nowhere"
                    for side, counts in units.items()
                },
                **{name: Estimate(where[name]) for name in DIMENSIONS},
                "sources": "; ".join(
                    f"{name} {each['differing']:,} of {each['n']:,}" for name, each in where["sources"].items()
                ),
            }
            rows.append(Row(f"{where['first']} and {where['second']}", cells, run.name, run.anchor))
    caption = (
        f"The {MOST} commonest of each, with the number of images. Apart: by more than 0.2. Every image is in "
        "differences.csv of the run."
    )
    return Table("annotators_differ", "Where annotators differ", "Annotators", DIFFER, tuple(rows), caption)


LABELS: Final = (
    Column.count("pictures", "pictures", "Labelled"),
    Column.count("unanswered", "no label", "Labelled"),
    Column("expression", "commonest expressions", "Labels"),
    *(Column(name, f"mean {name}", "Labels", 2, signed=True) for name in DIMENSIONS),
    *(
        Column.percent(f"{name}.confidence", name, "Mean confidence, %", "")
        for name in ("expression", *DIMENSIONS, "action units")
    ),
)


def labels_table(runs: Sequence[NamedRun]) -> Table:
    """Return a row of every labelling of new pictures."""
    rows = []
    for run, words, _ in runs:
        counts, labels = run.manifest["counts"], run.manifest["labels"]
        felt = (labels.get("expression") or {}).get("counts") or {}
        units = [
            of["confidence"] for name, of in labels.items() if name.startswith("AU") and of["confidence"] is not None
        ]
        cells: dict[str, Cell] = {
            "pictures": Estimate(counts["predictions"]),
            "unanswered": Estimate(counts["predictions"] - counts["labelled"]),
            "expression": "; ".join(f"{name} ({n:,})" for name, n in list(felt.items())[:MOST]) or "none",
            **{name: Estimate((labels.get(name) or {}).get("mean")) for name in DIMENSIONS},
            **{
                f"{name}.confidence": Estimate((labels.get(name) or {}).get("confidence"))
                for name in ("expression", *DIMENSIONS)
            },
            "action units.confidence": Estimate(sum(units) / len(units) if units else None),
        }
        rows.append(Row(words.label, cells, run.name, run.anchor))
    caption = (
        "A model's labels of pictures of which nobody knows what is right. Confidence: the share of further answers "
        "that agree; how far it can be trusted is measured on pictures whose labels are known."
    )
    return Table("labels", "Labels of new pictures", "Model", LABELS, tuple(rows), caption)
