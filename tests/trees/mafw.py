"""MAFW's labels and clips as they lie on disk.

    MAFW/labels/Labels/descriptive_text.xlsx, single-set.xlsx
    MAFW/Train & Test Set/single/{no_caption,with_caption}/set_{1,2}/{train,test}.txt
    (with the sheets: no_caption alone, in words, for five sets)
    MAFW/data/frames/00001/000001.jpg ...       extracted frames of the odd clips
    MAFW/data/clips/00002.mp4                   the even ones

Quirks: the sheet of captions has no header, the sheet of labels has one; with_caption is GB18030; some copies begin
with a header line; class 0 is none; a clip is missing, a caption too; no neutral clip has a caption.
"""

from pathlib import Path

from openpyxl import Workbook

from .merr_fine import film
from .pictures import save

LABELS = (4, 6, 9, 0, 1, 11)
"""Of clips 1 to 6: happiness, sadness, anxiety, none, anger, disappointment."""
NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety",
         "helplessness", "disappointment")  # fmt: skip


def make(root: Path, layout: str = "xlsx", header: bool = False, first: int = 1) -> None:
    """Write the tree to `root`: captions as `xlsx` or as `txt`, with or without a header, labels from `first` on."""
    for k in range(1, 7):
        if k % 2:
            for i in range(1, 6):
                save(root / "data" / "frames" / f"{k:05d}" / f"{i:06d}.jpg", f"{k} {i}")
        else:
            film(root / "data" / "clips" / f"{k:05d}.mp4", 5, alike=False)
    if layout == "xlsx":
        _sheets(root / "labels" / "Labels", header)
        _folds(root / "Train & Test Set" / "single" / "no_caption")
    else:
        _texts(root / "Train & Test Set" / "single", header, first)


def fold_of(k: int) -> int:
    """The fold that tests clip k."""
    return (k - 1) % 5 + 1


def _folds(folder: Path) -> None:
    """Write the lists of five sets; clip 7 is not there, and clip 4 has an emotion after all."""
    listed = {k: NAMES[label - 1] if label else "surprise" for k, label in enumerate((*LABELS, 5), start=1)}
    for fold in range(1, 6):
        for side in ("train", "test"):
            lines = [f"{k:05d}.mp4 {word}\n" for k, word in listed.items() if (fold_of(k) == fold) == (side == "test")]
            path = folder / f"set_{fold}" / f"{side}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines))


def caption(k: int) -> tuple[str, str]:
    """Chinese and English of clip k."""
    return f"片段{k}，皱眉。", f"Clip {k}: the person frowns."


def _sheets(folder: Path, header: bool) -> None:
    rows = [(f"{k:05d}.mp4", *caption(k)) for k in range(1, 7)]
    rows += [("09999.mp4", *caption(9999)), ("00007.mp4", "无", None)]
    _book(folder / "descriptive_text.xlsx", [("clip", "zh", "en"), *rows] if header else rows)
    labels = [(f"{k:05d}.mp4", *[0] * 11, label) for k, label in enumerate(LABELS, start=1)]
    _book(folder / "single-set.xlsx", [("clip", *NAMES, "single_label"), *labels])


def _book(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def _texts(folder: Path, header: bool, first: int) -> None:
    labelled = [(k, label - 1 + first) for k, label in enumerate(LABELS, start=1) if label]
    lines = [f"{k:05d}.mp4\t{label}\t{caption(k)[0]}\t{caption(k)[1]}" for k, label in labelled]
    folds = {"set_1/train": lines[:3], "set_1/test": lines[3:], "set_2/train": lines[3:], "set_2/test": lines[:3]}
    for part, chosen in folds.items():
        shown = ["clip\tlabel\tzh\ten", *chosen] if header else chosen
        path = folder / "with_caption" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + "\r\n" for line in shown).encode("gb18030"))
        plain = folder / "no_caption" / f"{part}.txt"
        plain.parent.mkdir(parents=True, exist_ok=True)
        plain.write_text("".join(" ".join(line.split("\t")[:2]) + "\n" for line in chosen))
