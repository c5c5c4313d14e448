"""Servers that speak OpenAI's chat.completions, as a `VLM`: OpenAI itself, vLLM, SGLang, Ollama.

    pull requests, as many as may be in flight -> already in the ledger? -> encode the image, ask -> ledger -> yield

Whatever was paid for is in the ledger before it is read. Asking happens in an event loop of its own (`completion`,
`transport`); the caller's thread pulls requests and takes replies.
"""

import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai

from seke.backends.openai.addresses import NoModel, azure_correction, with_models
from seke.backends.openai.completion import Completer, PartialReply, recall
from seke.backends.openai.dialect import FORMS, Dialect, Form
from seke.backends.openai.event_loop import Background
from seke.backends.openai.failure_cause import FaultTracker
from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.protocol import Completions, host_of, server_identity
from seke.backends.openai.response_body import client
from seke.backends.openai.token_bounds import Sending, bound
from seke.backends.openai.transport import Server, Transport
from seke.backends.openai.unusable_answers import UsableGuard
from seke.core import current_run
from seke.core.errors import UserError
from seke.core.ledger import Ledger
from seke.core.secrecy import refuse_secret_address, refuse_secrets
from seke.core.vlm import Bill, Reply, Request

OPENAI = "https://api.openai.com/v1"
CONNECT_S = 10.0
SHUTDOWN_WARNING = timedelta(days=90)

Finished = tuple[int, PartialReply, "Future[None]"]

log = logging.getLogger(__name__)

# What has been learnt of a server holds for the process: it is asked for one round after the other.
_dialects: dict[tuple[str, str], Dialect] = {}


