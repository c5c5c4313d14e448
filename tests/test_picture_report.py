"""scripts/picture_report.py: the README's picture is taken of whatever a page has, and stays small."""

from pathlib import Path

import pytest
from PIL import Image

from . import warm
from .browser import executable

ROOT = Path(__file__).resolve().parent.parent
SCORES = "<section><h2>Scores</h2><figure style='margin:0;height:100px;background:red'></figure></section>"
GALLERY = (
    "<section id=gallery><select name=order><option value=''><option value=falling></select>"
    "<div class=list style='height:300px'><div class=row aria-posinset=1>one</div></div></section>"
)


def picture(tmp_path, body):
    pytest.importorskip("playwright.sync_api", reason="SKIPPED, NOT TESTED: no playwright")
    if executable() is None:
        pytest.skip("SKIPPED, NOT TESTED: no Chromium")
    (tmp_path / "index.html").write_text(f"<!doctype html><body style='margin:0'>{body}")
    out = tmp_path / "docs" / "report.png"
    return warm.run(ROOT / "scripts" / "picture_report.py", tmp_path / "index.html", out), out


def test_the_picture_is_of_scores_and_gallery_and_has_a_palette(tmp_path):
    done, out = picture(tmp_path, SCORES + "<p style='height:2000px'>left out</p>" + GALLERY)
    assert done.returncode == 0, done.stderr
    image = Image.open(out)
    assert (image.width, image.mode) == (1280, "P")
    assert 400 < image.height < 700
    assert out.stat().st_size < 400_000


def test_a_page_without_either_is_refused(tmp_path):
    done, out = picture(tmp_path, "<h1>Empty</h1>")
    assert done.returncode == 2
    assert "neither scores nor a gallery" in done.stderr
    assert not out.exists()
