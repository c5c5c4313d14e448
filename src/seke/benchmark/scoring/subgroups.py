"""Subgroup metrics: Table 2's four measures group by group, and the largest gap between two groups.

Groups come from a record's source or from one of its attributes. Numbers of many values (an age, a shade of skin) are
cut into four parts of equal size. All groups are drawn from the same resampled subjects, so a gap has an interval even
where a subject's images lie in several groups. Among many groups some gap is always seen, and the largest is chosen
for it: its interval and p-value allow for as many comparisons as there are pairs of groups (Bonferroni), so that equal
groups are told apart in 5 % of studies at most, however many they are.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.protocol import Benchmark, Grouped, GroupMetric, GroupMetrics, Measured
from seke.benchmark.scoring.arrays import Columns, columns
from seke.benchmark.scoring.bootstrap import WITHIN, drawn, point
from seke.benchmark.scoring.tables import with_interval
from seke.core.affect import TABLE2_AUS
from seke.core.errors import UserError
from seke.core.escape import markdown
from seke.core.intervals import SHARE, interval, p_value
from seke.core.records import ImageRecord, Prediction
from seke.core.rules import MEASURES
from seke.core.text_tables import markdown_table

UNSTATED: Final = "unknown"
"""The line of the images whose group nobody stated."""
FEWEST: Final = 30
"""Images with truth below which a group's number is shown, but is no end of a gap."""
PARTS: Final = 4
MANY_NUMBERS: Final = 12
"""More distinct numbers than these are cut into `PARTS`."""
MOST_GROUPS: Final = 40
"""More groups than these are names, not groups."""
DRAWS: Final = 1000


Grouping = Callable[[Sequence[Any], NDArray[Any], int, int, int], tuple[Mapping[str, GroupMetrics], Mapping[str, Any]]]
"""(predictions, the group of each, seed, draws, fewest) -> every group, and what else metrics.json is to hold."""


def grouping_of(benchmark: Benchmark) -> Grouping | None:
    """Return what a benchmark measures of its groups: of faces their labels, unless it says; None for nothing."""
    if isinstance(benchmark, Grouped):
        return benchmark.grouped
    return None if isinstance(benchmark, Measured) else group_faces


def keys_of(keys: object) -> list[str]:
    """Return the keys that `groups=` means; one word is a list of one.

    >>> keys_of("source"), keys_of(None)
    (['source'], [])
    """
    if keys is None or isinstance(keys, str):
        return [keys] if keys else []
    if not isinstance(keys, list | tuple):
        raise UserError("groups", keys, "no list of keys", "say for example groups=[source]")
    return [str(key) for key in keys]


def check(keys: Sequence[str], records: Sequence[ImageRecord], benchmark: Benchmark | None = None) -> None:
    """Refuse, before anything is paid for, a key that makes no groups of the records.

    Raises:
        UserError: if no record has it, or if it has too many values, or if the benchmark measures nothing by group.
    """
    if keys and benchmark is not None and grouping_of(benchmark) is None:
        raise UserError("groups", list(keys), "this benchmark measures nothing by group", "leave groups= out")
    for key in keys:
        values = [_value(record, key) for record in records]
        if all(value is None for value in values):
            known = sorted({f"attributes.{name}" for record in records for name in record.attributes})
            raise UserError("groups", key, "no record has it", f"choose from {', '.join(['source', *known])}")
        if (count := len(set(group_names(values)))) > MOST_GROUPS:
            raise UserError("groups", key, f"{count} different values are no groups", "choose a key of fewer values")


def group_faces(
    predictions: Sequence[Prediction], groups_N: NDArray[Any], seed: int, draws: int, fewest: int
) -> tuple[dict[str, GroupMetrics], dict[str, Any]]:
    """Return Table 2's measures of each group, resampled by subject, and the "aus" whose mean is their F1.

    An AU counts only if every group of at least `fewest` annotated images shows it active, so that a gap is not
    one between action units.
    """
    data = columns(predictions)
    parts = {name: data.unknown_outside(groups_N == name) for name in set(groups_N.tolist())}
    known = {name: part.known() for name, part in parts.items()}
    enough = [name for name in parts if name != UNSTATED and known[name]["action_units"].sum() >= fewest]
    aus = _shared_aus([parts[name] for name in enough] or [data])
    found: dict[str, GroupMetrics] = {}
    for name, part in parts.items():
        values, resampled = _measured(point(part), aus), _measured(drawn(part, draws, seed), aus)
        found[name] = {
            measure.name: GroupMetric(
                float(values[measure.name]),
                resampled[measure.name],
                int(known[name][measure.task].sum()),
                len(np.unique(part.group_N[known[name][measure.task]])),
                WITHIN.get(measure.metric, SHARE),
            )
            for measure in MEASURES
        }
    return found, {"aus": aus}


