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
        ("page", "page.gallery", "page.large"),
        ("page.dom", "page.records", "page.list", "page.large", "page", "page.rows", "page.detail", "page.review",
         "page.gallery"),
    ),
    "predictions": Parts(
        ("page", "page.gallery", "page.large", "predictions"),
        ("page.dom", "page.list", "page.large", "predictions.records", "predictions"),
    ),
}  # fmt: skip


def write_page(path: Path, content: Mapping[str, Any], kind: str = "page") -> None:
    """Write a page of `PAGES` to `path`; it appears whole or not at all.

    It is written as it is rendered: a gallery's pictures may be more than one wants to hold in memory.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        finalize=in_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=shown, remark_of=remark_of, interval=interval, drawing=drawing, url=quote)
    environment.globals["near"] = NEAR
    style = "".join(_template(f"{name}.css.jinja") for name in PAGES[kind].styles)
    script = "".join(_template(f"{name}.js.jinja") for name in PAGES[kind].scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = environment.get_template(f"{kind}.html.jinja")
    with whole(path) as out:
        out.writelines(page.generate(content, style=Markup(style), script=Markup(script), script_hash=digest))


def drawing(panel: Panel) -> Markup:
    """Return a panel's SVG as trusted markup: matplotlib drew it and escaped the names in it."""
    return Markup(panel.svg)


def _template(name: str) -> str:
    return (files("seke.reporting.page") / name).read_text(encoding="utf-8")
