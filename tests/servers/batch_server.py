"""The server of openai_server.py with a Batch API: files and batches, which end as a test wants them to.

    POST /v1/files      GET /v1/files/<id>/content      DELETE /v1/files/<id>
    POST /v1/batches    GET /v1/batches/<id>            GET /v1/batches

Rows are answered as single requests would be: by `faults`, `flaws` and `script`, and into the file of errors where the
status is not 200. Results come in a shuffled order.
"""

import asyncio
import contextlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from random import Random
from typing import Any
from urllib.parse import urlsplit

from .openai_server import STATUSES, Server, _end, _error, _send

WINDOW_OVER = "This request could not be executed before the completion window expired."


@dataclass
class BatchServer(Server):
    """Settings and records of one server."""

    ends: deque[str] = field(default_factory=deque)
    """How the next batches end: completed (as all after these), expired, cancelled, failed, full or lost."""
    looks: int = 1
    """How often a batch is looked at before it has ended."""
    finished: float = 0.5
    """Share of rows done in a batch that expired or was cancelled."""
    control: deque[str] = field(default_factory=deque)
    """What the next requests for files and batches get: ok, a status, html, an address to go to, drip or flood (what
    never ends), or deaf: done, but the reply is lost."""
    max_rows: int = 50_000
    max_bytes: int = 200_000_000
    has_batches: bool = True
    told: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """How a batch is told, from how OpenAI tells it."""
    written: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """How a result is written, likewise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.sizes: list[tuple[int, int]] = []
        """Rows and bytes of every file that was uploaded."""
        self.executed: Counter[str] = Counter()
        """Rows that were answered, and billed, by custom_id."""
        self.now = 1_700_000_000

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await _body(reader, headers)
        method, target, _ = first.split(" ", 2)
        path = urlsplit(target).path.removeprefix("/v1")
        if not path.startswith(("/files", "/batches")) or not self.has_batches:
            again = asyncio.StreamReader()
            plain = [line for line in lines if line and not line.lower().startswith("transfer-encoding")]
            plain = [line for line in plain if not line.lower().startswith("content-length")]
            again.feed_data("\r\n".join([first, *plain, f"content-length: {len(body)}", "", ""]).encode() + body)
            return await super()._exchange(again, writer)
        fault = self.control.popleft() if self.control else "ok"
        if fault in STATUSES:
            status, code, message = STATUSES[fault]
            await _send(writer, status, _error(f"{message} (key {headers.get('authorization')})", code))
            return True
        if fault == "html":
            await _send(writer, 200, "<html><body>Welcome</body></html>", {"content-type": "text/html"})
            return True
        if fault.startswith("http"):
            await _send(writer, 307, "", {"location": fault})
            return True
        if fault in ("drip", "flood"):
            writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"1\r\n \r\n" if fault == "drip" else b"100000\r\n" + b" " * 0x100000 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.01 if fault == "drip" else 0)
            return False
        status, answer = self._handle(method, path, body, headers)
        if fault == "deaf":
            writer.transport.abort()
            return False
        if fault == "cut":
            whole = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 200 X\r\ncontent-length: {len(whole)}\r\n\r\n".encode() + whole[: len(whole) // 2])
            await writer.drain()
            writer.transport.abort()
            return False
        await _send(writer, status, answer if isinstance(answer, bytes) else json.dumps(answer))
        return True

    def _handle(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes | dict[str, Any]]:
        self.now += 1
        kind, *rest = path.strip("/").split("/")
        if (method, kind, rest) == ("POST", "files", []):
            return 200, self._upload(body, headers)
        if (method, kind, rest) == ("POST", "batches", []):
            return self._create(json.loads(body))
        if (method, kind, rest) == ("GET", "batches", []):
            newest_first = [*self.batches.values()][::-1]
            return 200, {
                "object": "list",
                "data": [self.told(_shown(batch)) for batch in newest_first],
                "has_more": False,
            }
        if kind == "batches" and rest[0] in self.batches:
            return 200, self.told(_shown(self._looked_at(self.batches[rest[0]])))
        if kind == "files" and rest[0] in self.files:
            if method == "DELETE":
                del self.files[rest[0]]
                self.deleted.append(rest[0])
                return 200, {"id": rest[0], "object": "file", "deleted": True}
            return 200, self.files[rest[0]]
        return 404, json.loads(_error(f"no such object {path}", "not_found"))

    def _upload(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        form = BytesParser(policy=HTTP).parsebytes(f"content-type: {headers['content-type']}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        assert parts["purpose"].get_payload(decode=True).strip() == b"batch"
        data = parts["file"].get_payload(decode=True)
        self.sizes.append((data.count(b"\n"), len(data)))
        return {**self._store(data), "filename": parts["file"].get_filename(), "purpose": "batch"}

    def _store(self, data: bytes) -> dict[str, Any]:
        name = f"file-{len(self.files) + len(self.deleted)}"
        self.files[name] = data
        return {"id": name, "object": "file", "bytes": len(data), "created_at": self.now, "status": "processed"}

    def _create(self, asked: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if asked["completion_window"] != "24h":
            return 400, json.loads(_error("Invalid value: completion_window", "invalid_value", "completion_window"))
        rows = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        batch = {
            "id": f"batch_{len(self.batches)}", "object": "batch", "created_at": self.now, "status": "validating",
            "output_file_id": None, "error_file_id": None, "errors": None, **asked,
            "end": self.ends.popleft() if self.ends else "completed", "looks": self.looks, "rows": rows,
        }  # fmt: skip
        self.batches[batch["id"]] = batch
        return 200, self.told(_shown(batch))

    def _looked_at(self, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["status"] not in ("validating", "in_progress"):
            return batch
        batch["looks"] -= 1
        batch["status"] = "in_progress"
        if batch["looks"] < 0:
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        end = batch["end"]
        if mistake := self._invalid(batch["rows"]):
            return _fail(batch, "invalid_request", mistake, 1)
        if end == "failed":
            return _fail(batch, "invalid_json_line", "This line is not parseable as valid JSON.", 3)
        if end == "full":
            return _fail(batch, "token_limit_exceeded", "Enqueued token limit reached for gpt-test.", None)
        batch["status"] = "completed" if end == "lost" else end
        rng = Random(f"{self.seed} {batch['id']}")
        rows = rng.sample(batch["rows"], len(batch["rows"]))
        done = len(rows) if end == "completed" else round(len(rows) * self.finished)
        answered = [self._executed(row) for row in rows[:done]]
        code = f"batch_{end}"
        rest = [_line(row["custom_id"], None, {"code": code, "message": WINDOW_OVER}) for row in rows[done:]]
        good = [row for row in answered if row["response"]["status_code"] == 200]
        bad = [row for row in answered if row["response"]["status_code"] != 200] + ([] if end == "lost" else rest)
        batch["request_counts"] = {"total": len(rows), "completed": len(good), "failed": len(bad)}
        for name, some in (("output_file_id", good), ("error_file_id", bad)):
            if some:
                lines = "".join(json.dumps(self.written(row), ensure_ascii=False) + "\n" for row in some)
                batch[name] = self._store(lines.encode("utf-8", "surrogatepass"))["id"]
        return None

    def _invalid(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        size = sum(len(json.dumps(row)) + 1 for row in rows)
        if len(rows) > self.max_rows or size > self.max_bytes:
            return f"The file has {len(rows)} rows and {size} bytes, more than it may have."
        if len({row["custom_id"] for row in rows}) < len(rows):
            return "A custom_id occurs twice."
        if len({row["body"]["model"] for row in rows}) > 1:
            return "More than one model."
        if any((row["method"], row["url"]) != ("POST", "/v1/chat/completions") for row in rows):
            return "A row is for another endpoint."
        return None

    def _executed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        request = row["body"]
        self.bodies.append(request)
        fault = self.script.popleft() if self.script else self._draw()
        if mistake := self._mistake(request):
            error = json.loads(_error(mistake, "unsupported_parameter", mistake.split("'")[1]))
            return _line(row["custom_id"], {"status_code": 400, "request_id": "r", "body": error}, None)
        if fault in STATUSES:
            status, code, message = STATUSES[fault]
            body = json.loads(_error(message, code))
            return _line(row["custom_id"], {"status_code": status, "request_id": "r", "body": body}, None)
        self.executed[row["custom_id"]] += 1
        body = self._reply(request, fault)
        return _line(row["custom_id"], {"status_code": 200, "request_id": "r", "body": body}, None)


def run_batch(server: BatchServer, requests: str, finished: float = 1.0) -> str:
    """Answer the text of a file of requests as `vllm run-batch` does; errors then have its forms."""
    rows = [json.loads(line) for line in requests.splitlines()]
    said = [server._executed(row) for row in rows[: round(len(rows) * finished)]]
    for place, row in enumerate(said):
        if row["response"]["status_code"] != 200:
            wrapped = row["response"]["body"]
            row["error"] = wrapped["error"]["message"] if place % 2 else wrapped
            row["response"]["body"] = None
    return "".join(json.dumps(row) + "\n" for row in said)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    data = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        data += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return data


def _line(custom_id: str, response: Mapping[str, Any] | None, error: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"id": f"batch_req_{custom_id[:6]}", "custom_id": custom_id, "response": response, "error": error}


def _fail(batch: dict[str, Any], code: str, message: str, line: int | None) -> None:
    error = {"code": code, "message": message, "line": line, "param": None}
    batch.update(status="failed", errors={"object": "list", "data": [error]})


def _shown(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name not in ("end", "looks", "rows")}


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[BatchServer]:
    """Run a server in a thread of this process; all that it holds may be read and set directly."""
    server = BatchServer(**settings)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
