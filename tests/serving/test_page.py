"""The server of the page: who may ask, what is taken, and that nothing of it stays anywhere."""

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from PIL import Image as Picture

from seke.core import images
from seke.core.errors import Paused, UserError
from seke.serving import page
from seke.serving.page import Facts, Seen, Settings

from .pages import served

NOTHING = {"expression": None, "valence": None, "arousal": None, "AU1": None}


def picture(size: int = 16, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (size, size), (90, 60, 30)).save(out, kind)
    return out.getvalue()


def see(data: bytes) -> Seen:
    """Decode as the real one does, and say of which size the picture is."""
    width, height = images.decode(data, "the picture").size
    labels = {"expression": "fear", "valence": -0.5, "arousal": None, "AU1": True, "AU2": False}
    return Seen(f"{width} x {height}", "ok", labels, {"expression": 0.8, "AU1": 0.6, "valence": None, "arousal": None})


def ask(
    address: str, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str
) -> tuple[int, str, dict]:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, dict(response.getheaders())


def test_a_picture_comes_back_as_what_is_said_of_it() -> None:
    with served(see) as address:
        for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
            status, text, _ = ask(address, "POST", "/see", picture(24, kind))
            assert status == 200 and "24 x 24" in text, kind
        assert '<strong id="expression">fear</strong> <span class="sure">80 % agree</span>' in text
        assert "<b>AU1</b> Inner Brow Raiser" in text and "AU2" not in text
        assert '<b id="valence">−0.50</b>' in text and '<b id="arousal">not stated</b>' in text


def test_what_a_model_says_is_text_and_never_markup() -> None:
    sly = "<script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m{{ 7*7 }} \"'&"

    def lies(data: bytes) -> Seen:
        return Seen(sly, sly, {**NOTHING, "expression": sly}, {})

    facts = Facts('<b onmouseover="alert(3)">toy</b>', 0, "<i>note</i>")
    with served(lies, facts) as address:
        for text in (ask(address)[1], ask(address, "POST", "/see", picture())[1]):
            assert "<script>alert" not in text and "<img src=x" not in text and "<b onmouseover" not in text
            assert "<i>note" not in text and "\x1b" not in text and "49" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "{{ 7*7 }}" in text


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "not a whole, readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", 422, "not a whole, readable image"),
        (picture()[:40], 422, "not a whole, readable image"),
        (picture(4), 422, "too small"),
        (b"\0" * (1 << 20) + b"\0", 413, "the picture is larger than 1 MB"),
    ],
)
def test_what_is_no_picture_or_too_large_is_told_so(body: bytes, status: int, said: str) -> None:
    with served(see, settings=Settings(port=0, megabytes=1)) as address:
        found, text, _ = ask(address, "POST", "/see", body)
        assert (found, said in text) == (status, True), text
        assert ask(address, "POST", "/see", picture())[0] == 200  # and the server goes on


def test_a_large_picture_that_comes_in_pieces_is_turned_away_before_it_is_all_there() -> None:
    with served(see, settings=Settings(port=0, megabytes=1)) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=120) as open_end:
            head = f"POST /see HTTP/1.1\r\nHost: {place.netloc}\r\nTransfer-Encoding: chunked\r\n\r\n"
            open_end.sendall(head.encode())
            piece = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
            deadline, hung_up = time.monotonic() + 60, False
            while not hung_up and time.monotonic() < deadline:
                try:
                    open_end.sendall(piece)
                except OSError:
                    hung_up = True
            assert hung_up


@pytest.mark.parametrize(
    "problem", [UserError("backend.model", "x", "not there", "set one"), Paused("budget is spent")]
)
def test_a_mistake_of_the_model_is_said_and_the_server_goes_on(problem: Exception) -> None:
    def fails(data: bytes) -> Seen:
        raise problem

    with served(fails) as address:
        for _ in range(2):
            status, text, _ = ask(address, "POST", "/see", picture())
            assert (status, text) == (422, str(problem))


def test_other_pages_and_other_names_are_not_answered() -> None:
    """DNS rebinding: a stranger's name that points to this machine; cross-site requests: a stranger's page."""
    with served(see) as address:
        own = urlsplit(address).netloc
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            for method, path, body in (("GET", "/", None), ("POST", "/see", picture())):
                assert ask(address, method, path, body, **headers)[0] == 403, headers
        assert ask(address, "POST", "/see", picture(), Origin=f"http://{own}")[0] == 200
        assert ask(address, Host=f"localhost:{urlsplit(address).port}")[0] == 200


def test_nothing_but_the_page_is_there_and_nothing_may_be_loaded_from_elsewhere() -> None:
    with served(see) as address:
        for path in ("/../pyproject.toml", "/%2e%2e/page.py", "/page.py", "/page.html.jinja", "/see", "//etc/passwd"):
            assert ask(address, path=path)[0] in (404, 405), path
        for path in ("/", "/page.js", "/page.css", "/nowhere"):
            _, text, headers = ask(address, path=path)
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
            assert "http://" not in text and "https://" not in text


def test_pictures_wait_for_each_other_and_too_many_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "WAITING", 2)
    free, at_once, most = threading.Event(), 0, 0

    def slow(data: bytes) -> Seen:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        free.wait(20)
        at_once -= 1
        return see(data)

    found: list[int] = []
    with served(slow) as address:

        def one() -> None:
            found.append(ask(address, "POST", "/see", picture())[0])

        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: found == [503])
        free.set()
        for thread in threads:
            thread.join(20)
    assert sorted(found) == [200, 200, 503] and most == 1


def until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ({"port": 70000}, "page.port=70000: no port"),
        ({"port": "7860"}, "page.port=7860: no port"),
        ({"megabytes": 0}, "page.megabytes=0: no size of a picture"),
        ({"megabytes": True}, "page.megabytes=True: no size of a picture"),
    ],
)
def test_settings_out_of_range_are_one_line(own: dict, line: str) -> None:
    with pytest.raises(UserError, match=line):
        Settings(**own)


def test_only_a_page_that_others_reach_warns() -> None:
    assert Settings().warning == Settings(host="::1").warning == ""
    assert "without a password" in Settings(host="0.0.0.0").warning
    assert Settings(host="::1").address == "http://[::1]:7860/"
