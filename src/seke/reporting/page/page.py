"""The report as one self-contained HTML page: everything inline, nothing fetched, every word of a model escaped.

Three locks against hostile answers: Jinja2 escapes every value and gallery.py all data; the page's
Content-Security-Policy runs one script only, the one whose hash it names; and where the browser knows Trusted Types,
that script itself cannot turn a text into markup.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from seke.core.escape import in_html
from seke.core.files import whole
from seke.core.rules import NEAR
from seke.reporting.data.tables import interval, value_of
from seke.reporting.render.figures import Panel

STYLES = ("page", "page.gallery")
SCRIPTS = ("page", "page.records", "page.list", "page.detail", "page.review", "page.gallery")
"""The parts of the page's one script, in their order; each uses what those before it define."""


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page for `content` (see `report` for its keys) to `path`; it appears whole or not at all.

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
    environment.filters.update(value_of=value_of, interval=interval, drawing=drawing)
    environment.globals["near"] = NEAR
    style = "".join(_template(f"{name}.css.jinja") for name in STYLES)
    script = "".join(_template(f"{name}.js.jinja") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = environment.get_template("page.html.jinja")
    with whole(path) as out:
        out.writelines(page.generate(content, style=Markup(style), script=Markup(script), script_hash=digest))


def drawing(panel: Panel) -> Markup:
    """Return a panel's SVG as trusted markup: matplotlib drew it and escaped the names in it."""
    return Markup(panel.svg)


def _template(name: str) -> str:
    return (files("seke.reporting.page") / name).read_text(encoding="utf-8")