class OpenAI:
    """Asks `model` at `base_url`; the key is read from OPENAI_API_KEY when the first request has to be sent.

    Args:
        model: name of the model.
        base_url: address of the server; None is OpenAI's.
        ledger: the ledger that all runs share: its path, or itself if it is open already.
        concurrency: requests in flight, at most; fewer while the server says that these are too many.
        timeout: seconds that an answer may take.
        image: settings of `ImageEncoder`: side, quality, detail.
        n: whether several choices fit into one request; auto finds out.
        max_retries: of one request, while others get through.
        backoff: seconds before the first repetition; doubles each time.
        patience: seconds without any answer after which the run is given up.
        prices: model -> USD per million tokens of input, output and cached input; a model without has no known cost.
        logprobs: ask for the answer's log probabilities, too.
        extra_body: what this server wants beyond the protocol, sent as it is.
        seed: of the pauses' jitter.
        schema: how the form of an answer is asked for: strict (the server enforces it), json_object (it enforces some
            JSON object), prompt (in words alone); auto is strict, and prompt where the server cannot do that.

    Raises:
        UserError: for a setting out of range. Nothing is opened or asked before the first request.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        ledger: str | Path | Ledger = "ledger.sqlite",
        concurrency: int = 32,
        timeout: float = 120.0,
        image: Mapping[str, Any] | None = None,
        n: Literal["auto"] | bool = "auto",
        max_retries: int = 10,
        backoff: float = 0.5,
        patience: float = 600.0,
        prices: Mapping[str, Sequence[float | None]] | None = None,
        logprobs: bool = False,
        extra_body: Mapping[str, Any] | None = None,
        seed: int = 0,
        schema: Form | Literal["auto"] = "auto",
    ) -> None:
        self.address = checked_address(base_url or OPENAI)
        for name, value, least in (
            ("concurrency", concurrency, 1),
            ("timeout", timeout, 0.01),
            ("backoff", backoff, 0),
        ):
            if value < least:
                raise UserError(f"backend.{name}", value, "too small", f"set {least} or more")
        if max_retries < 0:
            raise UserError("backend.max_retries", max_retries, "less than none", "set 0 or more")
        if n not in ("auto", True, False):
            raise UserError("backend.n", n, "no such choice", "set auto, true or false")
        if schema not in ("auto", *FORMS):
            raise UserError("backend.schema", schema, "no such way to ask", f"set auto, {', '.join(FORMS)}")
        self.model, self.ledger, self.n, self.prices = model, ledger, n, dict(prices or {})
        self.concurrency, self.timeout, self.max_retries = concurrency, timeout, max_retries
        self.backoff, self.patience, self.seed = backoff, patience, seed
        refuse_secrets(extra_body or {})
        pictures = ImageEncoder(**(image or {}))
        self.written = Completions(model, pictures, logprobs, dict(extra_body or {}), schema=schema)
        self._run: str | None = None
        self.counts = Counter[str]()
        """How many replies were recalled, how many asked for, and how many stored ones were damaged."""
        self.usable = UsableGuard(model)
        self._ledger: Ledger | None = None
        self._session: Session | None = None
        self._sources: list[SimpleQueue[Finished | None]] = []
        """Of each caller who may bring further requests, where it takes the replies."""

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) as they finish; `requests` is pulled only as far as they can be in flight.

        Left early, by Ctrl-C or otherwise, it waits for what is in flight, so that it gets into the ledger; a second
        Ctrl-C does not wait.

        Raises:
            UserError: if there is no key, the server takes no request at all, or no answer can be used.
        """
        self._open()
        numbered = enumerate(requests)
        finished: SimpleQueue[Finished | None] = SimpleQueue()
        asked: set[Future[None]] = set()
        self._sources.append(finished)
        try:
            while True:
                room = max(self._window - len(asked), 0)
                pulled = list(islice(numbered, room))
                if len(pulled) < room:
                    self._exhausted(finished)
                settled = []
                for index, partial_reply in self._recalled(pulled):
                    # Looked at once, and never again here: from now on it is filled in the background.
                    if partial_reply.missing:
                        asked.add(self._ask(index, partial_reply, finished))
                    else:
                        settled.append((index, partial_reply))
                for index, partial_reply in settled:
                    yield index, self._reply(partial_reply)
                if not pulled and not asked:
                    self.usable.over(self._form)
                    return
                for index, partial_reply, future in _taken(finished) if asked else ():
                    asked.discard(future)
                    self._settled(future)
                    yield index, self._reply(partial_reply)
        finally:
            self._exhausted(finished)
            if asked and self._session is not None:
                self._session.finish(asked)

    def bound(self, request: Request) -> Bill:
        """Return what one sending of `request` costs at most, by our own estimate; `Reply.bound` is that of all."""
        at_most = self.written.prompt_at_most(request)
        return bound([Sending(request)], at_most, self.written.extra_body, self.prices, self.model)

    def close(self) -> None:
        """End what runs in the background and close the ledger; the next request opens them anew."""
        if self._session is not None:
            self._session.close()
        if self._ledger is not None and self._ledger is not self.ledger:
            self._ledger.close()
        self.written.pictures.clear()
        self._session = self._ledger = None
        if self.counts["recalled"]:
            recalled, asked = self.counts["recalled"], self.counts["asked"]
            log.warning("%s: %d replies recalled from the ledger, %d asked for", self.model, recalled, asked)
        self.counts.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Take the run along into another process, which does not know of it."""
        return {**self.__dict__, "_run": self._run or current_run.run()}

    def _open(self) -> None:
        """Open the ledger, under the name that this server's replies have in it now."""
        host = server_identity(self.address, self.model, self.prices, self._run or current_run.run())
        self.written = replace(self.written, host=host)
        if self._ledger is None:
            self._ledger = self.ledger if isinstance(self.ledger, Ledger) else Ledger.shared(self.ledger)
            if doubt := self._ledger.in_doubt():
                log.warning("%s", doubt)

    def _exhausted(self, source: "SimpleQueue[Finished | None]") -> None:
        """Take note that a caller has no further requests: what has failed need not wait for others to tell why."""
        if source in self._sources:
            self._sources.remove(source)
            if self._session is not None:
                self._session.background.soon(self._session.transport.faults.changed)

    def _make_room(self) -> None:
        """Wake the callers: a request fails, and others may take its place."""
        for source in tuple(self._sources):
            source.put(None)

    def _ask(self, index: int, partial_reply: PartialReply, finished: "SimpleQueue[Finished | None]") -> "Future[None]":
        """Begin to ask for what is missing; `finished` gets the result."""
        assert self._ledger is not None
        self._session = self._session or Session(self, self._ledger)
        future = self._session.background.start(self._session.completer.complete(partial_reply))
        future.add_done_callback(lambda done: finished.put((index, partial_reply, done)))
        return future

    def _settled(self, future: "Future[None]") -> None:
        try:
            future.result()
        except NoModel as error:
            assert self._session is not None
            raise with_models(error, self._session.models()) from None

    @property
    def _window(self) -> int:
        if self._session is None:
            return self.concurrency
        return self._session.transport.concurrency.limit + self._session.transport.faults.places

    def _recalled(self, pulled: Sequence[tuple[int, Request]]) -> list[tuple[int, PartialReply]]:
        """Return what the ledger holds for these requests, one lookup for all (a second one for single draws)."""
        assert self._ledger is not None
        partial_replies = [(index, PartialReply(request)) for index, request in pulled]
        parts = [(partial_reply, partial_reply.request) for _, partial_reply in partial_replies]
        for _ in range(2):
            keys = [self.written.key(part) for _, part in parts]
            stored = self._ledger.find(keys) if keys else {}
            for (partial_reply, part), key in zip(parts, keys, strict=True):
                if not recall(partial_reply, part, stored.get(key)):
                    self._ledger.forget_damaged(key).result()
                    self.counts["damaged"] += 1
                    if self.counts["damaged"] == 1:
                        log.warning(
                            "%s: a stored reply is damaged (%s...); it is asked for again", self._ledger.path, key[:12]
                        )
            several = [partial_reply for _, partial_reply in partial_replies if partial_reply.request.n > 1]
            parts = [
                (partial_reply, partial_reply.single(number))
                for partial_reply in several
                for number in partial_reply.missing
            ]
        return partial_replies

    def _reply(self, partial_reply: PartialReply) -> Reply:
        reply = partial_reply.reply(self.written, self.prices)
        self.counts["recalled" if reply.recalled else "asked"] += 1
        if partial_reply.models:  # somebody answered
            self.usable.add(partial_reply.request, reply.choices, self._form)
        return reply

    @property
    def _dialect(self) -> Dialect:
        return _dialects.setdefault((self.address, self.model), Dialect())

    @property
    def _form(self) -> Form:
        return self.written.form(self._dialect)


