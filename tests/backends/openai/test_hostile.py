"""Servers that mean ill: each try ends in time, in little memory, with a line, and nothing leaves for elsewhere."""

import contextlib
import gzip
import json
import resource
import socket
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest

from seke.core.errors import UserError

from ..openai_asked import replies
from .conftest import Make

OK = json.dumps({"model": "m", "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def whole(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(h + b"\r\n" for h in headers) + b"content-length: %d\r\n\r\n" % len(body) + body


def bomb(wbits: int) -> bytes:
    """Return a few bytes that unpack to 300 MiB."""
    packer = zlib.compressobj(wbits=wbits)
    first, more = (packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + more * 299


GZIP, DEFLATE = 31, 15


ANSWERS = {
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "bad chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nZZZ\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 5\r\n\r\n{}",
    "bad length": HEAD + b"content-length: -7\r\n\r\n{}",
    "NUL in a header": HEAD + b"\x00bad\xff header\r\n\r\n{}",
    "long header": whole(OK, b"x-long: " + b"v" * 100_000),
    "many headers": whole(OK, *(b"x-%d: %s" % (n, b"v" * 1000) for n in range(3000))),
    "odd status": b"HTTP/1.1 999 Weird\r\ncontent-length: 2\r\n\r\n{}",
    "no gzip": whole(b"notgzip" * 9, b"content-encoding: gzip"),
    "gzip bomb": whole(bomb(GZIP), b"content-encoding: gzip"),
    "deflate bomb": whole(bomb(DEFLATE), b"content-encoding: deflate"),
    "gzip in gzip": whole(gzip.compress(bomb(GZIP)), b"content-encoding: gzip, gzip"),
    "brotli unasked": whole(b"x", b"content-encoding: br"),
    "deep": whole(b"[" * 500_000),
    "5,000 digits": whole(b'{"choices": [' + b"9" * 5000 + b"]}"),
    "no UTF-8": whole(b"\xff\xfe\xed\xa0\x80"),
    "odd charset": whole(b"{}", b"content-type: application/json; charset=no-such"),
    "no charset of texts": whole(b"{}", b"content-type: application/json; charset=rot13"),
    "short": HEAD + b"content-length: 1000\r\n\r\n{}",
    "redirect loop": b"HTTP/1.1 307 X\r\nlocation: /v1/chat/completions\r\ncontent-length: 0\r\n\r\n",
    "redirect to a file": b"HTTP/1.1 307 X\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
    "redirect to nonsense": b"HTTP/1.1 307 X\r\nlocation: http://[bad\r\ncontent-length: 0\r\n\r\n",
    "redirect to no ASCII": b"HTTP/1.1 307 X\r\nlocation: http://x/\x1b[2J\xff\xfe\r\ncontent-length: 0\r\n\r\n",
    "drip": b"drip",
    "endless chunks": b"endless",
    "endless 1xx": b"1xx",
}

UNHURRIED = 60.0
"""Seconds for an answer where requests are counted: one that times out on a stalled machine rightly lets others go."""

CLOSED = b"connection: close\r\n"
"""Where requests are counted: one that leaves on a connection which is just being closed is sent again."""


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every request with the same bytes; yield the address and the first lines that were seen."""
    seen: list[bytes] = []
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65536)):
                    return
                head += more
            seen.append(head.split(b"\r\n")[0])
            length = next(
                (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-len")), 0
            )
            left = length - len(head.split(b"\r\n\r\n", 1)[1])
            while left > 0 and (more := connection.recv(65536)):
                left -= len(more)
            if answer == b"drip":
                connection.sendall(HEAD + b"content-length: 100000\r\n\r\n")
                while not over.wait(0.02):
                    connection.sendall(b" ")
            elif answer == b"endless":
                connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
                while not over.is_set():
                    connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
            elif answer == b"1xx":
                while not over.is_set():
                    connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
            else:
                connection.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", seen
    finally:
        over.set()
        listener.close()


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_hostile_server_ends_in_one_line(make: Make, asked: Callable, kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with answering(ANSWERS[kind]) as (address, _), pytest.raises(UserError) as failure:
        replies(make(address, timeout=0.2, patience=0.1, max_retries=1, backoff=0.001), asked(2))
    assert "\n" not in str(failure.value) and str(failure.value).startswith("backend.")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024  # KiB


@pytest.mark.parametrize("header", [b"x-name: M\xfcller", b"x-name: \xe8\xa1\xa8"])
def test_an_answer_under_odd_headers_is_read(make: Make, asked: Callable, header: bytes) -> None:
    with answering(whole(OK, header)) as (address, _):
        [reply] = replies(make(address, timeout=60.0, patience=0.5, max_retries=0), asked(1))
    assert "Yes." in reply.choices[0].text


def test_an_answer_that_takes_too_long_is_told_with_the_time(make: Make, asked: Callable) -> None:
    with answering(b"drip") as (address, _), pytest.raises(UserError, match=r"the last: no whole answer in 0.1 s"):
        replies(make(address, timeout=0.1, patience=0.05, max_retries=0, backoff=0.001), asked(1))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_follows_a_redirect_to_another_origin(make: Make, asked: Callable, status: int) -> None:
    with answering(whole(OK)) as (elsewhere, seen):
        answer = b"HTTP/1.1 %d X\r\nlocation: %s/x\r\n%scontent-length: 0\r\n\r\n" % (
            status,
            elsewhere.encode(),
            CLOSED,
        )
        with answering(answer) as (address, here), pytest.raises(UserError, match="sends elsewhere"):
            replies(make(address, timeout=UNHURRIED, patience=1.0, max_retries=1), asked(2))
        assert sum(line.startswith(b"POST") for line in here) == 1
    assert not any(line.startswith(b"POST") for line in seen)


@pytest.mark.parametrize(
    "told", [b'{"error": {"message": "The model `m` does not exist", "code": 404}}', b"404 page not found"]
)
def test_a_wrong_model_or_path_costs_one_request(make: Make, asked: Callable, told: bytes) -> None:
    answer = b"HTTP/1.1 404 X\r\n%scontent-length: %d\r\n\r\n%s" % (CLOSED, len(told), told)
    with answering(answer) as (address, seen), pytest.raises(UserError):
        replies(make(address, timeout=UNHURRIED), asked(8))
    assert sum(line.startswith(b"POST") for line in seen) == 1
