"""MERR-Fine's annotations and MER2023's clips as they lie on disk.

    MERR/MERR_fine_grained.json, MERR_fine_grained.txt
    MERR/frames_of_mine/samplenew_00000000/frame_0001.jpg ...    extracted frames, numbered from 1
    MERR/video/samplenew_00000001.mp4                            a clip that nobody extracted

Quirks: more keys than anybody reads; a clip that is not there; a clip without a peak; emotions that are none of the
eight; -10 for no valence.
"""

import json
from pathlib import Path

import av

from .pictures import picture, save

EMOTIONS = ("sad", "happy", "worried", "angry", "surprise", "doubt")


def make(root: Path, clips: int = 6, frames: int = 9, emotions: bool = True) -> None:
    """Write the tree to `root`: even clips as frames, odd ones as videos, and two that cannot be used."""
    root.mkdir(parents=True, exist_ok=True)
    rows, lines = {}, []
    for k in range(clips):
        name = f"samplenew_{k:08d}"
        rows[name] = fields(peak=k % frames, reason=f"Reason {k}.", text=f"Words {k}.")
        lines.append(f"{name} {frames} {EMOTIONS[k % len(EMOTIONS)]} -10")
        if k % 2:
            film(root / "video" / f"{name}.mp4", frames)
        else:
            for i in range(frames):
                save(root / "frames_of_mine" / name / f"frame_{i + 1:04d}.jpg", f"{name} {i}")
    rows["samplenew_gone"] = fields(peak=3, reason="Nobody sees this.")
    rows["samplenew_00000000b"] = {**fields(peak=0, reason="No peak."), "peak_index": None}
    (root / "MERR_fine_grained.json").write_text(json.dumps(rows, indent=4))
    if emotions:
        (root / "MERR_fine_grained.txt").write_text("\n".join(lines) + "\n")


def fields(peak: int, reason: str, text: str = "") -> dict:
    """One clip's annotation."""
    return {"AU_list": ["AU04_r"], "visual_prior_list": ["Brow lowerer"], "audio_prior_list": "low", "peak_index": peak,
            "peak_AU_list": ["AU04_r"], "text": text, "smp_reason_caption": reason}  # fmt: skip


def film(path: Path, frames: int, size: int = 48, alike: bool = True) -> None:
    """Write a video whose frame i is grey of level 20 * i; with `alike` off its frames are as no other file's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv1" if path.suffix == ".flv" else "mpeg4", rate=10)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            own = picture(f"{path.stem} {i}", (size, size))
            flat = own.point(lambda _, level=20 * i: level) if alike else own
            container.mux(stream.encode(av.VideoFrame.from_image(flat)))
        container.mux(stream.encode())
