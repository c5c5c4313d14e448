"""LLM judge, the paper's: it rewrites each answer into the universal template, and our parser reads that.

    answer -> conf/prompts/judge.yaml -> judge_backend (and its ledger) -> template -> seke.answers.extract

The judge sees the text alone, never the picture: it is to report what the answer says, not what is right. Equal
answers are asked about once. A rewriting that is declined, filtered or cut off leaves the answer unanswered, counted
apart.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tqdm import tqdm

from seke.answers.extract import extract
from seke.benchmark.answer import SILENT, Answer, Verdict
from seke.benchmark.judging.judge import Ready, status
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.prompts import Prompts
from seke.core.records import Labels
from seke.core.vlm import VLM, Choice, Message, Request, closing

SLOTS: Final[Mapping[str, str]] = {
    "expressions": ", ".join(EXPRESSIONS),
    "action_units": ", ".join(f"AU{au} {name}" for au, name in ACTION_UNITS.items()),
}
"""What the system message of a template may name."""


class LlmJudge:
    """Has `vlm` rewrite answers.

    Args:
        vlm: who rewrites; any backend, for it is sent text alone.
        prompts: `<template>_system`, with any of `SLOTS`, and `<template>`, with {answer}.
        template: which of the prompts; a benchmark whose answers are no faces' labels has one of its own.
        max_tokens: cap on a rewriting.

    Raises:
        UserError: if a prompt is missing or has other slots.
    """

    def __init__(self, vlm: VLM, prompts: Prompts, template: str = "faces", max_tokens: int = 256) -> None:
        prompts.require(**{template: {"answer"}, f"{template}_system": _used(prompts, f"{template}_system")})
        self.vlm, self.prompts, self.template, self.max_tokens = vlm, prompts, template, max_tokens

    def through(self, wrap: Callable[[str, VLM], VLM]) -> None:
        """Put what `wrap` makes of it in the place of the model that rewrites."""
        self.vlm = wrap("judge", self.vlm)

    def ready(self, answers: Mapping[str, Answer]) -> Ready:
        """Have every answer that says something rewritten, and return what reads them.

        Answers that came as labels without text are taken as they are.
        """
        spoken = [answer.text for answer in answers.values() if answer.status not in SILENT and answer.text.strip()]
        rewritten = self._rewritten(sorted(set(spoken)))
        outcomes = Counter(rewritten[text].status for text in spoken)
        lost = ", ".join(f"{number} {kind}" for kind, number in sorted(outcomes.items()) if kind != "ok")
        remark = f"of {len(spoken)} answers the judge gave no rewriting of some ({lost}): they count as unanswered"
        return Ready(lambda answer: _verdict(answer, rewritten.get(answer.text)), (remark,) if lost else ())

    def _rewritten(self, texts: Sequence[str]) -> dict[str, Choice]:
        rewritten: dict[str, Choice] = {}
        with closing(self.vlm), tqdm(total=len(texts), desc="judge", unit="answer") as bar:
            for index, reply in self.vlm.reply(self._request(text) for text in texts):
                rewritten[texts[index]] = reply.choices[0] if reply.choices else Choice("", "invalid")
                bar.update()
        return rewritten

    def _request(self, text: str) -> Request:
        system = self.prompts.render(f"{self.template}_system", **SLOTS)
        question = self.prompts.render(self.template, answer=text)
        messages = (Message("system", (system,)), Message("user", (question,)))
        return Request(messages, temperature=0.0, max_tokens=self.max_tokens)


def _verdict(answer: Answer, rewriting: Choice | None) -> Verdict:
    if answer.status in SILENT:
        return Verdict(Labels(), None, answer.status)
    if rewriting is None:
        return Verdict(answer.labels, None, status(answer, answer.labels))
    if rewriting.status != "ok":
        return Verdict(Labels(), "", "unanswered")
    labels = extract(rewriting.text)
    return Verdict(labels, rewriting.text, status(answer, labels))


def _used(prompts: Prompts, template: str) -> set[str]:
    """Return those of `SLOTS` that a template names; any other it names is a mistake that `require` reports."""
    return {slot for slot in SLOTS if any(f"{{{slot}}}" in text for text in prompts.templates.get(template, ()))}