def by_group(
    predictions: Sequence[Any],
    records: Iterable[ImageRecord],
    keys: Sequence[str],
    seed: int = 0,
    draws: int = DRAWS,
    fewest: int = FEWEST,
    grouping: Grouping = group_faces,
) -> dict[str, Any]:
    """Return metrics.json's "groups": for each key its groups and, per measure, the largest gap.

    Args:
        predictions: what was scored.
        records: where the keys are looked up; they may be more than the predictions.
        keys: "source" or "attributes.<name>".
        seed: of the resampling.
        draws: resamples.
        fewest: images with truth that a group needs to be an end of a gap.
        grouping: what is measured, and of what resamples.

    Returns:
        {key: {"fewest", "groups": {group: {"n", measure: {"value", "ci95", "n", "drawn_from" (subjects or pictures)}
        or None}}, "gaps": {measure: {"highest", "lowest", "gap", "ci95", "p", "pairs" (for as many of which ci95 and p
        allow), "drawn_from" (of the smaller group)} or None}, and what else `grouping` returns}}.
    """
    of_id = {record.id: record for record in records}
    found = {}
    for key in keys:
        groups_N = np.array(group_names([_value(of_id[row.id], key) for row in predictions]))
        parts, more = grouping(predictions, groups_N, seed, draws, fewest)
        found[key] = {**_one_key(parts, groups_N, fewest), **more}
    return found


def group_names(values: Sequence[Any]) -> list[str]:
    """Return the name of each value's group, in a form that sorts as it should; None is `UNSTATED`.

    >>> group_names(["f", None, True])
    ['f', 'unknown', 'True']
    """
    numbers = [_number(value) for value in values]
    if any(number is None and value is not None for number, value in zip(numbers, values, strict=True)):
        return [UNSTATED if value is None else str(value) for value in values]
    distinct = np.unique([number for number in numbers if number is not None])
    if len(distinct) <= MANY_NUMBERS:
        return [UNSTATED if value is None else str(value) for value in values]
    edges = np.quantile([number for number in numbers if number is not None], np.arange(1, PARTS) / PARTS)
    parts = np.searchsorted(edges, distinct)
    names = {
        part: f"{part + 1}: {distinct[parts == part][0]:g} to {distinct[parts == part][-1]:g}" for part in set(parts)
    }
    return [UNSTATED if number is None else names[np.searchsorted(edges, number)] for number in numbers]


def groups_table(found: Mapping[str, Any]) -> str:
    """Return metrics.json's "groups" in Markdown; empty without groups."""
    parts = []
    for key, of_key in found.items():
        measures = list(of_key["gaps"])
        name = markdown(key)
        rows = [
            [markdown(group), str(cells["n"]), *(_cell(cells[measure], of_key["fewest"]) for measure in measures)]
            for group, cells in of_key["groups"].items()
        ]
        rows.append(["**largest gap**", "", *(_gap_cell(of_key["gaps"][measure]) for measure in measures)])
        note = (
            "Largest gap: interval and p allow for its being the largest of all pairs of groups; a gap of p >= 0.05 is "
            "no more than equal groups show by chance. "
        )
        note += f"° fewer than {of_key['fewest']} images with truth, no end of a gap; nor is {UNSTATED!r}."
        if "aus" in of_key:
            aus = ", ".join(f"AU{au}" for au in of_key["aus"])
            note += f" AU F1: mean of {aus or 'no AU that every group shows'}."
        parts.append(f"## By {name}\n\n{markdown_table([name, 'n', *measures], rows, 'lr')}\n\n{note}\n")
    return "\n".join(parts)


