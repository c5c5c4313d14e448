"""Random predictions with holes on both sides: what the tests of the benchmark draw from."""

import numpy as np

from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.records import Labels, Prediction

SOURCES = ("ck_plus", "disfa", "bp4d", "aff_wild2")


def labels(rng: np.random.Generator, known: float, units: tuple[int, ...] = tuple(ACTION_UNITS)) -> Labels:
    """Return random labels, each known with probability `known`; few distinct numbers, so that ties happen."""
    some = {au: bool(rng.random() < 0.3) for au in units if rng.random() < known}
    return Labels(
        expression=str(rng.choice(EXPRESSIONS[: int(rng.integers(2, 9))])) if rng.random() < known else None,
        valence=float(np.round(rng.uniform(-1, 1), 1)) if rng.random() < known else None,
        arousal=float(np.round(rng.uniform(-1, 1), 1)) if rng.random() < known else None,
        action_units=some or None,
    )


def prediction(
    truth: Labels, said: Labels, id_: object = 0, source: str = "x", subject: str | None = None
) -> Prediction:
    """Return one answered prediction."""
    return Prediction(
        id=str(id_), source=source, subject=subject, text="", judged=None, labels=said, truth=truth, status="ok"
    )


def predictions(seed: int, count: int, known: float = 0.7) -> list[Prediction]:
    """Return `count` predictions of a few subjects, some of them without a subject."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        source = str(rng.choice(SOURCES))
        truth = labels(rng, known, AUS_OF_SOURCE.get(source, ()))
        said = labels(rng, known)
        subject = None if rng.random() < 0.2 else f"s{rng.integers(max(count // 4, 1))}"
        rows.append(prediction(truth, said, f"{source}-{number}", source, subject))
    return rows
