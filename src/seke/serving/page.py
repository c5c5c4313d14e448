"""The page and its server: a picture comes as the body of a request, is looked at in memory, and is gone.

    GET  /            the page, with its own style and script; it loads nothing from anywhere else
    POST /see         a picture's bytes -> a piece of HTML with what the model says of it

Nothing is written to the disk and nothing logged: neither picture nor answer. Only pages of this server may ask, by its
own address (Host, Origin), so that no other page that is open in the same browser can send pictures or read answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import jinja2
from aiohttp import web

from seke.core.affect import ACTION_UNITS
from seke.core.errors import Paused, UserError
from seke.core.escape import in_html
from seke.core.images import ImageError
from seke.core.rules import NEAR

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
LARGEST_MB: Final = 200
WAITING: Final = 8
"""Pictures that may wait for the model; further ones are turned away."""
PATIENCE_S: Final = 60.0
"""Seconds within which a picture must have come in."""
LINGER_S: Final = 0.5
"""Seconds in which the rest of a picture that is turned away is read and dropped, so that its sender hears why."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing is loaded from elsewhere, and no script runs but ours; drawings carry styles."""
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
STATIC: Final = {"/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}


class Seen(NamedTuple):
    """What a model says of a picture."""

    text: str
    """Its own words."""
    status: str
    """What became of the answer: ok, refusal, unanswered, ..."""
    labels: Mapping[str, Any]
    """By column: expression, valence, arousal, AU1, ...; None where the answer says nothing of it."""
    confidences: Mapping[str, float | None]
    """By column, in [0, 1]: the share of further answers that agree; None where nobody knows."""
    drawing: str = ""
    """An SVG of our own making: it is set into the page as it is."""


See = Callable[[bytes], Seen]
"""A picture's bytes -> what is said of it; raises ImageError, UserError or Paused."""


class Facts(NamedTuple):
    """What the page says about itself."""

    model: str
    draws: int
    """Further answers from which confidence comes."""
    note: str = ""
    """What a user must know of the model; empty: nothing."""


@dataclass(frozen=True)
class Settings:
    """Where the page is, and what it takes.

    Raises:
        UserError: for a setting out of range.
    """

    host: str = LOOPBACK[0]
    port: int = 7860
    megabytes: int = 20
    """The largest picture."""

    def __post_init__(self) -> None:
        if type(self.port) is not int or not 0 <= self.port < 1 << 16:
            raise UserError("page.port", self.port, "no port", "set 1024 to 65535, or 0 for any that is free")
        if type(self.megabytes) is not int or not 1 <= self.megabytes <= LARGEST_MB:
            raise UserError("page.megabytes", self.megabytes, "no size of a picture", f"set 1 to {LARGEST_MB}")

    @property
    def warning(self) -> str:
        """What to know of a page that others reach; empty for one that nobody else does."""
        if self.host in LOOPBACK:
            return ""
        return (
            f"page.host={self.host}: whoever reaches this machine can use the page, without a password, and what they "
            "send travels unencrypted; browsers give it no camera"
        )

    @property
    def address(self) -> str:
        """The page's address."""
        return self.at(self.port)

    def at(self, port: int) -> str:
        """Return the page's address at a port."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}/"

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which the page may be asked; empty: by any, since nobody knows how others call this machine."""
        return LOOPBACK if self.host in LOOPBACK else ()


def run(see: See, facts: Facts, settings: Settings) -> None:
    """Serve the page, print its address, and go on until Ctrl-C or SIGTERM, which are no failure.

    Raises:
        UserError: if the port is taken, or the host is none of this machine's.
    """

    def ready(port: int) -> None:
        print(f"page: {settings.at(port)} (Ctrl-C ends it)", flush=True)

    try:
        asyncio.run(serve(application(see, facts, settings), settings, ready))
    except KeyboardInterrupt:
        print("ended; nothing was kept")


def application(see: See, facts: Facts, settings: Settings) -> web.Application:
    """Return the server's application.

    Args:
        see: asks the model; it is called in a thread of its own, once at a time.
        facts: what the page says.
        settings: by which names it may be asked, and how large a picture may be.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file), undefined=jinja2.StrictUndefined, autoescape=True, finalize=in_html
    )
    page = environment.get_template("page.html.jinja").render(facts=facts, megabytes=settings.megabytes, near=NEAR)
    answer = environment.get_template("answer.html.jinja")
    model = ThreadPoolExecutor(1, thread_name_prefix="model")
    waiting = 0

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def static(request: web.Request) -> web.Response:
        name, kind = STATIC[request.path]
        return web.Response(text=_file(name), content_type=kind)

    async def look(request: web.Request) -> web.Response:
        nonlocal waiting
        if waiting >= WAITING:
            return _problem(503, "too many pictures are waiting; try again in a moment")
        waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                data = await request.read()
            seen = await asyncio.get_running_loop().run_in_executor(model, see, data)
        except TimeoutError:
            return _problem(408, f"the picture did not come within {PATIENCE_S:.0f} seconds")
        except (ImageError, UserError, Paused) as error:
            return _problem(422, str(error))
        finally:
            waiting -= 1
        return web.Response(text=answer.render(seen=seen, rows=_rows(seen), facts=facts), content_type="text/html")

    @web.middleware
    async def guarded(request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> Any:
        if not _asked_by_its_own_page(request, settings.names):
            return _problem(403, "this page answers only to its own address")
        try:
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            response = _problem(413, f"the picture is larger than {settings.megabytes} MB")
        except web.HTTPException as error:
            response = _problem(error.status, error.reason)
        response.headers.update(HEADERS)
        return response

    async def end(app: web.Application) -> None:
        model.shutdown(wait=False, cancel_futures=True)

    app = web.Application(middlewares=[guarded], client_max_size=settings.megabytes << 20)
    app.router.add_get("/", show)
    app.router.add_post("/see", look)
    for path in STATIC:
        app.router.add_get(path, static)
    app.on_cleanup.append(end)
    return app


async def serve(app: web.Application, settings: Settings, ready: Callable[[int], None]) -> None:
    """Serve until the task is cancelled; `ready` is told the port once it answers.

    Raises:
        UserError: if the port is taken, or the host is none of this machine's.
    """
    runner = web.AppRunner(app, access_log=None, lingering_time=LINGER_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            remedy = "set another page.port=, or page.port=0 for any that is free"
            problem = f"cannot be opened at {settings.host} ({error.strerror or error})"
            raise UserError("page.port", settings.port, problem, remedy) from error
        ready(runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _asked_by_its_own_page(request: web.Request, hosts: Sequence[str]) -> bool:
    """Whether the address is one of ours, and a request that another page makes is not let through.

    A name that an attacker's server lets point to this machine (DNS rebinding) is no name of ours; the browser sends
    with a request the page that makes it (Origin).
    """
    name = urlsplit(f"//{request.host}").hostname
    if hosts and name not in hosts:
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _problem(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/plain", headers=dict(HEADERS))


def _rows(seen: Seen) -> dict[str, Any]:
    """Return what the answer's template shows."""
    units = [(int(name[2:]), value) for name, value in seen.labels.items() if name.startswith("AU")]
    return {
        "expression": seen.labels.get("expression"),
        "affect": [(name, seen.labels.get(name)) for name in ("valence", "arousal")],
        "active": [(f"AU{au}", ACTION_UNITS[au], seen.confidences.get(f"AU{au}")) for au, on in units if on],
        "stated": any(value is not None for _, value in units),
        "others": [
            (name, value)
            for name, value in seen.labels.items()
            if not name.startswith("AU") and name not in ("expression", "valence", "arousal")
        ],
    }


def _file(name: str) -> str:
    return (files("seke.serving") / name).read_text(encoding="utf-8")
