"""stopping=value: two annotators, and for each face whom to ask about it, by what that promises per dollar.

    pilot, asked of both -> calibration.whom -> each face: [ belief -> what promises most per dollar -> ask ] again

The choice about a face depends on the pilot, on what is known of the face and on its own answers: order, chunks and a
resume change nothing. So the budget is kept on average, as the pilot foretells it; `budget.usd` is the limit that is
never exceeded.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from seke.core.budget import model_of, prices_of
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import VLM, Priced, Reply, Request, Simulation, layers
from seke.generation.asked import FIELDS, Asked
from seke.generation.calibration.annotator_model import Heard
from seke.generation.calibration.arms import Arm
from seke.generation.calibration.informants import Informant
from seke.generation.calibration.patterns import Demand, Pattern, pattern_of
from seke.generation.calibration.pilot import Question
from seke.generation.calibration.posterior import Posterior
from seke.generation.calibration.study import SHOWN
from seke.generation.calibration.whom import AGAIN, FIRST, NOBODY_YET, SECOND, Rule, State, Whom
from seke.generation.seke.sampling import Bill, Dialogue, Sampled
from seke.generation.seke.schema import Unusable
from seke.generation.seke.stopping import State as Progress

FLAG: Final = "second"
"""The flag of a row about which the second annotator was asked."""
ASKING: Final[Mapping[str, str]] = {FIRST: "pilot_question.json", SECOND: "second_pilot_question.json"}
"""What a question of the pilot took, of each annotator: what the records' questions are expected to cost."""
WHOM: Final = "whom.json"
"""What was decided by that."""
RULES: Final = ("value", "first", "second", "random")


class ByValue:
    """The setting. As a stopping rule of one annotator it takes all draws at once.

    Raises:
        UserError: if a setting is out of range.
    """

    def __init__(
        self,
        stages: Sequence[int],
        usd: float | str = FIRST,
        rule: Rule = "value",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if len(stages) != 2 or not 1 <= stages[0] <= stages[1]:
            raise UserError("stopping.stages", list(stages), "not two numbers of draws", "set for example [3,5]")
        if usd not in (FIRST, SECOND) and (isinstance(usd, str) or not usd > 0):
            raise UserError("stopping.usd", usd, "no amount of dollars", f"set a number, {FIRST} or {SECOND}")
        if rule not in RULES:
            raise UserError("stopping.rule", rule, "no such rule", f"set {', '.join(RULES)}")
        self.stages, self.usd, self.rule = (stages[0], stages[1]), usd, rule
        self.weights = {name: float(weight) for name, weight in (weights or {}).items()}
        for name, weight in self.weights.items():
            if name not in FIELDS or not weight >= 0:
                remedy = f"weigh {', '.join(FIELDS)} by numbers from 0 on"
                raise UserError(f"stopping.weights.{name}", weight, "no weight of a description", remedy)

    def __call__(self, state: Progress, rng: Random) -> int:
        """Return how many further draws are wanted."""
        return max(self.stages[1] - len(state.draws), 0)

    def budget(self, demand: Mapping[Pattern, Demand], usd: Mapping[Pattern, Mapping[str, float]]) -> float:
        """Return the dollars for the records: as set, or what asking one annotator alone about all of them costs."""
        if not isinstance(self.usd, str):
            return float(self.usd)
        actions = {FIRST: (FIRST, AGAIN), SECOND: (SECOND,)}[self.usd]
        return sum(
            wanted.records * sum(usd[pattern].get(action, 0.0) for action in actions)
            for pattern, wanted in demand.items()
        )


@dataclass(frozen=True)
class ToSecond(Request):
    """A request for the second annotator."""


class Two:
    """A `VLM` of two: `ToSecond` goes to the second, everything else to the first."""

    def __init__(self, first: VLM, second: VLM) -> None:
        self.vlms = (first, second)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply), the first annotator's before the second's."""
        parts: tuple[list[tuple[int, Request]], list[tuple[int, Request]]] = ([], [])
        for index, request in enumerate(requests):
            parts[isinstance(request, ToSecond)].append((index, request))
        for vlm, part in zip(self.vlms, parts, strict=True):
            for place, reply in vlm.reply([request for _, request in part]) if part else ():
                yield part[place][0], reply


def to_second(dialogue: Dialogue[Any]) -> Dialogue[Any]:
    """Play a dialogue with the second annotator."""
    try:
        request = next(dialogue)
        while True:
            asked = ToSecond(**{each.name: getattr(request, each.name) for each in fields(Request)})
            request = dialogue.send((yield asked))
    except StopIteration as end:
        return end.value


class Consulted(NamedTuple):
    """What was asked about one face, and what is believed of it then."""

    drawn: Mapping[str, Sampled]
    """By annotator and prompt."""
    belief: Posterior
    arms: Mapping[str, Arm]
    state: State
    told: bool
    """Whether a prompt showed what is known."""

    def flags(self, whom: Whom) -> list[str]:
        """Return the flags of the face's row, as far as they say who was asked."""
        heard = {name: any(arm.powers[whom.tables :]) for name, arm in self.arms.items()}
        found = [FLAG] if SECOND in self.state else []
        if not any(heard.values()):
            return [*found, "not_looking"]
        return [*found, *(f"not_looking_{name}" for name, any_power in heard.items() if not any_power)]


