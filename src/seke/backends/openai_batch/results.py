"""Results of a batch: replies go into the ledger, failures into the notes.

Rows come in any order, in one file or two; each is found by its custom_id. A row that failed as a request of its own
would have (`transport`) is judged by the same rules, from the status and the error that stand in it.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import httpx2
import openai

from seke.backends.openai.completion import FILTERED, OF_THE_IMAGE
from seke.backends.openai.dialect import Dialect, remedy
from seke.backends.openai.protocol import Completions, NoReply, decode
from seke.backends.openai.response_body import MOST_BYTES
from seke.backends.openai.token_bounds import tokens
from seke.backends.openai.transport import Refused, Server, TransientError
from seke.backends.openai_batch.jobs import Job, Notes
from seke.core.errors import UserError
from seke.core.ledger import Ledger, Receipt

T = TypeVar("T")

OK = 200
TOGETHER = 1000
"""Rows that are read or recorded at a time."""

log = logging.getLogger(__name__)


class Result(NamedTuple):
    """What came of one row: the body of a 200, or why there is none."""

    key: str
    raw: str | None
    status: int | None = None
    """Of HTTP; None if the row was never asked, for example because the batch expired."""
    told: Mapping[str, Any] = {}
    """The error: message, code, param."""


class Ended(NamedTuple):
    """A job that is over."""

    job: Job
    files: tuple[Path, ...]
    """Where its results lie."""
    cancelled: bool = False


@dataclass(frozen=True)
class ResultRecorder:
    """Records the results of one model's jobs."""

    ledger: Ledger
    notes: Notes
    dialect: Dialect
    server: Server
    written: Completions
    """How the requests were written."""
    finds_out: bool
    """Whether it may be found that the server does not give several choices to one request."""
    clean: Callable[[str], str]
    """Takes secrets out of the server's words."""

    def settle(self, ended: Ended) -> None:
        """Record what a job brought, durably; then it is closed.

        Raises:
            UserError: if the server takes no request at all. What the job brought is kept.
        """
        job, left, failed = ended.job, set(ended.job.keys), []
        for some in chunks((result for path in ended.files for result in results(path)), TOGETHER):
            mine = [result for result in some if result.key in left]
            receipts = []
            for result in mine:
                try:
                    receipts.append(self._record(result, job))
                    left.discard(result.key)
                except NoReply:
                    failed.append(result)
            for receipt in receipts:
                receipt.result()
        # A row that was called back has not failed.
        failed = [row for row in failed if row.key in left and not (ended.cancelled and row.status is None)]
        mistakes = [mistake for result in failed if (mistake := self._judge(result, job))]
        if not ended.cancelled:
            for key in left - {result.key for result in failed}:
                self.notes.failed(key, "it did not come back")
        self.notes.save()
        job.close()
        if mistakes:
            raise mistakes[0]

    def _record(self, result: Result, job: Job) -> Receipt[None]:
        raw = self.clean(result.raw or "")
        received = decode(raw)
        self.dialect.answered = True
        if "n" in job.parameters and (self.dialect.several is None or len(received.choices) > 1):
            self.dialect.several = len(received.choices) > 1
        self.notes.failures.pop(result.key, None)
        return self.ledger.done(result.key, raw, received.model, *tokens(received.usage))

    def _judge(self, result: Result, job: Job) -> UserError | None:
        """Note why a row failed; return what is wrong with all of them, if that is it."""
        failure = self._diagnosed(result)
        if isinstance(failure, UserError):
            return failure
        if isinstance(failure, TransientError):
            self.notes.failed(result.key, failure.detail)
        elif self._learnt(failure, job):
            pass
        elif failure.code in FILTERED:
            self.notes.refused(result.key, "filtered", failure.message)
        elif self.dialect.answered or failure.code in OF_THE_IMAGE:
            self.notes.refused(result.key, "invalid", failure.message)
        else:
            return UserError(
                "backend.model",
                job.model,
                failure.message,
                remedy(failure.message, failure.param, self.written.extra_body),
            )
        return None

    def _learnt(self, refused: Refused, job: Job) -> bool:
        """Return whether a refusal is about what will not be sent again."""
        sent, known = job.parameters, self.dialect.known
        if self.finds_out and "n" in sent and self.dialect.is_about_n(refused.message, refused.param):
            self.dialect.several = False
            return True
        dropped = self.dialect.learn(sent, refused.message, refused.param, self.written.learns_form)
        if dropped is not None and self.dialect.known != known:
            instead = self.dialect.instead(dropped)
            log.warning("%s does not accept %s; %s, and those requests are sent again", job.model, dropped, instead)
        return dropped is not None

    def _diagnosed(self, result: Result) -> TransientError | Refused | UserError:
        if result.status is None or result.raw is not None:
            reason = result.told.get("message") or result.told.get("code") or (result.raw or "no reason")[:100]
            return TransientError(
                self.clean(" ".join(str(reason).split())[:500]), billed=result.raw is not None, own=True
            )
        response = httpx2.Response(
            result.status, request=httpx2.Request("POST", self.server.address), text=json.dumps(result.told)
        )
        error = openai.APIStatusError("", response=response, body=dict(result.told))
        return self.server.diagnose(error, self.clean)


def results(path: Path) -> Iterator[Result]:
    """Yield what a file of results holds; a line that is none, for example a last one cut short, is passed over."""
    with path.open("rb") as file:
        yield from filter(None, map(_result, _lines(file)))


def opens_with_result(path: Path) -> bool:
    """Return whether the first line is a result."""
    with path.open("rb") as file:
        return _result(file.readline(MOST_BYTES)) is not None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, a longer one than any answer in pieces, which are no results."""
    return iter(lambda: file.readline(MOST_BYTES), b"")


def _result(line: bytes) -> Result | None:
    try:
        return _of_row(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _of_row(row: Any) -> Result | None:
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        return None
    response = _mapping(row.get("response"))
    body = _decoded(response.get("body"))
    for holder in (body, response, _decoded(row.get("body")), row):
        if isinstance(choices := _mapping(holder).get("choices"), list) and choices:
            return Result(row["custom_id"], json.dumps(holder), OK)  # an answer, whatever its status says
    status = _status(response.get("status_code"))
    error = row.get("error") or _mapping(body).get("error")
    if status == OK and not error:
        return Result(row["custom_id"], json.dumps(body), status)
    # vLLM says it in words, or wraps the error once more, as the body of a failed request does.
    error_fields = {"message": error} if isinstance(error, str) else _mapping(_mapping(error).get("error") or error)
    return Result(row["custom_id"], None, status if status is not None and status >= 400 else None, error_fields)


def _decoded(body: object) -> object:
    """Return a body as it is meant where it stands as text in the row."""
    if not isinstance(body, str):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _status(status: object) -> int | None:
    """Return the status of HTTP as a number, which some servers write as text; None if it is none."""
    digits = re.fullmatch(r"\s*([1-5][0-9]{2})\b.*", str(status))
    return int(digits[1]) if digits else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`, the last one shorter."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
