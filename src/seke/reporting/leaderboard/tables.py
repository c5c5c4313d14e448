"""Tables of a leaderboard: its rows, who is known to be better than whom, all boards side by side, conditions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from seke.core.intervals import Estimate
from seke.core.result_file import Measure
from seke.reporting.data.tables import LABEL, Cell, Column, Partial, Row, Table, signed
from seke.reporting.leaderboard.board import Board, Entry
from seke.reporting.leaderboard.ranking import pair

RANK, SCORES, ANSWERS, COST = "Rank (95 %)", "Scores", "Questions", "Cost"
NONE: Final = "–"
BETTER, WORSE, OPEN = "▲", "▼", "·"
CAPTION: Final = (
    "Ranks: from 1 + the systems that are known to be better to all but those known to be worse, all pairs of a "
    "measure together at 95 % (Holm); rows about the same pictures are compared picture by picture. Scores with 95 % "
    "intervals. Whatever was refused, unreadable or has no picture counts as wrong; an error is over the answered "
    "pictures, and competes with every missing one as wrong as can be. Rows in italics are not ranked; below each "
    "stands why."
)
MATRIX: Final = (
    "Points by which the row's system is above the column's (numbers as in the first column); ▲ known to be better, ▼ "
    "known to be worse, all pairs together at 95 %, · not known. In brackets: compared by two separate intervals, for "
    "the rows are not of the same resamples."
)


def places(board: Board) -> dict[int, int]:
    """Return the place of each ranked row in the headline, by the row's id(): what figures call it by."""
    return {id(entry): place for place, entry in enumerate(board.ranked, 1)}


def main_table(board: Board) -> Table:
    """Return a board's rows: the ranked ones, then the others with the reason."""
    ranks = [
        Column(f"rank.{key}", _short(board.measure(key)), RANK) for key in board.keys if len(board.ranks[key][0]) > 1
    ]
    scores = [_score(board, key) for key in board.keys]
    rest = [
        Column.count("asked", "asked", ANSWERS),
        Column.percent("refused", "refused %", ANSWERS, ""),
        Column.percent("unreadable", "not read %", ANSWERS, ""),
        Column.percent("missing", "no picture %", ANSWERS, ""),
        Column("usd", "$ for 1,000", COST, 2),
        Column.count("tokens", "tokens a picture", COST),
        Column("training", "seen in training", ""),
        Column("why", "", under=LABEL),
    ]
    place = places(board)
    rows = [_row(board, entry, place.get(id(entry))) for entry in board.every]
    return Table(_stem(board.name), board.name, "System", (*ranks, *scores, *rest), tuple(rows), CAPTION)


def matrix_table(board: Board) -> Table | None:
    """Return who is known to be better in the headline; None where nobody can be compared."""
    key = board.keys[0]
    competing, found = board.ranks[key]
    if len(competing) < 2:
        return None
    measure = board.measure(key)
    columns = [Column(f"against.{k}", str(places(board)[id(entry)])) for k, entry in enumerate(competing)]
    rows = []
    for i, entry in enumerate(competing):
        cells: dict[str, Cell] = {}
        for j in range(len(competing)):
            if i == j:
                cells[columns[j].key] = "–"
                continue
            one = found.pairs[i][j]
            mark = BETTER if found.better_KK[i, j] else WORSE if found.better_KK[j, i] else OPEN
            scale, digits = (100, 1) if measure.percent else (1, 3)
            points = signed((one.difference.value or 0.0) * scale, digits)
            cells[columns[j].key] = f"{points} {mark}" if one.paired else f"({points}) {mark}"
        rows.append(Row(f"{places(board)[id(entry)]} {entry.label}", cells, tags=entry.tags))
    title = f"Who is known to be better: {heading(measure)}"
    return Table(f"{_stem(board.name)}-pairs", title, "System", tuple(columns), tuple(rows), MATRIX)


def overview(found: Sequence[Board]) -> Table | None:
    """Return every ranked system's headline and rank on every board; None for one board alone."""
    shown = [board for board in found if board.ranked]
    if len(shown) < 2:
        return None
    ends: dict[str, list[float]] = {}
    for board in shown:
        for entry in board.ranked:
            low, high = board.rank(entry, board.keys[0]) or (len(board.ranked), len(board.ranked))
            ends.setdefault(entry.label, []).append((low + high) / 2)
    labels = sorted(ends, key=lambda label: (sum(ends[label]) / len(ends[label]), label))
    columns = [
        column
        for board in shown
        for column in (
            _headline_column(board),
            Column(f"{board.name}.rank", "rank", board.name),
        )
    ]
    rows = []
    for label in labels:
        cells: dict[str, Cell] = {}
        tags: tuple[str, ...] = ()
        for board in shown:
            best = next((entry for entry in board.ranked if entry.label == label), None)
            if best is None:
                continue
            tags, key = best.tags, board.keys[0]
            measure = best.row.measures.get(key)
            cells[f"{board.name}.score"] = None if measure is None else Estimate(measure.value, *(measure.ci95 or ()))
            cells[f"{board.name}.rank"] = _span(board.rank(best, key))
        rows.append(Row(label, cells, tags=tags))
    caption = (
        "The first measure of every board and the interval of the rank in it, in the order of the middles of these. "
        "Of a system asked twice, the better row."
    )
    return Table("overview", "All boards", "System", tuple(columns), tuple(rows), caption)


