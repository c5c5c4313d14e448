"""Sends one paid call with retries, however network and server behave, and writes down what it may have cost.

    408 409 429 5xx, connection lost, time-out, HTML or cut-off JSON in a 200    asked again, with growing pauses
    400 and its like                                                            this request's own: Refused
    403, 404 and other refusals                                                 the same, if others get through
    no quota, 401, 402                                                          the end of the run: UserError

What is asked again in vain is given up as its own fault, or waited for as the server's: `failure_cause` tells which.

Every sending is in the ledger before it leaves, and every reply before it is read. What certainly was not billed (an
error status, no connection) is said so there; a connection that broke leaves the call in doubt.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, NamedTuple

import aiohttp
import httpx2
import openai

from seke.backends.openai.addresses import connection_problem, correction, hint, names_path_or_model, not_found
from seke.backends.openai.failure_cause import FaultTracker
from seke.backends.openai.protocol import NoReply, Received, decode
from seke.backends.openai.rate_limit import Breaker, Concurrency, requested_wait_s
from seke.backends.openai.token_bounds import tokens
from seke.core.errors import UserError
from seke.core.ledger import Ledger

LONGEST_BACKOFF_S = 30.0
LIMITED = 3
"""Times as many 429s as other failures."""
AGAIN = (408, 409, 429)
NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, httpx2.ConnectError)
NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")

log = logging.getLogger(__name__)

Post = Callable[[Mapping[str, Any]], Awaitable[str]]
"""Sends a request's body and returns the body of the 200 that comes back; raises openai's errors."""


class Call(NamedTuple):
    """One request as it is sent."""

    key: str
    about: str
    """For people, in the ledger."""
    body: Mapping[str, Any]
    lost: Callable[[], None] = lambda: None
    """Told of each sending that may have been billed, and brought no reply."""
    failed: Callable[[], None] = lambda: None
    """Told when a sending brought no reply: whoever waits for it to show the way need not."""
    subject: str = ""
    """What it is about: draws of one picture fail together."""


class Refused(Exception):
    """The server does not accept this request: asking again would not help."""

    def __init__(
        self,
        message: str,
        code: str = "",
        param: str = "",
        mistake: UserError | None = None,
        own: bool = False,
        certain: bool = False,
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param
        self.mistake = mistake
        """What is wrong if it is not this request's own fault, but might be any other's, too."""
        self.own = own
        """Whether it is known to be this request's own fault."""
        self.certain = certain
        """Whether `mistake` is by its words about all requests, if the server has answered none."""


