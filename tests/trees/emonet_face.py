"""EmoNet-Face as the Hub's parquet: HQ with an expert's marks of many emotions, Binary with a row for each judgement.

python -m tests.trees.emonet_face /tmp/emonet            HQ
make(root, "rows"), make(root, "binary")                 its other forms
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

from .pictures import picture

FACES = (  # name, and the marks of three experts
    ("happy", ({"Elation": 7, "Fear": 1}, {"Amusement": 5}, {"Elation": 4, "Shame": 1})),
    ("afraid", ({"Fear": 6}, {"Fear": 5, "Distress": 2}, {"Sadness": 3})),
    ("ashamed", ({"Shame": 6}, {"Shame": 2, "Sadness": 1}, {"Embarrassment": 4})),
    ("torn", ({"Anger": 4}, {"Disgust": 4}, {"Anger": 3, "Disgust": 3})),
    ("surprised", ({"Astonishment/Surprise": 7}, {"Awe": 5}, {"Astonishment/Surprise": 2})),
    ("angry", ({"Anger": 7}, {"Impatience and Irritability": 6}, {"Anger": 7, "Malevolence/Malice": 2})),
    ("blank", ({"Fear": 0}, {}, {})),
)
"""Of the last one no expert says what it shows."""
EMOTIONS = sorted({emotion for _, experts in FACES for marks in experts for emotion in marks})


def image(name: str) -> dict[str, Any]:
    out = io.BytesIO()
    picture(name, (64, 64)).save(out, "JPEG")
    return {"bytes": out.getvalue(), "path": f"{name}.jpg"}


def make(root: Path, form: str = "pictures") -> None:
    """Write the faces as one parquet file below data/.

    Args:
        root: the folder of the download.
        form: pictures (a row for each, experts in a list), rows (a row for each expert, marks as JSON, as hq.csv has
            them), or binary (a row for each yes and no, emotions as classes of the schema).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name, experts in FACES:
        of_face: dict[str, Any] = {"image": image(name), "prompt": f"a face, {name}", "demographics": {"age": "40"}}
        told = [{"annotator": f"human-{n}", "annotations": json.dumps(marks)} for n, marks in enumerate(experts, 1)]
        if form == "pictures":
            rows.append({**of_face, "annotations": told})
        elif form == "rows":
            rows += [{**of_face, **one} for one in told]
        else:
            for number, marks in enumerate(experts, 1):
                for emotion, mark in marks.items():
                    judged = {"annotator": f"human-{number}", "value": mark > 2, "emotion": EMOTIONS.index(emotion)}
                    rows.append({"path": of_face["image"], **judged})
    table = pa.Table.from_pylist(rows)
    if form == "binary":
        classes = {"emotion": {"names": EMOTIONS, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": classes}})})
    split = "train" if form == "binary" else "test"
    pq.write_table(table, root / "data" / f"{split}-00000-of-00001.parquet", row_group_size=4)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
