"""Several reviewers of the same rows: how far they agree, where they contradict each other, and whose word counts.

Two reviewers contradict each other about a row where one rejects it and the other does not, or where a label differs
afterwards: another expression, an AU active and not, valence or arousal not within `rules.NEAR`. Where they do not, the
decision of the reviewer who is named first is applied. A contradiction is applied to nothing, and the row stays as the
machine wrote it, unless it was said whose word is preferred.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

from seke.core.records import Labels
from seke.core.rules import near

DIMENSIONS: Final = ("valence", "arousal")
FIRST: Final = "first"
LAST: Final = "last"
DECISION: Final = "decision"
REJECTED: Final = "rejected"

Verdicts = Mapping[str, Labels | None]
"""A row's labels after a reviewer looked at it, by id; None where the reviewer rejected it."""


class Contradiction(NamedTuple):
    """One label that two or more reviewers see differently."""

    id: str
    label: str
    """expression, valence, arousal, AU12, ..., or `DECISION` where some rejected the row."""
    said: Mapping[str, Any]
    """By reviewer, of those who looked at it."""


def contradictions(verdicts: Mapping[str, Verdicts]) -> list[Contradiction]:
    """Return what reviewers see differently, by id and then by label.

    Args:
        verdicts: by reviewer.
    """
    found = []
    for record in sorted({record for verdict in verdicts.values() for record in verdict}):
        those = {name: verdict[record] for name, verdict in verdicts.items() if record in verdict}
        found += [Contradiction(record, label, said) for label, said in _differing(those)]
    return found


def preferred(names: Sequence[str], prefer: str | None) -> str | None:
    """Return the reviewer whose word counts where they contradict each other; None: nobody's."""
    return names[0] if prefer == FIRST else names[-1] if prefer == LAST else prefer


def whose(names: Sequence[str], looked: Sequence[str], contradicted: bool, prefer: str | None) -> str | None:
    """Return the reviewer whose decision about a row is applied; None where none is.

    Args:
        names: all reviewers, in the order in which they are named.
        looked: those who decided about this row, in that order.
        contradicted: whether these contradict each other.
        prefer: "first", "last", a reviewer, or None.

    >>> whose(["ann", "bob"], ["bob"], False, None), whose(["ann", "bob"], ["ann", "bob"], True, None)
    ('bob', None)
    >>> whose(["ann", "bob"], ["ann", "bob"], True, "last")
    'bob'
    """
    if not contradicted:
        return looked[0]
    favourite = preferred(looked if prefer in (FIRST, LAST) else names, prefer)
    return favourite if favourite in looked else None


def agreement(verdicts: Mapping[str, Verdicts]) -> list[dict[str, Any]]:
    """Return how far every two reviewers agree about the rows that both looked at.

    Returns:
        Of each pair: "reviewers", "n" rows that both looked at, and by description "n" labels, "agree" (their share
        about which they say the same, in [0, 1]) and "kappa" (J. Cohen, A coefficient of agreement for nominal scales,
        1960; of AUs over all of them together). None where there is nothing to count, or where kappa is not defined
        since both always say the same one thing; of valence and arousal there is no kappa.
    """
    return [_pair(one, other, verdicts[one], verdicts[other]) for one, other in combinations(verdicts, 2)]


def _differing(those: Mapping[str, Labels | None]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rejected = [name for name, labels in those.items() if labels is None]
    kept = {name: labels for name, labels in those.items() if labels is not None}
    if rejected and kept:
        yield DECISION, {name: REJECTED if name in rejected else "kept" for name in those}
        return
    columns = {name: _columns(labels) for name, labels in kept.items()}
    for label in dict.fromkeys(label for said in columns.values() for label in said):
        said = {name: column[label] for name, column in columns.items() if label in column}
        if not all(_same(label, one, other) for one, other in combinations(said.values(), 2)):
            yield label, said


def _columns(labels: Labels) -> dict[str, Any]:
    scalars = {name: getattr(labels, name) for name in ("expression", *DIMENSIONS)}
    units = {f"AU{au}": active for au, active in (labels.action_units or {}).items()}
    return {name: value for name, value in {**scalars, **units}.items() if value is not None}


def _same(label: str, one: Any, other: Any) -> bool:
    return near(one, other) if label in DIMENSIONS else bool(one == other)


def _pair(one: str, other: str, first: Verdicts, second: Verdicts) -> dict[str, Any]:
    both = [record for record in first if record in second]
    kept = [(a, b) for record in both if (a := first[record]) is not None and (b := second[record]) is not None]
    columns = [(_columns(a), _columns(b)) for a, b in kept]
    pairs: dict[str, list[tuple[Any, Any]]] = {
        DECISION: [(first[record] is None, second[record] is None) for record in both],
        **{
            name: [(a[name], b[name]) for a, b in columns if name in a and name in b]
            for name in ("expression", *DIMENSIONS)
        },
        "action_units": [(a[au], b[au]) for a, b in columns for au in a if au.startswith("AU") and au in b],
    }
    return {"reviewers": [one, other], "n": len(both), **{name: _counted(name, said) for name, said in pairs.items()}}


def _counted(name: str, pairs: Sequence[tuple[Hashable, Hashable]]) -> dict[str, Any]:
    same = sum(_same(name, one, other) for one, other in pairs)
    kappa = None
    if name not in DIMENSIONS and len({value for pair in pairs for value in pair}) > 1:
        from sklearn.metrics import cohen_kappa_score

        kappa = float(cohen_kappa_score([str(one) for one, _ in pairs], [str(other) for _, other in pairs]))
    return {"n": len(pairs), "agree": same / len(pairs) if pairs else None, "kappa": kappa}