class Session:
    """An open connection to the server: event loop, client and transport, opened for the first request that is sent."""

    def __init__(self, settings: OpenAI, ledger: Ledger) -> None:
        key = api_key(settings.address)
        read = openai.Timeout(settings.timeout, connect=min(CONNECT_S, settings.timeout), pool=None)
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=settings.address,
            max_retries=0,
            timeout=read,
            http_client=client(settings.timeout),
        )
        self._model, self._extra_body = settings.model, settings.written.extra_body
        self.background = Background("openai")
        self.transport = Transport(
            self._post,
            ledger,
            Server(settings.address, settings.model),
            settings.concurrency,
            settings.max_retries,
            settings.backoff,
            settings.patience,
            "" if key == KEYLESS else key,
            settings.seed,
            FaultTracker(
                lambda: bool(settings._sources),
                self._alive,
                lambda: ledger.has_answered(f"{settings.model}: "),
                settings._make_room,
            ),
        )
        several = None if settings.n == "auto" else settings.n
        self.completer = Completer(settings.written, self.transport, settings._dialect, several)
        if (urlsplit(settings.address).hostname or "").endswith(".azure.com"):
            log.warning("%s: Azure blurs faces before the model sees them; its labels are guesses", settings.address)
        self.background.start(self._warn_of_shutdown(settings.model))

    def finish(self, asked: set["Future[None]"]) -> None:
        """Give up what has not been sent, wait for what is in flight; a second Ctrl-C drops that too."""
        for future in asked:
            future.cancel()
        if self.transport.in_flight and isinstance(sys.exc_info()[1], KeyboardInterrupt | GeneratorExit):
            log.warning("waiting for %d requests in flight; Ctrl-C drops them", len(self.transport.in_flight))
        self.background.start(self.transport.drained()).result()

    def close(self) -> None:
        """Drop what still runs and close the connections."""
        self.background.start(self._client.close()).result()
        self.background.stop()

    async def _post(self, body: Mapping[str, Any]) -> str:
        # The raw reply is what the ledger keeps, so the SDK need not make objects of it, nor walk through the request.
        sent = {"model": self._model, **body, **self._extra_body}
        response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=sent)
        return response.text

    def models(self) -> list[str]:
        """Return the names of the models that the server has; none if it does not tell."""

        async def listed() -> list[str]:
            page = await self._client.models.list(timeout=CONNECT_S)
            return [str(model.id) for model in page.data]

        try:
            return self.background.start(listed()).result()
        except Exception:  # any server may fail at this in its own way, and nothing depends on it
            return []

    async def _alive(self) -> bool:
        """Return whether the server answers at all, to this key; its list of models is free."""
        try:
            await self._client.get("/models", cast_to=httpx2.Response, options={"timeout": CONNECT_S})
        except openai.APIStatusError as error:
            return error.status_code < 500 and error.status_code not in (401, 402, 403, 407, 429)
        except Exception:  # any server may fail at this in its own way
            return False
        return True

    async def _warn_of_shutdown(self, model: str) -> None:
        """Warn of a model that will soon be gone; a server that does not say so is not asked twice."""
        try:
            described = await self._client.models.retrieve(model, timeout=CONNECT_S)
            ends = _day(getattr(described, "shutdown_date", None))
        except Exception:  # any server may fail at this in its own way, and nothing depends on it
            return
        if ends is not None and ends - datetime.now(UTC).date() <= SHUTDOWN_WARNING:
            log.warning("%s is shut down on %s; its annotations cannot be repeated after that", model, ends)


