"""The page unanswered.md: the faces without labels, by group, since dropping them biases a dataset.

Rates by source, by manual expression and by subject, each with the reasons as the annotator's server gave them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from seke.core.escape import markdown
from seke.core.records import ImageRecord
from seke.core.text_tables import markdown_table

UNKNOWN: Final = "unknown"
MOST: Final = 20
"""Subjects listed: those with the most unanswered faces."""


def unanswered(records: Sequence[ImageRecord], reasons: Mapping[str, str]) -> str:
    """Return the page; `reasons` says by record id why there is no instruction."""
    if not reasons:
        return f"# Unanswered\n\nNone of {len(records)} records.\n"
    parts = [f"# Unanswered\n\n{len(reasons)} of {len(records)} records have no instruction."]
    groups: dict[str, Callable[[ImageRecord], str]] = {
        "source": lambda record: record.source,
        "expression": lambda record: record.labels.expression or UNKNOWN,
        "subject": lambda record: f"{record.source}/{record.subject}" if record.subject else UNKNOWN,
    }
    for name, of in groups.items():
        parts.append(_table(name, records, reasons, of))
    return "\n\n".join(parts) + "\n"


def _table(
    name: str, records: Sequence[ImageRecord], reasons: Mapping[str, str], of: Callable[[ImageRecord], str]
) -> str:
    everybody = Counter(of(record) for record in records)
    missing = Counter((of(record), reasons[record.id]) for record in records if record.id in reasons)
    kinds = sorted(set(reasons.values()))
    sums = Counter({group: sum(missing[group, kind] for kind in kinds) for group in everybody})
    shown = [group for group, number in sorted(sums.items(), key=lambda item: (-item[1], item[0])) if number][:MOST]
    rows = [
        [
            markdown(group),
            str(everybody[group]),
            f"{sums[group] / everybody[group]:.1%}",
            *(str(missing[group, k]) for k in kinds),
        ]
        for group in shown
    ]
    return markdown_table([name, "records", "unanswered", *map(markdown, kinds)], rows)
