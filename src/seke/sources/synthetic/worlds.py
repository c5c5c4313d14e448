"""Worlds of synthetic faces: how expressions, action units, valence and arousal hang together in a source's faces.

    drawn         as `seke.core.affect` has it: every AU at its rate in an expression, AUs independent given it
    spontaneous   as films of people who do not act: AUs at the rates of BP4D and DISFA, 0.4 of the couplings between
                  expressions and AUs (in log-odds), weak expressions, and AUs that come together beyond the expression
    a path        as a prepared set's human labels have it: rates, couplings and anchors are fitted to them

What holds of labels in one world and not in another depends on the world.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scipy.optimize import brentq
from scipy.special import expit, logit

from seke.core.affect import ACTION_UNITS, EXPRESSIONS, VA_OF_EXPRESSION, Anchor, au_probability
from seke.core.errors import UserError
from seke.core.label_prior import COLUMN, couplings
from seke.core.records import ImageRecord, read_jsonl

NAMES: Final = ("drawn", "spontaneous")
BP4D: Final[Mapping[int, float]] = MappingProxyType({
    1: 0.20, 2: 0.15, 4: 0.20, 6: 0.45, 7: 0.55, 10: 0.60, 12: 0.55, 14: 0.45, 15: 0.15, 17: 0.35, 23: 0.15, 24: 0.15,
})  # fmt: skip
"""Share of BP4D's frames in which an AU occurs (Zhang et al. 2014, as its users report it), to the nearest .05."""
DISFA: Final[Mapping[int, float]] = MappingProxyType({
    1: 0.05, 2: 0.03, 4: 0.15, 5: 0.02, 6: 0.08, 9: 0.04, 12: 0.13, 15: 0.03, 17: 0.04, 20: 0.02, 25: 0.28, 26: 0.10,
})  # fmt: skip
"""Share of DISFA's frames in which an AU has intensity 2 or more (Mavadati et al. 2013, as its users report it),
rounded by us; of rare AUs it is an order of magnitude."""
SHRUNK: Final = 0.4
"""Share of the published couplings, in log-odds, that is left in spontaneous faces; chosen."""
TOGETHER: Final[Mapping[int, str]] = MappingProxyType({
    1: "raise", 2: "raise", 5: "raise", 4: "frown", 9: "frown", 6: "smile", 7: "smile", 10: "smile", 12: "smile",
    14: "smile", 15: "press", 17: "press", 23: "press", 24: "press", 20: "open", 25: "open", 26: "open",
})  # fmt: skip
"""Which AUs come together in spontaneous faces; the groups follow the correlations reported for BP4D and DISFA."""
LOADING: Final = 0.7
"""Of each AU on its group's factor: two AUs of a group correlate by .49 before they are cut at their rates; chosen."""


@dataclass(frozen=True)
class World:
    """How one source's faces come about; `face_model.draw_face` draws them."""

    p_active: Mapping[str, Mapping[int, float]]
    """P(AU active | expression)."""
    anchors: Mapping[str, Anchor]
    """Valence and arousal of an expression at strength 1."""
    strength: tuple[float, float]
    """Range of an expression's strength."""
    noise: float | None
    """Standard deviation of valence and arousal around what expression and AUs say; None: they spread as the anchor
    says, and AUs do not move them, too."""
    exclusive: bool
    """Whether AUs that one mouth can hardly show at once exclude each other; then rates are a little lower."""
    expressions: Mapping[str, float] | None = None
    """How often each is shown in spontaneous sources; None: as the source has it."""
    groups: Mapping[int, str] = field(default_factory=dict)
    """AUs of a group share a factor; none: all are independent given the expression."""


DRAWN: Final = World(
    p_active={name: {au: au_probability(name, au) for au in ACTION_UNITS} for name in EXPRESSIONS},
    anchors=dict(VA_OF_EXPRESSION),
    strength=(0.6, 1.0),
    noise=0.08,
    exclusive=True,
)


def world(name: str, source: str) -> World:
    """Return the world of a sub-source's faces.

    Args:
        name: one of `NAMES`, or the path of a prepared set or of a JSONL file of records.
        source: the sub-source: spontaneous faces of disfa have DISFA's rates, all others BP4D's where it has them.

    Raises:
        UserError: if `name` is neither a world nor the path of records with human labels.
    """
    if name == "drawn":
        return DRAWN
    if name == "spontaneous":
        return spontaneous({**DISFA, **BP4D} if source != "disfa" else {**BP4D, **DISFA})
    return of_records(records_of(name))


def spontaneous(rates: Mapping[int, float]) -> World:
    """Return the world of spontaneous faces with these rates of the 17 AUs."""
    shape = {name: {au: SHRUNK * float(logit(au_probability(name, au))) for au in ACTION_UNITS} for name in EXPRESSIONS}
    return World(
        p_active=at_rates(shape, rates),
        anchors=dict(VA_OF_EXPRESSION),
        strength=(0.2, 0.8),
        noise=0.15,
        exclusive=False,
        groups=dict(TOGETHER),
    )


def of_records(file: Path) -> World:
    """Return the world of the human labels in a JSONL file of records.

    `label_prior.couplings` are fitted to them, published tables counting as ten records of each expression; each AU's
    rate is that of all records that annotate it, those without an expression, too.

    Raises:
        UserError: if no record carries a label.
    """
    labels = [row.labels for row in read_jsonl(file, ImageRecord)]
    if all(one.empty for one in labels):
        raise UserError("source.world", file, "no record in it has a human label", "give labelled records")
    links = couplings(labels)
    shape = {
        name: {au: float(logit(links.au_EA[row, COLUMN[au]])) for au in ACTION_UNITS}
        for row, name in enumerate(EXPRESSIONS)
    }
    shares = dict(zip(EXPRESSIONS, links.expression_E.tolist(), strict=True))
    anchors = {
        name: Anchor(float(links.centre_ED[row, 0]), float(links.centre_ED[row, 1]), float(links.spread_ED[row].mean()))
        for row, name in enumerate(EXPRESSIONS)
    }
    return World(
        p_active=at_rates(shape, {au: float(links.base_A[COLUMN[au]]) for au in ACTION_UNITS}, shares),
        anchors=anchors,
        strength=(1.0, 1.0),
        noise=None,
        exclusive=False,
        expressions=shares,
    )


def records_of(path: str) -> Path:
    """Return the file of records that a path means: itself, or a prepared set's train.jsonl.

    Raises:
        UserError: if there is none.
    """
    given = Path(path)
    file = given / "train.jsonl" if given.is_dir() else given
    if not file.is_file():
        remedy = f"use {' or '.join(NAMES)}, or the folder of a prepared set"
        raise UserError("source.world", path, "no such world, and no records there", remedy)
    return file


def at_rates(
    shape: Mapping[str, Mapping[int, float]], rates: Mapping[int, float], shares: Mapping[str, float] | None = None
) -> dict[str, dict[int, float]]:
    """Return P(AU | expression) with the differences in log-odds of `shape`, shifted so that each AU has its rate.

    Args:
        shape: log-odds of each AU in each expression, up to a constant of the AU.
        rates: P(AU active) over all expressions, in (0, 1).
        shares: P(expression); None: all alike.
    """
    weights = {name: 1 / len(shape) for name in shape} if shares is None else shares

    def shifted(au: int) -> float:
        def excess(by: float) -> float:
            return sum(weights[name] * float(expit(shape[name][au] + by)) for name in shape) - rates[au]

        return float(brentq(excess, -40, 40))

    shifts = {au: shifted(au) for au in rates}
    return {name: {au: float(expit(shape[name][au] + shifts[au])) for au in rates} for name in shape}
