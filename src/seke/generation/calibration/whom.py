"""Whom to ask about whom: two annotators, what each promises of a face by what is known so far, and the dollars.

A face begins with what is known of it: human labels, and witnesses that cost nothing. It can be asked about of the
first annotator, of that one again, and of the second. Each state has a calibration of its own (`arms`), in which all
who were asked are informants; what an action promises is the mutual information of `value`, times how much of such
promises came true on the pilot's held-out labels. The second's habits are learnt on the same pilot.

That the promises are believed at all has to pay: by held-out labels, at equal dollars, it has to beat the better of
the two annotators alone, beyond doubt. Else that one alone is asked, where it promises most per dollar.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.label_prior import AUS, COLUMN, INDEX, Array
from seke.core.records import Labels
from seke.generation.asked import missing
from seke.generation.calibration import value
from seke.generation.calibration.annotator_model import Annotator, Beliefs, Heard, Masked, answers
from seke.generation.calibration.arms import Calibration, chosen, thresholds_of
from seke.generation.calibration.fit import log_losses
from seke.generation.calibration.gain import Gain, gain
from seke.generation.calibration.informants import Informant
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.posterior import Posterior
from seke.generation.calibration.study import (
    DESCRIPTIONS,
    HIDDEN,
    SHOWN,
    Links,
    Settings,
    Study,
    by_description,
    draws_of,
)
from seke.generation.calibration.witnesses import Witness

FIRST: Final = "first"
AGAIN: Final = "again"
SECOND: Final = "second"
ACTIONS: Final = (FIRST, AGAIN, SECOND)
Rule = Literal["value", "first", "second", "random"]
ALONE: Final[Mapping[str, tuple[str, ...]]] = {FIRST: (FIRST, AGAIN), SECOND: (SECOND,)}
"""The actions of each annotator alone."""
State = frozenset[str]
"""The actions that were taken."""
NOBODY_YET: Final[State] = frozenset()
TIES: Final = 0.01
"""By so much of it a promise is moved at random, so that of faces that promise the same a part can be asked about."""


def states(again: bool) -> list[State]:
    """Return the states that a face may come into; the first is that nobody was asked.

    >>> len(states(again=False)), len(states(again=True))
    (4, 6)
    """
    found = [NOBODY_YET]
    for state in found:
        found += [after for action in open_to(state, again) if (after := state | {action}) not in found]
    return found


def open_to(state: State, again: bool) -> list[str]:
    """Return the actions that can be taken in a state."""
    free = {FIRST: FIRST not in state, AGAIN: again and FIRST in state and AGAIN not in state}
    return [action for action in ACTIONS if free.get(action, SECOND not in state)]


@dataclass
class Whom:
    """Decides about one face at a time, by nothing but what is known of it."""

    calibrations: Mapping[State, Calibration]
    informants: Mapping[str, Informant]
    """By action; `AGAIN` is the first annotator with all of its draws."""
    tables: int
    """How many witnesses stand before the informants."""
    usd: Mapping[Pattern, Mapping[str, float]]
    """What each action costs about a face of a pattern."""
    rule: Rule
    seed: int
    weights: Mapping[str, float] = field(default_factory=dict)
    """What a nat of each description counts for; 1 where it is not said."""
    realised_share: Mapping[tuple[State, str, str], float] = field(default_factory=dict)
    """By state, action and description (`value.realised_share`); 1 where it is not known yet."""
    mean: Mapping[tuple[State, str], float] = field(default_factory=dict)
    """What an action promises on average, by state: all that chance goes by."""
    allowed: tuple[str, ...] = ACTIONS
    least: float = 0.0
    """Nats per dollar that a request has to promise."""
    thresholds: Mapping[int, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    always: tuple[str, ...] = ()
    """What is done about every face, whatever it promises: estimates suppose it."""
    _channels: dict[Any, Any] = field(default_factory=dict)

    @property
    def again(self) -> bool:
        """Whether the first annotator can be asked again."""
        return self.informants[AGAIN].draws > self.informants[FIRST].draws

    def asked(self, state: State) -> list[str]:
        """Return by whom a state's labels are made: the actions whose answers are read."""
        return [
            action for action in (AGAIN, FIRST, SECOND) if action in state and not (action == FIRST and AGAIN in state)
        ]

    def suppose(self, worst: bool) -> None:
        """Suppose, for an estimate, that the first annotator is asked about all, or at worst both."""
        self.always = ACTIONS if worst else ALONE[FIRST]

    def next(
        self,
        record: str,
        pattern: Pattern,
        state: State,
        belief: Posterior,
        said: Mapping[str, Sequence[Labels]],
        failed: Sequence[str] = (),
        source: str | None = None,
    ) -> str | None:
        """Return what to do next about a face; None: nothing that is worth its price.

        Args:
            record: its id.
            pattern: what is known of it.
            state: whom was asked already.
            belief: what is believed of the labels asked, as in this state.
            said: the draws of the first annotator by prompt, if it was asked.
            failed: actions that brought no usable answer.
            source: the record's.
        """
        if self.always:
            return next((action for action in open_to(state, self.again) if action in self.always), None)
        values = {
            action: self.worth(record, state, action, self.promise(pattern, state, action, belief, said, source))
            for action in open_to(state, self.again)
            if action in self.allowed and action not in failed
        }
        chosen_one = value.best(values, self.usd[self._priced(pattern)])
        return chosen_one[0] if chosen_one is not None and chosen_one[1] >= self.least else None

    def nearest(self, action: str, pattern: Pattern) -> Pattern:
        """Return the pattern as which an annotator is asked about a face: its own, or the nearest that there is."""
        arms_of = self.informants[action].arms
        return pattern if pattern in arms_of else min(arms_of, key=pattern.distance)

    def _priced(self, pattern: Pattern) -> Pattern:
        return pattern if pattern in self.usd else min(self.usd, key=pattern.distance)

    def worth(self, record: str, state: State, action: str, promised: Mapping[str, float]) -> float:
        """Return the value of an action, by which it is compared with others."""
        u = _number(self.seed, record, action)
        if self.rule == "random":
            return 2 * u * self.mean.get((state, action), 0.0)
        total = sum(
            nats * self.realised_share.get((state, action, name), 1.0) * self.weights.get(name, 1.0)
            for name, nats in promised.items()
        )
        return total * (1 + TIES * (u - 0.5))

    def promise(
        self,
        pattern: Pattern,
        state: State,
        action: str,
        belief: Posterior,
        said: Mapping[str, Sequence[Labels]],
        source: str | None = None,
    ) -> dict[str, float]:
        """Return by how many nats an action is expected to lower the log loss of each description asked."""
        informant, promised = self.informants[action], dict[str, float]()
        arms = informant.arms[self.nearest(action, pattern)]
        before = self.informants[FIRST].draws if action == AGAIN else 0
        new = min(informant.draws - before, value.MOST)
        for name, arm in arms.items():
            power = self._power(pattern, state | {action}, action, name)
            drawn, annotator = list(said.get(arm.option.prompt, ()))[:before], arm.annotator.of(source)
            if not power or (action == AGAIN and not drawn):
                continue
            if name == "expression" and belief.expression is not None:
                likely_EM = self._votes(annotator, power, new, drawn)
                p_E = np.array([belief.expression[expression] for expression in INDEX])
                promised[name] = value.of_classes(p_E, likely_EM)
            elif name == "au" and belief.action_units:
                places = [COLUMN[au] for au in belief.action_units]
                active_AK, inactive_AK = self._units(annotator, power, new, drawn)
                p_A = np.array([*belief.action_units.values()])
                promised[name] = float(value.of_units(p_A, active_AK[places], inactive_AK[places]).mean())
            elif name == "va":
                told = [
                    value.of_number(around[1], power * _precision(getattr(annotator, dim), before, informant.draws))
                    for dim in ("valence", "arousal")
                    if (around := getattr(belief, dim)) is not None
                ]
                if told:
                    promised[name] = float(np.mean(told))
        return promised

    def _power(self, pattern: Pattern, state: State, action: str, name: str) -> float:
        """Return to what power an action's answers count in a state."""
        calibration = self.calibrations[state]
        if not any(name in arms for arms in calibration.arms.values()):
            return 0.0
        return calibration.arm(pattern, name).powers[self.tables + self.asked(state).index(action)]

    def _votes(self, annotator: Annotator, power: float, new: int, drawn: Sequence[Labels]) -> Array:
        if drawn:
            votes_E = answers([drawn]).votes_NE[0]
            return value.tempered(value.log_votes(annotator.votes_EE + votes_E, new), power)
        key = "votes", id(annotator), power, new
        if key not in self._channels:
            self._channels[key] = value.tempered(value.log_votes(annotator.votes_EE, new), power)
        found: Array = self._channels[key]
        return found

    def _units(self, annotator: Annotator, power: float, new: int, drawn: Sequence[Labels]) -> tuple[Array, Array]:
        key = "units", id(annotator), power, new
        if drawn or key not in self._channels:
            said = answers([drawn]) if drawn else None
            k_A = np.zeros(len(AUS)) if said is None else np.nan_to_num(said.said_NA[0])
            left_A = np.zeros(len(AUS)) if said is None else said.count_NA[0] - k_A
            found = []
            for side in (annotator.active, annotator.inactive):
                a_A, b_A = np.array([side[au] for au in AUS]).T
                found.append(value.tempered(value.log_counts(a_A + k_A, b_A + left_A, new), power))
            if drawn:
                return found[0], found[1]
            self._channels[key] = tuple(found)
        kept: tuple[Array, Array] = self._channels[key]
        return kept


