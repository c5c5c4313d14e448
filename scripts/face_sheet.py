"""Draw docs/faces.png: the eight expressions on several synthetic people, and every action unit alone.

python scripts/face_sheet.py [out.png]
"""

import sys
from pathlib import Path
from random import Random
from textwrap import wrap

from PIL import Image, ImageDraw

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.sources.synthetic.face_identity import draw_identity
from seke.sources.synthetic.face_model import draw_face
from seke.sources.synthetic.face_renderer import draw, draw_scene

SIZE, PEOPLE, MARGIN, CAPTION = 112, 7, 84, 28
SEED = 776
"""Chosen among 3000 for varied people and few stray units: a sheet to look at, not a sample."""
STILL = dict.fromkeys(ACTION_UNITS, 0.0)


def sheet() -> Image.Image:
    """Return the sheet: one row an expression, one column a person; below, AU by AU at intensity 4.5."""
    rng = Random(SEED)
    people = [draw_identity(rng) for _ in range(PEOPLE)]
    wide = -(-len(ACTION_UNITS) // 3)
    width = MARGIN + PEOPLE * SIZE
    picture = Image.new("RGB", (width, len(EXPRESSIONS) * SIZE + 3 * (SIZE + CAPTION) + CAPTION), "white")
    canvas = ImageDraw.Draw(picture)
    for row, expression in enumerate(EXPRESSIONS):
        canvas.text((6, row * SIZE + SIZE // 2 - 6), expression, fill="black")
        for column, identity in enumerate(people):
            face = draw_face(rng, expression)
            tile = draw(face.au_intensity, identity, draw_scene(rng, wild=column % 2 == 0), SIZE)
            picture.paste(tile, (MARGIN + column * SIZE, row * SIZE))
    top = len(EXPRESSIONS) * SIZE + CAPTION
    canvas.text((6, top), "one unit\nat a time", fill="black")
    scene = draw_scene(Random(1), wild=False)
    for place, (au, name) in enumerate(ACTION_UNITS.items()):
        x, y = MARGIN + place % wide * SIZE, top + place // wide * (SIZE + CAPTION)
        picture.paste(draw({**STILL, au: 4.5}, people[place % PEOPLE], scene, SIZE), (x, y))
        canvas.text((x + 2, y + SIZE), "\n".join(wrap(f"AU{au} {name}", 18)), fill="black")
    return picture


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "faces.png")
    sheet().quantize(256, method=Image.Quantize.MEDIANCUT).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")
