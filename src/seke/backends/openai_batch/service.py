"""Runners of batch jobs: the Batch API of a server, or a person with `vllm run-batch`.

    ServerRunner   upload the file -> begin the batch -> look every `poll_s` seconds -> download the results
    FileRunner     results there? -> read them; else say what to run, and pause

Beginning a batch is what costs, and its reply can get lost. So the uploaded file's id is noted first; wherever a batch
may have begun already, the server is asked for one of that file before another is begun. A batch that is over and names
no results is looked at again, then told; its job stays open, and nobody is asked for its rows a second time.

Servers spell what is not there in many ways (null, "", "null", nothing at all), and a status in capitals.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx2
import openai
from openai.types import Batch, FileObject

from seke.backends.openai.event_loop import Background
from seke.backends.openai.response_body import MOST_BYTES, file_client
from seke.backends.openai.transport import Server, TransientError
from seke.backends.openai_batch.jobs import ENDPOINT, Job
from seke.backends.openai_batch.results import Ended, opens_with_result, results
from seke.core.errors import Paused, UserError

T = TypeVar("T")

ENDED = ("completed", "expired", "cancelled", "failed")
"""All of these may have finished rows, which are billed."""
STATUS_SYNONYMS = {
    **dict.fromkeys(("complete", "succeeded", "success", "finished", "done", "ended"), "completed"),
    **dict.fromkeys(("timeout", "timed_out"), "expired"),
    "canceled": "cancelled",
    **dict.fromkeys(("error", "errored", "rejected"), "failed"),
}
"""What others call these."""
NO_ID = ("", "null", "none", "nil", "undefined")
LOOKS = 10
"""At a batch that is over, for the file of its results."""
FULL = "token_limit_exceeded"
"""More is queued for this model than the account may have at a time."""
LONGEST_PAUSE_S = 60.0
MOST_LISTED = 10_000
"""Batches that are looked through for one that has begun."""
BYTES_A_ROW = 2**20
"""Of a file of results, at most."""

log = logging.getLogger(__name__)


class NotResults(Exception):
    """A download that holds something else, say a gateway's page: taken for the results, it would lose them all."""