class TransientError(Exception):
    """A sending that brought no reply, and may next time."""

    def __init__(
        self,
        detail: str,
        *,
        billed: bool,
        own: bool,
        limited: bool = False,
        wait_s: float | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.billed, self.own, self.limited, self.wait_s = billed, own, limited, wait_s
        """Is it in doubt whether it was billed; may it be this request's own fault; was it a 429; what the server says
        to wait."""
        self.reached = reached
        """May a model have worked on it, as far as a budget must assume: also behind an error status."""


class Transport:
    """Sends calls to one server.

    Args:
        post: see `Post`.
        ledger: where calls are written down.
        server: address and model, as messages name them.
        concurrency: requests at once, at most.
        max_retries: of one request, while others get through.
        backoff_s: pause before the first repetition; it doubles each time.
        patience_s: for how long nothing at all may get through.
        secret: the API key, which some servers repeat in their messages: it is cut out everywhere.
        seed: of the pauses' jitter.
        faults: tells whose fault a failure is.
    """

    def __init__(
        self,
        post: Post,
        ledger: Ledger,
        server: "Server",
        concurrency: int,
        max_retries: int,
        backoff_s: float,
        patience_s: float,
        secret: str = "",
        seed: int = 0,
        faults: FaultTracker | None = None,
    ) -> None:
        self.faults = faults or FaultTracker()
        self._post, self._ledger, self._server, self._secret = post, ledger, server, secret
        self._max_retries, self._backoff_s, self._patience_s = max_retries, backoff_s, patience_s
        self.concurrency = Concurrency(concurrency)
        self._breaker = Breaker(backoff_s)
        self._jitter = random.Random(seed)
        self._failing_since: float | None = None
        self._met = False
        """Whether anybody has ever been there."""
        self._failures: Counter[str] = Counter()
        self.fatal_error: UserError | None = None
        """Why no request is sent any more."""
        self.in_flight: set[asyncio.Task[Received]] = set()
        """Requests that are on their way: cancelling `send` leaves them, so that their replies get written down."""

    async def send(self, call: Call) -> Received:
        """Return the reply to `call`, decoded, once its body is in the ledger.

        Raises:
            Refused: if the server does not take this request, or failed at it `max_retries` times.
            UserError: if the server takes none at all.
        """
        subject = call.subject or call.key
        retries = limited = 0
        began = self.faults.successes
        while True:
            async with self.concurrency.slot(), self._passage():
                if self.fatal_error is not None:
                    raise self.fatal_error
                try:
                    received = await self._launch(call)
                except TransientError as trouble:
                    failure: TransientError | Refused = trouble
                except UserError as error:
                    raise self._fatal(error) from None
                except Refused as refused:
                    if refused.mistake is None:
                        self._got_through(subject)
                        raise
                    failure = refused
                else:
                    self._got_through(subject)
                    self.concurrency.succeeded()
                    return received
                self._note(subject, failure)
            if isinstance(failure, Refused) and failure.mistake and failure.certain and not self.faults.answered:
                raise self._fatal(failure.mistake)
            call.failed()
            if isinstance(failure, Refused):
                if await self._own(subject, hard=True):
                    raise Refused(failure.message, failure.code, failure.param, own=True)
                raise self._fatal(failure.mistake or self._impatient(failure.message))
            retries += not failure.limited
            limited += failure.limited
            # Others got through as often: the server does not say "later" to all, but "no" to this one.
            refused_alone = min(limited, self.faults.successes - began) > LIMITED * (self._max_retries + 1)
            given_up = retries > self._max_retries or refused_alone or (retries and self.faults.is_known(subject))
            if given_up and await self._own(subject):
                raise self._given_up(subject, failure)
            if self._patience_left_s < 0:
                if failure.reached and not failure.limited and await self._own(subject):
                    raise self._given_up(subject, failure)
                raise self._fatal(self._impatient(failure.detail))
            if self._breaker.open and not self.faults.few_left:
                continue  # its pauses rule
            await asyncio.sleep(self._pause(retries, failure))

    async def drained(self) -> None:
        """Wait until nothing is on its way; whoever asks after that may have better luck."""
        while self.in_flight:
            await asyncio.wait(self.in_flight)
        self.fatal_error = self._failing_since = None

    async def _launch(self, call: Call) -> Received:
        task = asyncio.create_task(self._try(call))
        self.in_flight.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: "asyncio.Task[Received]") -> None:
        self.in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more, and that is no news for stderr

    async def _try(self, call: Call) -> Received:
        await self._ledger.sent(call.key, call.about)
        try:
            raw = self._clean(await self._post(call.body))
            received = decode(raw)
        except NoReply as error:
            failure: Exception = TransientError(f"{error}{hint(self._server.address)}", billed=True, own=True)
        except (UnicodeError, ValueError, RecursionError) as error:  # of a body that no reader foresaw
            failure = TransientError(f"an answer that cannot be read ({type(error).__name__})", billed=True, own=True)
        except openai.APIError as error:
            failure = self._server.diagnose(error, self._clean)
            nowhere = connection_problem(error, self._server.address)
            self._met = self._met or nowhere is None
            if nowhere and nowhere.certain and not self._met:
                failure = self._server.mistake(nowhere.problem, nowhere.remedy)
            if not (isinstance(failure, TransientError) and failure.billed):
                self._ledger.failed(call.key, str(failure))
        else:
            self._met = True
            await self._ledger.done(call.key, raw, received.model, *tokens(received.usage))
            return received
        if isinstance(failure, TransientError) and failure.reached:
            call.lost()
        # Raised out here, it does not drag the SDK's error along, which holds the request and its headers with the key.
        raise failure

    def _note(self, subject: str, failure: TransientError | Refused) -> None:
        """Slow down as `failure` demands.

        Raises:
            UserError: if the server says that it will not answer for too long.
        """
        self._failing_since = self._failing_since or time.monotonic()
        self._failures[subject] += 1
        if isinstance(failure, Refused):
            self._breaker.succeeded()
            self.faults.failed(subject)
            return
        if failure.limited:
            self.concurrency.limited()
            self._breaker.succeeded()
        elif not self.faults.is_known(subject):
            was_open = self._breaker.open
            self._breaker.failed(subject, failure.own)
            if self._breaker.open and not was_open:
                log.warning("%s fails (%s); trying again until it answers", self._server.address, failure.detail)
            self.faults.failed(subject)
        if failure.wait_s is not None:
            self.concurrency.hold(min(failure.wait_s, self._patience_s))
            if failure.wait_s > self._patience_s:
                raise self._fatal(self._impatient(failure.detail))

    async def _own(self, subject: str, hard: bool = False) -> bool:
        """Return whether a failure is the request's own, which then says nothing about the server."""
        own = await self.faults.own(subject, self._patience_left_s, hard)
        if own and self.faults.nobody:
            self._failing_since = None
            self._breaker.succeeded()
        return own

    def _given_up(self, subject: str, failure: TransientError) -> Refused:
        return Refused(f"no answer after {self._failures[subject]} tries; the last: {failure.detail}", own=True)

    def _passage(self) -> AbstractAsyncContextManager[None]:
        """Return the way to the server: a dead one is left alone, but the last few requests are no sign of that."""
        return nullcontext() if self.faults.few_left else self._breaker.passage()

    @property
    def _patience_left_s(self) -> float:
        since = self._failing_since
        return self._patience_s if since is None else since + self._patience_s - time.monotonic()

    def _impatient(self, detail: str) -> UserError:
        return self._server.mistake(
            f"nothing got through for too long; the last: {detail}",
            "run the same command again later; what was paid for is kept",
        )

    def _fatal(self, error: UserError) -> UserError:
        self.fatal_error = self.fatal_error or error
        self.faults.changed()
        return self.fatal_error

    def _got_through(self, subject: str) -> None:
        self.faults.succeeded(subject)
        self._breaker.succeeded()
        self._failing_since = None

    def _pause(self, retries: int, trouble: TransientError) -> float:
        """Return seconds to wait: half to all of a pause that doubles, so that a crowd does not come back as one."""
        if trouble.wait_s is not None:
            return trouble.wait_s + self._jitter.random() * min(trouble.wait_s, self._backoff_s)
        longest = min(self._backoff_s * 2.0 ** max(retries - 1, 0), LONGEST_BACKOFF_S)
        return longest * (1 + self._jitter.random()) / 2

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text


