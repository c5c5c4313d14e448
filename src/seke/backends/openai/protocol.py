"""The chat.completions protocol: a Request as the JSON that is sent, and the JSON that comes back as choices.

Pure functions of request and reply, so that a paid reply in the ledger can be read again, and better, at any time.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from seke.backends.openai.answer_json import Match, ends_with, matches, problem, refuse_nan, same, unique_names
from seke.backends.openai.dialect import Dialect, Form, response_format, with_schema_in_text
from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.json_schema import strict
from seke.backends.openai.token_bounds import prompt_tokens
from seke.backends.thinking import complete_answer, split_thoughts, truncated_answer
from seke.core.json_schema import mismatch
from seke.core.vlm import Choice, Image, Message, Request, Status, Usage

REFUSAL = re.compile(
    r"\W*(?:(?:i['’]?m|i am|we['’]re|we are) (?:very |really |so )?sorry\b|sorry,|i apologi[sz]e|as an ai\b"
    r"|(?:unfortunately,? |however,? )?i(?:['’]m| am)? ?(?:can['’]?t|cannot|can not|won['’]?t|unable to|not able to) "
    r"(?:\w+ ){0,2}?(?:(?:help|assist|comply|fulfil+|process)\b"
    r"|\w+ .{0,40}\b(?:person|people|individuals?|identity|someone|anyone|who|requests?)\b))",
    re.IGNORECASE,
)
"""How a model declines in plain words, at the beginning of an answer or of a sentence inside its JSON."""


FILTERS = ("safety", "image_safety", "prohibited_content", "recitation", "blocklist", "spii", "sensitive")
"""Finish reasons of Gemini and others for what their filters held back."""
NO_JSON = object()


class NoReply(ValueError):
    """The body of a 200 that holds no answer: a gateway's page, JSON that was cut off, an error, no choices."""


class Received(NamedTuple):
    """A reply, decoded but not yet judged."""

    choices: Sequence[Any]
    model: str
    usage: Usage | None
    """None: the server stated none, or none that can be true."""


MOST_TOKENS = 2**21
"""Of a prompt or its answers; longer than any model's context but Llama 4's, and than anything that is asked here."""
LONGEST_ANSWER = 1_000_000
"""Characters of one choice, several times what any of these models can say; a longer one is not looked into."""
LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal")


def host_of(address: str) -> str:
    """Return who answers at a web address: its host's name, without port or path; this machine is `local`.

    >>> host_of("https://api.openai.com/v1"), host_of("http://127.0.0.1:8000/v1")
    ('api.openai.com', 'local')
    """
    host = urlsplit(address).hostname or ""
    return "local" if host in LOCAL else host


def server_identity(address: str, model: str, prices: Mapping[str, Sequence[float | None]], run: str | None) -> str:
    """Return what stands for a server in the keys of its replies.

    Replies that cost money are known by the server's name, for ever. A server on this machine that has no price may
    have other weights tomorrow, at the same address and under the same name: its replies are known within one `run`.

    >>> server_identity("http://localhost:8000/v1", "gpt-4o", {"gpt-4o": [2.5, 10.0]}, "generate/a")
    'local'
    >>> server_identity("http://localhost:8000/v1", "qwen", {}, "generate/a")
    'local:8000 generate/a'
    """
    host = host_of(address)
    if host != "local" or any(prices.get(model) or ()):
        return host
    parts = urlsplit(address)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    return f"{host}:{port}" + (f" {run}" if run else "")


@dataclass(frozen=True)
class Completions:
    """How requests are written for one model."""

    model: str
    pictures: ImageEncoder
    logprobs: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    """Who serves the model; two servers may call different weights by one name (see `server_identity`)."""
    schema: Form | Literal["auto"] = "auto"
    """How a schema is asked for; auto: as the server takes it."""

    @property
    def learns_form(self) -> bool:
        """Whether the server's 400s decide how a schema is asked for."""
        return self.schema == "auto"

    def form(self, dialect: Dialect) -> Form:
        """Return how a schema is asked for."""
        return dialect.form if self.schema == "auto" else self.schema

    def key(self, request: Request) -> str:
        """Return the sha256 of everything that decides the answer: the ledger's key."""
        pictures = self.pictures.settings(request.images)
        sent = [self.host, self.model, request.key, pictures, self.logprobs, self.extra_body]
        if request.schema is not None and self.schema in ("json_object", "prompt"):
            sent.append(self.schema)  # not there otherwise: keys of what was paid for before this could be set stay
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()

    def prompt_at_most(self, request: Request) -> int:
        """Return how many tokens the prompt may have, pictures included."""
        return prompt_tokens(request, self.pictures.side, self.pictures.detail, self.extra_body)

    def body(self, request: Request, urls: Mapping[str, str], dialect: Dialect) -> dict[str, Any]:
        """Return the request's JSON, without `extra_body`; `urls` holds the images' data URLs by their keys."""
        limit = "max_completion_tokens" if "max_tokens" in dialect.dropped else "max_tokens"
        messages, form = request.messages, self.form(dialect)
        schema = None if request.schema is None else _strict(json.dumps(request.schema))
        if schema is not None and form != "strict":
            messages = with_schema_in_text(messages, schema)
        body = {
            "model": self.model,
            "messages": [self._message(message, urls) for message in messages],
            "temperature": request.temperature,
            limit: request.max_tokens,
            "seed": seed(request),
        }
        if request.n > 1:
            body["n"] = request.n
        if schema is not None:
            body |= response_format(schema, form)
        if self.logprobs or request.logprobs:
            body["logprobs"] = True
        return {name: value for name, value in body.items() if name not in dialect.dropped}

    def _message(self, message: Message, urls: Mapping[str, str]) -> dict[str, Any]:
        if not message.images:
            return {"role": message.role, "content": message.text}
        # As the request has them: a benchmark shows the image first, as models are tuned, and answers depend on it;
        # generators put their long text first, whose prefix servers then keep from image to image.
        return {"role": message.role, "content": [self._part(part, urls) for part in message.spelt]}

    def _part(self, part: str | Image, urls: Mapping[str, str]) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return {"type": "image_url", "image_url": {"url": urls[part.key], "detail": self.pictures.detail}}


