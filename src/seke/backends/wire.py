"""What a server may send back: a body of bounded size, whole within the time for an answer, from the origin asked.

The SDK bounds a single read, so a byte a second would never end, and it unpacks whatever comes. Here a body is read
piece by piece as it unpacks and dropped once it is too large; what is no HTTP becomes one kind of error; a redirect
within the origin is followed a few times, and one that leads elsewhere is handed back as it is: faces and prompts stay.
"""

import asyncio

import httpx2
import openai

MOST_BYTES = 32 * 2**20
"""Of a body, unpacked."""
READ = ("gzip", "deflate", "identity")
"""Encodings whose pieces unpack to a bounded size; others are not asked for, and not read."""
HOPS = 3
FOLLOWED = (307, 308)


class Bounded(httpx2.AsyncBaseTransport):
    """Sends requests through `client`; `timeout_s` is for a whole answer.

    Raises:
        httpx2.ReadTimeout: if the answer is not whole in time.
        httpx2.RemoteProtocolError: if it is too large or no HTTP.
    """

    def __init__(self, timeout_s: float, client: httpx2.AsyncClient | None = None) -> None:
        # On aiohttp: the SDK's own transport looks at every idle connection at each request, and parses in Python.
        self._client = client or openai.DefaultAioHttpClient(follow_redirects=False)
        self._timeout_s = timeout_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer, its body read."""
        try:
            return await asyncio.wait_for(self._followed(request), self._timeout_s)
        except asyncio.TimeoutError as error:  # not the built-in one before Python 3.11
            raise httpx2.ReadTimeout(f"no whole answer in {self._timeout_s:g} s", request=request) from error
        except httpx2.HTTPError:
            raise
        except Exception as error:  # aiohttp's parser and the decoders have many
            words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise httpx2.RemoteProtocolError(f"no HTTP that can be read ({words})", request=request) from error

    async def _followed(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(HOPS):
            response = await self._whole(request)
            if response.status_code not in FOLLOWED or "location" not in response.headers:
                return response
            target = request.url.join(response.headers["location"])
            if _origin(target) != _origin(request.url):
                return response
            extensions = request.extensions
            request = httpx2.Request(
                request.method, target, headers=request.headers, content=request.content, extensions=extensions
            )
        return response

    async def _whole(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "gzip, deflate"
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            encodings = [
                name.strip().lower() for name in response.headers.get("content-encoding", "identity").split(",")
            ]
            if len(encodings) > 1 or encodings[0] not in READ:
                raise httpx2.RemoteProtocolError(f"packed in a way nobody asked for ({encodings[0][:40]})")
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise httpx2.RemoteProtocolError(f"more than {MOST_BYTES:,} bytes")
        finally:
            await response.aclose()
        dropped = ("content-encoding", "content-length", "transfer-encoding", "set-cookie")
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in dropped]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def client(timeout_s: float) -> httpx2.AsyncClient:
    """Return a client for the SDK whose answers are bounded."""
    return httpx2.AsyncClient(transport=Bounded(timeout_s), follow_redirects=False, trust_env=False)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
