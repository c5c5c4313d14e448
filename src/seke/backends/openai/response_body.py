"""Bounds on what a server sends back: a body of bounded size, whole within its time, from the origin asked.

The SDK bounds a single read, so a byte a second would never end, and it unpacks whatever comes. Here a body is read
piece by piece as it unpacks and dropped once it is too large; what is no HTTP becomes one kind of error; a redirect
within the origin is followed a few times, and one that leads elsewhere is handed back as it is: faces and prompts stay.

Files of batches are too large to be held, and take as long as they take: they are handed on piece by piece, within
bounds that grow with what has come or gone.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import httpx2
import openai

T = TypeVar("T")

MOST_BYTES = 32 * 2**20
"""Of a body, unpacked."""
READ = ("gzip", "deflate", "identity")
"""Encodings whose pieces unpack to a bounded size; others are not asked for, and not read."""
SLOWEST = 25_000
"""Bytes a second that a file has to bring on average; a fifth of a megabit."""
CHARSETS = re.compile(
    r"utf-?(?:8|16|32)(?:-?[lb]e)?|us-ascii|ascii|latin-?1|(?:iso|windows|gb|big5|euc|shift_jis)[\w-]{0,12}",
    re.IGNORECASE,
)
HOPS = 3
FOLLOWED = (307, 308)


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends requests through `client`; `timeout_s` is for a whole answer.

    Args:
        timeout_s: from the first byte sent to the last one received.
        client: asks without following redirects.
        slowest: bytes a second; what an upload of that speed takes is granted beyond `timeout_s`. None grants nothing.

    Raises:
        httpx2.ReadTimeout: if the answer is not whole in time.
        httpx2.RemoteProtocolError: if it is too large or no HTTP.
    """

    def __init__(
        self, timeout_s: float, client: httpx2.AsyncClient | None = None, slowest: float | None = None
    ) -> None:
        # On aiohttp: the SDK's own transport looks at every idle connection at each request, and parses in Python.
        self._client = client or openai.DefaultAioHttpClient(follow_redirects=False)
        self._timeout_s, self._slowest = timeout_s, slowest

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer, its body read."""
        return await _within(self._time_for(request), self._followed(request), request)

    def _time_for(self, request: httpx2.Request) -> float:
        length = request.headers.get("content-length", "0")
        extra = int(length) / self._slowest if self._slowest and length.isascii() and length.isdigit() else 0.0
        return self._timeout_s + extra

    async def _followed(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(HOPS):
            response = await self._asked(request)
            if response.status_code not in FOLLOWED or "location" not in response.headers:
                return response
            target = _joined(request.url, response.headers["location"])
            if target is None or _origin(target) != _origin(request.url):
                return response
            await response.aclose()
            extensions = request.extensions
            # An upload that has gone is not held here to go once more: where it is sent on, it is read anew, or fails.
            request = httpx2.Request(
                request.method, target, headers=request.headers, stream=request.stream, extensions=extensions
            )
        return response

    async def _asked(self, request: httpx2.Request) -> httpx2.Response:
        """Return one answer, its body read."""
        response = await self._opened(request)
        body = bytearray()
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise httpx2.RemoteProtocolError(f"more than {MOST_BYTES:,} bytes")
        finally:
            await response.aclose()
        return httpx2.Response(response.status_code, headers=_kept(response), content=bytes(body), request=request)

    async def _opened(self, request: httpx2.Request) -> httpx2.Response:
        """Return one answer whose body is still to be read."""
        request.headers["accept-encoding"] = "gzip, deflate"
        response = await self._client.send(request, stream=True, follow_redirects=False)
        encodings = [name.strip().lower() for name in response.headers.get("content-encoding", "identity").split(",")]
        if len(encodings) > 1 or encodings[0] not in READ:
            await response.aclose()
            raise httpx2.RemoteProtocolError(f"packed in a way nobody asked for ({encodings[0][:40]})")
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class BoundedFileTransport(BoundedTransport):
    """Hands bodies on piece by piece: of `most` bytes, unpacked, at `SLOWEST` bytes a second beyond `timeout_s`."""

    def __init__(self, timeout_s: float, most: int, client: httpx2.AsyncClient | None = None) -> None:
        super().__init__(timeout_s, client)
        self._most = most

    async def _asked(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._opened(request)
        pieces = _Pieces(response, request, self._timeout_s, self._most)
        return httpx2.Response(response.status_code, headers=_kept(response), stream=pieces, request=request)


class _Pieces(httpx2.AsyncByteStream):
    """The body of an answer, within its bounds."""

    def __init__(self, response: httpx2.Response, request: httpx2.Request, timeout_s: float, most: int) -> None:
        self._response, self._request, self._timeout_s, self._most = response, request, timeout_s, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began, size, pieces = loop.time(), 0, self._response.aiter_bytes()
        while True:
            left_s = began + self._timeout_s + size / SLOWEST - loop.time()
            piece = await _within(left_s, anext(pieces, None), self._request)
            if piece is None:
                return
            size += len(piece)
            if size > self._most:
                raise httpx2.RemoteProtocolError(f"more than {self._most:,} bytes", request=self._request)
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


async def _within(seconds: float, work: Awaitable[T], request: httpx2.Request) -> T:
    """Return what `work` brings, if it comes in time and is HTTP."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError as error:  # not the built-in one before Python 3.11
        raise httpx2.ReadTimeout(f"no whole answer in {seconds:g} s", request=request) from error
    except httpx2.HTTPError:
        raise
    except Exception as error:  # aiohttp's parser and the decoders have many
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise httpx2.RemoteProtocolError(f"no HTTP that can be read ({words})", request=request) from error


def _kept(response: httpx2.Response) -> list[tuple[bytes, bytes]]:
    """Return the headers that still hold once the body is unpacked; cookies are not kept.

    Of the character sets that Python knows, some are none (rot13), and some take quadratic time (idna): a body is in
    one that texts are really written in, or else in UTF-8, as JSON is.
    """
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding", b"set-cookie")
    kept = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
    if CHARSETS.fullmatch(response.charset_encoding or "utf-8"):
        return kept
    return [(name, value.partition(b";")[0] if name.lower() == b"content-type" else value) for name, value in kept]


def client(timeout_s: float, slowest: float | None = None) -> httpx2.AsyncClient:
    """Return a client for the SDK whose answers are bounded; see `BoundedTransport`."""
    return _client(BoundedTransport(timeout_s, slowest=slowest))


def file_client(timeout_s: float, most: int) -> httpx2.AsyncClient:
    """Return a client for the SDK whose answers come piece by piece; see `BoundedFileTransport`."""
    return _client(BoundedFileTransport(timeout_s, most))


def _client(transport: BoundedTransport) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False)


def _joined(url: httpx2.URL, location: str) -> httpx2.URL | None:
    """Return where a redirect leads; None if that is no address."""
    try:
        return url.join(location)
    except (httpx2.InvalidURL, ValueError):
        return None


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