def seed(request: Request) -> int:
    """Return the sampling seed: the prompt's own plus the draw's number.

    So no two prompts share their noise, and n draws in one request are (with vLLM, which counts on from the seed) the
    same as n requests.
    """
    prompt = [request.seed, request.text, *(image.key for image in request.images)]
    own = int.from_bytes(hashlib.sha256(json.dumps(prompt).encode()).digest()[:4], "big")
    return (own + request.draw) % 2**31


def decode(raw: str) -> Received:
    """Return what a reply's body holds.

    Raises:
        NoReply: if that is no reply.
    """
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        reply = None
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        raise NoReply(f"a 200 without an answer: {raw[:100]!a}")
    return Received(_in_order(choices), str(reply.get("model") or ""), _usage(reply.get("usage")))


def choices(received: Received, request: Request) -> list[Choice]:
    """Return the choices of a reply to `request`, each judged by itself; never more than were asked for."""
    schema = None if request.schema is None else _strict(json.dumps(request.schema))
    return [_choice(choice, schema) for choice in received.choices[: request.n]]


def _choice(choice: Any, schema: Mapping[str, Any] | None) -> Choice:
    try:
        return _judged(choice, schema)
    except RecursionError:
        return Choice("brackets in brackets without end", "invalid")


def _judged(entry: Any, schema: Mapping[str, Any] | None) -> Choice:
    message = _message(entry)
    if message is None:
        return Choice(f"no message: {ascii(entry)[:200]}", "invalid")
    content, declined = _content(message.get("content"))
    if len(content) > LONGEST_ANSWER:
        return Choice(f"an answer of {len(content):,} characters: {_writable(content[:200])}", "invalid")
    text = _writable(content)
    if refusal := message.get("refusal") or declined:
        return Choice(_writable(str(refusal)), "refusal")
    if status := _ended(entry.get("finish_reason")):
        # Free text that was cut off may be read as far as it goes, but never what was thought before it.
        return Choice(text, status) if schema is not None else replace(truncated_answer(text), status=status)
    if schema is not None:
        return _answer(text, message, entry.get("logprobs"), schema)
    if not text.strip():
        return Choice(_nothing(entry), "invalid")
    choice = complete_answer(text)
    if choice.status != "ok":
        return choice
    return replace(
        choice,
        status="refusal" if REFUSAL.match(choice.text) else "ok",
        logprobs=_logprobs_of(choice.text, text, entry.get("logprobs")),
    )


def _answer(text: str, message: Mapping[str, Any], logprobs: Any, schema: Mapping[str, Any]) -> Choice:
    """Return the one answer in a message that had to follow `schema`, or why there is none."""
    answer, unfinished = split_thoughts(text)
    whole = _json(text)
    if mismatch(whole, schema) is None:
        found = [Match(whole, text, 0, len(text))]
    elif REFUSAL.match(answer):
        return Choice(text, "refusal")
    else:
        found = matches(answer, schema)
    for fit in [fit for call in _calls(message) for fit in matches(call, schema)]:
        found += [] if any(same(fit.value, other.value) for other in found) else [fit]
    if not found and unfinished is not None:
        within = matches(unfinished, schema)
        found = within if len(within) == 1 and ends_with(unfinished, within[0]) else []
    if not found and not text.strip():
        # Servers that look for thoughts take an answer without any for one.
        found = [fit for thought in _thoughts(message) for fit in matches(thought, schema) if _alone(thought, fit)][:1]
    if len(found) > 1:
        return Choice(f"{len(found)} different answers in one: {text}", "invalid")
    if not found:
        if not answer.strip() and unfinished is not None:
            return Choice(text, "truncated")
        return Choice(f"{problem(answer, schema)}: {text}" if text.strip() else _nothing(message), "invalid")
    [fit] = found
    # Strict mode leaves a model that will not answer only the free text to say so.
    if any(REFUSAL.match(words) for words in _strings(fit.value)):
        return Choice(fit.text, "refusal")
    return Choice(fit.text, "ok", _logprobs_of(fit.text, text, logprobs))


