"""A server that speaks the chat.completions protocol, with faults on demand.

    python tests/servers/openai_server.py --port 0 --seed 1 --faults 429=0.1,reset=0.05     prints http://127.0.0.1:PORT/v1
    python tests/servers/openai_server.py --faults all=0.3 --hang-s 2 --die-s 5

    POST /v1/chat/completions     an answer, or a fault
    GET  /v1/models               and /v1/models/<model>, with shutdown_date if one was given
    GET  /counts                  by sha256 of the request body: how often seen, paid (whole 200s), broken (cut off)
    POST /die?seconds=5           refuse connections for a while
    POST /script?faults=429,ok    what the next requests get, before the dice are thrown again

Answers depend on the request alone. Choice i of a request with seed s is number s + i of its messages, as with vLLM:
n answers in one request are the same as n requests with seeds s, s + 1, ...
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

LIMITED = ("429", "429_after", "429_date")
TRANSPORT = (*LIMITED, "500", "502", "503", "hang", "reset", "truncated", "html", "empty", "fewer")
"""Faults that leave no trace in the final answers, if the client asks again."""
ANSWERS = ("schema", "refusal", "refusal_text", "filter", "length", "surrogate")
"""Faults that are answers: paid for, and not to be had otherwise."""
OTHERS = ("die", "400", "400_filter", "401", "403", "404", "quota")
"""Only by name, or by script."""
RARE = ("hang", "die")
ODD = "naïve – «» 你好 😀 \u202e\u0000\u0007\u2028 \"'\\ </s> <image>"
WELCOME = "<html><body><h1>Welcome to nginx!</h1></body></html>"
CONVERSATIONAL = ("I'm sorry, but I can't help with identifying people.", "I can’t assist with that request.")


@dataclass
class Server:
    """Settings and counts of one server; `await start()` opens it."""

    faults: Mapping[str, float] = field(default_factory=dict)
    """Probability of each fault, drawn anew for every request; the rest are answered."""
    seed: int = 0
    script: deque[str] = field(default_factory=deque)
    """Faults (or "ok") of the next requests, before the dice decide."""
    latency: float = 0.0
    hang_s: float = 3600.0
    die_s: float = 5.0
    after_s: float = 0.05
    """What Retry-After says."""
    n: str = "yes"
    """Several choices in one request: "yes", "no" (a 400 names it) or "ignored" (one comes back)."""
    refuses: Sequence[str] = ()
    """Parameters that a 400 names: temperature, max_tokens, seed, ..."""
    forms: Sequence[str] = ("json_schema", "json_object")
    """Types of response_format that it takes; a prompt that tells a schema in words is always followed."""
    models: Sequence[str] = ("gpt-test", "gpt-other")
    """What it lists; it answers for every one."""
    sentences: Sequence[str] = ()
    """What it chooses among where no form of the answer is asked for; empty: a sentence that describes nothing."""
    shutdown_date: str | None = None
    odd: float = 0.0
    """Share of answers, fixed by their content, with characters that break careless programs."""
    flaws: Mapping[str, float] = field(default_factory=dict)
    """Share of answers, fixed by their content, with each fault of `ANSWERS`: the same at every asking."""
    echo_key: bool = False
    """Whether error messages repeat the key, as some servers do."""
    cached_tokens: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        """The latest requests, for tests to look at."""
        self.in_flight = self.most_in_flight = 0
        self._rng = Random(self.seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._last: dict[asyncio.StreamWriter, str] = {}
        self._reviving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def die(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for a while."""
        if self._reviving is None:
            self._server.close()
            for writer in list(self._writers):
                # Whether the client has read the reply that this connection carried last, nobody can tell.
                if last := self._last.get(writer):
                    self.broken[last] += 1
                writer.transport.abort()
            self._reviving = asyncio.get_running_loop().create_task(self._revive(seconds))

    async def _revive(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.start()
        self._reviving = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with contextlib.suppress(*ends):
            while await self._exchange(reader, writer):
                pass
        self._writers.discard(writer)
        self._last.pop(writer, None)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if method == "POST" and url.path == "/v1/chat/completions":
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                return await self._complete(body, headers.get("authorization", ""), writer)
            finally:
                self.in_flight -= 1
        if url.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in self.models]
            await _send(writer, 200, json.dumps({"object": "list", "data": listed}))
            return True
        if url.path == "/die":
            await _send(writer, 200, "{}")
            self.die(float(query.get("seconds", self.die_s)))
            return False
        if url.path == "/script":
            self.script.extend(query["faults"].split(","))
            await _send(writer, 200, "{}")
        elif url.path == "/counts":
            await _send(writer, 200, json.dumps(self.counts()))
        elif "/models/" in url.path:
            model = {"id": url.path.rsplit("/", 1)[1], "object": "model", "created": 0, "owned_by": "test"}
            await _send(writer, 200, json.dumps({**model, "shutdown_date": self.shutdown_date}))
        else:
            await _send(writer, 404, _error(f"no such path {url.path}", "not_found"))
        return True

    def counts(self) -> dict[str, Any]:
        by_request = {"seen": self.seen, "paid": self.paid, "broken": self.broken}
        return {**by_request, "faults": self.faulted, "most_in_flight": self.most_in_flight}

    async def _complete(self, body: bytes, authorization: str, writer: asyncio.StreamWriter) -> bool:
        digest = hashlib.sha256(body).hexdigest()
        request = json.loads(body)
        self.seen[digest] += 1
        self._last[writer] = digest
        self.bodies.append(request)
        del self.bodies[:-1000]
        if self.latency:
            await asyncio.sleep(self.latency)
        key = authorization.removeprefix("Bearer ") if self.echo_key else "***"
        if mistake := self._mistake(request):
            await _send(writer, 400, _error(f"{mistake} (key {key})", "unsupported_parameter", mistake.split("'")[1]))
            return True
        fault = self.script.popleft() if self.script else self._draw()
        if fault != "ok":
            self.faulted[fault] += 1
        if fault in STATUSES:
            status, code, message = STATUSES[fault]
            await _send(writer, status, _error(f"{message} (key {key})", code), self._headers(fault))
            return True
        reply = self._reply(request, fault)
        whole = json.dumps(reply, ensure_ascii=False).encode()
        if fault in ("die", "hang", "reset", "truncated", "html"):
            self.broken[digest] += 1
            return await self._break(fault, whole, writer)
        (self.paid if reply["choices"] else self.broken)[digest] += 1
        if writer.transport.is_closing():  # this request was still in the buffer when the server died
            self.broken[digest] += 1
        await _send(writer, 200, whole)
        return True

    def _draw(self) -> str:
        return _drawn(self.faults, self._rng.random()) or "ok"

    def _mistake(self, request: Mapping[str, Any]) -> str | None:
        for name in self.refuses:
            if name in request:
                return f"Unsupported parameter: '{name}' is not supported with this model."
        form = (request.get("response_format") or {}).get("type")
        if form is not None and form not in self.forms:
            return f"This response_format type is unavailable now: '{form}'"
        if self.n == "no" and request.get("n", 1) > 1:
            return "Unsupported value: 'n' must be 1 for this model."
        return None

    def _headers(self, fault: str) -> dict[str, str]:
        if fault == "429_after":
            return {"retry-after": f"{self.after_s:g}"}
        if fault == "429_date":
            return {"retry-after": formatdate(time() + self.after_s, usegmt=True)}
        return {}

    def _reply(self, request: Mapping[str, Any], fault: str) -> dict[str, Any]:
        wanted = 1 if self.n == "ignored" else request.get("n") or 1
        given = {"empty": 0, "fewer": wanted - 1}.get(fault, wanted)
        texts = [self._answer(request, number) for number in range(given)]
        logprobs = bool(request.get("logprobs"))
        flawed = [self._flaw(request, number) or fault for number in range(given)]
        choices = [_choice(number, text, flawed[number], logprobs) for number, text in enumerate(texts)]
        parts = [part for message in request["messages"] for part in _parts(message)]
        prompt = sum(len(part.get("text", "")) for part in parts) // 4
        prompt += 255 * sum(part["type"] == "image_url" for part in parts)
        completion = sum(len(text) for text in texts) // 4
        tokens = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        usage = {**tokens, "prompt_tokens_details": {"cached_tokens": min(self.cached_tokens, prompt)}}
        about = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0}
        return {**about, "model": f"{request['model']}-2026-01-01", "choices": choices, "usage": usage}

    def _answer(self, request: Mapping[str, Any], choice: int) -> str:
        rng = _dice(request, choice)
        words = f"Answer {rng.randrange(10**6)}" + (f" {ODD}" if rng.random() < self.odd else "")
        schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema") or _told(request)
        if schema is None:
            return rng.choice(self.sentences) if self.sentences else words
        return json.dumps(_conform(schema, rng, words), ensure_ascii=rng.random() < 0.5)

    def _flaw(self, request: Mapping[str, Any], choice: int) -> str | None:
        """Return the fault of an answer, the same at every asking."""
        return _drawn(self.flaws, _dice(request, choice, self.seed).random()) if self.flaws else None

    async def _break(self, fault: str, whole: bytes, writer: asyncio.StreamWriter) -> bool:
        if fault == "die":
            self.die(self.die_s)
        elif fault == "hang":
            await asyncio.sleep(self.hang_s)
        elif fault == "reset":
            writer.write(_head(200, len(whole), {}) + whole[: len(whole) // 2])
            await writer.drain()
            writer.transport.abort()
        elif fault == "truncated":
            await _send(writer, 200, whole[: len(whole) * 2 // 3])
        elif fault == "html":
            await _send(writer, 200, WELCOME, {"content-type": "text/html"})
        return fault in ("truncated", "html")


def _told(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema that a prompt tells in words, if it does."""
    texts = (part["text"] for message in request["messages"] for part in _parts(message) if part["type"] == "text")
    told = [text.partition("JSON Schema:\n")[2] for text in texts if "JSON Schema:\n" in text]
    return json.loads(told[-1]) if told else None


def _dice(request: Mapping[str, Any], choice: int, *more: object) -> Random:
    """Return the dice of one answer, the same at every asking."""
    said = [request["messages"], (request.get("seed") or 0) + choice, *more]
    return Random(hashlib.sha256(json.dumps(said).encode()).digest())


def _drawn(rates: Mapping[str, float], dice: float) -> str | None:
    for fault, rate in rates.items():
        dice -= rate
        if dice < 0:
            return fault
    return None


STATUSES = {
    **dict.fromkeys(LIMITED, (429, "rate_limit_exceeded", "Rate limit reached")),
    "quota": (429, "insufficient_quota", "You exceeded your current quota"),
    "500": (500, "server_error", "The server had an error"),
    "502": (502, "bad_gateway", "Bad gateway"),
    "503": (503, "overloaded", "Overloaded"),
    "400": (400, "invalid_value", "Invalid body"),
    "400_filter": (400, "content_filter", "The prompt was filtered"),
    "401": (401, "invalid_api_key", "Incorrect API key provided"),
    "403": (403, "permission_denied", "You may not use this model"),
    "404": (404, "model_not_found", "The model does not exist"),
}


def _error(message: str, code: str, param: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": "error", "code": code, "param": param}})


def _head(status: int, length: int, headers: Mapping[str, str]) -> bytes:
    lines = {"content-type": "application/json", "content-length": str(length), **headers}
    return (f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: str | bytes, headers: Mapping[str, str] | None = None
) -> None:
    data = body.encode() if isinstance(body, str) else body
    writer.write(_head(status, len(data), headers or {}) + data)
    await writer.drain()


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _conform(schema: Mapping[str, Any], rng: Random, words: str) -> Any:
    """Return a value that satisfies `schema`, chosen by `rng`."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return {name: _conform(inner, rng, words) for name, inner in schema["properties"].items()}
    if kind == "array":
        chosen = [_conform(schema["items"], rng, words) for _ in range(rng.randrange(4))]
        return sorted(set(chosen)) if "enum" in schema["items"] else chosen
    if kind in ("number", "integer"):
        value = rng.uniform(schema.get("minimum", -1), schema.get("maximum", 1))
        return round(value) if kind == "integer" else round(value, 2)
    return rng.random() < 0.5 if kind == "boolean" else words


def _choice(index: int, text: str, fault: str, logprobs: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    finish = "stop"
    if fault == "schema":
        message["content"] = '{"mood": "fine"}'
    elif fault == "surrogate":
        message["content"] = text.replace("Answer", "\\ud83d")
    elif fault == "refusal":
        message.update(content=None, refusal="I can't identify people.")
    elif fault == "refusal_text":
        message["content"] = CONVERSATIONAL[len(text) % 2]
    elif fault == "filter":
        message["content"], finish = "", "content_filter"
    elif fault == "length":
        message["content"], finish = text[: len(text) // 2], "length"
    tokens = [{"token": token, "logprob": -0.1, "bytes": None, "top_logprobs": []} for token in text.split(" ")]
    given = {"content": tokens, "refusal": None} if logprobs else None
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": given}


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[Server]:
    """Run a server in a thread of this process; its counts and `script` may be read and set directly."""
    server = Server(**settings)
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


async def _end(server: Server) -> None:
    server._server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def rates(text: str) -> dict[str, float]:
    """Read `429=0.1,reset=0.05`; `transport=`, `answers=` and `all=` share a rate evenly, `RARE` ones a tenth."""
    found: dict[str, float] = {}
    for name, _, rate in (entry.partition("=") for entry in text.split(",") if entry):
        groups = {"transport": TRANSPORT, "answers": ANSWERS, "all": TRANSPORT + ANSWERS + ("die",)}
        for fault in groups.get(name, (name,)):
            if fault not in (*TRANSPORT, *ANSWERS, *OTHERS):
                raise SystemExit(f"no such fault: {fault}")
            found[fault] = float(rate) / len(groups.get(name, (name,)))
            if name in groups and fault in RARE:
                found[fault] /= 10
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=rates, default={}, help="429=0.1,reset=0.05 or transport=0.2 or all=0.3")
    for name, default in {"latency": 0.0, "hang-s": 3600.0, "die-s": 5.0, "after-s": 0.05, "odd": 0.0}.items():
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--n", choices=["yes", "no", "ignored"], default="yes")
    parser.add_argument("--flaws", type=rates, default={}, help="refusal=0.1,schema=0.05 or answers=0.2")
    parser.add_argument("--refuses", type=lambda text: text.split(","), default=[])
    parser.add_argument("--shutdown-date")
    server = Server(**vars(parser.parse_args()))

    async def serve() -> None:
        await server.start()
        print(server.url, flush=True)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())
