"""Figure 5: how right generated labels are where the human ones were masked; from what scripts/figure5.sh measured.

That script scores all methods on the same faces and writes outputs/figure5/<name>/rows.json; here it is only shown.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seke.errors import UserError
from seke.reporting.figures import TONES, Panel
from seke.reporting.gather import Estimate
from seke.reporting.studies import Desk, Section
from seke.reporting.study_figures import Compared
from seke.reporting.study_orders import Order, Verdict, orders_table
from seke.reporting.study_runs import Line
from seke.reporting.study_tables import COLUMNS
from seke.reporting.tables import Column, Row, Table
from seke.reporting.wording import Words

QUALITY: Final = (
    Column("Expression accuracy", "acc. %", "Expression", 1, 100, "high"),
    Column("AU F1", "F1 (17) %", "Action units", 1, 100, "high"),
    Column("Valence 1-MAE", "1 − MAE", "Valence", 3, 1, "high"),
    Column("Arousal 1-MAE", "1 − MAE", "Arousal", 3, 1, "high"),
)
"""Figure 5's measures, by their names in rows.json."""
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
    figures: Sequence[Callable[[Path, Compared], list[Panel]]] = ()

    def section(self, desk: Desk) -> Section:
        """Tabulate and draw the methods, and judge the expected orders by the paired differences."""
        path = desk.outputs / "figure5" / desk.name / "rows.json"
        if not path.is_file():
            return Section(self.title, missing=(f"figure5/{desk.name}: not run, or not finished",))
        rows = read(path)
        lines = [_line(row, self.short, place) for place, row in enumerate(rows)]
        caption = (
            f"{rows[0]['n']} records that carry all three descriptions, one masked at a time; only what was generated "
            "in its place is scored. With 95 % intervals, bootstrap over subjects. Costs per 1,000 images of which one "
            "description was masked; a pilot, once, is left out."
        )
        table = Table(
            self.name, self.title, "Method", (*QUALITY, *COST),
            tuple(Row(line.words.label, line.each[""]) for line in lines), caption,
        )  # fmt: skip
        orders = [order for pair in self.expect if (order := _order(pair, rows, lines))]
        tables = [
            table,
            *([orders_table(f"{self.name}_orders", f"{self.title}: orders", orders, QUALITY)] if orders else []),
        ]
        compared = Compared(self.name, lines, (), (*QUALITY, *COST))
        panels = tuple(panel for draw in self.figures for panel in draw(desk.figures, compared))
        unjudged = [
            f"{a} above {b}: not judged, not measured." for a, b in self.expect if not _order((a, b), rows, lines)
        ]
        return Section(self.title, tuple(tables), panels, (*(order.sentence for order in orders), *unjudged))


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


def _line(row: Mapping[str, Any], short: Mapping[str, str], place: int) -> Line:
    quality = {column.key: Estimate(*row["quality"].get(column.key, (None,))) for column in QUALITY}
    cost = {column.key: Estimate(row["per_1000"][column.key.removeprefix("cost.")]) for column in COST}
    words = Words(row["method"], short.get(row["method"], row["method"]), list(TONES)[place % len(TONES)])
    return Line(row["method"], words, {"": {**quality, **cost}})


def _order(pair: Sequence[str], rows: Sequence[Mapping[str, Any]], lines: Sequence[Line]) -> Order | None:
    """Judge [better, worse] by the difference that rows.json has of the one to the other; None where it has none."""
    of = {row["method"]: (row, line) for row, line in zip(rows, lines, strict=True)}
    if not set(pair) <= set(of):
        return None
    (better, first), (worse, second) = (of[name] for name in pair)
    sign, found = (1, better["difference"]) if worse["difference"] is None else (-1, worse["difference"])
    if found is None or (better["difference"] is not None and worse["difference"] is not None):
        return None
    verdicts = []
    for column in QUALITY:
        gain, low, high = found.get(column.key, (None, None, None))
        ends = sorted(sign * end for end in (low, high)) if low is not None else [None, None]
        verdicts.append(Verdict(column, None if gain is None else sign * gain, *ends))
    return Order(first, second, tuple(verdicts))
