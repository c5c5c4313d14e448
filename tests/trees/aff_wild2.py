"""A miniature Aff-Wild2 in each of the three layouts of its workshops, as it looks once everything is unpacked."""

from collections.abc import Mapping
from pathlib import Path

from .pictures import save

FRAMES = 6
QUIRKS = "video16"
"""The video with the missing codes, see `rows`."""
VIDEOS = (
    *(f"{k}-30-1280x720" for k in range(1, 10)), "105", "video74_left", "video74_right", "video80_left",
    "video5_left_hand", QUIRKS, "video20", "video90",
)  # fmt: skip
EXPR = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
HEADERS = {
    "abaw3": {
        "va": "valence,arousal",
        "expr": EXPR + ",Other",
        "au": "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
    },
    "abaw2": {"va": "valence,arousal", "expr": EXPR, "au": "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25"},
}
TASKS = {
    "abaw3": {"va": "VA_Estimation_Challenge", "expr": "EXPR_Classification_Challenge", "au": "AU_Detection_Challenge"},
    "abaw2": {"va": "VA_Set", "expr": "EXPR_Set", "au": "AU_Set"},
}
TRAIN = {"abaw3": "Train_Set", "abaw2": "Training_Set"}


def make(root: Path, layout: str = "abaw3") -> None:
    """Write the tree: layout abaw3, abaw2 or mtl.

    - pictures come in two archives, the first unpacked into a folder of its own name; .DS_Store and ._ files in both
    - `video74_left` and `video74_right` are two people in one video; `video5_left_hand` is not
    - frame 5 of every video has no picture, and label rows go on after the last one
    - `video20` is for training in one label set and for validation in another, and has one picture too many
    - `video90` is in no label set; `unseen` has labels and no pictures
    - `video16` has all missing codes, see `rows`
    - valence files have CRLF, class files a byte order mark
    """
    pictures(root, skip={(video, 5) for video in VIDEOS})
    save(root / "cropped_aligned_new_50_vids" / "video20" / f"{FRAMES + 3:05d}.jpg")
    if layout == "mtl":
        multi_task(root)
    else:
        label_sets(root, layout)


def pictures(root: Path, skip: set[tuple[str, int]]) -> None:
    first, second = root / "cropped_aligned" / "cropped_aligned", root / "cropped_aligned_new_50_vids"
    for number, video in enumerate(VIDEOS):
        folder = first if number % 3 else second
        for frame in range(1, FRAMES + 1):
            if (video, frame) not in skip:
                save(folder / video / f"{frame:05d}.{'JPG' if number == 3 else 'jpg'}", f"{video} {frame}")
    (first / "1-30-1280x720").mkdir(exist_ok=True)
    for stray in (first / ".DS_Store", first / "2-30-1280x720" / "._00001.jpg"):
        stray.write_bytes(b"\0")


def rows(video: str) -> list[Mapping[str, str]]:
    """Return the rows of a video as `va`, `expr` and `au` fields; the AUs are those of abaw3."""
    number = sum(map(ord, video))
    plain = []
    for frame in range(FRAMES + 2):
        au = [str(int((number + frame * k) % 3 == 0)) for k in range(1, 13)]
        va = f"{(number + 31 * frame) % 200 / 100 - 1:.3f},{(number + 17 * frame) % 200 / 100 - 1:.3f}"
        plain.append({"va": va, "expr": str((number + frame) % 7), "au": ",".join(au)})
    if video == QUIRKS:
        plain[0] |= {"va": "-5,-5"}
        plain[1] |= {"va": "0.3,-5", "expr": "-1", "au": ",".join(["-1"] * 12)}
        plain[2] |= {"expr": "7", "au": "1,0,-1,0,1,0,1,-1,0,0,1,1"}
        plain[3] |= {"va": "1.5,0.2"}
        plain[5] |= {"va": "-5,-5", "expr": "7", "au": ",".join(["-1"] * 12)}
    return plain


def label_sets(root: Path, layout: str) -> None:
    for task, folder in TASKS[layout].items():
        for number, video in enumerate((*VIDEOS, "unseen")):
            if video == "video90" or (number == 1 and task == "au"):
                continue
            held_out = number % 4 == 0 or (video == "video20" and task == "expr")
            text = [HEADERS[layout][task]]
            for row in rows(video):
                cells = row[task]
                if layout == "abaw2" and task == "au":
                    cells = ",".join(cells.split(",")[:8])
                if layout == "abaw2" and task == "expr" and cells == "7":
                    cells = "-1"
                text.append(cells)
            file = root / folder / ("Validation_Set" if held_out else TRAIN[layout]) / f"{video}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            end = "\r\n" if task == "va" else "\n"
            file.write_bytes((b"\xef\xbb\xbf" if task == "expr" else b"") + (end.join(text) + end).encode())
        (root / folder / ".DS_Store").write_bytes(b"\0")


def multi_task(root: Path) -> None:
    folder = root / "MTL_Challenge"
    folder.mkdir(parents=True)
    lists: dict[str, list[str]] = {"training_set.txt": [], "validation_set.txt": []}
    for number, video in enumerate((*VIDEOS, "unseen")):
        if video != "video90":
            part = lists["training_set.txt" if number % 4 else "validation_set.txt"]
            part += [
                f"{video}/{frame:05d}.jpg,{row['va']},{row['expr']},{row['au']}"
                for frame, row in enumerate(rows(video), start=1)
            ]
    for name, found in lists.items():
        (folder / name).write_text("\n".join(["image,valence,arousal,expression,aus", *found]) + "\n")
    (folder / "test_set.txt").write_text("image\n105/00001.jpg\n")
