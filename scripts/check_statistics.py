#!/usr/bin/env python
"""Do the statistics hold? Long simulations of what tables print, as a Markdown table each; half an hour on one core.

    python scripts/check_statistics.py                     # all of it
    python scripts/check_statistics.py coverage --trials 400

coverage    does a 95 % interval hold the truth in 95 % of samples, from 3 to 50 subjects, of even and of skewed ones?
gaps        how often is the largest gap of equal groups called clear?
calibration what ECE have true confidences, how often are they called untrue, and does the interval hold 0?
seeds       how often does a table of differences that do not exist have one that holds, over seeds and subjects?

Everything goes through the functions that the tables use. Each number is a share of `--trials` samples: 400 of them
know it to about 2 points, 2,000 to one.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from tqdm import tqdm

from seke.benchmark.protocol import GroupMetric
from seke.benchmark.scoring.calibration_metrics import calibration_p, ece, ece_debiased
from seke.benchmark.scoring.subgroups import largest_gap
from seke.core.intervals import Difference, estimated, holm, interval, over_seeds, p_value
from seke.core.text_tables import markdown_table

Floats = NDArray[np.float64]
SUBJECTS: Final = (3, 4, 5, 8, 20, 50)
DRAWS: Final = 1000


def binary(rng: np.random.Generator, subjects: int) -> Floats:
    """Return subjects' shares of ten images that are right, whose skill is 0.8 on average."""
    return rng.binomial(10, rng.beta(8, 2, subjects)) / 10


EFFECTS: Final[dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "accuracy 0.8, ten images each (skewness -0.7)": (binary, 0.8),
    "skewness 1.75, lognormal": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
    "skewness 1.75, gamma": (lambda rng, n: rng.gamma(4 / 1.75**2, size=n), 4 / 1.75**2),
    "skewness 2, exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "skewness 6.2, lognormal": (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5)),
}
"""What subjects differ by: a draw of n of them, and the true mean."""


def resampled(values_G: Floats, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Return the means of as many subjects, drawn with replacement, (draws,)."""
    count = len(values_G)
    means: Floats = rng.multinomial(count, np.full(count, 1 / count), size=draws) @ values_G / count
    return means


def coverage(trials: int) -> str:
    """Return how often the interval of a mean holds it, and that p < 0.05 exactly where the interval leaves it out."""
    rows = []
    for name, (draw, truth) in EFFECTS.items():
        cells, rng = [], np.random.default_rng(0)
        for subjects in SUBJECTS:
            held = 0
            for _ in tqdm(range(trials), f"{name}, {subjects} subjects", leave=False):
                values_G = draw(rng, subjects)
                means_B, mean = resampled(values_G, rng), float(values_G.mean())
                ends, p = interval(means_B, mean, subjects), p_value(means_B - truth, mean - truth, subjects)
                inside = ends is None or ends[0] <= truth <= ends[1]
                assert ends is None or (p is not None and (p >= 0.05) == inside), "p and interval disagree"
                held += inside
            cells.append(percent(held, trials))
        rows.append([name, *cells])
    return markdown_table(["Subjects' numbers", *map(str, SUBJECTS)], rows, "lr")


def gaps(trials: int) -> str:
    """Return how often the largest gap of equal groups has p < 0.05, and would if it had been chosen beforehand."""
    rows = []
    for subjects, images in ((60, 1), (20, 3), (6, 10)):
        for allowed in (True, False):
            cells, rng = [], np.random.default_rng(0)
            for groups in (2, 4, 6, 10):
                clear = 0
                for _ in tqdm(range(trials), f"{groups} groups of {subjects} subjects", leave=False):
                    parts = {str(k): group(rng, subjects, images) for k in range(groups)}
                    found = largest_gap(parts)
                    assert found is not None
                    p = found["p"]
                    if not allowed:
                        most, least = parts[found["highest"]], parts[found["lowest"]]
                        p = p_value(most.drawn_B - least.drawn_B, found["gap"], found["drawn_from"])
                    clear += p is not None and p < 0.05
                cells.append(percent(clear, trials))
            how = "tested as the largest" if allowed else "tested as if chosen beforehand"
            rows.append([f"{subjects} subjects of {images} image{'s' * (images > 1)}, {how}", *cells])
    return markdown_table(["A group", *(f"{groups} groups" for groups in (2, 4, 6, 10))], rows, "lr")


def group(rng: np.random.Generator, subjects: int, images: int) -> GroupMetric:
    """Return the accuracy of one group of subjects; a subject's own skill is 0.8 on average."""
    values_G = rng.binomial(images, rng.beta(8, 2, subjects)) / images
    return GroupMetric(float(values_G.mean()), resampled(values_G, rng, 400), subjects * images, subjects)


def calibration(trials: int) -> str:
    """Return what is made of confidences that are true, and of some that are 0.1 too high."""
    rows = []
    for subjects, labels in ((100, 1), (300, 1), (1000, 1), (20, 5), (30, 30)):
        for excess in (0.0, 0.1):
            rng = np.random.default_rng(0)
            binned, debiased, found, held, contained = [], [], 0, 0, 0
            for trial in tqdm(range(trials), f"{subjects} subjects of {labels} labels", leave=False):
                p_N, right_N, of_N = confident(rng, subjects, labels, excess)
                binned.append(ece(p_N, right_N))
                error = ece_debiased(p_N, right_N, of_N)
                debiased.append(error)
                found += (calibration_p(p_N, right_N, of_N, seed=trial, draws=299) or 1) < 0.05
                drawn_B = np.array(list(errors_of_resamples(rng, p_N, right_N, of_N, 100)))
                _, low, high = estimated(drawn_B, error, subjects, (-1.0, 1.0))
                if low is not None and high is not None:
                    held += low <= excess <= high
                    contained += low <= error <= high
            rows.append(
                [
                    f"{subjects} subjects of {labels} label{'s' * (labels > 1)}, {excess:.1f} too high",
                    f"{np.mean(binned):.3f}",
                    f"{np.mean(debiased):+.3f}",
                    *(percent(count, trials) for count in (held, contained, found)),
                ]
            )
    head = ["Confidences", "ECE, binned", "ECE, debiased", "interval holds the truth", "and the estimate", "p < 0.05"]
    return markdown_table(head, rows, "lr")


def confident(
    rng: np.random.Generator, subjects: int, labels: int, excess: float
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.intp]]:
    """Return confidences, what is right and whose it is: right with the confidence's probability less `excess`.

    Of what decides whether a label is right 20 % of the variance is the subject's.
    """
    of_N = np.repeat(np.arange(subjects), labels)
    p_N = 0.15 + 0.8 * rng.beta(4, 1.5, len(of_N))
    shared = 0.2 if labels > 1 else 0.0
    luck_N = np.sqrt(shared) * rng.normal(size=subjects)[of_N] + np.sqrt(1 - shared) * rng.normal(size=len(of_N))
    return p_N, ndtr(luck_N) < p_N - excess, of_N