def _one_key(parts: Mapping[str, GroupMetrics], groups_N: NDArray[Any], fewest: int) -> dict[str, Any]:
    names = sorted(parts, key=lambda name: (name == UNSTATED, name))
    cells = {name: {measure: _estimate(parts[name], measure) for measure in parts[name]} for name in names}
    gaps = {
        measure: largest_gap(
            {name: parts[name][measure] for name in names if name != UNSTATED and parts[name][measure].n >= fewest}
        )
        for measure in parts[names[0]]
    }
    groups = {name: {"n": int((groups_N == name).sum()), **cells[name]} for name in names}
    return {"fewest": fewest, "groups": groups, "gaps": gaps}


def _shared_aus(parts: Sequence[Columns]) -> list[int]:
    f1 = [point(part)["action_units"]["f1"] for part in parts]
    return [au for au in TABLE2_AUS if not any(math.isnan(values[str(au)]) for values in f1)]


def _measured(metrics: Mapping[str, Any], aus: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Return the measures of point estimates or of draws; the AUs' mean is over those of `aus` that are defined."""
    f1_KB = np.ma.masked_invalid([metrics["action_units"]["f1"][str(au)] for au in aus])
    return {
        measure.name: _mean(f1_KB)
        if measure.task == "action_units"
        else np.asarray(metrics[measure.task][measure.metric])
        for measure in MEASURES
    }


def _mean(values_KB: "np.ma.MaskedArray[Any, Any]") -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.ma.filled(values_KB.mean(axis=0), np.nan)
    return mean


def _estimate(part: GroupMetrics, measure: str) -> dict[str, Any] | None:
    found = part[measure]
    if math.isnan(found.value):
        return None
    ci95 = interval(found.drawn_B, found.value, found.drawn_from, found.within)
    return {"value": found.value, "ci95": ci95, "n": found.n, "drawn_from": found.drawn_from}


def largest_gap(of_groups: Mapping[str, GroupMetric]) -> dict[str, Any] | None:
    """Return the largest gap of one measure, as metrics.json has it; None for fewer than two groups that have it."""
    values = {name: number.value for name, number in of_groups.items() if not math.isnan(number.value)}
    if len(values) < 2:
        return None
    lowest = min(values, key=lambda name: values[name])
    highest = max((name for name in values if name != lowest), key=lambda name: values[name])
    most, least = of_groups[highest], of_groups[lowest]
    gap = most.value - least.value
    difference_B, clusters = most.drawn_B - least.drawn_B, min(most.drawn_from, least.drawn_from)
    pairs = math.comb(len(values), 2)
    p = p_value(difference_B, gap, clusters)
    return {
        "highest": highest,
        "lowest": lowest,
        "gap": gap,
        "ci95": interval(difference_B, gap, clusters, comparisons=pairs),
        "p": None if p is None else min(1.0, pairs * p),
        "pairs": pairs,
        "drawn_from": clusters,
    }


def _value(record: ImageRecord, key: str) -> Any:
    place, _, name = key.partition(".")
    if key == "source":
        return record.source
    return record.attributes.get(name) if place == "attributes" else None


def _number(value: Any) -> float | None:
    """Return what reads as a finite number, a CSV cell's text included; truth values are words."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _cell(found: Mapping[str, Any] | None, fewest: int) -> str:
    if found is None:
        return with_interval(None, None)
    number = with_interval(found["value"], found["ci95"], found.get("drawn_from"))
    return f"{number}, n={found['n']}{'' if found['n'] >= fewest else ' °'}"


def _gap_cell(gap: Mapping[str, Any] | None) -> str:
    return (
        with_interval(None, None)
        if gap is None
        else (
            f"{with_interval(gap['gap'], gap['ci95'], gap.get('drawn_from'))}, {gap['lowest']} < {gap['highest']}"
            f"{_tested(gap)}"
        )
    )


def _tested(gap: Mapping[str, Any]) -> str:
    if "p" not in gap:  # of an earlier release, whose interval does not allow for the choice
        return ", not tested"
    return "" if gap["p"] is None else f", p {'<' if gap['p'] < 0.001 else '='} {max(gap['p'], 0.001):.3f}"
