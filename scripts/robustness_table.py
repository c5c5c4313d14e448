"""What robustness.py writes of the measures: verdicts on every claim in every world, as a table, a figure and CSV."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from robustness_settings import MEASURES, Claim, listed

MOST = 0.8
"""Share of the worlds that README may state a claim for: eight of ten."""
Measured = Mapping[tuple[str, str, int], Mapping[str, Mapping[str, float | None]]]
"""By annotator, faces and seed: each method's measures."""
VERDICTS = ("holds", "fails", "depends on the seed", "unknown")


class Verdict(NamedTuple):
    """One claim in one world."""

    says: str
    """One of `VERDICTS`."""
    margin: float | None
    """Mean over the seeds, in points; None where any is unknown."""


def verdict(margins: Sequence[float | None]) -> Verdict:
    """Return what the margins of one claim in one world, one for each seed, come to.

    A margin of 0 is no lead: it fails.

    >>> verdict([1.0, 3.0]).says, verdict([1.0, -1.0]).says, verdict([0.0, -1.0]).says, verdict([None, 1.0]).says
    ('holds', 'depends on the seed', 'fails', 'unknown')
    """
    known = [margin for margin in margins if margin is not None]
    if len(known) < len(margins) or not known:
        return Verdict("unknown", None)
    mean = sum(known) / len(known)
    if all(margin > 0 for margin in known):
        return Verdict("holds", mean)
    return Verdict("fails" if all(margin <= 0 for margin in known) else "depends on the seed", mean)


def judge(claims: Mapping[str, Claim], measured: Measured) -> dict[str, dict[tuple[str, str], Verdict]]:
    """Return every claim's verdict in every world (annotator, faces)."""
    worlds: dict[tuple[str, str], list[Mapping[str, Mapping[str, float | None]]]] = {}
    for (annotator, faces, _), found in measured.items():
        worlds.setdefault((annotator, faces), []).append(found)
    pooled = {world: [mean_over_seeds(of_seeds)] for world, of_seeds in worlds.items()}
    return {
        name: {
            world: verdict([claim.margin(found) for found in (pooled if claim.pooled else worlds)[world]])
            for world in worlds
        }
        for name, claim in claims.items()
    }


def mean_over_seeds(
    measured: Sequence[Mapping[str, Mapping[str, float | None]]],
) -> dict[str, dict[str, float | None]]:
    """Return each method's measures, averaged; None where one is unknown."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    return {
        method: {name: mean([found[method][name] for found in measured]) for name in values}
        for method, values in measured[0].items()
    }


def table(found: Mapping[str, Any], claims: Mapping[str, Claim], measured: Measured) -> str:
    """Return table.md."""
    verdicts = judge(claims, measured)
    faces = list(dict.fromkeys(kind for _, kind, _ in measured))
    annotators = list(dict.fromkeys(name for name, _, _ in measured))
    seeds = ", ".join(str(seed) for seed in found["seeds"])
    lines = [
        f"# In how many worlds each claim holds: {found['name']}",
        "",
        f"{len(annotators)} simulated annotators, {len(faces)} kinds of faces ({listed(faces)}), seeds {seeds}, "
        f"{found['faces']} latent faces each, of which a pilot of about {found['pilot']} is not scored. Simulations: "
        "they say what depends on the annotator, not how any vision LLM does.",
        "",
        "A claim holds in a world where it does with every seed, and fails where it fails with every seed; one of a "
        "tie (pooled) is judged on the means over seeds. Of two "
        f"methods that do not differ, one is ahead with all of {len(found['seeds'])} seeds in one world of "
        f"{2 ** len(found['seeds'])}. The margin is the mean over the seeds, in points of 100; in brackets that of the "
        f"worst and of the best world. **Bold** holds in at least {MOST:.0%} of the worlds.",
        "",
        f"| claim | {' | '.join(f'{kind}: holds / fails' for kind in faces)} | all worlds | margin |",
        f"|---|{'---|' * len(faces)}---|---|",
    ]
    for name, claim in claims.items():
        of_world = verdicts[name]
        cells = []
        for kind in faces:
            here = [one for (_, where), one in of_world.items() if where == kind]
            cells.append(f"{_count(here, 'holds')} / {_count(here, 'fails')} of {len(here)}")
        holds = _count(of_world.values(), "holds")
        every = f"{holds} of {len(of_world)}"
        if unknown := _count(of_world.values(), "unknown"):
            every += f" ({unknown} unknown)"
        lines.append(
            f"| {claim.says} | {' | '.join(cells)} | {f'**{every}**' if holds >= MOST * len(of_world) else every} "
            f"| {_span([one.margin for one in of_world.values()])} |"
        )
    return "\n".join([*lines, "", *_by_world(claims, verdicts, annotators, faces), *_means(measured, faces)]) + "\n"


def _by_world(
    claims: Mapping[str, Claim],
    verdicts: Mapping[str, Mapping[tuple[str, str], Verdict]],
    annotators: Sequence[str],
    faces: Sequence[str],
) -> Iterator[str]:
    """Yield, for every kind of faces, the margin of each claim with each annotator."""
    for kind in faces:
        yield f"## Margins by annotator, {kind} faces"
        yield ""
        yield "Points of 100, mean over the seeds; + holds, - fails, ~ depends on the seed, ? unknown."
        yield ""
        yield f"| claim | {' | '.join(name.replace('_', ' ') for name in annotators)} |"
        yield f"|---|{'---|' * len(annotators)}"
        for name, claim in claims.items():
            yield f"| {claim.says} | {' | '.join(_cell(verdicts[name][annotator, kind]) for annotator in annotators)} |"
        yield ""


def _means(measured: Measured, faces: Sequence[str]) -> Iterator[str]:
    """Yield each method's measures with the first annotator, mean over the seeds."""
    first = next(iter(measured))[0]
    for kind in faces:
        here = [found for (annotator, where, _), found in measured.items() if (annotator, where) == (first, kind)]
        yield f"## Measures: {first.replace('_', ' ')} annotator, {kind} faces"
        yield ""
        yield "| method | accuracy | AU F1 | V error | A error | ECE | draws | requests |"
        yield f"|{'---|' * 8}"
        for method in here[0]:
            cells = []
            for name in (*MEASURES, "samples", "requests"):
                values = [value for found in here if (value := found[method].get(name)) is not None]
                cells.append(f"{sum(values) / len(values):.1f}" if len(values) == len(here) else "-")
            yield f"| {method.replace('_', ' ')} | {' | '.join(cells)} |"
        yield ""