def _message(entry: Any) -> Mapping[str, Any] | None:
    """Return the message of a choice, in the form of chat.completions or of completions."""
    if not isinstance(entry, dict):
        return None
    if isinstance(message := entry.get("message"), dict):
        return message
    return {"content": entry["text"]} if "message" not in entry and isinstance(entry.get("text"), str) else None


def _content(content: Any) -> tuple[str, str]:
    """Return the text of a message's content and the words of a refusal in it; parts that are thoughts do not count."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict) and not isinstance(content.get("text"), str):
        return json.dumps(content, ensure_ascii=False), ""  # an object where its JSON should be
    texts, refusals = [], []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"):
            text = part.get("text")
            texts.append(str(text.get("value", "")) if isinstance(text, dict) else str(text or ""))
        elif isinstance(part, dict) and part.get("type") == "refusal":
            refusals.append(str(part.get("refusal") or "declined"))
    return "".join(texts), " ".join(refusals)


def _calls(message: Mapping[str, Any]) -> list[str]:
    """Return the arguments of the tools that a message calls."""
    calls = message.get("tool_calls")
    functions = (
        [call.get("function", call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    )
    given = [call.get("arguments") for call in [*functions, message.get("function_call")] if isinstance(call, dict)]
    return [
        _writable(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
        for arguments in given
    ]


def _thoughts(message: Mapping[str, Any]) -> list[str]:
    fields = [message.get("reasoning_content"), message.get("reasoning")]
    return [_writable(text) for text in dict.fromkeys(text for text in fields if isinstance(text, str))]


def _alone(text: str, fit: Match) -> bool:
    """Return whether `text` is nothing but the answer, perhaps in a fence."""
    return re.fullmatch(r"\s*(?:`{3}\w*\s*)?", text[: fit.start]) is not None and ends_with(text, fit)


def _ended(reason: Any) -> Status | None:
    """Return what a choice's finish reason says of it, None if it is whole."""
    name = str(reason or "").lower().replace("-", "_")
    if name.startswith(("content_filter", "contentfilter")) or name in FILTERS:
        return "filtered"
    if name in ("length", "max_tokens", "model_length", "model_context_window_exceeded"):
        return "truncated"
    return "refusal" if name == "refusal" else None


def _nothing(entry: Mapping[str, Any]) -> str:
    error = entry.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return _writable(f"an empty answer ({message})") if message else "an empty answer"


def _json(text: str) -> Any:
    """Return the value of a JSON text, `NO_JSON` if it is none or says two things of one name."""
    try:
        return json.loads(text, parse_constant=refuse_nan, object_pairs_hook=unique_names)
    except (ValueError, RecursionError):
        return NO_JSON


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


@lru_cache(maxsize=1024)
def _strict(schema: str) -> dict[str, Any]:
    return strict(json.loads(schema))


def _logprobs(given: Any) -> tuple[tuple[str, float], ...] | None:
    try:
        return tuple((_writable(token["token"]), float(token["logprob"])) for token in given["content"])
    except (TypeError, KeyError, ValueError, AttributeError):  # not asked for, or not given
        return None


def _logprobs_of(answer: str, text: str, given: Any) -> tuple[tuple[str, float], ...] | None:
    """Return the log probabilities of the tokens from where `answer` begins in `text`; None if it begins in a token."""
    tokens = _logprobs(given)
    if tokens is None or answer == text:
        return tokens
    place, start = 0, text.find(answer)
    for number, (token, _) in enumerate(tokens):
        if place == start:
            return tokens[number:]
        place += len(token)
    return None


def _in_order(choices: list[Any]) -> list[Any]:
    """Return the choices by their `index`, where every one has it."""
    if all(isinstance(choice, dict) and isinstance(choice.get("index"), int) for choice in choices):
        return sorted(choices, key=lambda choice: int(choice["index"]))
    return choices


def _usage(stated: Any) -> Usage | None:
    """Return the tokens that a server states; None if it states none, or what cannot be: unknown is not 0."""
    usage = stated if isinstance(stated, dict) else {}
    details = usage.get("prompt_tokens_details")
    into, out = (_tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if not into or out is None:
        return None
    # Cached tokens cost less, so what is not clear about them counts as fresh.
    cached = _tokens(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(into, out, cached if cached is not None and cached <= into else 0)


def _tokens(stated: Any) -> int | None:
    """Return a number of tokens; None for what cannot be one. JSON's 300.0 is 300."""
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 <= stated <= MOST_TOKENS:
        return None
    return int(stated) if stated == int(stated) else None


def _writable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON's escapes can hold and a UTF-8 file cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
