"""statistics.md: what was prepared, beside the paper's Table 1 where it has the same source."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, pstdev
from types import MappingProxyType
from typing import Final, NamedTuple

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.escape import markdown
from seke.core.records import ImageRecord, Rejection
from seke.core.text_tables import markdown_table

SPLITS: Final = ("train", "validation", "test")
UNKNOWN: Final = "–"
INTERVALS: Final = tuple(k / 4 for k in range(-4, 5))
"""Borders of the intervals that valence and arousal are counted in."""


class Table1(NamedTuple):
    """One row of the paper's Table 1."""

    name: str
    train: int
    test: int
    labels: str


TABLE1: Final[Mapping[str, Table1]] = MappingProxyType(
    {
        "ck_plus": Table1("CK+", 293, 34, "EXP"),
        "raf_db": Table1("RAF-DB", 2453, 608, "EXP"),
        "affectnet": Table1("AffectNet", 5752, 496, "EXP, VA"),
        "disfa": Table1("DISFA", 7001, 716, "AU"),
        "bp4d": Table1("BP4D", 6260, 689, "AU"),
        "aff_wild2": Table1("Aff-Wild2", 4479, 492, "EXP, VA, AU"),
    }
)
"""Table 1: images for FEID (train) and FEAB (test), and the labels each source carries. Verbatim."""


def statistics(
    records: Sequence[ImageRecord], title: str, rejected: Sequence[Rejection] = (), not_drawn: int = 0
) -> str:
    """Return a Markdown page: Table 1 beside ours, Appendix B's distributions per split, and what was left out."""
    parts = [
        f"# {markdown(title)}",
        "Images per source; the paper's train is our train and validation together.",
        _sources(records),
        *_notes(records),
        "![distributions](statistics.png)",
        "## Expressions",
        _per_split(records, EXPRESSIONS, lambda record: [record.labels.expression]),
        "## Action units",
        "Active images of those annotated for that AU, and their share: F1 depends on that of the test side.",
        _action_units(records),
        "## Valence and arousal",
        _valence_arousal(records),
        "Images per interval; a value on a border belongs to the interval above it.",
        _intervals(records),
        "## Left out",
        f"Usable images that were not drawn: {not_drawn}. Rejected ones, each with its reason in rejected.jsonl:",
        _left_out(rejected),
    ]
    return "\n\n".join(parts) + "\n"


def _notes(records: Sequence[ImageRecord]) -> list[str]:
    """Say what a reader of Table 1 should know about these records."""
    sources = sorted({record.source for record in records})
    held_out = {record.source for record in records if record.split == "test"}
    named = {record.source for record in records if record.subject is not None}
    notes = []
    if without := [source for source in sources if source not in held_out]:
        notes.append(f"No image of {', '.join(without)} fell to test: its subjects are few; try another seed.")
    if nameless := [source for source in sources if source not in named]:
        notes.append(f"No subjects are known of {', '.join(nameless)}: split by image, not by person.")
    return notes


def _sources(records: Sequence[ImageRecord]) -> str:
    images = Counter((record.source, record.split) for record in records)
    people: dict[str, set[str]] = {}
    for record in records:
        people.setdefault(record.source, set())
        if record.subject is not None:
            people[record.source].add(record.subject)
    order = [*(s for s in TABLE1 if s in people), *sorted(s for s in people if s not in TABLE1)]
    rows: list[list[object]] = []
    for source in order:
        paper = TABLE1.get(source)
        ours = [images[source, split] for split in SPLITS]
        theirs = [str(paper.train), str(paper.test), paper.labels] if paper else [UNKNOWN] * 3
        name = paper.name if paper else source
        rows.append([name, *ours, f"{ours[2] / sum(ours):.1%}", str(len(people[source]) or UNKNOWN), *theirs])
    totals = [sum(images[source, split] for source in order) for split in SPLITS]
    papers = [TABLE1[source] for source in order if source in TABLE1]
    share = f"{totals[2] / max(1, sum(totals)):.1%}"
    theirs = [str(sum(p.train for p in papers)), str(sum(p.test for p in papers))] if papers else [UNKNOWN] * 2
    rows.append(["all", *totals, share, UNKNOWN, *theirs, ""])
    header = ["source", *SPLITS, "test share", "subjects", "paper train", "paper test", "paper labels"]
    return _table(header, rows)


def _per_split(
    records: Sequence[ImageRecord], names: Iterable[str], values: Callable[[ImageRecord], Iterable[str | None]]
) -> str:
    counts = Counter((value, record.split) for record in records for value in values(record))
    rows = [[name, *(counts[name, split] for split in SPLITS)] for name in names]
    rows.append(["unknown", *(counts[None, split] for split in SPLITS)])
    return _table(["expression", *SPLITS], rows)


def _action_units(records: Sequence[ImageRecord]) -> str:
    annotated = Counter((au, r.split) for r in records for au in r.labels.action_units or {})
    active = Counter((au, r.split) for r in records for au in r.labels.active)
    rows = []
    for au, name in ACTION_UNITS.items():
        counts = [(active[au, split], annotated[au, split]) for split in SPLITS]
        cells = [f"{some} / {of}" + (f" ({some / of:.1%})" if of else "") for some, of in counts]
        total = sum(of for _, of in counts)
        rate = f"{sum(some for some, _ in counts) / total:.1%}" if total else UNKNOWN
        rows.append([f"AU{au} {name}", *cells, rate])
    return _table(["action unit", *SPLITS, "active"], rows)


def _valence_arousal(records: Sequence[ImageRecord]) -> str:
    rows = []
    for name in ("valence", "arousal"):
        for split in SPLITS:
            values = [v for r in records if r.split == split and (v := getattr(r.labels, name)) is not None]
            summary = (
                [UNKNOWN] * 4
                if not values
                else [f"{fmean(values):+.3f}", f"{pstdev(values):.3f}", f"{min(values):+.2f}", f"{max(values):+.2f}"]
            )
            rows.append([name, split, len(values), *summary])
    return _table(["", "split", "n", "mean", "sd", "least", "most"], rows)


def _intervals(records: Sequence[ImageRecord]) -> str:
    rows = []
    for index, low in enumerate(INTERVALS[:-1]):
        cells = []
        for name in ("valence", "arousal"):
            for split in SPLITS:
                values = [v for r in records if r.split == split and (v := getattr(r.labels, name)) is not None]
                cells.append(sum(_interval(value) == index for value in values))
        rows.append([f"{low:+.2f} to {INTERVALS[index + 1]:+.2f}", *cells])
    return _table(["", *(f"{name} {split}" for name in ("valence", "arousal") for split in SPLITS)], rows)


def _interval(value: float) -> int:
    return min(bisect_right(INTERVALS, value) - 1, len(INTERVALS) - 2)


def _left_out(rejected: Sequence[Rejection]) -> str:
    reasons = Counter((row.reason, row.id.partition("/")[0] if "/" in row.id else UNKNOWN) for row in rejected)
    return _table(["reason", "source", "rows"], [[*key, number] for key, number in sorted(reasons.items())])


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head, *body = [[markdown(str(cell)) for cell in line] for line in (header, *rows)]
    return markdown_table(head, body)