def condition_table(board: Board) -> Table | None:
    """Return what corrupted pictures cost each system in the headline; None where nobody was shown any."""
    key = board.keys[0]
    if not board.changed:
        return None
    measure = board.measure(key)
    scale, digits = (100, 1) if measure.percent else (1, 3)
    columns = [
        replace(_score(board, key), better=""),
        Column("lost", "against the clean ones", "", digits, scale, signed=True),
        Column("paired", "compared", ""),
    ]
    rows = []
    for entry in sorted(board.changed, key=_of_condition):
        task = entry.row.task
        assert task is not None
        assert task.condition is not None
        found = entry.row.measures.get(key)
        clean = clean_row(board, entry)
        cells: dict[str, Cell] = {
            key: None if found is None else Estimate(found.value, *(found.ci95 or ())),
            "lost": None,
            "paired": "no row about the clean pictures" if clean is None else "picture by picture",
        }
        ours, theirs = entry.competitor(key), clean and clean.competitor(key)
        if ours is not None and theirs is not None:
            told = pair(ours, theirs)
            cells["lost"] = told.difference
            cells["paired"] = "picture by picture" if told.paired else "by two intervals"
        name = f"{entry.label}: {task.condition.kind} {task.condition.severity}"
        rows.append(Row(name, cells, entry.file, tags=entry.tags))
    caption = (
        "Pictures to which something was done (source=corrupted; severity 1 to 3), and what that costs beside the same "
        "pictures left alone; below 0 is worse, whatever is measured. With 95 % intervals of each row alone."
    )
    return Table(
        f"{_stem(board.name)}-conditions", "Under stated conditions", "System", tuple(columns), tuple(rows), caption
    )


def clean_row(board: Board, entry: Entry) -> Entry | None:
    """Return the row of the same system about the same records, nothing done to their pictures."""
    task = entry.row.task
    assert task is not None
    return next(
        (
            other
            for other in board.every
            if other.row.task is not None
            and other.row.system == entry.row.system
            and (other.row.task.records, other.row.task.prompt, other.row.task.reader)
            == (task.records, task.prompt, task.reader)
        ),
        None,
    )


def _of_condition(entry: Entry) -> tuple[str, str, int]:
    condition = entry.row.task and entry.row.task.condition
    return entry.label, condition.kind if condition else "", condition.severity if condition else 0


def _row(board: Board, entry: Entry, place: int | None) -> Row:
    cells: dict[str, Cell] = {f"rank.{key}": _span(board.rank(entry, key)) or NONE for key in board.keys}
    partial = {}
    for key, measure in entry.row.measures.items():
        whole = measure.coverage == 1
        cells[key] = Estimate(measure.value, *(measure.ci95 or ())) if whole else Estimate(measure.value)
        if not whole:
            partial[key] = Partial(measure.coverage, None, measure.rival)
    counts = entry.row.counts
    cells["asked"] = None if counts is None else Estimate(counts.asked)
    cells["refused"] = _estimate(entry.share("refused"))
    cells["unreadable"] = _estimate(entry.share("unreadable", "no_answer"))
    cells["missing"] = _estimate(entry.share("missing_pictures"))
    cells["usd"], cells["tokens"] = _estimate(entry.usd_per_thousand), _estimate(entry.tokens)
    cells["training"] = entry.row.contamination.verdict
    if entry.row.kind == "published":
        cells |= dict.fromkeys(("asked", "refused", "unreadable", "missing", "usd", "tokens", "training"), NONE)
    about = [*entry.why, *(["a simulation, no model"] if entry.row.system.simulated and not entry.why else [])]
    cells["why"] = "; ".join(about) or None
    label = f"{place} {entry.label}" if place else entry.label
    return Row(label, cells, entry.file, reference=place is None, partial=partial, tags=entry.tags)


def _score(board: Board, key: str) -> Column:
    measure = board.measure(key)
    digits, scale = (1, 100.0) if measure.percent else (3, 1.0)
    return Column(key, heading(measure), SCORES, digits, scale, measure.better)


def _headline_column(board: Board) -> Column:
    column = _score(board, board.keys[0])
    return Column(f"{board.name}.score", column.label, board.name, column.digits, column.scale, column.better)


def heading(measure: Measure) -> str:
    """Return a measure's title without what the rest of a table says, such as which way is better."""
    return measure.title.partition(" (")[0]


def _short(measure: Measure) -> str:
    return measure.title.partition(",")[0].partition(" (")[0]


def _span(rank: tuple[int, int] | None) -> str | None:
    if rank is None:
        return None
    return str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}–{rank[1]}"


def _estimate(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


def _stem(name: str) -> str:
    return name.replace(".", "-")
