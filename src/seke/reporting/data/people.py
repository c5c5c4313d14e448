"""What people's looks at a generation gained, what they guarantee, and how far reviewers agree: tables.

`generate.py review=next` and `review=` leave guarantee.json, looks.json and reviewers.json beside the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from seke.core.intervals import Estimate
from seke.core.rules import NEAR
from seke.reporting.data.results import DESCRIPTIONS
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.tables import Cell, Column, Row, Table

DECISION = "decision"


def guarantee_table(generated: Sequence[NamedRun]) -> Table | None:
    """Return how many faces of each run keep the machine's labels under its guarantee; None where none was asked."""
    columns = (
        Column("promise", "at most so many are wrong"),
        Column.percent("bound", "upper bound %", "", better=""),
        Column.count(
            "kept",
            "faces that keep the machine's",
            "",
        ),
        Column.count("records", "of", ""),
        Column.count("todo", "still to look at", ""),
        Column("found", "wrong in the audit"),
    )
    rows = []
    for item in generated:
        facts = item.run.guarantee
        for name, found in facts.get("descriptions", {}).items() if not facts.get("problem") else ():
            promise = f"{100 * found['guarantee']:g} %, with {100 * facts['confidence']:g} % confidence"
            cells: dict[str, Cell] = {
                "promise": promise,
                "bound": _number(found["upper_bound"]),
                "kept": Estimate(found["left_to_machine"]),
                "records": Estimate(found["records"]),
                "todo": Estimate(found["still_to_look_at"]),
                "found": f"{found['wrong_in_audit']} of {found['labels_in_audit']}",
            }
            rows.append(Row(f"{item.words.label}, {DESCRIPTIONS[name].lower()}", cells, item.run.name, item.run.anchor))
    caption = (
        "Faces with the least risk keep the machine's labels, people look at the others; then no more of all finished "
        "labels of a description is wrong than promised, unless the random audit was an unlucky one. Wrong in the "
        "audit: labels of faces that keep the machine's, of all labels of the audit. Valence and arousal are wrong "
        f"beyond {NEAR}."
    )
    title = "What the audit guarantees"
    return Table("guarantee", title, "Labels", columns, tuple(rows), caption) if rows else None


def looks_table(generated: Sequence[NamedRun]) -> Table | None:
    """Return what a look corrected, by doubt and at random; None where nobody looked."""
    columns = (
        Column.count("chosen", "looks", "Chosen by doubt"),
        Column("expected", "labels expected wrong per look", "Chosen by doubt", 2),
        Column("corrected", "labels corrected per look", "Chosen by doubt", 2),
        Column.count("drawn", "looks", "At random (the audit)"),
        Column("random", "labels corrected per look", "At random (the audit)", 2),
    )
    rows = []
    for item in generated:
        looks = item.run.looks
        if not looks:
            continue
        chosen, drawn = looks["looks"][-1], looks["at_random"]
        cells: dict[str, Cell] = {
            "chosen": Estimate(chosen),
            "expected": _ratio(looks["expected"][-1], chosen) if looks["stated"] else Estimate(None),
            "corrected": _ratio(looks["observed"][-1], chosen),
            "drawn": Estimate(drawn["looks"]),
            "random": _ratio(drawn["observed"], drawn["looks"]),
        }
        rows.append(Row(item.words.label, cells, item.run.name, item.run.anchor))
    caption = (
        "A look confirms or corrects all labels of a face. Expected n/a: the annotator states no confidence, so looks "
        "were chosen by the spread of its draws."
    )
    return Table("looks", "What a look corrects", "Reviewed run", columns, tuple(rows), caption) if rows else None


def reviewers_table(generated: Sequence[NamedRun]) -> Table | None:
    """Return how far every two reviewers agree; None where there was one at most."""
    kinds = {**DESCRIPTIONS, DECISION: "Rejected or not"}
    columns = (
        Column.count("n", "faces", ""),
        *(
            column
            for name, label in kinds.items()
            for column in (
                Column.percent(f"{name}.agree", "same %", label, better=""),
                *(() if name in ("valence", "arousal") else (Column(f"{name}.kappa", "kappa", label, 2),)),
            )
        ),
    )
    rows = []
    for item in generated:
        for pair in item.run.reviewers.get("pairs", ()):
            cells: dict[str, Cell] = {"n": Estimate(pair["n"])}
            for name in kinds:
                cells |= {f"{name}.{what}": _number(pair[name][what]) for what in ("agree", "kappa")}
            label = f"{item.words.label}: {' and '.join(pair['reviewers'])}"
            rows.append(Row(label, cells, item.run.name, item.run.anchor))
    caption = (
        "Of the faces that both looked at, after their corrections. Both saw the machine's labels, so they agree more "
        f"than two who see none. Valence and arousal are the same within {NEAR}. Kappa: Cohen's, of all action units "
        "together."
    )
    title = "Agreement of reviewers"
    return Table("reviewers", title, "Reviewed run", columns, tuple(rows), caption) if rows else None


def tables(generated: Sequence[NamedRun]) -> list[Table]:
    """Return those of the tables for which there is anything."""
    found = (guarantee_table(generated), looks_table(generated), reviewers_table(generated))
    return [table for table in found if table is not None]


def promised(facts: Mapping[str, Any]) -> str:
    """Return a guarantee in a sentence; why there is none yet, or nothing where none was asked."""
    if not facts:
        return ""
    if facts["problem"]:
        return f"There is no guarantee yet: {facts['problem']}."
    shares = {name: f"{100 * found['guarantee']:g} %" for name, found in facts["descriptions"].items()}
    each = ", ".join(f"at most {share} of {DESCRIPTIONS[name].lower()}" for name, share in shares.items())
    same = len(shares) == len(DESCRIPTIONS) and len({*shares.values()}) == 1
    what = f"at most {min(shares.values())} of each description's" if same else each
    what = f"{what} finished labels are wrong" if same else f"of the finished labels, {what} are wrong"
    sure = f"with {100 * facts['confidence']:g} % confidence each"
    if facts["reached"]:
        return f"The guarantee is reached: {what}, {sure}."
    return f"Once people have looked at {facts['still_to_look_at']:,} more faces, {what}, {sure}."


def _number(value: float | None) -> Estimate:
    return Estimate(None if value is None else float(value))


def _ratio(count: float, looks: int) -> Estimate:
    return Estimate(count / looks if looks else None)
