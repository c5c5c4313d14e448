"""Rows of results, sorted into boards: one for each benchmark, with those that can be compared, and why others cannot.

Rows are comparable if they are about the same records and pictures, asked in the same words, and read by the same
reader. The largest such group of a benchmark is ranked; other rows are shown below it with the reason, and so are
published numbers, of which nobody knows the pictures. A simulation is ranked only among simulations.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.core.result_file import Measure, Result, files_in, load
from seke.reporting.leaderboard.ranking import Competitor, Ranks, ranks

SHOWN: Final = 20
"""Files that a note on faults names."""


class Entry(NamedTuple):
    """A row and where it stands."""

    row: Result
    file: str
    """Its file's name, without the ending."""
    why: tuple[str, ...] = ()
    """Why it is not comparable; empty for those that are ranked."""

    @property
    def label(self) -> str:
        """What the row is called."""
        return self.row.system.name

    @property
    def tags(self) -> tuple[str, ...]:
        """By which the page filters."""
        named = ["published" if self.row.kind == "published" else "incomparable" if self.why else "ranked"]
        return (*named, *(["simulated"] if self.row.system.simulated else []))

    def competitor(self, key: str) -> Competitor | None:
        """Return the row in a measure; None where it does not compete."""
        measure = self.row.measures.get(key)
        if measure is None or measure.rival is None or self.row.task is None or self.row.replicates is None:
            return None
        sign = 1.0 if measure.better == "high" else -1.0
        drawn_B = self.row.replicates.drawn(key)
        half = None if measure.ci95 is None else max(measure.rival - measure.ci95[0], measure.ci95[1] - measure.rival)
        resamples = (self.row.task.records, self.row.replicates.seed, self.row.replicates.draws)
        return Competitor(
            sign * measure.rival, None if drawn_B is None else sign * drawn_B, measure.clusters, half, resamples
        )

    @property
    def usd_per_thousand(self) -> float | None:
        """US dollars for a thousand pictures; None where nobody knows."""
        return self._per_thousand(None if self.row.cost is None else self.row.cost.usd)

    @property
    def tokens(self) -> float | None:
        """Tokens, in and out, for one picture; None where nobody knows."""
        cost = self.row.cost
        if cost is None or cost.input_tokens is None or cost.output_tokens is None:
            return None
        found = self._per_thousand(cost.input_tokens + cost.output_tokens)
        return None if found is None else found / 1000

    def _per_thousand(self, total: float | None) -> float | None:
        return None if total is None or self.row.counts is None else 1000 * total / self.row.counts.asked

    def share(self, *kinds: str) -> float | None:
        """Return the share of questions with these outcomes, in [0, 1]; None for published rows."""
        counts = self.row.counts
        return None if counts is None else sum(getattr(counts, kind) for kind in kinds) / counts.asked


@dataclass(frozen=True)
class Board:
    """One benchmark."""

    name: str
    keys: tuple[str, ...]
    """Of the measures, the headline first."""
    ranked: tuple[Entry, ...]
    """The best in the headline first."""
    others: tuple[Entry, ...]
    """Not comparable, then published."""
    changed: tuple[Entry, ...]
    """About pictures to which something was done (`Condition`)."""
    ranks: Mapping[str, tuple[tuple[Entry, ...], Ranks]]
    """By measure, those that compete in it and what is known of their order."""

    @property
    def every(self) -> tuple[Entry, ...]:
        """Those that are ranked, then the others."""
        return self.ranked + self.others

    def measure(self, key: str) -> Measure:
        """Return any row's measure of this name: its title, unit and direction."""
        return next(
            entry.row.measures[key] for entry in self.every + self.changed if key in entry.row.measures
        )  # there is one: `keys` are of rows

    def rank(self, entry: Entry, key: str) -> tuple[int, int] | None:
        """Return the interval of a row's rank in a measure; None where it does not compete."""
        competing, found = self.ranks[key]
        return next(
            (span for other, span in zip(competing, found.intervals, strict=True) if other is entry),
            None,
        )


class Rows(NamedTuple):
    """What a folder holds."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    """Files that are no rows, and what is wrong with the first of each one's faults."""


def rows_in(folder: Path) -> Rows:
    """Read a folder's rows; a file that is none is left out and named.

    Raises:
        UserError: if there is no such folder, or no row in it.
    """
    if not folder.is_dir():
        remedy = "name the folder into which evaluate.py results=<folder> writes"
        raise UserError("leaderboard", folder, "no such folder", remedy)
    entries, notes = [], []
    for path in files_in(folder):
        row, found = load(path)
        if row is None:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            notes.append(f"{path.relative_to(folder)} left out: {found[0]}{more}")
        else:
            entries.append(Entry(row, str(path.relative_to(folder).with_suffix(""))))
    if not entries:
        why = f"; {notes[0]}" if notes else ""
        remedy = "add rows by evaluate.py results=<folder>, and see to faults by python scripts/check_result.py"
        raise UserError("leaderboard", folder, f"holds no row of results{why}", remedy)
    hidden = len(notes) - SHOWN
    return Rows(tuple(entries), (*notes[:SHOWN], *([f"{hidden} more files left out"] if hidden > 0 else [])))


