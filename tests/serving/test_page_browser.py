"""The page in a real Chromium: dropped, chosen and pasted pictures, the camera, phones, the dark, and who is asked."""

import base64
import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image as Picture

from seke.core import images
from seke.core.errors import UserError
from seke.reporting.render.circumplex import circumplex
from seke.serving.page import Facts, Seen

from ..browser import chromium, until
from .pages import served

SAID = "The expression is fear. <img src=x onerror=alert(1)> Active action units: AU1, AU4."
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A camera that films a test picture, and nobody who has to allow it."""
DROP = """async ([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  const event = KIND === "drop"
    ? new DragEvent("drop", { ...options, dataTransfer: transfer })
    : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
  document.getElementById("drop").dispatchEvent(event);
}"""


class Model:
    """Remembers what it was shown, and sees fear in everything but what is no picture."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, tuple[int, int]]] = []

    def __call__(self, data: bytes) -> Seen:
        picture = images.decode(data, "the picture")
        if picture.size == (13, 13):
            raise UserError("budget.usd", 1, "is spent", "set more")
        self.shown.append((str(images.recognised(data).format), picture.size))
        labels = {"expression": "fear", "valence": -0.5, "arousal": 0.6, "AU1": True, "AU2": False, "AU4": True}
        shares = {"expression": 0.8, "valence": 1.0, "arousal": None, "AU1": 0.4, "AU4": 1.0}
        return Seen(SAID, "ok", labels, shares, circumplex((-0.5, 0.6), [(-0.4, 0.5), (0.1, None)]))


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium with a camera."""
    with chromium(*CAMERA) as started:
        yield started


@pytest.fixture
def opened(browser):
    """Return `opened(model, **context)`: the page, which fails on any error, dialog, or request to another place."""
    contexts, servers, problems = [], [], []

    def opens(model, **options):
        server = served(model, Facts("toy", 5, "it knows drawn faces only"))
        servers.append(server)
        address = server.__enter__()
        context = browser.new_context(permissions=["camera"], **options)
        contexts.append(context)
        view = context.new_page()
        view.on("pageerror", lambda error: problems.append(str(error)))
        view.on("console", lambda message: problems.append(message.text) if "422" not in message.text else None)
        view.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))

        def local(request) -> None:
            url = urlsplit(request.url)
            if url.scheme not in ("blob", "data") and url.netloc != urlsplit(address).netloc:
                problems.append(request.url)

        view.on("request", local)
        view.goto(address)
        return view

    yield opens
    for context in contexts:
        context.close()
    for server in servers:
        server.__exit__(None, None, None)
    assert problems == []


def png(folder: Path, width: int = 40, height: int = 30) -> Path:
    path = folder / f"{width}.png"
    Picture.new("RGB", (width, height), (200, 120, 40)).save(path)
    return path


def test_a_chosen_picture_is_shown_with_all_that_is_said_of_it(opened, tmp_path: Path) -> None:
    model = Model()
    view = opened(model)
    assert view.title() == "Try toy"
    assert "it knows drawn faces only" in view.locator(".warning").inner_text()
    view.set_input_files("#file", png(tmp_path))
    view.locator("#text").wait_for()
    assert view.locator("#expression").inner_text() == "fear"
    assert view.locator(".expression").inner_text() == "fear 80 % agree"
    assert view.locator(".affect").inner_text().split() == [
        "valence", "−0.50", "100", "%", "agree", "arousal", "+0.60",
    ]  # fmt: skip
    assert view.locator("#units li").all_inner_texts() == [
        "AU1 Inner Brow Raiser 40 % agree", "AU4 Brow Lowerer 100 % agree",
    ]  # fmt: skip
    assert view.locator("#text").inner_text() == SAID  # as text: no picture was made of it
    assert view.locator("blockquote img").count() == 0
    assert view.locator("#preview").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [40, 30]
    assert model.shown == [("PNG", (40, 30))]


def test_the_answer_lies_where_it_belongs_on_the_circumplex(opened, tmp_path: Path) -> None:
    view = opened(Model())
    view.set_input_files("#file", png(tmp_path))
    drawing = view.locator("figure svg")
    drawing.wait_for()
    places = drawing.evaluate(
        """svg => {
          const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
          const uses = [...svg.querySelectorAll("use")].filter((use) => getComputedStyle(use).fill !== "none");
          const large = uses.map((use) => use.getBoundingClientRect()).sort((a, b) => b.width - a.width)[0];
          const circle = [...svg.querySelectorAll("path")].map((path) => path.getBoundingClientRect())
            .filter((box) => box.width > 100 && Math.abs(box.width - box.height) < 2)
            .sort((a, b) => a.width - b.width)[0];
          return { point: middle(large), centre: middle(circle), radius: circle.width / 2 };
        }"""
    )
    (x, y), (x0, y0), radius = places["point"], places["centre"], places["radius"]
    assert (x - x0) / radius == pytest.approx(-0.5, abs=0.03)
    assert (y0 - y) / radius == pytest.approx(0.6, abs=0.03)
    assert {"fear", "happiness", "neutral"} <= {text.strip() for text in drawing.locator("text").all_text_contents()}


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_seen(opened, kind: str) -> None:
    out = io.BytesIO()
    Picture.new("RGB", (50, 20)).save(out, "JPEG")
    model = Model()
    view = opened(model)
    view.evaluate(
        DROP.replace("KIND", f'"{kind}"'), ["face.jpg", "image/jpeg", base64.b64encode(out.getvalue()).decode()]
    )
    view.locator("#text").wait_for()
    assert model.shown == [("JPEG", (50, 20))]


def test_the_camera_films_takes_a_picture_and_is_off_again(opened) -> None:
    model = Model()
    view = opened(model)
    view.locator("#camera").click()
    view.locator("#shoot").wait_for()
    until(view, "document.getElementById('video').videoWidth > 0")
    assert view.locator("#camera").inner_text() == "Stop the camera"
    view.locator("#shoot").click()
    view.locator("#text").wait_for()
    [(kind, (width, height))] = model.shown
    assert (kind, width > 100, height > 100) == ("JPEG", True, True)
    assert view.evaluate("document.getElementById('video').srcObject") is None  # the light at the camera is out
    assert view.locator("#camera").inner_text() == "Use the camera"


def test_what_goes_wrong_is_said_and_the_next_picture_is_seen(opened, tmp_path: Path) -> None:
    view = opened(Model())
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    view.set_input_files("#file", text)
    view.locator("#problem").wait_for()
    assert "not a whole, readable image" in view.locator("#problem").inner_text()
    view.set_input_files("#file", png(tmp_path, 13, 13))
    until(view, "document.getElementById('problem').textContent.includes('is spent')")
    assert "budget.usd=1: is spent; set more" in view.locator("#problem").inner_text()
    view.set_input_files("#file", png(tmp_path))
    view.locator("#text").wait_for()
    assert view.locator("#problem").is_hidden()


def test_keys_reach_everything_and_a_phone_shows_it_without_scrolling_sideways(opened, tmp_path: Path) -> None:
    view = opened(Model(), viewport={"width": 360, "height": 740}, color_scheme="dark")
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.id") == "file"
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.id") == "camera"
    view.set_input_files("#file", png(tmp_path, 2000, 900))
    view.locator("#text").wait_for()
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ink, paper = (view.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert (ink, paper) == ("rgb(227, 231, 236)", "rgb(19, 23, 28)")