def _precision(channel: Any, before: int, after: int) -> float:
    """Return what precision an annotator's draws of valence or arousal add to those that there are already."""

    def of(draws: int) -> float:
        return float(channel.slope**2 / (channel.per_image**2 + channel.per_draw**2 / draws)) if draws else 0.0

    return of(after) - of(before)


def _number(seed: int, record: str, action: str) -> float:
    """Return a random number in [0, 1) that is a face's own, whatever the order of faces."""
    digest = hashlib.sha256(f"{seed}\0whom\0{action}\0{record}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


class _Pilot(NamedTuple):
    """What is known of the pilot's rows in every state, by what was fitted without them."""

    study: Study
    order: Sequence[State]
    beliefs: Sequence[Beliefs]
    loss_SND: Array
    promised_NSXD: Array
    """Nats; NaN where an action cannot be taken."""
    usd_NX: Array
    next_SX: NDArray[np.int_]
    weight_N: Array
    """How many records each row stands for ..."""
    weight_ND: Array
    """... and how many of those that ask each description, as far as its truth is known."""


def fit(
    first: Sequence[Masked],
    second: Sequence[Masked],
    informants: Mapping[str, Informant],
    demand: Mapping[Pattern, Demand],
    links: Links,
    usd: Mapping[Pattern, Mapping[str, float]],
    budget: float,
    rule: Rule,
    seed: int,
    tables: Sequence[Witness] = (),
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Whom:
    """Fit whom to ask about whom.

    Args:
        first: the pilot's rows with the first annotator's draws ...
        second: ... and the same rows, in the same order, with the second's.
        informants: by action.
        demand: the patterns of the records to annotate.
        links: gives couplings.
        usd: what each action costs, by pattern.
        budget: dollars for the records, their descriptions aside.
        rule: "value", or one of its controls.
        seed: of what chance decides.
        tables: witnesses that cost nothing.
        weights: what the log loss of each description counts for; 1 where it is not said.
    """
    again = informants[AGAIN].draws > informants[FIRST].draws
    order = states(again)
    whom = Whom({}, informants, len(tables), usd, rule, seed, weights)
    studies: list[Study] = []
    calibrations: dict[State, Calibration] = {}
    pairs = _Paired(first, second)
    for state in order:
        asked = [pairs.read(action, informants[action]) for action in whom.asked(state)]
        study = Study(first, links, Settings((), ()), [*tables, *asked])
        calibrations[state] = chosen(study, demand, [*tables, *asked])
        studies.append(study)
    whom.calibrations = calibrations
    pilot = _played(whom, first, order, studies, demand)
    _settle(whom, pilot, demand, budget)
    return whom


@dataclass(frozen=True)
class _Paired:
    """The two annotators' rows about the same questions."""

    first: Sequence[Masked]
    second: Sequence[Masked]

    def read(self, action: str, informant: Informant) -> Any:
        """Return an informant that is asked by the first one's rows and answers by its own."""
        own = self.second if action == SECOND else self.first

        @dataclass(frozen=True)
        class Read:
            name: str = informant.name

            def in_pilot(self, rows: Sequence[Masked], without: Any) -> Heard:
                assert len(rows) == len(own)
                return informant.in_pilot(own, without)

        return Read()


def _played(
    whom: Whom,
    rows: Sequence[Masked],
    order: Sequence[State],
    studies: Sequence[Study],
    demand: Mapping[Pattern, Demand],
) -> _Pilot:
    """Return what is known of the pilot's rows in every state, and what each action promises there."""
    study, n = studies[0], len(rows)
    beliefs = [_believed(whom.calibrations[state], each) for state, each in zip(order, studies, strict=True)]
    loss_SND = np.array([by_description(log_losses(each, study.truth)) for each in beliefs])
    promised = np.full((n, len(order), len(ACTIONS), len(DESCRIPTIONS)), np.nan)
    next_SX = np.full((len(order), len(ACTIONS)), -1)
    usd_NX = np.array([[whom.usd[pattern].get(action, np.inf) for action in ACTIONS] for pattern in study.patterns])
    for s, state in enumerate(order):
        for action in open_to(state, whom.again):
            x = ACTIONS.index(action)
            next_SX[s, x] = order.index(state | {action})
            for row, masked in enumerate(rows):
                asked = missing(masked.known)
                belief = beliefs[s].of(row, asked.expression, asked.action_units, (asked.valence, asked.arousal))
                said = {prompt: draws_of(masked, prompt) for prompt in (SHOWN, HIDDEN)}
                found = whom.promise(study.patterns[row], state, action, belief, said, masked.source)
                promised[row, s, x] = [found.get(name, 0.0) for name in DESCRIPTIONS]
    told_ND = np.isfinite(loss_SND[0])
    weight_N, weight_ND = np.zeros(n), np.zeros((n, len(DESCRIPTIONS)))
    for pattern, wanted in demand.items():
        rows_N = study.of_pattern(pattern)
        weight_N[rows_N] = wanted.records / max(int(rows_N.sum()), 1)
        for d, name in enumerate(DESCRIPTIONS):
            told_N = rows_N & told_ND[:, d]
            weight_ND[told_N, d] = whom.weights.get(name, 1.0) * wanted.asked.get(name, 0.0) / max(int(told_N.sum()), 1)
    records = sum(wanted.records for wanted in demand.values())
    weight_N *= records / max(weight_N.sum(), 1e-9)  # patterns without an example are taken to be like the others
    return _Pilot(study, order, beliefs, loss_SND, promised, usd_NX, next_SX, weight_N, weight_ND)


def _believed(calibration: Calibration, study: Study) -> Beliefs:
    """Return what a state's arms believe of the pilot's rows that did not teach them; NaN of what they do not ask."""
    sizes = (len(INDEX), len(AUS), 2, 2)
    whole = Beliefs(*(np.full((len(study.rows), size), np.nan) for size in sizes))
    columns: Mapping[str, tuple[int, ...]] = {"expression": (0,), "au": (1,), "va": (2, 3)}
    for pattern, arms in calibration.arms.items():
        rows_N = study.of_pattern(pattern)
        for name, arm in arms.items() if rows_N.any() else ():
            part = study.believed({reader.option: reader.share for reader in arm.readers}, rows_N)
            for place in columns[name]:
                whole[place][rows_N] = part[place][rows_N]
    return whole


def _settle(whom: Whom, pilot: _Pilot, demand: Mapping[Pattern, Demand], budget: float) -> None:
    """Choose by held-out labels, at equal dollars, between asking by value and either annotator alone."""
    n, study = len(pilot.weight_N), pilot.study
    everyone = np.ones(n, dtype=bool)
    loss_N: dict[str, Array] = {}
    for name in ("value", FIRST, SECOND):
        allowed = ALONE.get(name, ACTIONS)
        end_N = np.zeros(n, dtype=int)
        for side in (0, 1):
            there_N = study.side_N == side
            if there_N.any() and (~there_N).any():
                _learn(whom, pilot, ~there_N)
                found = value.paths(_steps(whom, pilot, allowed))
                kept = _of(found, ~there_N)
                share = budget * float(pilot.weight_N[~there_N].sum() / pilot.weight_N.sum())
                rate = value.least(kept, pilot.weight_N, share)
                ended_N, _ = value.ends(found, n, rate)
                end_N = np.where(there_N, ended_N, end_N)
        ended_ND = np.nan_to_num(np.take_along_axis(pilot.loss_SND, end_N[None, :, None], axis=0)[0])
        loss_N[name] = (pilot.weight_ND * ended_ND).sum(axis=1)
    records = sum(wanted.records for wanted in demand.values())
    total = {name: float(each.sum()) / records for name, each in loss_N.items()}
    single = min((FIRST, SECOND), key=total.__getitem__)
    better = gain((loss_N[single] - loss_N["value"]) * n / records, study.group_N)
    by_value = better.sure
    ruled = whom.rule if whom.rule in (FIRST, SECOND) else "value" if by_value or whom.rule == "random" else single
    whom.allowed = ALONE.get(ruled, ACTIONS)
    _learn(whom, pilot, everyone)
    found = value.paths(_steps(whom, pilot, whom.allowed))
    whom.least = value.least(found, pilot.weight_N, budget)
    end_N, usd_N = value.ends(found, n, whom.least)
    active_NA = np.take_along_axis(np.array([each.active_NA for each in pilot.beliefs]), end_N[None, :, None], axis=0)[
        0
    ]
    whom.thresholds = thresholds_of(study, active_NA, demand)
    share_N = pilot.weight_N / pilot.weight_N.sum()
    asked = {
        action: round(float(share_N[[action in pilot.order[place] for place in end_N.tolist()]].sum()), 4)
        for action in ACTIONS
    }
    whom.facts = {
        "rule": whom.rule,
        "asks": ruled,
        "usd": round(budget, 6),
        "expected_usd": round(float((pilot.weight_N * usd_N).sum()), 6),
        "nats_per_usd": whom.least if np.isfinite(whom.least) else None,
        "share_asked": asked,
        "log_loss_at_equal_usd": {name: round(each, 4) for name, each in total.items()},
        "gain_over_single": {"single": single, "mean": round(better.mean, 4), "margin": _finite(better.margin)},
        "powers": {"+".join(sorted(state)): _powers(whom, state) for state in pilot.order if state},
    }
    whom.remarks = _remarks(whom, ruled, single, better, asked)


def _powers(whom: Whom, state: State) -> dict[str, Any]:
    arms_of = whom.calibrations[state].arms
    return {
        pattern.name: {name: [round(power, 3) for power in arm.powers[whom.tables :]] for name, arm in arms.items()}
        for pattern, arms in arms_of.items()
    }


def _remarks(whom: Whom, ruled: str, single: str, better: Gain, asked: Mapping[str, float]) -> list[str]:
    """Return what the user should know before the records are annotated."""
    words = {FIRST: "backend", SECOND: "second"}
    found = []
    if whom.rule == "value" and ruled != "value":
        found.append(
            f"asking by value is not better than {words[single]} alone at equal dollars, beyond doubt (log loss lower "
            f"by {better.mean:.3f}, {better.margin:.3f} is needed): {words[single]} alone is asked"
        )
    shares = ", ".join(
        f"{words.get(action, 'backend again')} about {share:.0%}"
        for action, share in asked.items()
        if action != AGAIN or whom.again
    )
    found.append(
        f"expected: {shares} of the records, for ${whom.facts['expected_usd']:,.4f} of ${whom.facts['usd']:,.4f}"
    )
    return found


def _learn(whom: Whom, pilot: _Pilot, rows_N: NDArray[np.bool_]) -> None:
    """Learn from some rows how much of what is promised comes true, and what chance goes by."""
    realised_share, mean = dict[tuple[State, str, str], float](), dict[tuple[State, str], float]()
    for s, state in enumerate(pilot.order):
        for action in open_to(state, whom.again):
            x = ACTIONS.index(action)
            lowered_ND = pilot.loss_SND[s] - pilot.loss_SND[pilot.next_SX[s, x]]
            for d, name in enumerate(DESCRIPTIONS):
                told_N = rows_N & np.isfinite(lowered_ND[:, d])
                weight_N = pilot.weight_ND[told_N, d]
                promised_N = pilot.promised_NSXD[told_N, s, x, d]
                realised_share[state, action, name] = value.realised_share(
                    (weight_N * promised_N).tolist(), (weight_N * lowered_ND[told_N, d]).tolist()
                )
            slopes_D = np.array(
                [realised_share[state, action, name] * whom.weights.get(name, 1.0) for name in DESCRIPTIONS]
            )
            mean[state, action] = float((pilot.promised_NSXD[rows_N, s, x] @ slopes_D).mean()) if rows_N.any() else 0.0
    whom.realised_share, whom.mean = realised_share, mean


def _steps(whom: Whom, pilot: _Pilot, allowed: Sequence[str]) -> value.Steps:
    """Return what the pilot's rows promise, among the actions that are allowed."""
    n = len(pilot.weight_N)
    value_NSX = np.full((n, len(pilot.order), len(ACTIONS)), np.nan)
    for s, state in enumerate(pilot.order):
        for action in open_to(state, whom.again):
            x = ACTIONS.index(action)
            if action in allowed:
                for row, masked in enumerate(pilot.study.rows):
                    promised = dict(zip(DESCRIPTIONS, pilot.promised_NSXD[row, s, x].tolist(), strict=True))
                    value_NSX[row, s, x] = whom.worth(masked.id, state, action, promised)
    return value.Steps(value_NSX, pilot.usd_NX, pilot.next_SX)


def _of(found: value.Paths, rows_N: NDArray[np.bool_]) -> value.Paths:
    kept = rows_N[found.face]
    return value.Paths(found.face[kept], found.state[kept], found.rate[kept], found.usd[kept])


def _finite(number: float) -> float | None:
    return round(number, 4) if np.isfinite(number) else None