def consult(
    whom: Whom,
    record: ImageRecord,
    manual: Labels,
    known: Labels,
    asked: Asked,
    witnessed: Sequence[Heard],
    ask: Callable[[str, str, int, int], Dialogue[Sampled]],
) -> Dialogue[Consulted]:
    """Ask about one face as long as that promises enough per dollar.

    Args:
        whom: decides.
        record: the face's.
        manual: what is known of it; its pattern.
        known: of that, what may be used.
        asked: which labels are wanted.
        witnessed: what each witness says of it.
        ask: asks by an action and a prompt for so many draws, beginning with that number.

    Raises:
        Unusable: if whoever was asked gave no usable answer.
    """
    pattern = pattern_of(manual)
    state: State = NOBODY_YET
    drawn: dict[tuple[str, str], Sampled] = {}
    failed: list[str] = []
    while True:
        calibration = whom.calibrations[state]
        heard = [
            whom.informants[action].heard(whom.nearest(action, pattern), _draws(drawn, action), record.source)
            for action in whom.asked(state)
        ]
        arms = calibration.of(manual)
        belief = calibration.posterior(arms, known, asked, {}, [*witnessed, *heard])
        action = whom.next(record.id, pattern, state, belief, _draws(drawn, FIRST), failed, record.source)
        if action is None:
            break
        who, before = (SECOND, 0) if action == SECOND else (FIRST, whom.informants[FIRST].draws * (action == AGAIN))
        got = False
        for prompt, draws in whom.informants[action].prompts(whom.nearest(action, pattern)).items():
            more = yield from ask(who, prompt, draws - before, before)
            got |= bool(more.draws)
            earlier = drawn.get((who, prompt), Sampled())
            drawn[who, prompt] = more._replace(draws=(*earlier.draws, *more.draws))
        if got:
            state |= {action}
        else:
            failed.append(action)
    usable = {f"{who} {prompt}": sampled for (who, prompt), sampled in drawn.items() if sampled.draws}
    failures = [sampled.failure for sampled in drawn.values() if sampled.failure]
    if failures and not usable:
        raise Unusable(failures[0].reason, failures[0].detail)
    return Consulted(usable, belief, arms, state, not drawn or any(prompt == SHOWN for _, prompt in drawn))


def _draws(drawn: Mapping[tuple[str, str], Sampled], action: str) -> dict[str, Sequence[Labels]]:
    who = SECOND if action == SECOND else FIRST
    return {prompt: sampled.draws for (by, prompt), sampled in drawn.items() if by == who}


def price(setting: str, vlm: object) -> tuple[float, float]:
    """Return USD per token of input and of output; zeros of a backend that costs nothing.

    Raises:
        UserError: if its model has no known price.
    """
    for layer in layers(vlm):
        if isinstance(layer, Simulation):
            into, out = layer.usd_per_million or (0.0, 0.0)
            return into / 1e6, out / 1e6
        if isinstance(layer, Priced) and layer.prices is not None:
            model = model_of(layer)
            for name, price_of in prices_of(layer).items():  # type: ignore[union-attr]
                if price_of and None not in tuple(price_of)[:2] and (name.startswith(model) or model.startswith(name)):
                    return float(price_of[0] or 0) / 1e6, float(price_of[1] or 0) / 1e6
            problem = "its price is not known, and stopping=value weighs what an answer costs"
            raise UserError(f"{setting}.model", model, problem, f"set it in {setting}.prices")
    return 0.0, 0.0


def took(questions: Sequence[Question], bills: Sequence[Bill], rate: tuple[float, float]) -> dict[str, Any]:
    """Return what a question took on average, of those that told known labels and of those that did not.

    Returns:
        by "told" and "untold": tokens of input and of output, and dollars for each of the two.
    """
    found: dict[str, Any] = {}
    for name, told in (("told", True), ("untold", False)):
        these = [bill for question, bill in zip(questions, bills, strict=True) if (not question.shown.empty) == told]
        into, out = (
            (
                float(np.mean([each.input_tokens for each in these])),
                float(np.mean([each.output_tokens for each in these])),
            )
            if these
            else (0.0, 0.0)
        )
        if these and not into + out:  # the server states no usage: at most so many
            into = float(np.mean([each.tokens_at_most for each in these]))
        found[name] = {"questions": len(these), "tokens": [into, out], "usd": [into * rate[0], out * rate[1]]}
    return found


def usd_of(
    asking: Mapping[str, Any], informants: Mapping[str, Informant], patterns: Iterable[Pattern], draws: int
) -> dict[Pattern, dict[str, float]]:
    """Return what each action costs about a face of each pattern.

    Args:
        asking: of each annotator, what a question for all draws took (`took`).
        informants: by action.
        patterns: those of the records.
        draws: how many draws such a question asks for.
    """
    found: dict[Pattern, dict[str, float]] = {}
    for pattern in patterns:
        found[pattern] = {}
        for action, informant in informants.items():
            paid = asking[SECOND if action == SECOND else FIRST]
            new = informant.draws - (informants[FIRST].draws if action == AGAIN else 0)
            total = 0.0
            for prompt in informant.prompts(pattern):
                told = prompt == SHOWN and any(pattern) and paid["told"]["questions"]
                into, out = paid["told" if told else "untold" if paid["untold"]["questions"] else "told"]["usd"]
                total += into + out * new / draws
            if new:
                found[pattern][action] = total
    return found


def note(folder: Path, whom: Whom) -> None:
    """Write whom.json."""
    write_text(folder / WHOM, json.dumps({**whom.facts, "remarks": list(whom.remarks)}, indent=2) + "\n")
