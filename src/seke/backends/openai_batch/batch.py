"""OpenAI's Batch API as a `VLM`: all requests of a round at once, at half the price, within a day.

    what the ledger holds -> yield;   the rest -> JSONL files -> a batch each -> results -> ledger -> yield

Bodies, keys and replies are those of `openai.client.OpenAI`, so what one has paid for the other finds. A batch that has
begun is noted beside its file (`jobs`): whatever ends the program, the same command waits for it again, and the
rows in it are not asked anew. With mode=file nobody is asked: the files are for `vllm run-batch`, or any other hand.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import openai

from seke.backends.openai.client import CONNECT_S, KEYLESS, OpenAI, api_key
from seke.backends.openai.completion import PartialReply
from seke.backends.openai.dialect import Dialect, Form, names
from seke.backends.openai.response_body import SLOWEST, client
from seke.backends.openai.transport import Server
from seke.backends.openai_batch.jobs import ENDPOINT, Failure, Job, Limits, Notes, Row, open_jobs, write
from seke.backends.openai_batch.results import TOGETHER, ResultRecorder, chunks
from seke.backends.openai_batch.service import BatchRunner, FileRunner, ServerRunner
from seke.core.errors import Paused, UserError
from seke.core.images import ImageError
from seke.core.ledger import Ledger
from seke.core.vlm import Reply, Request

NOTES = "notes.json"

log = logging.getLogger(__name__)


class OpenAIBatch(OpenAI):
    """Asks `model` by batches; `base_url`, `ledger`, `image`, `n`, `logprobs`, `extra_body` are as in `OpenAI`.

    Args:
        model: name of the model.
        base_url: address of the server; with mode=file that of the one that will run the files.
        ledger: the ledger that all runs share.
        mode: batch, or file: write the requests and pause, for somebody else to run them.
        folder: where the files lie, and the notes on what is under way.
        poll: seconds between two looks at a batch.
        window: within which it is to finish.
        rows: requests in one file, at most.
        megabytes: size of one file, at most (a megabyte is a million bytes).
        retries: how often a row is asked again that failed, expired or did not come back.
        timeout: seconds that an answer may take; files get as much more as they are large.
        patience: seconds without any answer after which the run is given up; its batches go on.
        image: settings of `ImageEncoder`.
        n: whether several choices fit into one request; auto finds out.
        prices: model -> USD per million tokens of input, output and cached input, as batches are billed.
        logprobs: ask for log probabilities, too.
        extra_body: what this model wants beyond the protocol.
        schema: how the form of an answer is asked for; as in `OpenAI`.

    Raises:
        UserError: for a setting out of range. Nothing is opened or asked before the first request.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        ledger: str | Path | Ledger = "ledger.sqlite",
        mode: Literal["batch", "file"] = "batch",
        folder: str | Path = "batches",
        poll: float = 60.0,
        window: str = "24h",
        rows: int = 50_000,
        megabytes: float = 200.0,
        retries: int = 2,
        timeout: float = 600.0,
        patience: float = 600.0,
        image: Mapping[str, Any] | None = None,
        n: Literal["auto"] | bool = "auto",
        prices: Mapping[str, Sequence[float | None]] | None = None,
        logprobs: bool = False,
        extra_body: Mapping[str, Any] | None = None,
        schema: Form | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(
            model,
            base_url,
            ledger,
            timeout=timeout,
            image=image,
            n=n,
            patience=patience,
            prices=prices,
            logprobs=logprobs,
            extra_body=extra_body,
            schema=schema,
        )
        if mode not in ("batch", "file"):
            raise UserError("backend.mode", mode, "no such mode", "set batch or file")
        for name, value, least in (("poll", poll, 0.01), ("rows", rows, 1), ("retries", retries, 0)):
            if value < least:
                raise UserError(f"backend.{name}", value, "too small", f"set {least} or more")
        if not megabytes > 0:
            raise UserError("backend.megabytes", megabytes, "not a request fits in", "set more than 0")
        self.mode, self.folder, self.poll, self.window = mode, Path(folder).absolute(), poll, window
        self.limits, self.retries = Limits(rows, round(megabytes * 1e6)), retries
        self._server = Server(self.address, model)
        self._secret = ""
        self._runner: BatchRunner | None = None
        self._notes = Notes(self.folder / NOTES)
        self._unreadable: dict[str, Failure] = {}

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply): pull all of `requests`, yielding what is settled, then get the rest done job by job.

        Raises:
            Paused: with mode=file, when somebody has to run the files; if a batch was cancelled.
            UserError: if there is no key, the server takes no batch or no request at all, or no answer can be used.
        """
        self._open()
        self._notes, self._unreadable = Notes.read(self.folder / NOTES), {}
        waiting: dict[int, PartialReply] = {}
        for some in chunks(enumerate(requests), TOGETHER):
            yield from self._look(some, waiting)
        while waiting:
            yield from self._round(waiting)
        self.usable.over(self._form)

    def close(self) -> None:
        """Close connections and ledger; what is under way goes on. The next request opens them anew."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        super().close()

    def _look(
        self, asked: Sequence[tuple[int, Request]], waiting: dict[int, PartialReply], paid_now: Set[int] = frozenset()
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the replies that are complete by ledger and notes; the others are `waiting`."""
        for index, partial_reply in self._recalled(asked):
            partial_reply.paid_now = index in paid_now
            self._give_up(partial_reply)
            if partial_reply.missing:
                waiting[index] = partial_reply
            else:
                waiting.pop(index, None)
                yield index, self._reply(partial_reply)

    def _round(self, waiting: dict[int, PartialReply]) -> Iterator[tuple[int, Reply]]:
        """Get jobs done for all that is `waiting`; what is still not complete then needs another round."""
        wanted: defaultdict[str, list[int]] = defaultdict(list)
        for index, partial_reply in waiting.items():
            for key in self._keys(partial_reply):
                wanted[key].append(index)

        def concerned(keys: Iterable[str]) -> list[tuple[int, Request]]:
            indexes = sorted({index for key in keys for index in wanted.get(key, ())})
            return [(index, waiting[index].request) for index in indexes if index in waiting]

        jobs = self._jobs(waiting.values(), wanted.keys())
        yield from self._look(concerned(self._unreadable), waiting)
        if not jobs:
            return
        self._runner = self._runner or self._new_runner()
        assert self._ledger is not None
        recorder = ResultRecorder(
            self._ledger, self._notes, self._dialect, self._server, self.written, self.n == "auto", self._clean
        )
        for ended in self._runner.ended(jobs):
            recorder.settle(ended)
            # Of requests that are the same, one was paid for.
            paid_now = {wanted[key][0] for key in ended.job.keys if key in wanted}
            for some in chunks(concerned(ended.job.keys), TOGETHER):
                yield from self._look(some, waiting, paid_now)
            if ended.cancelled:
                raise Paused(f"{ended.job.batch_id} was cancelled; what it had finished is kept")

    def _new_runner(self) -> BatchRunner:
        if self.mode == "file":
            return FileRunner(self.model)
        key = api_key(self.address)
        self._secret = "" if key == KEYLESS else key
        timeout = openai.Timeout(self.timeout, connect=min(CONNECT_S, self.timeout))
        asker = openai.AsyncOpenAI(
            api_key=key,
            base_url=self.address,
            max_retries=0,
            timeout=timeout,
            http_client=client(self.timeout, SLOWEST),
        )
        return ServerRunner(asker, self._server, self.window, self.poll, self.patience, self.timeout, self._clean)

    def _jobs(self, waiting: Iterable[PartialReply], wanted: Set[str]) -> list[Job]:
        """Return the jobs that will answer what is `wanted`: those under way already, and new ones for the rest."""
        opened = open_jobs(self.folder, self.address, self.model)
        held = {key for job in opened for key in job.keys}
        parts = {self.written.key(part): part for partial_reply in waiting for part in self._parts(partial_reply, held)}
        new = write(self.folder, self.address, self.model, self._rows(parts), self.limits)
        return [*(job for job in opened if not wanted.isdisjoint(job.keys)), *new]

    def _parts(self, partial_reply: PartialReply, held: Set[str]) -> list[Request]:
        """Return the requests to send for what is missing: one for all, if the server gives several, or one each."""
        request = partial_reply.request
        if self.written.key(request) in held:
            return []
        singles = [partial_reply.single(number) for number in partial_reply.missing]
        left = [single for single in singles if self.written.key(single) not in held]
        return [request] if len(left) == request.n and self._several is not False else left

    def _rows(self, parts: Mapping[str, Request]) -> Iterator[Row]:
        """Yield the rows that ask for `parts`; those whose image cannot be read are noted instead."""
        with ThreadPoolExecutor() as pool:
            for some in chunks(parts.items(), TOGETHER):
                yield from filter(None, pool.map(self._row, *zip(*some, strict=True)))

    def _row(self, key: str, part: Request) -> Row | None:
        try:
            urls = {image.key: self.written.pictures.encode(image) for image in part.images}
        except (ImageError, OSError) as error:
            self._unreadable[key] = Failure(1, "invalid", str(error), final=True)
            return None
        body = {**self.written.body(part, urls, self._dialect), **self.written.extra_body}
        row = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
        return Row(key, names(body), json.dumps(row).encode() + b"\n")

    def _give_up(self, partial_reply: PartialReply) -> None:
        """Put the reason in place of choices that cannot be had."""
        if not (self._unreadable or self._notes.failures):
            return
        if len(partial_reply.missing) == partial_reply.request.n and (failure := self._failure(partial_reply.request)):
            partial_reply.fail(partial_reply.missing, failure.status, failure.detail)
        for number in partial_reply.missing:
            if failure := self._failure(partial_reply.single(number)):
                partial_reply.fail([number], failure.status, failure.detail)

    def _failure(self, part: Request) -> Failure | None:
        key = self.written.key(part)
        return self._unreadable.get(key) or self._notes.given_up(key, self.retries)

    def _keys(self, partial_reply: PartialReply) -> set[str]:
        """Return the keys of all requests that could bring a choice of this one."""
        request = partial_reply.request
        parts = [request, *(partial_reply.single(number) for number in range(request.n) if request.n > 1)]
        return {self.written.key(part) for part in parts}

    @property
    def _dialect(self) -> Dialect:
        return self._notes.dialects.setdefault(f"{self.address} {self.model}", Dialect())

    @property
    def _several(self) -> bool | None:
        return self._dialect.several if self.n == "auto" else bool(self.n)

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text
