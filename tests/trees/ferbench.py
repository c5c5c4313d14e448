"""FERBench's files of questions as they are published, and the pictures that they name, one in another folder."""

import json
from pathlib import Path

from .pictures import save

PROMPT = (
    "As an expert in facial expression recognition, which expression is most prominent in this image? Please select "
    "your answer from the following candidate labels: {}. Provide your detailed reasoning between the <think></think> "
    "tags, and then give your final answer between the <answer></answer> tags."
)
SETS = {
    "rafdb": ("/RAF-DB/aligned/test_{n:04}_aligned.jpg", "surprise fear disgust happiness sadness anger neutral"),
    "affectnet": (
        "/AffectNet/Manually_Annotated/validation/{n}/{n:056x}.jpg",
        "neutral happiness sadness surprise fear disgust anger contempt",
    ),
    "ferplus": ("/FERPlus/test/{label}/fer{n:07}.png", "angry contempt disgust fear happy neutral sad surprise"),
    "sfew_2.0": (
        "/SFEW-2.0/Val/Val_Aligned_Faces/{Label}/Film{n}_003314887_00000077.png",
        "angry disgust fear happy neutral sad surprise",
    ),
}
MOVED, GONE = "/RAF-DB/aligned/test_0001_aligned.jpg", "/FERPlus/test/contempt/fer0000001.png"


def make(root: Path) -> None:
    """Write a question for each label of each set; `MOVED` lies elsewhere below its set, and `GONE` nowhere."""
    for name, (form, words) in SETS.items():
        candidates = words.split()
        entries = []
        for number, label in enumerate(candidates):
            path = form.format(n=number, label=label, Label=label.capitalize())
            entries.append(
                {
                    "image_path": path,
                    "true_label": label,
                    "prompt": PROMPT.format(", ".join(candidates)),
                    "candidate_labels": candidates,
                }
            )
            if path == MOVED:
                save(root / "RAF-DB" / "basic" / "Image" / Path(path).name, path)
            elif path != GONE:
                save(root / path.lstrip("/"), path)
        file = root / "UniFER" / f"eval_{name}" / "data" / f"{name}_qa.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(entries, indent=2))
