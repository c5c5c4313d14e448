"""One self-contained HTML page: everything inline, nothing fetched, every word of a model escaped.

Two locks against hostile answers: Jinja2 escapes every value, and the page's Content-Security-Policy runs one script
only, the one whose hash it names.
"""

import base64
import hashlib
import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from seke.images import ImageError, decode, resolve
from seke.reporting.figures import Panel
from seke.reporting.tables import interval, shown

THUMBNAIL = 160
"""Longest side of an embedded picture, in pixels."""


class Thumbnail(NamedTuple):
    """A picture as a data URI, or the reason why there is none."""

    uri: str | None
    problem: str = ""


def thumbnail(root: Path | None, image: str) -> Thumbnail:
    """Return `image` below `root` as a JPEG data URI of at most 160 x 160 pixels; a picture that fails says why."""
    if root is None:
        return Thumbnail(None, "the records this run was made from are gone")
    try:
        picture = decode(resolve(root, image).read_bytes(), image)
    except (ImageError, OSError) as error:
        return Thumbnail(None, str(error))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=88)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii"))


def render(content: Mapping[str, Any]) -> str:
    """Return the page for `content` (see write.py for its keys)."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=shown, interval=interval, drawing=drawing)
    style, script = _template("page.css.jinja"), _template("page.js.jinja")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = environment.get_template("page.html.jinja")
    return page.render(content, style=Markup(style), script=Markup(script), script_hash=digest)


def drawing(panel: Panel) -> Markup:
    """Return a panel's SVG as trusted markup: matplotlib drew it and escaped the names in it."""
    return Markup(panel.svg)


def _template(name: str) -> str:
    return (files("seke.reporting") / name).read_text(encoding="utf-8")
