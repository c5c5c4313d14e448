"""How an annotator is asked about a face: the prompts filled in, the requests made of them, the answers read.

draws      one complete labelling each, asked as often as it takes (Algorithm 1)
summary    one annotation of the draws, their uncertainty and the human labels (Sec. 3)
settled    a description of labels that are decided already
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from seke.answers.extract import describe
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import Labels, Uncertainty
from seke.core.vlm import Choice, Image, Message, Request
from seke.generation.asked import Asked, missing
from seke.generation.calibration.logprobs import SoftDraw
from seke.generation.seke import checks
from seke.generation.seke.sampling import Ask, Bill, Dialogue, Sampled, insist
from seke.generation.seke.schema import Answer, Form, read, schema

log = logging.getLogger(__name__)

SLOTS: Final[Mapping[str, set[str]]] = {
    "system": {"expressions", "action_units"},
    "prior": {"labels"},
    "draw": {"prior", "asked"},
    "annotate": {"prior", "asked"},
    "summary": {"prior", "predictions", "uncertainty", "asked"},
    "describe": {"prior", "asked"},
    "settled": {"labels", "asked"},
    "prediction": {"number", "labels"},
    "ask_expression": set(),
    "ask_valence": set(),
    "ask_arousal": set(),
    "ask_action_units": {"numbers"},
    "ask_reasoning": set(),
    "again": set(),
    "questions": set(),
}
SLOTS_OF: Mapping[Form, Mapping[str, set[str]]] = {
    "draws": {},
    "logprobs": {"ask_each_action_unit": {"numbers"}},
    "graded": {"ask_shares": {"expressions"}, "ask_intensities": {"numbers"}},
}
"""Of the templates that only one form of asking needs."""
FRAMINGS: Final[tuple[str, ...]] = ("draw", "draw_reasons_first")
"""The templates whose variants are the ways in which draws are framed, in their order; the second one need not be."""

_AUS = ", ".join(f"AU{au} {name}" for au, name in ACTION_UNITS.items())


class Asking:
    """Makes the requests of a run, all by the same prompts and settings of sampling."""

    def __init__(self, prompts: Prompts, form: Form, *, temperature: float, max_tokens: int, seed: int) -> None:
        """Check that the prompts have what this form of asking needs.

        Raises:
            UserError: if they lack a template or a slot, or one of their questions gives labels away.
        """
        if lacking := [name for name in SLOTS_OF["graded"] if form == "graded" and name not in prompts.templates]:
            problem = f"graded questions need the template {lacking[0]}, which these prompts lack"
            raise UserError("generator.uncertainty", form, problem, "set prompts=seke_graded, or write it")
        optional = {name: SLOTS["draw"] for name in FRAMINGS if name in prompts.templates}
        needed: dict[str, set[str]] = {**SLOTS, **SLOTS_OF[form], **optional}
        prompts.require(**needed)
        checks.questions_leak_nothing(prompts)
        self.prompts, self.form = prompts, form
        self.framings = [(name, way) for name in optional for way in range(prompts.variants(name))]
        """The ways in which draws are asked for, in turn: a template and its variant."""
        self.temperature, self.max_tokens, self.seed = temperature, max_tokens, seed
        taught = prompts.render("system", expressions=", ".join(EXPRESSIONS), action_units=_AUS)
        self._system = Message("system", (taught,))
        self._asked_lines = lru_cache(maxsize=1024)(self._list_asked)
        self._warned = False

    def draws(
        self, image: Image, shown: Labels, asked: Asked, before: int = 0
    ) -> tuple[Ask, Callable[[Choice, int], Labels]]:
        """Return how draws are asked for and read (`sampling.sample`).

        Args:
            image: the picture.
            shown: what the prompt tells about it.
            asked: the labels that are wanted.
            before: how many draws there are already, which decides how the next ones are framed.
        """
        lines = self._asked_lines(asked, False, self.form)
        logprobs = self.form == "logprobs"

        def framing(draw: int) -> tuple[str, int]:
            return self.framings[(before + draw) % len(self.framings)]

        def reasons(draw: int) -> bool:
            return framing(draw)[0] == "draw_reasons_first"

        def ask(n: int, draw: int, again: bool) -> Request:
            text = self.prompts.render(*framing(draw), prior=self._prior(shown), asked=lines)
            form = schema(asked, reasons(draw), self.form, reasons_first=True)
            return self._request(text, image, form, n, before + draw, again, logprobs)

        def labels(choice: Choice, draw: int) -> Labels:
            drawn = read(choice, asked, reasons(draw), self.form).labels
            self._warn_of(drawn)
            return drawn

        return ask, labels

    def single_pass(self, image: Image, prior: Labels, asked: Asked, bill: Bill) -> Dialogue[Answer]:
        """Ask once for the labels and a description (without self-verification, Table 2)."""
        template = "annotate" if asked.anything else "describe"
        text = self.prompts.render(template, prior=self._prior(prior), asked=self._asked_lines(asked, True))
        return self._insist(text, image, asked, bill)

    def summarise(self, image: Image, prior: Labels, asked: Asked, sampled: Sampled, bill: Bill) -> Dialogue[Answer]:
        """Have the draws summed up, with human labels and uncertainty in sight; without draws, ask once."""
        if not sampled.draws:
            return self.single_pass(image, prior, asked, bill)
        predictions = "\n".join(
            self.prompts.render("prediction", number=str(number), labels=describe(draw, digits=2))
            for number, draw in enumerate(sampled.draws, start=1)
        )
        text = self.prompts.render(
            "summary",
            prior=self._prior(prior),
            predictions=predictions,
            uncertainty=_uncertainty_lines(sampled.uncertainty),
            asked=self._asked_lines(asked, True),
        )
        return self._insist(text, image, asked, bill)

    def describe(self, image: Image, labels: Labels, bill: Bill) -> Dialogue[str]:
        """Have complete labels explained: nothing but the reasoning is asked."""
        nothing = missing(labels)
        text = self.prompts.render("settled", labels=describe(labels, digits=2), asked=self._asked_lines(nothing, True))
        answer = yield from self._insist(text, image, nothing, bill)
        return answer.reasoning

    def _insist(self, text: str, image: Image, asked: Asked, bill: Bill) -> Dialogue[Answer]:
        def ask(n: int, draw: int, again: bool) -> Request:
            return self._request(text, image, schema(asked, True), n, draw, again)

        def answer(choice: Choice) -> Answer:
            return read(choice, asked, True)

        return insist(ask, answer, bill)

    def _request(
        self, text: str, image: Image, form: Mapping[str, Any], n: int, draw: int, again: bool, logprobs: bool = False
    ) -> Request:
        parts = (text, self.prompts.render("again"), image) if again else (text, image)
        return Request(
            messages=(self._system, Message("user", parts)),
            schema=form,
            temperature=self.temperature,
            n=n,
            max_tokens=self.max_tokens,
            seed=self.seed,
            draw=draw,
            logprobs=logprobs,
        )

    def _warn_of(self, drawn: Labels) -> None:
        """Say once that soft labels were asked and plain ones came."""
        if self.form == "logprobs" and not self._warned and not isinstance(drawn, SoftDraw):
            self._warned = True
            log.warning("no log probabilities came with the answers; without them these are plain draws (no_logprobs)")

    def _prior(self, prior: Labels) -> str:
        told = describe(prior, digits=2)  # "" too where nothing but AU intensities is known
        return self.prompts.render("prior", labels=told) if told else ""

    def _list_asked(self, asked: Asked, reasoning: bool, form: Form = "draws") -> str:
        render = self.prompts.render
        lines = [render(f"ask_{name}") for name in ("expression", "valence", "arousal") if getattr(asked, name)]
        if asked.expression and form == "graded":
            lines[0] = render("ask_shares", expressions=", ".join(EXPRESSIONS))
        if asked.action_units:
            template = {"draws": "ask_action_units", "logprobs": "ask_each_action_unit", "graded": "ask_intensities"}
            lines.append(render(template[form], numbers=", ".join(map(str, asked.action_units))))
        if reasoning:
            lines.append(render("ask_reasoning"))
        return "\n".join(lines)


def _uncertainty_lines(values: Uncertainty) -> str:
    each = {
        "expression": values.expression,
        "valence": values.valence,
        "arousal": values.arousal,
        "action units": values.action_units,
    }
    return "\n".join(f"{name}: {value:.3f}" for name, value in each.items() if value is not None)
