"""A guard that stops a run whose annotator never answers anything usable: paying on would be in vain.

Counted are replies, not refusals and not requests that failed: those say something about one picture, an answer that is
in the wrong form says something about all. One that can be used ends the counting.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from seke.backends.openai.dialect import Form
from seke.backends.openai.failure_cause import subject_of
from seke.core.errors import UserError
from seke.core.vlm import Choice, Request, Status

ENOUGH: Final = 16
"""Different pictures (or prompts, where there are none) with nothing usable, while more are to come."""
LEAST: Final = 4
"""Of a round that is over."""
USELESS: Final[tuple[Status, ...]] = ("invalid", "truncated")
LONGEST: Final = 160
"""Characters of an answer in a message."""


class UsableGuard:
    """Watches whether `model` gives anything usable.

    `last_resort`: it is asked only what another one gave no answer to, so that none from it either is nothing unusual;
    only `ENOUGH` then stops it, not `LEAST`.
    """

    def __init__(self, model: str) -> None:
        self.model, self.last_resort = model, False
        self._found = False
        self._useless: dict[str, Choice] = {}
        self._schema: Mapping[str, Any] | None = None

    def add(self, request: Request, choices: Sequence[Choice], form: Form) -> None:
        """Take note of a reply.

        Raises:
            UserError: if enough replies brought nothing usable.
        """
        # Free text that was cut off is read as far as it goes.
        good = ["ok"] if request.schema is not None else ["ok", "truncated"]
        self._found = self._found or any(choice.status in good and choice.text for choice in choices)
        if self._found:
            return
        useless = [choice for choice in choices if choice.status in USELESS]
        if len(useless) < len(choices) or not choices:
            return
        self._schema = request.schema
        self._useless[subject_of(request)] = useless[-1]
        if len(self._useless) >= ENOUGH:
            raise self._mistake(form)

    def over(self, form: Form) -> None:
        """Take note of the end of a round.

        Raises:
            UserError: if it, and all before it, brought nothing usable.
        """
        if not self._found and not self.last_resort and len(self._useless) >= LEAST:
            raise self._mistake(form)

    def _mistake(self, form: Form) -> UserError:
        *_, last = self._useless.values()
        [(status, _)] = Counter(choice.status for choice in self._useless.values()).most_common(1)
        wanted = (
            "words" if self._schema is None else f"a JSON object of {', '.join(self._schema.get('properties', {}))}"
        )
        if status == "truncated":
            remedy = "raise max_tokens (generator.max_tokens), or have the model think less (backend.extra_body)"
        elif self._schema is None or form == "prompt":
            remedy = "choose a backend.model that gives it"
        else:
            remedy = "backend.schema=prompt asks for it in words alone; or choose a backend.model that gives it"
        return UserError(
            "backend.model",
            self.model,
            f"none of {len(self._useless)} answers can be used, the last is {shown(last)}; wanted was {wanted}",
            f"{remedy}; what was answered is kept",
        )


def shown(choice: Choice) -> str:
    """Return an answer for a message: one line, no control characters, not long."""
    status = "cut off" if choice.status == "truncated" else choice.status
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in choice.text).split())
    return f"{status}: {text[:LONGEST]}{'...' if len(text) > LONGEST else ''}"