class Server(NamedTuple):
    """Whom the requests go to, as messages name it."""

    address: str
    model: str

    def mistake(self, problem: str, remedy: str) -> UserError:
        """Return an error about the server."""
        return UserError("backend.base_url", self.address, problem, remedy)

    def diagnose(self, error: openai.APIError, clean: Callable[[str], str]) -> TransientError | Refused | UserError:
        """Return what an error of the SDK means; `clean` takes secrets out of the server's words."""
        if isinstance(error, openai.APIStatusError):
            return self._by_status(error, clean)
        cause = error.__cause__
        # The SDK's translation of aiohttp calls a connection that was lost halfway a ConnectTimeout, too.
        broken = (cause and cause.__cause__) or cause or error
        words = f"{type(broken).__name__}: {broken}" if str(broken) else str(cause or error)
        detail = clean(str(connection_problem(broken, self.address) or words))
        if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            return self.mistake(detail, "correct the address")
        never_left = isinstance(broken, NEVER_LEFT)
        return TransientError(detail, billed=not never_left, own=not never_left, reached=not never_left)

    def _by_status(
        self, error: openai.APIStatusError, clean: Callable[[str], str]
    ) -> TransientError | Refused | UserError:
        status, fields = error.status_code, error.body if isinstance(error.body, dict) else {}
        code, message = str(fields.get("code") or ""), fields.get("message") or error.response.text[:200]
        detail = clean(" ".join(f"{status}: {message}".split())[:500])
        if status == 402 or code in NO_MONEY or fields.get("type") in NO_MONEY:
            return self.mistake(f"the account is empty ({detail})", "top it up and run the same command again")
        if status in AGAIN or status >= 500:
            wait_s = requested_wait_s(error.response.headers)
            limited, reached = status == 429, status not in (409, 429)
            return TransientError(
                detail, billed=False, own=not limited, limited=limited, wait_s=wait_s, reached=reached
            )
        if status == 401:
            return self.mistake(f"does not accept the key ({detail})", "set OPENAI_API_KEY to a valid one")
        if status in (403, 404):
            mistake = UserError("backend.model", self.model, detail, "choose a model that this key may use")
            if status == 404:
                mistake = not_found(self.address, self.model, detail, str(message), code)
            return Refused(
                detail, code, mistake=mistake, certain=status == 404 and names_path_or_model(str(message), code)
            )
        if 300 <= status < 400:
            where = clean(ascii(error.response.headers.get("location", "nowhere"))[:200])
            mistake = self.mistake(f"sends elsewhere ({status}: to {where})", "say that address if you trust it")
            return Refused(f"{status}: sent elsewhere, to {where}", code, mistake=mistake, certain=True)
        if status in (400, 413, 422):
            return Refused(detail, code, clean(str(fields.get("param") or "")))
        return Refused(detail, code, mistake=self.mistake(detail, correction(self.address)))
