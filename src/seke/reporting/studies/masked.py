"""Figure 5: accuracy of generated labels where the human ones were masked, as scripts/figure5.sh measured it.

That script scores all methods on the same faces and writes outputs/figure5/<name>/rows.json, or one file for each seed
in figure5/<name>-s<seed>/; here it is only shown.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.core.figure_style import TONES
from seke.core.intervals import Difference, Estimate
from seke.core.rules import FIGURE5
from seke.reporting.data.run_labels import Words
from seke.reporting.data.tables import Column
from seke.reporting.render.figures import Panel
from seke.reporting.studies.figures import FigureData
from seke.reporting.studies.orders import (
    ExpectedOrder,
    MeasureVerdict,
    corrected,
    orders_table,
    sentences,
    turned,
    verdict,
)
from seke.reporting.studies.runs import Line, MeasuredRows, seeds_of
from seke.reporting.studies.study import Section, StudyContext
from seke.reporting.studies.tables import COLUMNS, table

QUALITY: Final = tuple(Column.of(measure, measure.name) for measure in FIGURE5)
"""Figure 5's measures, by their names in rows.json."""
EARLIER: Final = {"AU F1 (present)": "AU F1"}
"""What rows.json of earlier releases calls a measure."""
COST: Final = tuple(COLUMNS[f"cost.{name}"] for name in ("requests", "input_tokens", "output_tokens", "usd"))


@dataclass(frozen=True)
class Masked:
    """The methods of Figure 5 as the rows of a table."""

    name: str
    title: str
    expect: Sequence[Sequence[str]] = ()
    """[better, worse], by the methods' names; one of the two is the one that all differences were taken to."""
    short: Mapping[str, str] = field(default_factory=dict)
    """What drawings call a method, by its name."""
    figures: Sequence[Callable[[Path, FigureData], list[Panel]]] = ()
    control: str | None = None
    """The method over which every other one's gain is told."""

    def section(self, context: StudyContext) -> Section:
        """Tabulate and draw the methods, tell their gains, and judge the expected orders by the paired differences."""
        names = seeds_of(context.outputs.path, context.name, {"figure5": "", "generate": ""})
        paths = {name: context.outputs.path / "figure5" / name / "rows.json" for name in names}
        seeds = {name: {row["method"]: row for row in read(path)} for name, path in paths.items() if path.is_file()}
        missing = tuple(f"figure5/{name}: not run, or not finished" for name in names if name not in seeds)
        if context.name not in names and (context.outputs.path / "figure5" / context.name / "rows.json").is_file():
            missing += (f"figure5/{context.name}: left out, it has no seed in its name and others have",)
        if not seeds:
            return Section(self.title, missing=missing)
        methods = dict.fromkeys(method for rows in seeds.values() for method in rows)
        lines = [_line(method, seeds, self.short, place) for place, method in enumerate(methods)]
        faces = sorted({row["n"] for rows in seeds.values() for row in rows.values()})
        present = sorted(
            {row["aus_present"] for rows in seeds.values() for row in rows.values() if "aus_present" in row}
        )
        caption = (
            f"{_span(faces)} records that carry all three descriptions, one masked at a time; only what was generated "
            "in its place is scored. F1 (present): the mean over those action units that occur in these records"
            f"{f', {_span(present)}' if present else ''}. Costs per 1,000 images of which one description was masked; "
            f"a pilot{' is part of it' if present else ', once, is left out'}."
        )
        measures, found = (*QUALITY, *COST), MeasuredRows(tuple(lines), tuple(seeds), (), ())
        gained = [(method, self.control) for method in methods if self.control and method != self.control]
        gains = corrected([order for pair in gained if (order := _order(pair, seeds, lines, "gain"))])
        tables = [table(self.name, self.title, "Method", measures, found, (), caption, gains)]
        judged = [(pair, _order(pair, seeds, lines, "difference")) for pair in self.expect]
        orders = corrected([order for _, order in judged if order])
        if orders:
            tables.append(orders_table(f"{self.name}_orders", f"{self.title}: orders", orders, QUALITY))
        panels = tuple(
            panel
            for draw in self.figures
            for panel in draw(context.figures, FigureData(self.name, lines, (), measures))
        )
        unjudged = [f"{a} above {b}: not judged, not measured." for (a, b), order in judged if not order]
        return Section(self.title, tuple(tables), panels, (*sentences(orders), *unjudged), missing)


def _span(counts: Sequence[int]) -> str:
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def read(path: Path) -> list[dict[str, Any]]:
    """Return rows.json.

    Raises:
        UserError: if it is no list of methods.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError("file", path, f"not readable: {error}", "run scripts/figure5.sh again") from None
    if not isinstance(rows, list) or not rows:
        raise UserError("file", path, "no list of methods", "run scripts/figure5.sh again")
    return rows


Seeds = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Name of a seed's run -> method -> its row of rows.json."""


def _line(method: str, seeds: Seeds, short: Mapping[str, str], place: int) -> Line:
    words = Words(method, short.get(method, method), list(TONES)[place % len(TONES)])
    return Line(method, words, {name: _measured(rows[method]) for name, rows in seeds.items() if method in rows})


def _measured(row: Mapping[str, Any]) -> dict[str, Estimate]:
    known = _named(row["quality"])
    quality = {column.key: Estimate(*known.get(column.key, (None,))) for column in QUALITY}
    return {
        **quality,
        **{column.key: Estimate(row["per_1000"][column.key.removeprefix("cost.")]) for column in COST},
    }


def _named(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return measures by their names of today."""
    today = {earlier: name for name, earlier in EARLIER.items()}
    return {today.get(name, name): found for name, found in measured.items()}


def _order(pair: Sequence[str], seeds: Seeds, lines: Sequence[Line], which: str) -> ExpectedOrder | None:
    """Judge [better, worse] by what rows.json has of the one to the other under `which`; None where it has nothing."""
    better, worse = pair
    of = {line.key: line for line in lines}
    rows = [rows for rows in seeds.values() if better in rows and worse in rows]
    gains = [gain for both in rows if (gain := _gains(both[better], both[worse], which)) is not None]
    return ExpectedOrder(of[better], of[worse], tuple(_verdicts(gains))) if gains else None


def _verdicts(gains: Sequence[Mapping[str, Difference]]) -> Iterator[MeasureVerdict]:
    for column in QUALITY:
        yield verdict(column, [found[column.key] for found in gains if column.key in found])


def _gains(better: Mapping[str, Any], worse: Mapping[str, Any], which: str) -> dict[str, Difference] | None:
    """Return by how much one row is better than the other on each measure; None unless one of them is the reference."""
    own, others = better.get(which), worse.get(which)
    if (own is None) == (others is None):
        return None
    row = better if own else worse
    p = _named(row.get("p", {}).get(which, {}))  # not in files of earlier releases, nor are the subjects
    subjects = _named(row.get("subjects", {}))
    gains = {
        key: Difference(Estimate(*found), p.get(key), subjects.get(key))
        for key, found in _named(own or others or {}).items()
    }
    return gains if own else {key: turned(found) for key, found in gains.items()}