class BatchRunner(Protocol):
    """Runs jobs: hands requests out and brings results in."""

    def ended(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Yield each job once it is over."""
        ...

    def close(self) -> None:
        """End what was opened."""
        ...


class ServerRunner:
    """The Batch API of one server.

    Args:
        client: of the `openai` SDK, without retries of its own, whose answers are bounded (`response_body.client`).
        server: address and model, as messages name them.
        window: within which the server is to finish, "24h".
        poll_s: seconds between two looks.
        patience_s: for how long nothing at all may get through.
        timeout_s: for an answer; a file takes longer by its size.
        clean: takes secrets out of the server's words.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        server: Server,
        window: str,
        poll_s: float,
        patience_s: float,
        timeout_s: float,
        clean: Callable[[str], str],
    ) -> None:
        self._client, self._server, self._window = client, server, window
        self._poll_s, self._patience_s, self._timeout_s, self._clean = poll_s, patience_s, timeout_s, clean
        self._background = Background("openai batch")

    def close(self) -> None:
        """Close the connections; the batches go on."""
        self._background.start(self._client.close()).result()
        self._background.stop()

    def ended(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Begin the jobs that have not begun, then yield each once it is over.

        Raises:
            UserError: if the server takes no batch, rejects a file, or cannot be reached for too long.
        """
        running = list(jobs)
        try:
            yield from self._ended(running)
        except KeyboardInterrupt:
            if begun := ", ".join(job.batch_id for job in running if job.batch_id):
                log.warning("%s goes on at the server; the same command waits for it again", begun)
            raise

    def _ended(self, running: list[Job]) -> Iterator[Ended]:
        """See `ended`; takes what is over out of `running`."""
        held: list[Job] = []  # they wait until another one's end makes room in the server's queue
        looks = Counter[str]()
        while running:
            for job in running:
                if job.batch_id is None and job not in held:
                    self._begin(job)
            before = len(running)
            for job in [job for job in running if job.batch_id is not None]:
                batch = self._look(job)
                status = _status(batch)
                if status not in ENDED:
                    continue
                if status == "failed" and not _completed(batch) and not _files(batch):
                    self._hold(job, batch)
                    held.append(job)
                    continue
                files = self._download(job, batch)
                if self._is_incomplete(job, batch, files):
                    looks[job.name] += 1
                    if looks[job.name] < LOOKS:
                        continue
                    self._warn_incomplete(job, batch, files)
                self._delete_file(_id(batch, "input_file_id"))
                running.remove(job)
                yield Ended(job, files, status == "cancelled")
                for file in files:  # what they held is in the ledger now
                    file.unlink(missing_ok=True)
            if len(running) < before:
                held.clear()
            elif len(held) == len(running):
                self._queue_full(held)
            else:
                time.sleep(self._poll_s)

    def _begin(self, job: Job) -> None:
        in_doubt = job.file_id is not None
        if job.file_id is None:
            absent = self._server.mistake(
                "has no Batch API (404 at /files)", "choose backend.mode=file, or backend=openai, which asks one by one"
            )
            uploaded = self._until_answered(lambda: self._upload(job), FileObject, absent)
            job.file_id, job.uploaded_at = uploaded.id, _seconds(uploaded)
            job.save()
        created = False

        async def begun() -> Batch | None:
            nonlocal in_doubt, created
            batch = await self._begun(job) if in_doubt else None
            in_doubt = True
            if batch is None and not created:
                batch = await self._create(job)
                created = isinstance(batch, Batch)  # which costs, whether or not it tells its id
            return batch

        job.batch_id = self._until_answered(begun, Batch).id
        job.save()
        log.warning("%s: %d requests, window %s; Ctrl-C is safe", job.batch_id, len(job.keys), self._window)

    async def _upload(self, job: Job) -> FileObject:
        with job.requests.open("rb") as file:
            return await self._client.files.create(file=file, purpose="batch")

    async def _begun(self, job: Job) -> Batch | None:
        """Return the batch of the job's file, if there is one: the reply that told its id got lost."""
        looked = 0
        async for batch in self._client.batches.list(limit=100):  # the newest first
            if _id(batch, "input_file_id") == job.file_id and _status(batch) != "failed":
                return batch
            looked += 1
            if 0 < _seconds(batch) < job.uploaded_at or looked == MOST_LISTED:
                return None
        return None

    async def _create(self, job: Job) -> Batch:
        assert job.file_id is not None
        window: Any = self._window
        return await self._client.batches.create(input_file_id=job.file_id, endpoint=ENDPOINT, completion_window=window)

    def _look(self, job: Job) -> Batch:
        batch_id = job.batch_id
        assert batch_id is not None
        absent = self._server.mistake(
            f"knows nothing of {batch_id}", f"use the key that it was begun with, or delete {job.note} to begin anew"
        )
        return self._until_answered(lambda: self._client.batches.retrieve(batch_id), Batch, absent)

    def _hold(self, job: Job, batch: Batch) -> None:
        """Make a batch that failed ready to be begun anew, once there is room.

        Raises:
            UserError: if it was not for room that it failed; the job is given up.
        """
        errors = [vars(error) for error in getattr(batch.errors, "data", None) or [] if hasattr(error, "__dict__")]
        reasons = "; ".join(
            " ".join(f"{'line {}: '.format(error['line']) if error.get('line') else ''}{error.get('message')}".split())
            for error in errors[:3]
        )
        if FULL not in [error.get("code") for error in errors]:
            job.note.unlink()
            self._delete_file(_id(batch, "input_file_id"))
            raise UserError(
                "backend.model",
                job.model,
                self._clean(f"{batch.id} was rejected: {reasons or 'no reason was given'}"),
                f"correct the backend's settings; what was sent is in {job.requests}",
            )
        log.warning("%s does not fit into the server's queue (%s)", batch.id, self._clean(reasons))
        job.batch_id = None
        job.save()

    def _queue_full(self, held: Sequence[Job]) -> None:
        for job in held:
            if job.file_id is not None:
                self._delete_file(job.file_id)
            job.close()  # so that they can be written anew, in smaller files
        raise UserError(
            "backend.rows",
            max(len(job.keys) for job in held),
            "the server's queue is full with less than this",
            "set fewer, or wait until other batches have ended",
        )

    def _download(self, job: Job, batch: Batch) -> tuple[Path, ...]:
        """Return where the results lie now."""
        files = []
        for number, file_id in _files(batch).items():
            path = job.results.with_suffix(f".{number}.part")
            gone = self._server.mistake(
                f"no longer has {file_id}, the results of {batch.id}",
                f"delete {job.note} if its {len(job.keys)} requests are to be asked, and paid for, again",
            )
            most = MOST_BYTES + len(job.keys) * BYTES_A_ROW
            files.append(self._until_answered(partial(self._fetch, file_id, path, most), Path, gone))
        return tuple(files)

    def _is_incomplete(self, job: Job, batch: Batch, files: Sequence[Path]) -> bool:
        """Return whether results are missing that the server has, by its own count or for want of any."""
        keys, completed = set(job.keys), _completed(batch)
        there = {result.key for path in files for result in results(path) if result.raw is not None} & keys
        return len(there) < min(len(keys), int(not files) if completed is None else completed)

    def _warn_incomplete(self, job: Job, batch: Batch, files: Sequence[Path]) -> None:
        """Warn of results that do not come.

        Raises:
            UserError: if none came at all: to ask for all of them again would be to pay twice.
        """
        completed = _completed(batch)
        done = "" if completed is None else f", {completed} of its {len(job.keys)} requests are done"
        what = f"{batch.id} is {_status(batch)}{done}"
        if not files:
            raise self._server.mistake(
                f"{what}, but it names no file of results",
                f"look at the batch at the server; the same command looks again and asks nothing twice, "
                f"unless {job.note} is deleted",
            )
        log.warning("%s, but not all of them are in its files; backend.retries says how often to ask again", what)

    def _delete_file(self, file_id: str | None) -> None:
        """Take a file with faces off the server, if it lets us; nothing depends on it."""
        if file_id is not None:
            with suppress(openai.APIError):
                self._asked(self._client.files.delete(file_id))

    async def _fetch(self, file_id: str, path: Path, most: int) -> Path:
        async with file_client(self._timeout_s, most) as bounded:
            files = self._client.with_options(http_client=bounded).files
            async with files.with_streaming_response.content(file_id) as response:
                await response.stream_to_file(path)
        if path.stat().st_size and not opens_with_result(path):
            raise NotResults(f"{file_id} is no file of results")
        return path

    def _asked(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` brings; interrupted, it is dropped."""
        future = self._background.start(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def _until_answered(
        self, ask: Callable[[], Coroutine[Any, Any, T | None]], kind: type[T], absent: UserError | None = None
    ) -> T:
        """Return what `ask` brings, a `kind`; it is asked again while the server has passing trouble.

        Raises:
            UserError: if the server refuses, or nothing got through for too long; `absent` for a 404.
        """
        began, pause_s = time.monotonic(), min(self._poll_s, 1.0)
        while True:
            try:
                answer = self._asked(ask())
            except openai.NotFoundError as error:
                failure: Exception = absent or self._server.diagnose(error, self._clean)
            except openai.APIError as error:
                failure = self._server.diagnose(error, self._clean)
            except httpx2.TransportError as error:  # a download that breaks off: the SDK leaves it as it is
                failure = TransientError(self._clean(f"{type(error).__name__}: {error}"), billed=False, own=False)
            except NotResults as error:
                failure = TransientError(str(error), billed=False, own=False)
            else:
                if isinstance(answer, kind) and (isinstance(answer, Path) or _id(answer, "id")):
                    return answer
                failure = TransientError(f"a 200 without an answer: {str(answer)[:100]!a}", billed=False, own=False)
            if isinstance(failure, UserError):
                raise failure
            if not isinstance(failure, TransientError):
                raise self._server.mistake(str(failure), "correct the backend's settings")
            if time.monotonic() - began > self._patience_s:
                raise self._server.mistake(
                    f"nothing got through for too long; the last: {failure.detail}",
                    "run the same command again later; what is under way goes on",
                )
            time.sleep(min(failure.wait_s or pause_s, self._patience_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _id(answer: object, name: str) -> str | None:
    """Return an id that a server told, None if it is spelt as one that is not there."""
    value = getattr(answer, name, None)
    return value if isinstance(value, str) and value.strip().lower() not in NO_ID else None


def _files(batch: Batch) -> dict[int, str]:
    """Return the ids of the files that hold results: those of answers and of errors."""
    ids = enumerate(_id(batch, name) for name in ("output_file_id", "error_file_id"))
    return {number: file_id for number, file_id in ids if file_id is not None}


def _status(batch: Batch) -> str:
    status = str(getattr(batch, "status", "")).strip().lower()
    return STATUS_SYNONYMS.get(status, status)


def _completed(batch: Batch) -> int | None:
    """Return how many requests a batch says it has answered; None if it does not say."""
    completed = getattr(getattr(batch, "request_counts", None), "completed", None)
    return completed if isinstance(completed, int) and completed >= 0 else None


def _seconds(answer: object) -> int:
    """Return when something was made, in seconds since the epoch; 0 if that is not told."""
    created_at = getattr(answer, "created_at", None)
    return int(created_at) if isinstance(created_at, int | float) else 0


class FileRunner:
    """Results come from whoever runs the files; `model` as the command to run has to name it."""

    def __init__(self, model: str) -> None:
        self._model = model

    def close(self) -> None:
        """Nothing was opened."""

    def ended(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Yield the jobs whose results are there.

        Raises:
            Paused: if any is left, saying what to run.
            UserError: if a job was sent to a server, or its results belong to something else.
        """
        left = []
        for job in jobs:
            if job.batch_id is not None:
                raise UserError("backend.mode", "file", f"{job.batch_id} is under way", "wait for it with mode=batch")
            if not job.results.is_file():
                left.append(job)
                continue
            keys = set(job.keys)
            if not any(result.key in keys for result in results(job.results)):
                raise UserError(
                    "backend.folder",
                    job.folder,
                    f"{job.results.name} answers none of {job.requests.name}",
                    "put the right file there, or delete it",
                )
            yield Ended(job, (job.results,))
        if left:
            raise Paused(self._statement(left))

    def _statement(self, left: Sequence[Job]) -> str:
        first, *rest = left
        others = f", and likewise the {len(rest)} other *.in.jsonl there" if rest else ""
        # In two steps, because vLLM writes while it runs: what lies under the last name is taken to be all there is.
        part = first.results.with_suffix(".part")
        return (
            f"{sum(len(job.keys) for job in left)} requests wait in {first.folder}: run `vllm run-batch "
            f"-i {first.requests} -o {part} --model {self._model} && mv {part} {first.results}`{others}; "
            f"or have any other Batch API run them, and put the results into {first.results.name}"
        )
