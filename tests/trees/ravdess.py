"""A miniature RAVDESS: six actors, with and without sound, a song, a calm clip and a file of another name."""

from pathlib import Path

from .merr_fine import film

ACTORS = 6


def make(root: Path, frames: int = 4) -> None:
    """Write the tree as its archives unpack."""
    for actor in range(1, ACTORS + 1):
        folder = root / f"Video_Speech_Actor_{actor:02d}" / f"Actor_{actor:02d}"
        for emotion in (2, 1 + actor):
            film(folder / f"02-01-{emotion:02d}-01-01-01-{actor:02d}.mp4", frames, alike=False)
        film(folder / f"01-01-08-01-02-01-{actor:02d}.mp4", frames, alike=False)
    film(root / "Actor_01" / "01-01-02-01-01-01-01.mp4", frames, alike=False)
    film(root / "Video_Song_Actor_02" / "Actor_02" / "02-02-03-02-01-02-02.mp4", frames, alike=False)
    film(root / "mine.mp4", frames, alike=False)
