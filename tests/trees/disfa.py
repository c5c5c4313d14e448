"""A miniature DISFA: twelve label files a subject, and extracted frames or one video for each of two cameras."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from seke.core.affect import AUS_OF_SOURCE

from .pictures import picture, save

AUS = AUS_OF_SOURCE["disfa"]
SUBJECTS = ("SN001", "SN002", "SN003", "SN004", "SN005", "SN006", "SN007", "SN010", "SN021", "SN026", "SN032", "SN033")
FRAMES = 6


def intensity(subject: str, au: int, frame: int) -> int:
    """Return the made-up intensity, 0 to 5, of an AU in a frame counted from 1."""
    return (int(subject[2:]) + 2 * au + frame) % 6


def make(
    root: Path,
    layout: str = "frames",
    first_frame: int = 0,
    subjects: Sequence[str] = SUBJECTS,
    frames: int = FRAMES,
    in_videos: int | None = None,
) -> None:
    """Write the tree; SN010's label files have one line less, as in the original.

    `layout` is frames (<root>/images/SN001/0.png, numbered from `first_frame`; every third as .JPG) or videos (of
    both cameras, whose folders are spelt differently, as they are shipped, `in_videos` frames long). Labels lie one
    folder deeper than they should, with CRLF, a byte order mark, empty last lines and what macOS leaves behind.
    """
    labels = root / "ActionUnit_Labels" / "ActionUnit_Labels"
    for subject in subjects:
        lines = frames - 1 if subject == "SN010" else frames
        write_labels(labels / subject, subject, lines)
        if layout == "frames":
            for k in range(frames):
                suffix = ".JPG" if k % 3 == 2 else ".png"
                save(root / "images" / subject / f"{k + first_frame}{suffix}", f"disfa {subject} {k + 1}")
        else:
            shown = [picture(f"disfa {subject} {k + 1}", (64, 48)) for k in range(in_videos or frames)]
            write_video(root / "Videos_LeftCamera" / f"LeftVideo{subject}_comp.avi", shown)
            write_video(root / "Video_RightCamera" / f"RightVideo{subject}_comp.avi", shown[::-1])
    (labels / ".DS_Store").write_bytes(b"\x00\x01")
    (root / "__MACOSX" / "SN001").mkdir(parents=True)
    (root / "Landmark_Points" / "SN001").mkdir(parents=True)
    (root / "Landmark_Points" / "SN001" / "l0000_lm.mat").write_bytes(b"\x00")


def write_labels(folder: Path, subject: str, lines: int) -> None:
    """Write the twelve files of a subject."""
    folder.mkdir(parents=True)
    for au in AUS:
        rows = "".join(f"{frame},{intensity(subject, au, frame)}\r\n" for frame in range(1, lines + 1))
        mark = b"\xef\xbb\xbf" if au == 4 else b""
        (folder / f"{subject}_au{au}.txt").write_bytes(mark + rows.encode() + b"\r\n")


def write_video(path: Path, pictures: Sequence[Image.Image], codec: str = "mjpeg", **options: str) -> None:
    """Write a video of these pictures, 20 a second; `mjpeg` keeps them nearly as they are."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20, options={"qscale": "2", **options})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for shown in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(shown)))
        container.mux(stream.encode(None))
