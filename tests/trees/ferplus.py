"""FERPlus: the votes of ten people beside FER2013's pictures."""

from pathlib import Path

from seke.core.affect import EXPRESSIONS

from .pictures import save

HEAD = ["Usage", "Image name", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
HEAD += ["unknown", "NF"]
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}


def make(root: Path) -> None:
    """Write a picture of each expression for each use; one without a majority, one of unknown, one without a file."""
    lines, number = [HEAD], 0
    for usage, folder in FOLDERS.items():
        for expression in EXPRESSIONS:
            name = f"fer{number:07}.png"
            save(root / folder / name, name)
            lines.append([usage, name, *(str(7 if column == expression else 0) for column in HEAD[2:])])
            number += 1
    tied = ["5", "5", *["0"] * 8]
    for name, votes in (
        ("tied.png", tied),
        ("unknown.png", ["1", *["0"] * 7, "9", "0"]),
        ("gone.png", ["9", *["0"] * 9]),
    ):
        if name != "gone.png":
            save(root / "FER2013Test" / name, name)
        lines.append(["PrivateTest", name, *votes])
    lines.append(["Training", "", *["0"] * 10])
    root.mkdir(parents=True, exist_ok=True)
    (root / "fer2013new.csv").write_text("\n".join(",".join(line) for line in lines) + "\n")
