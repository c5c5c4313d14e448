r"""How much of an annotator's lasting error belongs to the wording of a request? Whether prompts=seke_framed can pay.

    python generate.py records=mine name=ways prompts=seke_framed 'generator.hide=[expression,va,au]' limit=300 \
      stopping=fixed stopping.samples=10 generator.max_samples=10 generator.aggregate=majority backend=openai
    python scripts/framings.py ways [--outputs outputs] [--records outputs/prepare/mine/train.jsonl]

The run hides all human labels and asks for every picture twice or more in each way. With the labels that it hid this
tells the errors of its draws, what each way gets wrong on average taken out: of valence and arousal what a line from
the truth leaves, of the others what the mean answer to the same truth leaves. Two draws of a picture in the same way
share the error of the picture and that of the wording, two in different ways only the former:

    share of the wording = 1 - covariance in different ways / covariance in the same way
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.cli.mistakes import in_one_line
from seke.core import runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.intervals import Estimate, estimated
from seke.core.records import ImageRecord, InstructionRecord, Labels, Trace, read_jsonl
from seke.generation.seke.asking import FRAMINGS

Floats = NDArray[np.float64]
RESAMPLES: Final = 2000
DESCRIPTIONS: Final = ("expression", "valence", "arousal", "action units")


class Covariances(NamedTuple):
    """Of the errors of two draws of one picture: sums over each of S subjects' pictures, (S,)."""

    same_S: Floats
    """In the same way."""
    different_S: Floats
    total_S: Floats
    """Of a draw with itself: the variance."""


class Drawn(NamedTuple):
    """A run's draws of each picture, by way and repetition, beside the truth."""

    truth: Sequence[Labels]
    draws: Sequence[Sequence[Sequence[Labels]]]
    subjects: Sequence[str]
    left_out: int
    """Pictures with other than so many usable draws in each way."""


def read(folder: Path, records: Path) -> Drawn:
    """Return what a finished run of generate.py drew.

    Raises:
        UserError: if it did not ask in several ways, twice in each, about labels that people have given.
    """
    config = runs.manifest_beside(folder / "draws.jsonl")["config"]
    texts = config["prompts"]["templates"]
    ways = sum(1 if isinstance(texts[name], str) else len(texts[name]) for name in FRAMINGS if name in texts)
    number = config["generator"].get("max_samples", 0)
    if ways < 2:
        raise UserError("run", folder.name, "all its draws were asked in one way", "generate with prompts=seke_framed")
    if number < 2 * ways or number % ways:
        problem = f"of {ways} ways of asking, generator.max_samples={number} is not the same number of two or more each"
        raise UserError("run", folder.name, problem, f"generate with stopping=fixed and {2 * ways} draws")
    flawed = {
        row.id for row in read_jsonl(folder / "instructions.jsonl", InstructionRecord) if "unusable_draws" in row.flags
    }
    known = {row.id: row for row in read_jsonl(records, ImageRecord)}
    traces = [trace for trace in read_jsonl(folder / "draws.jsonl", Trace) if trace.id in known]
    whole = [trace for trace in traces if len(trace.draws) == number and trace.id not in flawed]
    if not whole:
        problem = f"no picture of {records} has {number} usable draws"
        raise UserError("run", folder.name, problem, "give --records that it annotated, or take stopping=fixed")
    return Drawn(
        [known[trace.id].labels for trace in whole],
        [[trace.draws[way::ways] for way in range(ways)] for trace in whole],  # draw i was asked in way i mod ways
        [known[trace.id].subject or trace.id for trace in whole],
        len(traces) - len(whole),
    )


def errors_of(name: str, drawn: Drawn) -> Floats:
    """Return the errors of one description's draws, (pictures, ways, repetitions, values); 0 where truth is unknown."""
    if name in ("valence", "arousal"):
        truth_N = _numbers([[getattr(labels, name)] for labels in drawn.truth])
        said_NWK = _numbers([[[[getattr(one, name)] for one in way] for way in face] for face in drawn.draws])
        return np.stack([_off_the_line(said_NWK[:, way], truth_N) for way in range(said_NWK.shape[1])], axis=1)
    if name == "expression":
        truth_N = _numbers([[_place(labels.expression)] for labels in drawn.truth]).repeat(len(EXPRESSIONS), axis=1)
        said_NWK = np.array([[[_indicators(one) for one in way] for way in face] for face in drawn.draws])
    else:
        truth_N = _numbers([_active(labels) for labels in drawn.truth])
        said_NWK = _numbers([[[_active(one) for one in way] for way in face] for face in drawn.draws])
    return np.stack([_off_the_mean(said_NWK[:, way], truth_N) for way in range(said_NWK.shape[1])], axis=1)


