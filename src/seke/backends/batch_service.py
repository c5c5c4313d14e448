"""Who works batch jobs off: the Batch API of a server, or a person with `vllm run-batch`.

    Service   upload the file -> begin the batch -> look every `poll_s` seconds -> download the results
    ByHand    results there? -> read them; else say what to run, and pause

Beginning a batch is what costs, and its reply can get lost. So the uploaded file's id is noted first; wherever a batch
may have begun already, the server is asked for one of that file before another is begun.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx2
import openai
from openai.types import Batch, FileObject

from seke.backends.batch_jobs import ENDPOINT, Job
from seke.backends.batch_results import Ended, opens_with_result, results
from seke.backends.transport import Server, Trouble
from seke.errors import Paused, UserError

T = TypeVar("T")

ENDED = ("completed", "expired", "cancelled")
"""All of these may have finished rows, which are billed."""
FULL = "token_limit_exceeded"
"""More is queued for this model than the account may have at a time."""
LONGEST_PAUSE_S = 60.0

log = logging.getLogger(__name__)


class Garbled(Exception):
    """A download that holds something else, say a gateway's page: taken for the results, it would lose them all."""


class Clerk(Protocol):
    """Gets jobs done."""

    def ended(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Yield each job once it is over."""
        ...

    def close(self) -> None:
        """End what was opened."""
        ...


class Service:
    """The Batch API of one server.

    Args:
        client: of the `openai` SDK, without retries of its own.
        server: address and model, as messages name them.
        window: within which the server is to finish, "24h".
        poll_s: seconds between two looks.
        patience_s: for how long nothing at all may get through.
        clean: takes secrets out of the server's words.
    """

    def __init__(
        self, client: openai.OpenAI, server: Server, window: str, poll_s: float, patience_s: float,
        clean: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._client, self._server, self._window = client, server, window
        self._poll_s, self._patience_s, self._clean = poll_s, patience_s, clean

    def close(self) -> None:
        """Close the connections; the batches go on."""
        self._client.close()

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
        while running:
            for job in running:
                if job.batch_id is None and job not in held:
                    self._begin(job)
            before = len(running)
            for job in [job for job in running if job.batch_id is not None]:
                batch = self._look(job)
                if batch.status in ENDED:
                    files = self._download(job, batch)
                    running.remove(job)
                    yield Ended(job, files, batch.status == "cancelled")
                    for file in files:  # what they held is in the ledger now
                        file.unlink(missing_ok=True)
                elif batch.status == "failed":
                    self._hold(job, batch)
                    held.append(job)
            if len(running) < before:
                held.clear()
            elif len(held) == len(running):
                self._overfull(held)
            else:
                time.sleep(self._poll_s)

    def _begin(self, job: Job) -> None:
        in_doubt = job.file_id is not None
        if job.file_id is None:
            absent = self._server.mistake(
                "has no Batch API (404 at /files)", "choose backend.mode=file, or backend=openai, which asks one by one"
            )
            uploaded = self._insist(lambda: self._upload(job), FileObject, absent)
            job.file_id, job.uploaded_at = uploaded.id, uploaded.created_at
            job.save()

        def begun() -> Batch:
            nonlocal in_doubt
            found = self._begun(job) if in_doubt else None
            in_doubt = True
            return found or self._create(job)

        job.batch_id = self._insist(begun, Batch).id
        job.save()
        log.warning("%s: %d requests, window %s; Ctrl-C is safe", job.batch_id, len(job.keys), self._window)

    def _upload(self, job: Job) -> FileObject:
        with job.requests.open("rb") as file:
            return self._client.files.create(file=file, purpose="batch")

    def _begun(self, job: Job) -> Batch | None:
        """Return the batch of the job's file, if there is one: the reply that told its id got lost."""
        for batch in self._client.batches.list(limit=100):  # the newest first
            if batch.input_file_id == job.file_id and batch.status != "failed":
                return batch
            if batch.created_at < job.uploaded_at:
                return None
        return None

    def _create(self, job: Job) -> Batch:
        assert job.file_id is not None
        window: Any = self._window
        return self._client.batches.create(input_file_id=job.file_id, endpoint=ENDPOINT, completion_window=window)

    def _look(self, job: Job) -> Batch:
        batch_id = job.batch_id
        assert batch_id is not None
        absent = self._server.mistake(
            f"knows nothing of {batch_id}", f"use the key that it was begun with, or delete {job.note} to begin anew"
        )
        return self._insist(lambda: self._client.batches.retrieve(batch_id), Batch, absent)

    def _hold(self, job: Job, batch: Batch) -> None:
        """Make a batch that failed ready to be begun anew, once there is room.

        Raises:
            UserError: if it was not for room that it failed; the job is given up.
        """
        errors = (batch.errors.data or []) if batch.errors else []
        said = "; ".join(
            " ".join(f"{'' if error.line is None else f'line {error.line}: '}{error.message}".split())
            for error in errors[:3]
        )
        if FULL not in [error.code for error in errors]:
            job.note.unlink()
            self._withdraw(batch.input_file_id)
            raise UserError(
                "backend.model", job.model, self._clean(f"{batch.id} was rejected: {said or 'no reason was given'}"),
                f"correct the backend's settings; what was sent is in {job.requests}",
            )  # fmt: skip
        log.warning("%s does not fit into the server's queue (%s)", batch.id, self._clean(said))
        job.batch_id = None
        job.save()

    def _overfull(self, held: Sequence[Job]) -> None:
        for job in held:
            if job.file_id is not None:
                self._withdraw(job.file_id)
            job.close()  # so that they can be written anew, in smaller files
        raise UserError(
            "backend.rows", max(len(job.keys) for job in held), "the server's queue is full with less than this",
            "set fewer, or wait until other batches have ended",
        )  # fmt: skip

    def _download(self, job: Job, batch: Batch) -> tuple[Path, ...]:
        """Return where the results lie now."""
        files = []
        for number, file_id in enumerate((batch.output_file_id, batch.error_file_id)):
            if file_id is not None:
                path = job.results.with_suffix(f".{number}.part")
                files.append(self._insist(lambda id=file_id, to=path: self._fetch(id, to), Path))  # type: ignore[misc]
        self._withdraw(batch.input_file_id)
        return tuple(files)

    def _withdraw(self, file_id: str) -> None:
        """Take a file with faces off the server, if it lets us; nothing depends on it."""
        with suppress(openai.APIError):
            self._client.files.delete(file_id)

    def _fetch(self, file_id: str, path: Path) -> Path:
        with self._client.files.with_streaming_response.content(file_id) as response:
            response.stream_to_file(path)
        if path.stat().st_size and not opens_with_result(path):
            raise Garbled(f"{file_id} is no file of results")
        return path

    def _insist(self, ask: Callable[[], T], kind: type[T], absent: UserError | None = None) -> T:
        """Return what `ask` brings, a `kind`; it is asked again while the server has passing trouble.

        Raises:
            UserError: if the server refuses, or nothing got through for too long; `absent` for a 404.
        """
        began, pause_s = time.monotonic(), min(self._poll_s, 1.0)
        while True:
            try:
                got = ask()
            except openai.NotFoundError as error:
                found: Exception = absent or self._server.diagnose(error, self._clean)
            except openai.APIError as error:
                found = self._server.diagnose(error, self._clean)
            except httpx2.TransportError as error:  # a download that breaks off: the SDK leaves it as it is
                found = Trouble(self._clean(f"{type(error).__name__}: {error}"), billed=False, own=False)
            except Garbled as error:
                found = Trouble(str(error), billed=False, own=False)
            else:
                if isinstance(got, kind):
                    return got
                found = Trouble(f"a 200 without an answer: {str(got)[:100]!a}", billed=False, own=False)
            if isinstance(found, UserError):
                raise found
            if not isinstance(found, Trouble):
                raise self._server.mistake(str(found), "correct the backend's settings")
            if time.monotonic() - began > self._patience_s:
                raise self._server.mistake(
                    f"nothing got through for too long; the last: {found.detail}",
                    "run the same command again later; what is under way goes on",
                )
            time.sleep(min(found.wait_s or pause_s, self._patience_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class ByHand:
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
                    "backend.folder", job.folder, f"{job.results.name} answers none of {job.requests.name}",
                    "put the right file there, or delete it",
                )  # fmt: skip
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
