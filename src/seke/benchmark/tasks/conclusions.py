"""Conclusions that hold: prevalences, means, differences and associations of finished labels, corrected by an audit.

A finished generation's labels taken as right give intervals that do not hold the truth: they say how few faces there
are, not how wrong the labels are. Where people looked at a simple random sample of the machine's labels (audit.jsonl of
a reviewed run, `seke.core.audit`), prediction-powered inference corrects both the number and its interval.

    python evaluate.py benchmark=conclusions records=mine predictions=mine-reviewed name=mine-conclusions
    -> outputs/evaluate/<name>/{table.md, conclusions.csv, forest.png, metrics.json, predictions.jsonl}
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import Reference
from seke.benchmark.scoring import conclusions as scoring
from seke.benchmark.scoring.conclusions import Column, Quantity, Table, Term
from seke.benchmark.scoring.prediction_powered import About
from seke.benchmark.scoring.subgroups import MOST_GROUPS, UNSTATED, group_names
from seke.core import audit, old_runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.escape import csv_cell, markdown, visible
from seke.core.figure_style import STYLE
from seke.core.files import replacing, whole
from seke.core.forest import ForestRow, forest
from seke.core.intervals import Estimate
from seke.core.records import ImageRecord, Labels, Origins
from seke.core.runs import manifest_beside
from seke.core.text_tables import markdown_table

AUDIT_FILES: Final = {"audit": audit.ROWS, "audit plan": audit.PLAN}
CONCLUSIONS: Final = "conclusions"
CSV, FOREST = "conclusions.csv", "forest.png"
MOST_DRAWN: Final = 60
"""Rows of the picture."""
MOST_PRINTED: Final = 27
"""Rows on the terminal: what is there without groups and associations."""
FACS: Final = "facs"
ALL_OF: Final = {"expressions": list(EXPRESSIONS), "action_units": [f"AU{au}" for au in ACTION_UNITS]}
HEAD: Final = ("Quantity", "Corrected", "All labels as right", "People alone", "Worth", "Audited", "Subjects")
COLUMNS: Final = (
    "quantity", "kind", "estimate", "low", "high", "naive", "naive_low", "naive_high", "human_only", "human_only_low",
    "human_only_high", "effective_human_labels", "audited", "labelled_by_people", "records", "subjects", "remark",
)  # fmt: skip
NOTE: Final = (
    "Corrected: prediction-powered inference (PPI++, arXiv 2311.01453), by what people found in the random sample. All "
    "labels as right: what the finished labels say; their interval does not know that labels are wrong. People alone: "
    "from human labels without the machine's. Worth: randomly drawn human labels that would have told as much. 95 % "
    "intervals; of many, one in twenty misses."
)
ABOUT: Final = {
    "people": "Intervals are about people like these: subjects are a sample.",
    "faces": "Intervals are about these very faces; those of all labels as right are about people like these.",
}


class Finished(BaseModel):
    """One row of predictions.jsonl: a record's labels by the machine and by people."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    text: str = ""
    judged: None = None
    machine: Labels
    """Before anybody looked: the machine's labels, and those that came with the record."""
    origin: Origins
    """Which of these are whose."""
    truth: Labels
    """What people said, from the start or when they looked."""
    probability: float | None = None
    """With which it came into the random sample; None where it did not."""
    rejected: bool = False
    attributes: dict[str, Any] = Field(default_factory=dict)
    """Those that the quantities use."""
    status: str = "ok"