def _cell(one: Verdict) -> str:
    sign = {"holds": "+", "fails": "-", "depends on the seed": "~", "unknown": "?"}[one.says]
    return sign if one.margin is None else f"{sign} {abs(one.margin):.1f}" if sign in "+-" else f"~ {one.margin:.1f}"


def _count(verdicts: Any, says: str) -> int:
    return sum(one.says == says for one in verdicts)


def _span(margins: Sequence[float | None]) -> str:
    known = [margin for margin in margins if margin is not None]
    return f"{sum(known) / len(known):+.1f} ({min(known):+.1f} to {max(known):+.1f})" if known else "-"


def picture(path: Path, claims: Mapping[str, Claim], measured: Measured) -> None:
    """Draw the claims (rows) by world (columns): colour is the margin, a dot what depends on the seed."""
    verdicts = judge(claims, measured)
    worlds = list(next(iter(verdicts.values())))
    figure = Figure(figsize=(4.5 + 0.34 * len(worlds), 1.8 + 0.27 * len(claims)), layout="constrained")
    axes = figure.add_subplot()
    margins = [[verdicts[name][world].margin for world in worlds] for name in claims]
    shown = axes.imshow(
        [[math.nan if margin is None else margin for margin in row] for row in margins],
        cmap="RdBu", vmin=-5, vmax=5, aspect="auto",
    )  # fmt: skip
    for row, name in enumerate(claims):
        for column, world in enumerate(worlds):
            if verdicts[name][world].says == "depends on the seed":
                axes.text(column, row, "~", ha="center", va="center", fontsize=8)
    axes.set_yticks(range(len(claims)), [claim.says for claim in claims.values()], fontsize=7)
    labels = [f"{annotator.replace('_', ' ')}, {faces}" for annotator, faces in worlds]
    axes.set_xticks(range(len(worlds)), labels, fontsize=7, rotation=90)
    figure.colorbar(shown, ax=axes, extend="both", label="margin, points (red: fails; ~: depends on the seed)")
    FigureCanvasAgg(figure).print_png(str(path))


def as_csv(head: Sequence[str], rows: Iterator[Sequence[Any]]) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def claim_rows(claims: Mapping[str, Claim], measured: Measured) -> Iterator[Sequence[Any]]:
    """Yield the rows of claims.csv."""
    for name, of_world in judge(claims, measured).items():
        for (annotator, faces), one in of_world.items():
            yield name, annotator, faces, one.says, "" if one.margin is None else f"{one.margin:.3f}"


def measure_rows(measured: Measured) -> Iterator[Sequence[Any]]:
    """Yield the rows of measures.csv."""
    for where, found in measured.items():
        for method, values in found.items():
            for name, value in values.items():
                yield *where, method, name, "" if value is None else f"{value:.3f}"