def covariances(error_NWKD: Floats, subjects: Sequence[str]) -> Covariances:
    """Return the covariances of errors, by subject."""
    _, ways, repeats, _ = error_NWKD.shape
    of_way_NWD = error_NWKD.sum(axis=2)
    own_N = (error_NWKD**2).sum(axis=(1, 2, 3))
    squares_N = (of_way_NWD**2).sum(axis=(1, 2))
    all_N = (of_way_NWD.sum(axis=1) ** 2).sum(axis=1)
    same_N = (squares_N - own_N) / (ways * repeats * (repeats - 1))
    different_N = (all_N - squares_N) / (ways * (ways - 1) * repeats**2)
    place_N = np.unique(subjects, return_inverse=True)[1]
    summed = (np.bincount(place_N, each) for each in (same_N, different_N, own_N / (ways * repeats)))
    return Covariances(*(np.asarray(sums_S, dtype=np.float64) for sums_S in summed))


def shares(found: Covariances, seed: int = 0) -> tuple[Estimate, float, float]:
    """Return the share of the wording, 95 % by subject, and the correlations of errors in the same way and in others.

    The share is unknown where draws in the same way have nothing in common.
    """
    people = len(found.same_S)
    times_BS = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        share_B = 1 - (times_BS @ found.different_S) / (times_BS @ found.same_S)
        same, different = (sums.sum() / found.total_S.sum() for sums in (found.same_S, found.different_S))
    if not same > 0:
        return Estimate(None), float(same), float(different)
    return estimated(share_B, float(1 - different / same), people), float(same), float(different)


def table(drawn: Drawn) -> str:
    """Return the shares as Markdown."""
    ways, repeats = len(drawn.draws[0]), len(drawn.draws[0][0])
    lines = [
        f"{len(drawn.draws):,} pictures of {len(set(drawn.subjects)):,} subjects, {ways} ways of asking, {repeats} "
        f"draws each; {drawn.left_out:,} pictures left out, with an unusable draw or fewer of them.",
        "",
        "| | correlation of errors, same way | different ways | share of the wording (95 %, by subject) |",
        "|---|---|---|---|",
    ]
    for name in DESCRIPTIONS:
        share, same, different = shares(covariances(errors_of(name, drawn), drawn.subjects))
        around = "" if share.low is None or share.high is None else f" ({share.low:.2f} to {share.high:.2f})"
        said = "unknown" if share.value is None else f"{share.value:.2f}{around}"
        numbers = " | ".join("-" if np.isnan(number) else f"{number:.2f}" for number in (same, different))
        lines.append(f"| {name} | {numbers} | {said} |")
    return "\n".join(lines)


def _numbers(values: object) -> Floats:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _place(expression: str | None) -> int | None:
    return None if expression is None else EXPRESSIONS.index(expression)


def _indicators(labels: Labels) -> list[float]:
    return [float(labels.expression == expression) for expression in EXPRESSIONS]


def _active(labels: Labels) -> list[bool | None]:
    return [(labels.action_units or {}).get(au) for au in ACTION_UNITS]


def _off_the_line(said_NKD: Floats, truth_ND: Floats) -> Floats:
    known_N = ~np.isnan(truth_ND[:, 0])
    error_NKD = np.zeros_like(said_NKD)
    if known_N.sum() > 2:
        x_N, y_NK = truth_ND[known_N, 0], said_NKD[known_N, :, 0]
        slope, offset = np.polyfit(np.repeat(x_N, y_NK.shape[1]), y_NK.ravel(), 1)
        error_NKD[known_N, :, 0] = y_NK - (slope * x_N + offset)[:, None]
    return error_NKD


def _off_the_mean(said_NKD: Floats, truth_ND: Floats) -> Floats:
    error_NKD = np.zeros_like(said_NKD)
    for column in range(truth_ND.shape[1]):
        for value in np.unique(truth_ND[:, column][~np.isnan(truth_ND[:, column])]):
            here_N = truth_ND[:, column] == value
            error_NKD[here_N, :, column] = said_NKD[here_N, :, column] - said_NKD[here_N, :, column].mean()
    return error_NKD


@in_one_line()
def main(words: Sequence[str] | None = None) -> None:
    """Print the table of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="name of a finished generate run")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument(
        "--records", help="name or file of records whose human labels it hid; by default its own records"
    )
    given = parser.parse_args(words)
    draws = runs.locate("run", given.run, given.outputs, "generate", "draws.jsonl")
    named = given.records or runs.manifest_beside(draws)["config"]["records"]
    print(table(read(draws.parent, runs.locate_records(named, given.outputs, "train.jsonl"))))


if __name__ == "__main__":
    main()