@dataclass
class Conclusions:
    """Which quantities are wanted; asks no model anything.

    Raises:
        UserError: if a name is none of a label's, or an attribute's.
    """

    run: str | None
    """The generate run, as `predictions=` says it."""
    outputs: str
    """The folder of all runs."""
    about: About = "people"
    prevalence: Sequence[str] = ("expressions", "action_units")
    means: Sequence[str] = scoring.DIMENSIONS
    groups: str | None = None
    associations: str | Sequence[Sequence[str]] = FACS
    regressions: Sequence[Mapping[str, Any]] = ()
    records_file: ClassVar[str] = "train.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("generate", "instructions.jsonl")
    request: ClassVar[None] = None
    _audit: audit.Audit | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.about not in ABOUT:
            raise UserError("benchmark.about", self.about, "unknown", f"set {' or '.join(ABOUT)}")
        self.prevalence = [name for word in self.prevalence for name in ALL_OF.get(word, [word])]
        for name in self.prevalence:
            _check("prevalence", name, (*EXPRESSIONS, *ALL_OF["action_units"]))
        for name in self.means:
            _check("means", name, scoring.DIMENSIONS)
        if isinstance(self.associations, str) and self.associations != FACS:
            raise UserError(
                "benchmark.associations", self.associations, "unknown", f"say {FACS}, or [[AU12, happiness]]"
            )
        for pair in self._pairs:
            if len(pair) != 2 or pair[0] not in ALL_OF["action_units"] or pair[1] not in EXPRESSIONS:
                raise UserError(
                    "benchmark.associations", list(pair), "no pair of AU and expression", "[AU12, happiness]"
                )
        for wanted in self.regressions:
            _checked_regression(wanted)

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        if isinstance(self.associations, str):
            return scoring.called_for()
        return [(str(pair[0]), str(pair[1])) if len(pair) == 2 else tuple(pair) for pair in self.associations]  # type: ignore[misc]

    @property
    def reads(self) -> Mapping[str, Reference]:
        """The audit beside the generation's rows, if there is one."""
        if self.run is None:
            return {}
        given = Path(self.run)
        folders = (Path(self.outputs) / "generate" / self.run, given, given.parent)
        folder = next((each for each in folders if (each / self.predictions_from[1]).is_file()), given)
        found = {name: folder / file for name, file in AUDIT_FILES.items()}
        return {name: (str(path), "generate", path.name) for name, path in found.items() if path.is_file()}

    def plan(self, records: Sequence[ImageRecord], root: Path, files: Mapping[str, Path]) -> Sequence[ImageRecord]:
        """Read the audit, and return the records as they are."""
        if "audit" in files:
            self._audit = audit.read(files["audit"].parent)
        for name in self._attributes:
            if not any(_stated(record, name) is not None for record in records):
                known = sorted({f"attributes.{key}" for record in records for key in record.attributes})
                raise UserError("benchmark", name, "no record has it", f"choose from {', '.join(['source', *known])}")
        if self.groups is not None:
            values = [_stated(record, self.groups) for record in records]
            if (count := len(set(group_names(values)))) > MOST_GROUPS:
                problem = f"{count} different values are no groups"
                raise UserError("benchmark.groups", self.groups, problem, "choose a key of fewer values")
        return records

    @property
    def _attributes(self) -> list[str]:
        named = [str(name) for wanted in self.regressions for name in wanted["predictors"]]
        keys = [name for name in named if name not in scoring.label_names()]
        return [*([self.groups] if self.groups else []), *keys]

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Finished], int]:
        """Return one row per record that the generation annotated or a person rejected, in the records' order."""
        looked = {} if self._audit is None else {row.id: row for row in self._audit.rows}
        sample = {} if self._audit is None else {row.id: row.probability for row in self._audit.sample}
        rows = []
        for record in records:
            answer, seen = answers.get(record.id), looked.get(record.id)
            if seen is not None:
                machine, origin = seen.machine, seen.origin
                truth = _by_people(machine, origin) if seen.rejected else seen.human
            elif answer is None:
                continue
            elif answer.origin is None:
                problem = "this row does not say where its labels come from"
                raise UserError("predictions", record.id, problem, "give a generate run")
            else:
                machine, origin = answer.labels, answer.origin
                truth = _by_people(machine, origin)
            rows.append(
                Finished(
                    id=record.id,
                    source=record.source,
                    subject=record.subject,
                    machine=machine,
                    origin=origin,
                    truth=truth,
                    probability=sample.get(record.id),
                    rejected=seen is not None and seen.rejected,
                    attributes={name: _stated(record, name) for name in self._attributes},
                )
            )
        if not rows:
            problem = "no record was annotated"
            raise UserError("predictions", "(no row)", problem, "give a generate run on these records")
        return rows, len(records) - len(rows)

    def metrics(self, predictions: Sequence[Finished], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json."""
        table = self._table(predictions)
        sample = int(np.count_nonzero(~np.isnan(table.probability_N)))
        wanted, missing = [], {}
        for quantity in self._quantities(table):
            if why := scoring.absent(table, quantity):
                missing[quantity.name] = why
            else:
                wanted.append(scoring.conclude(table, quantity, self.about, sample > 0))
        return {
            "n": len(predictions),
            "unanswered": {CONCLUSIONS: 0},
            "warnings": [line] if (line := self._problem(sample)) else [],
            "ci95": {},
            CONCLUSIONS: {
                "about": self.about,
                "audited": sample,
                "machine": sum(_by_machine(row) for row in predictions),
                "rejected": int(np.count_nonzero(table.rejected_N)),
                "quantities": [scoring.as_json(each) for each in wanted],
                "absent": missing,
            },
        }

    def _problem(self, sample: int) -> str:
        if self._audit is None:
            return "no audit.jsonl beside the rows: nothing is corrected; generate.py review=next draws an audit"
        problem = self._audit.problem
        return f"{problem}: " + ("corrected by these" if sample else "nothing is corrected") if problem else ""

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return what must be known of where the labels are from."""
        drawn = old_runs.synthetic(manifest_beside(records_file).get("synthetic"), records_file.parent)
        return ["synthetic faces: they say nothing about people"] if drawn else []

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print the quantities."""
        from rich.console import Console
        from rich.table import Table as Grid

        print(visible(title))
        grid = Grid(*HEAD[:1])
        for head in HEAD[1:]:
            grid.add_column(head, justify="right")
        quantities = metrics[CONCLUSIONS]["quantities"]
        for found in quantities[:MOST_PRINTED]:
            grid.add_row(visible(found["name"]), *_cells(found))
        Console().print(grid)
        if (more := len(quantities) - MOST_PRINTED) > 0:
            print(f"{more} more are in table.md and {CSV}")

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md."""
        found = metrics[CONCLUSIONS]
        rows = [[markdown(each["name"]), *_cells(each)] for each in found["quantities"]]
        lines = [f"# Conclusions: {markdown(name)}", ""]
        lines += [f"**Warning:** {markdown(line)}.\n" for line in metrics["warnings"]]
        lines += [f"- {markdown(note)}" for note in notes]
        said = f"{found['audited']:,} of {found['machine']:,} records that a machine labelled were looked at by draw"
        lines += ["", f"{said}; {found['rejected']} of them were rejected.", ""]
        lines += [markdown_table(list(HEAD), rows, "lr"), "", NOTE, ABOUT[found["about"]], ""]
        remarks = _grouped((each["remark"], each["name"]) for each in found["quantities"] if each["remark"])
        remarks |= _grouped((why, each) for each, why in found["absent"].items())
        lines += [f"- {markdown(', '.join(names))}: {markdown(why)}" for why, names in remarks.items()]
        return "\n".join([*lines, ""])

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write conclusions.csv and forest.png into the run's folder."""
        with whole(path / CSV) as file:
            file.write("\ufeff")  # without it Excel reads UTF-8 as something else
            rows = csv.writer(file, lineterminator="\r\n")
            rows.writerow(COLUMNS)
            rows.writerows(_csv_row(each) for each in metrics[CONCLUSIONS]["quantities"])
        drawn = forest_rows(metrics[CONCLUSIONS]["quantities"])
        if drawn:
            _draw(path / FOREST, drawn, path.name)

    def _quantities(self, table: Table) -> list[Quantity]:
        plain = [*scoring.prevalences(self.prevalence), *scoring.means(self.means)]
        found = list(plain)
        if self.groups is not None:
            words = [word for word in table.columns[self.groups].machine_N if word is not None]
            found += scoring.by_group(plain, self.groups, sorted({str(word) for word in words}))
        found += scoring.associations(self._pairs)
        for wanted in self.regressions:
            terms = [term for name in wanted["predictors"] for term in _terms(str(name), table)]
            found += scoring.coefficients(str(wanted["outcome"]), terms, wanted.get("link", "identity"))
        return found

    def _table(self, rows: Sequence[Finished]) -> Table:
        table = table_of(
            [row.machine for row in rows],
            [row.origin for row in rows],
            [row.truth for row in rows],
            [_whose(row) for row in rows],
            {name: [row.attributes[name] for row in rows] for name in self._attributes},
            words=(self.groups,) if self.groups else (),
        )
        probability_N = np.array([np.nan if row.probability is None else row.probability for row in rows])
        gone_N = np.array([row.rejected for row in rows], dtype=np.bool_)
        return replace(table, probability_N=probability_N, rejected_N=gone_N & ~np.isnan(probability_N), gone_N=gone_N)


def table_of(
    machine: Sequence[Labels],
    origins: Sequence[Origins],
    human: Sequence[Labels],
    whose: Sequence[tuple[str, str]],
    attributes: Mapping[str, Sequence[Any]],
    words: Sequence[str] = (),
) -> Table:
    """Return the columns of N records, nobody having been drawn to be looked at yet.

    Args:
        machine: all labels before anybody looked.
        origins: which of these are whose.
        human: what people said.
        whose: source and subject.
        attributes: by key, each with N values.
        words: keys whose values are groups, numbers cut into ranges.
    """
    columns = {name: _label_column(name, machine, origins, human) for name in scoring.label_names()}
    columns |= {name: _attribute_column(values, as_words=name in words) for name, values in attributes.items()}
    numbers: dict[tuple[str, str], int] = {}
    subject = [numbers.setdefault(each, len(numbers)) for each in whose]
    nobody_N = np.zeros(len(subject), dtype=np.bool_)
    return Table(columns, np.full(len(subject), np.nan), nobody_N, nobody_N, np.array(subject, dtype=np.intp))


def forest_rows(quantities: Sequence[Mapping[str, Any]]) -> list[ForestRow]:
    """Return the rows of the picture: shares, means and differences, which are of one size; log odds are not."""
    kinds = ("prevalence", "mean", "difference", "association", "coefficient")
    of_one_size = [each for each in quantities if each["kind"] in kinds and not each["name"].startswith("log odds")]
    return [
        ForestRow(
            each["name"],
            Estimate(each["value"], *(each["ci95"] or (None, None))),
            Estimate(each["naive"], *(each["naive_ci95"] or (None, None))),
            each["kind"] not in ("prevalence", "mean"),
        )
        for each in of_one_size[:MOST_DRAWN]
    ]


def _draw(path: Path, rows: Sequence[ForestRow], title: str) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 0.9 + 0.2 * len(rows)), dpi=140, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
        forest(figure.add_subplot(), rows, "corrected by the audit", "all labels taken as right")
        figure.legend(loc="outside lower left", ncols=2)
        with replacing(path) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def _check(setting: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UserError(f"benchmark.{setting}", name, "unknown", f"choose from {', '.join(known)}")


def _checked_regression(wanted: Mapping[str, Any]) -> None:
    outcome, predictors, link = wanted.get("outcome"), wanted.get("predictors"), wanted.get("link", "identity")
    remedy = "{outcome: valence, predictors: [AU12, attributes.age]}"
    if outcome is None or not isinstance(predictors, Sequence) or isinstance(predictors, str) or not predictors:
        raise UserError("benchmark.regressions", dict(wanted), "no outcome and list of predictors", f"say {remedy}")
    _check("regressions", str(outcome), scoring.label_names())
    if link not in ("identity", "logit"):
        raise UserError("benchmark.regressions", link, "unknown link", "say identity or logit")
    if link == "logit" and outcome in scoring.DIMENSIONS:
        raise UserError("benchmark.regressions", outcome, "is neither yes nor no", "say link: identity")
    for name in map(str, predictors):
        if name not in scoring.label_names() and name != "source" and not name.startswith("attributes."):
            raise UserError("benchmark.regressions", name, "no label, source or attribute", f"say {remedy}")
        if name == outcome:
            raise UserError("benchmark.regressions", name, "explains itself", "leave it out of the predictors")


def _terms(name: str, table: Table) -> list[Term]:
    """Return the columns of one predictor: words become yes and no of each but the commonest."""
    column = table.columns[name]
    if column.machine_N.dtype.kind == "f":
        return [Term(name)]
    words, counts = np.unique([word for word in column.machine_N if word is not None], return_counts=True)
    commonest = words[np.argmax(counts)]
    return [Term(name, str(word)) for word in words if word != commonest]


def _stated(record: ImageRecord, key: str) -> Any:
    place, _, name = key.partition(".")
    if key == "source":
        return record.source
    return record.attributes.get(name) if place == "attributes" else None


def _whose(row: Finished) -> tuple[str, str]:
    return (row.source, f"subject {row.subject}") if row.subject is not None else (row.source, f"record {row.id}")


def _by_people(labels: Labels, origin: Origins) -> Labels:
    """Return the labels that came with the record."""
    scalars = {name: getattr(labels, name) for name in ("expression", "valence", "arousal")}
    said = {name: value for name, value in scalars.items() if getattr(origin, name) == "manual"}
    units = {au: on for au, on in (labels.action_units or {}).items() if origin.action_units.get(str(au)) == "manual"}
    return Labels(**said, action_units=units or None)


def _by_machine(row: Finished) -> bool:
    origin = row.origin
    said = (origin.expression, origin.valence, origin.arousal, *origin.action_units.values())
    return "generated" in said


def _label_column(name: str, machine: Sequence[Labels], origins: Sequence[Origins], human: Sequence[Labels]) -> Column:
    said, right = (np.array([_value(name, each) for each in labels], dtype=np.float64) for labels in (machine, human))
    return Column(said, right, np.array([_origin(name, each) == "manual" for each in origins], dtype=np.bool_))


def _value(name: str, labels: Labels) -> float:
    if name in EXPRESSIONS:
        return np.nan if labels.expression is None else float(labels.expression == name)
    value = (labels.action_units or {}).get(int(name[2:])) if name.startswith("AU") else getattr(labels, name)
    return np.nan if value is None else float(value)


def _origin(name: str, origin: Origins) -> str | None:
    if name in EXPRESSIONS:
        return origin.expression
    found: str | None = origin.action_units.get(name[2:]) if name.startswith("AU") else getattr(origin, name)
    return found


def _attribute_column(values: Sequence[Any], as_words: bool) -> Column:
    numbers = all(value is None or isinstance(value, int | float) for value in values)
    if numbers and not as_words:
        column: NDArray[Any] = np.array([np.nan if value is None else float(value) for value in values])
    else:
        words = group_names(values) if as_words else [UNSTATED if value is None else str(value) for value in values]
        column = np.array([None if word == UNSTATED else word for word in words], dtype=object)
    return Column(column, column, np.ones(len(values), dtype=np.bool_))


def _cells(found: Mapping[str, Any]) -> list[str]:
    effective = found["effective"]
    return [
        _between(found["value"], found["ci95"]),
        _between(found["naive"], found["naive_ci95"]),
        _between(found["human"], found["human_ci95"]),
        "–" if effective is None else f"{effective:,.0f}",
        f"{found['drawn']:,}" + (f" + {found['by_people']:,}" if found["by_people"] else ""),
        f"{found['subjects']:,}",
    ]


def _between(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")


def _csv_row(found: Mapping[str, Any]) -> list[object]:
    def three(name: str, bounds: str) -> list[float | str | None]:
        return ["" if each is None else each for each in (found[name], *(found[bounds] or (None, None)))]

    numbers = [*three("value", "ci95"), *three("naive", "naive_ci95"), *three("human", "human_ci95")]
    effective = "" if found["effective"] is None else found["effective"]
    counts = [found[name] for name in ("drawn", "by_people", "records", "subjects")]
    return [csv_cell(found["name"]), found["kind"], *numbers, effective, *counts, csv_cell(found["remark"])]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for why, name in pairs:
        found.setdefault(why, []).append(name)
    return found
