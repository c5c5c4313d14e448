"""The report as HTML pages: scripts, styles and data inline, every word of a model escaped.

The report itself is one page that can be passed on alone; what it shows of pictures at full size, and the pages that
its numbers lead to, lie beside it. Nothing is fetched but pictures from there.

Three locks against hostile answers: Jinja2 escapes every value and gallery.py all data; the page's
Content-Security-Policy runs one script only, the one whose hash it names; and where the browser knows Trusted Types,
that script itself cannot turn a text into markup.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from seke.core.escape import in_html
from seke.core.files import whole
from seke.core.rules import NEAR
from seke.reporting.data.tables import interval, remark_of, shown
from seke.reporting.render.figures import Panel


class Parts(NamedTuple):
    """What the files of one kind of page are, without their endings."""

    styles: tuple[str, ...]
    scripts: tuple[str, ...]
    """The parts of the page's one script, in their order; each uses what those before it define."""


PAGES: Final = {
    "page": Parts(
        ("page", "page.gallery", "page.large", "page.player"),
        ("page.dom", "page.records", "page.list", "page.large", "page", "page.rows", "page.detail", "page.review",
         "page.gallery", "page.player"),
    ),
    "faces": Parts(("page",), ()),
    "leaderboard": Parts(("page", "leaderboard"), ("page.dom", "leaderboard")),
    "predictions": Parts(
        ("page", "page.gallery", "page.large", "predictions"),
        ("page.dom", "page.list", "page.large", "predictions.records", "predictions"),
    ),
}  # fmt: skip


def write_page(path: Path, content: Mapping[str, Any], kind: str = "page") -> None:
    """Write a page of `PAGES` to `path`; it appears whole or not at all.

    It is written as it is rendered: a gallery's pictures may be more than one wants to hold in memory.
    """
    style = "".join(_template(f"{name}.css.jinja") for name in PAGES[kind].styles)
    script = "".join(_template(f"{name}.js.jinja") for name in PAGES[kind].scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = _environment().get_template(f"{kind}.html.jinja")
    with whole(path) as out:
        out.writelines(page.generate(content, style=Markup(style), script=Markup(script), script_hash=digest))


def rendered(part: str, content: Mapping[str, Any]) -> Markup:
    """Return a part of a page, by its file's name without its endings."""
    return Markup(_environment().get_template(f"{part}.html.jinja").render(content))


def columns(drawings: int, *choices: int) -> int:
    """Return the first of these numbers of columns at which no drawing stands alone in the last row.

    >>> columns(4, 4, 3), columns(5, 4, 3), columns(1, 4, 3), columns(13, 4, 3, 5)
    (4, 3, 4, 5)
    """
    return next((choice for choice in choices if drawings == 1 or drawings % choice != 1), choices[0])


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        finalize=in_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=shown, remark_of=remark_of, interval=interval, drawing=drawing, url=quote, columns=columns
    )
    environment.globals["near"] = NEAR
    return environment


def drawing(panel: Panel) -> Markup:
    """Return a panel's SVG as trusted markup: matplotlib drew it and escaped the names in it."""
    return Markup(panel.svg)


def _template(name: str) -> str:
    return (files("seke.reporting.page") / name).read_text(encoding="utf-8")
