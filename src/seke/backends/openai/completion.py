"""Completion of one Request to one Reply: what the ledger holds is taken from there, the rest is asked draw by draw.

n choices are one request where the server gives several to one (the prompt and its image are then billed once), else n
requests with draw numbers of their own. Choices that did not come are asked for one by one; none is made up.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from seke.backends.openai.dialect import Dialect, names, remedy
from seke.backends.openai.failure_cause import subject_of
from seke.backends.openai.protocol import Completions, NoReply, Received, choices, decode
from seke.backends.openai.token_bounds import Sending, bound, known_cost, stated
from seke.backends.openai.transport import Call, Refused, Transport
from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.core.vlm import Choice, Reply, Request, Status

FILTERED = ("content_filter", "content_policy_violation")
POLICY = re.compile(
    r"moderation|\bflagged\b|content[ _](?:filter|policy|management)|data_?inspection|prohibited_content"
    r"|(?:sensitive|inappropriate) content|responsible_?ai",
    re.IGNORECASE,
)
"""What other servers say of a picture or a prompt that their rules forbid."""
OF_THE_IMAGE = ("invalid_image", "image_parse_error", "invalid_image_format", "image_too_large", "invalid_image_url")
"""Codes of a 400 that say nothing about the other requests."""
OF_ITSELF = re.compile(
    r"context (?:length|window)|too (?:large|long)|(?:process|decode|load|read)\w* (?:the )?image", re.I
)
"""Words of one that do not, either."""

log = logging.getLogger(__name__)


@dataclass
class PartialReply:
    """The choices to one request, as they come together."""

    request: Request
    choices: dict[int, Choice] = field(default_factory=dict)
    """By number, 0 to n - 1."""
    models: list[str] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    """All that may have been billed, also what brought no reply."""
    paid_now: bool = False
    """Whether anything of it had to be paid for now."""

    @property
    def missing(self) -> list[int]:
        """Numbers of the choices that are not there."""
        return [number for number in range(self.request.n) if number not in self.choices]

    def single(self, number: int) -> Request:
        """Return the request for choice `number` alone."""
        return self.request if self.request.n == 1 else replace(self.request, n=1, draw=self.request.draw + number)

    def add(self, received: Received, part: Request) -> None:
        """Add the reply to `part`, which is this request or one of its singles."""
        first = part.draw - self.request.draw
        self.choices.update(enumerate(choices(received, part), start=first))
        self.sendings.append(Sending(part, received.model, received.usage))
        if received.model not in self.models:
            self.models.append(received.model)

    def fail(self, numbers: Sequence[int], status: Status, detail: str) -> None:
        """Give choices up, with the reason in place of an answer."""
        self.choices.update((number, Choice(detail, status)) for number in numbers)

    def lose(self, part: Request) -> None:
        """Take note of a sending that may have been billed, and brought nothing."""
        self.sendings.append(Sending(part))
        self.paid_now = True

    def reply(self, written: Completions, prices: Mapping[str, Sequence[float | None]]) -> Reply:
        """Return the reply; it was asked for as `written`."""
        at_most = written.prompt_at_most(self.request)
        usage = stated(self.sendings)
        return Reply(
            choices=tuple(self.choices[number] for number in range(self.request.n)),
            model=", ".join(self.models) or written.model,
            usage=usage,
            cost=None if usage is None else known_cost(self.sendings, prices, written.model),
            recalled=bool(self.sendings) and not self.paid_now,
            bound=bound(self.sendings, at_most, written.extra_body, prices, written.model),
        )


class Completer:
    """Gets the missing choices of requests from one server; lives in one event loop.

    `several`: whether to ask for several choices in one request; None finds it out, with the first request that could.
    """

    def __init__(self, written: Completions, transport: Transport, dialect: Dialect, several: bool | None) -> None:
        self._written, self._transport, self._dialect, self._several = written, transport, dialect, several
        self._first = asyncio.Lock()

    async def complete(self, partial_reply: PartialReply) -> None:
        """Ask for the choices that are missing.

        Raises:
            UserError: if the server takes no request at all.
        """
        with self._transport.faults.waiting(subject_of(partial_reply.request)):
            await self._complete(partial_reply)

    async def _complete(self, partial_reply: PartialReply) -> None:
        try:
            urls = {image.key: await self._written.pictures.url(image) for image in partial_reply.request.images}
        except (ImageError, OSError) as error:
            partial_reply.fail(partial_reply.missing, "invalid", str(error))
            return
        if len(partial_reply.missing) == partial_reply.request.n > 1 and self.several is not False:
            await self._ask(partial_reply, partial_reply.request, partial_reply.missing, urls)
        singles = [(partial_reply.single(number), [number]) for number in partial_reply.missing]
        await asyncio.gather(*(self._ask(partial_reply, single, numbers, urls) for single, numbers in singles))

    @property
    def several(self) -> bool | None:
        """Whether the server gives several choices to one request, as far as is known."""
        return self._dialect.several if self._several is None else self._several

    async def _ask(
        self, partial_reply: PartialReply, part: Request, numbers: list[int], urls: Mapping[str, str]
    ) -> None:
        """Ask for the choices `numbers` with the request `part`, unless they turn out to be had only one by one."""
        async with self._first_request(part) as let_others:
            if part.n > 1 and self.several is False:
                return
            try:
                received = await self._send(partial_reply, part, urls, let_others)
            except Refused as refused:
                if part.n > 1 and self._several is None and self._dialect.is_about_n(refused.message, refused.param):
                    self._dialect.several = False
                else:
                    self._give_up(partial_reply, numbers, refused)
                return
            partial_reply.add(received, part)
            partial_reply.paid_now = True
            self._dialect.answered = True
            if part.n > 1 and self._dialect.several is None:
                self._dialect.several = not partial_reply.missing

    async def _send(
        self, partial_reply: PartialReply, part: Request, urls: Mapping[str, str], let_others: Callable[[], None]
    ) -> Received:
        images = " ".join(image.mark for image in part.images)
        about = f"{self._written.model}: {images or part.text[:40]!r}, draw {part.draw}, n={part.n}"
        while True:
            body = self._written.body(part, urls, self._dialect)
            lost, subject = partial(partial_reply.lose, part), subject_of(part)
            call = Call(self._written.key(part), about, body, lost, let_others, subject)
            try:
                return await self._transport.send(call)
            except Refused as refused:
                known = self._dialect.known
                dropped = self._dialect.learn(names(body), refused.message, refused.param, self._written.learns_form)
                if dropped is None:
                    raise
                if self._dialect.known != known:
                    instead = self._dialect.instead(dropped)
                    log.warning("%s does not accept %s; %s", self._written.model, dropped, instead)

    def _give_up(self, partial_reply: PartialReply, numbers: list[int], refused: Refused) -> None:
        if refused.code in FILTERED or POLICY.search(refused.message):
            partial_reply.fail(numbers, "filtered", refused.message)
        elif self._dialect.answered or refused.own or refused.code in OF_THE_IMAGE or OF_ITSELF.search(refused.message):
            partial_reply.fail(numbers, "invalid", refused.message)
        else:
            # Nothing has worked yet: what is wrong with this request is wrong with all of them.
            self._transport.fatal_error = UserError(
                "backend.model",
                self._written.model,
                refused.message,
                remedy(refused.message, refused.param, self._written.extra_body),
            )
            raise self._transport.fatal_error

    @asynccontextmanager
    async def _first_request(self, part: Request) -> AsyncIterator[Callable[[], None]]:
        """Let the first request of all go alone, and the first for several choices: the others learn from it.

        Yields what lets the next one go before: this one may fail for reasons of its own.
        """
        with ExitStack() as stack:
            if self._unknown(part):
                await self._first.acquire()
                stack.callback(self._first.release)
                if not self._unknown(part):
                    stack.close()
            yield stack.close

    def _unknown(self, part: Request) -> bool:
        return not self._dialect.answered or (part.n > 1 and self.several is None)


def recall(partial_reply: PartialReply, part: Request, raw: str | None) -> bool:
    """Add what the ledger holds for `part`; return False if it holds something that is no reply."""
    if raw is not None:
        try:
            partial_reply.add(decode(raw), part)
        except NoReply:
            return False
    return True
