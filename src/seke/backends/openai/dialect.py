"""The parameters of chat.completions that one server understands, learnt from the 400s about those that it does not.

    response_format    strict (a JSON Schema that is enforced) -> prompt (words alone, which every server takes)
    n                  several choices to one request -> one each
    max_tokens         -> max_completion_tokens;   temperature, seed, logprobs -> left out

A 400 is not billed, and one tells all later requests. One that is about a value, and not about what the server lacks,
is not learnt from: nobody asked for other values, so the user is told which setting it is (`remedy`).
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from seke.core.vlm import Message

Form = Literal["strict", "json_object", "prompt"]
FORMS: Final[tuple[Form, ...]] = ("strict", "json_object", "prompt")
"""How a schema is asked for: held to the schema, held to some JSON object (which servers that know no schema know in
different ways, and some only by name), or in words alone."""
DROPPED: Final = ("max_tokens", "temperature", "seed", "logprobs")
"""Parameters that a request can do without."""

_ABOUT_FORM: Final = re.compile(
    r"response[_ ]?format|response[_ ]?(?:json[_ ]?)?schema|json[_ ]?schema|json[_ ]?object|structured[_ -]?outputs?"
    r"|guided[_ ](?:json|decoding)|grammar|output_(?:config|format)|invalid schema|schema is not supported",
    re.IGNORECASE,
)
"""vLLM, SGLang, TGI, llama.cpp, LM Studio, Azure, Gemini and Anthropic, each in its own words."""
_VAGUE: Final = re.compile(r"request contains an invalid argument", re.IGNORECASE)
"""Gemini's word for, among others, a schema that it does not take."""
_ABOUT_N: Final = re.compile(
    r"['\"`]n['\"`]|\bn (?:must|>|=|is|should)|\bn=|candidate_?count|(?:multiple|several|one|single) "
    r"(?:completion )?(?:candidate|choice|completion|generation)s?\b|number of (?:choices|completions|candidates)",
    re.IGNORECASE,
)
_ABOUT_LENGTH: Final = re.compile(
    r"context (?:length|window|size)|maximum (?:context|model|input)|too many tokens", re.I
)
_OF_A_VALUE: Final = re.compile(
    r"too (?:large|long|high|big|many)|at most|maximum|exceed|(?:less|greater|more|fewer) than|longer than|between"
    r"|out of range|\[\d",
    re.IGNORECASE,
)
_NO_PICTURES: Final = re.compile(
    r"image_url|image input|not support (?:image|vision|multi-?modal)|not a (?:multi-?modal|vision)",
    re.IGNORECASE,
)
_SIZE: Final = re.compile(
    r"(?:at most|maximum(?: of| is)?|up to|limit(?: of| is)?|<=?) (?:value )?([0-9]{1,7})\b", re.I
)


@dataclass
class Dialect:
    """What one server has been found to understand; a 400 that names a parameter teaches it."""

    several: bool | None = None
    """Whether it gives `n` choices to one request; None: nobody has asked yet."""
    dropped: set[str] = field(default_factory=set)
    """Parameters that it refuses."""
    answered: bool = False
    """Whether it has answered anything yet."""
    form: Form = "strict"
    """How it lets a schema be asked for, unless a setting says how."""

    def learn(self, sent: Collection[str], message: str, param: str, learns_form: bool = False) -> str | None:
        """Take note of a 400; return what will not be sent again, None if it named nothing.

        Args:
            sent: what the request held, as `names` gives it.
            message: what the server said.
            param: which parameter it named, if it did.
            learns_form: whether another form of the schema may be tried.
        """
        named = param.rpartition(".")[2] or param
        for name in DROPPED:
            if name not in sent or not (named == name or (not param and re.search(rf"\b{name}\b", message))):
                continue
            if name == "max_tokens" and (_OF_A_VALUE.search(message) or _ABOUT_LENGTH.search(message)):
                return None
            self.dropped.add(name)
            return name
        form = _form(sent)
        if learns_form and form != "prompt" and self._is_about_form(message, param):
            self.form = "prompt"
            return f"backend.schema={form}"
        return None

    @property
    def known(self) -> tuple[frozenset[str], Form]:
        """What has been learnt of parameters and form."""
        return frozenset(self.dropped), self.form

    def instead(self, name: str) -> str:
        """Return, in words, what is done instead of what `learn` returned."""
        if name == "max_tokens":
            return "max_completion_tokens takes its place"
        return f"backend.schema={self.form} takes its place" if name.startswith("backend.") else "it is left out"

    def is_about_n(self, message: str, param: str) -> bool:
        """Return whether a 400 is about `n`."""
        return param == "n" or (not param and _ABOUT_N.search(message) is not None)

    def _is_about_form(self, message: str, param: str) -> bool:
        vague = not self.answered and _VAGUE.search(message) is not None
        return _ABOUT_FORM.search(param or message) is not None or (not param and vague)


def names(body: Mapping[str, Any]) -> frozenset[str]:
    """Return what a request holds: its parameters, and which form its schema has."""
    form = body.get("response_format")
    return frozenset(body) | (
        {f"response_format={form['type']}"} if isinstance(form, dict) and "type" in form else set()
    )


def response_format(schema: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """Return the parameters that ask for an answer of this `strict` schema."""
    if form == "strict":
        answer = {"name": "answer", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": answer}}
    return {"response_format": {"type": "json_object"}} if form == "json_object" else {}


def with_schema_in_text(messages: tuple[Message, ...], schema: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages with the schema told in the last of the user's."""
    instruction = (
        "Answer with one JSON object and nothing else: no words and no fence around it. "
        f"It must satisfy this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=len(messages) - 1)
    return tuple(
        replace(message, parts=(*message.parts, instruction)) if place == last else message
        for place, message in enumerate(messages)
    )


def remedy(message: str, param: str, extra_body: Mapping[str, Any]) -> str:
    """Return what a user can do about a 400 that nothing was learnt from: which setting it is about."""
    for name in extra_body:
        if param == name or re.search(rf"\b{re.escape(name)}\b", message):
            return f"correct or leave out backend.extra_body.{name}"
    if _ABOUT_LENGTH.search(message):
        return "set a smaller backend.image.side or max_tokens, or serve the model with a longer context"
    if "max_tokens" in f"{param} {message}" or "max_completion_tokens" in f"{param} {message}":
        size = _SIZE.search(message)
        most = f" to {size[1]} or less" if size else " lower"
        return (
            f"set max_tokens{most}: generator.max_tokens, captioner.max_tokens, benchmark.max_tokens, judge.max_tokens"
        )
    if param.startswith("response_format") or _ABOUT_FORM.search(message):
        return "set backend.schema=auto, or backend.schema=prompt, which asks for the answer's form in words alone"
    if param == "n" or _ABOUT_N.search(message):
        return "set backend.n=auto"
    if _NO_PICTURES.search(message):
        return "choose a backend.model that takes pictures"
    return "correct the backend's settings"


def _form(sent: Collection[str]) -> Form:
    if "response_format=json_object" in sent:
        return "json_object"
    return "strict" if "response_format=json_schema" in sent else "prompt"