KEYLESS = "none"
"""Sent to a server on this machine, which asks for no key."""


def api_key(address: str) -> str:
    """Return the key for a server, from OPENAI_API_KEY and nowhere else; a server on this machine may go without.

    Raises:
        UserError: if there is none, or if it cannot be one. The key itself is in no message.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        if host_of(address) == "local":
            return KEYLESS
        raise UserError("OPENAI_API_KEY", "", f"{address} wants a key", "export OPENAI_API_KEY=... in the shell")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError("OPENAI_API_KEY", "***", "holds characters that no key has", "export it again")
    return key


def checked_address(base_url: str) -> str:
    """Return a server's address without a slash at its end.

    Raises:
        UserError: if it is none, or holds a login or a query, which every file about the run would hold; neither is
            repeated.
    """
    example = "say for example http://localhost:8000/v1"
    refuse_secret_address(base_url)
    try:
        parts = urlsplit(base_url)
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets or a port that are none
        whole = False
    if not whole:
        raise UserError("backend.base_url", base_url, "no web address", example)
    shown = re.sub(r"[?#].*", "?***", base_url, flags=re.DOTALL)
    if remedy := azure_correction(base_url):
        raise UserError("backend.base_url", shown, "there Azure speaks a protocol of its own", remedy)
    if parts.query or parts.fragment:
        raise UserError("backend.base_url", shown, "what is asked for is written behind its path", example)
    return base_url.rstrip("/")


def _day(stated: object) -> date | None:
    """Return the day of an ISO date or of seconds since the epoch."""
    if isinstance(stated, str) and stated:
        return date.fromisoformat(stated[:10])
    return datetime.fromtimestamp(stated, UTC).date() if isinstance(stated, int | float) and stated else None


def _taken(finished: "SimpleQueue[Finished | None]") -> Iterator[Finished]:
    """Wait for one entry, then take all that are there; None says only that there is room for more."""
    entry = finished.get()
    with suppress(Empty):
        while True:
            if entry is not None:
                yield entry
            entry = finished.get_nowait()