def boards(entries: Sequence[Entry]) -> list[Board]:
    """Return a board for each benchmark, by name."""
    names = sorted({entry.row.benchmark for entry in entries})
    return [_board(name, [entry for entry in entries if entry.row.benchmark == name]) for name in names]


def _board(name: str, entries: Sequence[Entry]) -> Board:
    published = [entry for entry in entries if entry.row.kind == "published"]
    asked = [(entry, entry.row.task) for entry in entries if entry.row.kind == "measured" and entry.row.task]
    changed = [entry for entry, task in asked if task.condition is not None]
    measured = [entry for entry, task in asked if task.condition is None]
    only_simulated = all(entry.row.system.simulated for entry in measured)
    candidates = [entry for entry in measured if only_simulated or not entry.row.system.simulated]
    reference = _reference(candidates)
    judged = [entry._replace(why=_why(entry, reference, only_simulated)) for entry in measured]
    headline = (reference or entries[0].row).headline
    keys = [key for entry in [*judged, *published, *changed] for key in entry.row.measures]
    ordered = tuple(dict.fromkeys([headline, *keys]))
    ranked = sorted((entry for entry in judged if not entry.why), key=lambda entry: _order(entry, headline))
    apart = sorted((entry for entry in judged if entry.why), key=lambda entry: _order(entry, headline))
    papers = [
        entry._replace(why=(f"{entry.row.source.paper}, {entry.row.source.place}",))
        for entry in sorted(published, key=lambda entry: _order(entry, headline))
        if entry.row.source
    ]
    return Board(
        name,
        ordered,
        tuple(ranked),
        (*apart, *papers),
        tuple(changed),
        {key: _ranked(ranked, key) for key in ordered},
    )


def _ranked(ranked: Sequence[Entry], key: str) -> tuple[tuple[Entry, ...], Ranks]:
    found = [(entry, competitor) for entry in ranked if (competitor := entry.competitor(key))]
    ordered = sorted(found, key=lambda both: -both[1].value)
    return tuple(entry for entry, _ in ordered), ranks([competitor for _, competitor in ordered])


def _order(entry: Entry, headline: str) -> tuple[float, str]:
    competitor, measure = entry.competitor(headline), entry.row.measures.get(headline)
    if competitor is not None:
        return -competitor.value, entry.label
    if measure is None:
        return float("inf"), entry.label
    return (-measure.value if measure.better == "high" else measure.value), entry.label


def _reference(entries: Sequence[Entry]) -> Result | None:
    """Return a row of the largest group that is comparable; of equally large ones, the one about more pictures."""
    groups = Counter(_what(entry.row) for entry in entries)
    if not groups:
        return None
    largest = max(groups, key=lambda what: (groups[what], _asked(entries, what), what))
    return next(entry.row for entry in entries if _what(entry.row) == largest)


def _asked(entries: Sequence[Entry], what: tuple[str, ...]) -> int:
    return max(entry.row.counts.asked for entry in entries if entry.row.counts and _what(entry.row) == what)


def _what(row: Result) -> tuple[str, ...]:
    assert row.task is not None
    return row.task.records, row.task.pictures, row.task.prompt, row.task.reader


def _why(entry: Entry, reference: Result | None, only_simulated: bool) -> tuple[str, ...]:
    """Return why a row is not comparable with the ranked ones."""
    row, why = entry.row, []
    if row.system.simulated and not only_simulated:
        why.append("a simulation, which looks the labels up")
    if reference is None or reference is row:
        return tuple(why)
    ours, theirs = row.task, reference.task
    assert ours is not None
    assert theirs is not None
    assert row.counts is not None
    assert reference.counts is not None
    if row.counts.asked != reference.counts.asked:
        why.append(f"other pictures: {row.counts.asked:,}, where the ranked rows have {reference.counts.asked:,}")
    elif (ours.records, ours.pictures) != (theirs.records, theirs.pictures):
        why.append(f"{'other pictures' if ours.records == theirs.records else 'other records'} of the same number")
    if ours.prompt != theirs.prompt:
        why.append("asked in other words")
    if ours.reader != theirs.reader:
        why.append(f"answers read by {ours.reader}, not {theirs.reader}")
    return tuple(why)