def errors_of_resamples(
    rng: np.random.Generator, p_N: Floats, right_N: NDArray[np.bool_], of_N: NDArray[np.intp], draws: int
) -> Iterator[float]:
    """Yield the debiased ECE of resampled subjects, whose labels are equally many and side by side."""
    subjects = int(of_N[-1]) + 1
    places_GL = np.arange(len(of_N)).reshape(subjects, -1)
    for _ in range(draws):
        chosen_N = places_GL[rng.integers(subjects, size=subjects)].ravel()
        yield ece_debiased(p_N[chosen_N], right_N[chosen_N], of_N[chosen_N])


def seeds(trials: int) -> str:
    """Return how often at least one of 16 differences that do not exist is found, by three ways of judging.

    The test subjects are the same under all seeds; training varies by as much as the subjects do, or not at all.
    """
    rows = []
    for subjects in (5, 20):
        for trained, what in ((1.0, "as much as subjects"), (0.2, "little")):
            rng, agree, alone, kept, number = np.random.default_rng(0), 0, 0, 0, 16
            for _ in tqdm(range(trials), f"{subjects} subjects, 3 seeds", leave=False):
                p_values = []
                for _ in range(number):
                    shared_G = rng.normal(size=subjects)
                    each = []
                    for luck in trained * rng.normal(size=3) / np.sqrt(subjects):
                        values_G = luck + shared_G + 0.5 * rng.normal(size=subjects)
                        mean = float(values_G.mean())
                        means_B = resampled(values_G, rng, 200)
                        paired = estimated(means_B, mean, subjects)
                        each.append(Difference(paired, p_value(means_B, mean, subjects), subjects))
                    p = over_seeds(each).p
                    p_values.append(1.0 if p is None else p)
                    agree += len({(gain.estimate.value or 0) > 0 for gain in each}) == 1
                alone += sum(p < 0.05 for p in p_values)
                kept += min(holm(p_values)) < 0.05
            rows.append(
                [
                    f"{subjects} subjects, training varies {what}",
                    percent(agree, trials * number),
                    percent(alone, trials * number),
                    percent(kept, trials),
                ]
            )
    head = ["16 comparisons, 3 seeds", "all seeds agree", "p < 0.05", "a table in which one holds (Holm)"]
    return markdown_table(head, rows, "lr")


def percent(count: int, of: int) -> str:
    """Return a share in per cent."""
    return f"{100 * count / of:.1f}"


CHECKS: Final[dict[str, tuple[str, Callable[[int], str]]]] = {
    "coverage": ("95 % intervals: per cent of samples whose interval holds the truth, by number of subjects", coverage),
    "gaps": ("The largest gap of equal groups: per cent of studies that call it clear", gaps),
    "calibration": ("Confidences: mean errors, and per cent of samples", calibration),
    "seeds": ("No difference at all: per cent of comparisons, or of tables, that find one", seeds),
}


def main() -> None:
    """Run the checks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="check", help=f"of {', '.join(CHECKS)}; all, if none is named")
    parser.add_argument("--trials", type=int, default=2000, help="samples for each number (default: 2000)")
    given = parser.parse_args()
    if unknown := [name for name in given.checks if name not in CHECKS]:
        parser.error(f"{unknown[0]}: no such check; choose from {', '.join(CHECKS)}")
    if given.trials < 1:
        parser.error(f"--trials={given.trials}: at least 1 is needed")
    for name in given.checks or CHECKS:
        title, check = CHECKS[name]
        print(f"{title} ({given.trials:,} samples)\n\n{check(given.trials)}\n", flush=True)


if __name__ == "__main__":
    main()
