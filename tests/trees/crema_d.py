"""A miniature CREMA-D: five actors, the crowd's votes with a tie, an actor nobody describes, and a git-lfs pointer."""

from pathlib import Path

from .merr_fine import film

ACTORS = (1001, 1002, 1003, 1004, 1005)
EMOTIONS = ("ANG", "HAP", "NEU")
POINTER = "1005_IEO_SAD_HI"
VOTES = {"ANG": "A", "HAP": "N", "NEU": "N:S", "SAD": "S"}


def make(root: Path, frames: int = 4) -> None:
    """Write the tree as the repository has it."""
    folder = root / "VideoFlash"
    names = [f"{actor}_DFA_{emotion}_XX" for actor in ACTORS for emotion in EMOTIONS]
    for name in names:
        film(folder / f"{name}.flv", frames, alike=False)
    (folder / f"{POINTER}.flv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (root / "processedResults").mkdir()
    rows = [f'"{k}","{name}","N","50","{VOTES[name[9:12]]}","60","D","70"' for k, name in enumerate([*names, POINTER])]
    header = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
    (root / "processedResults" / "summaryTable.csv").write_text("\n".join([header, *rows]) + "\n")
    people = [f"{actor},{actor - 980},{'Male' if actor % 2 else 'Female'},Asian,Not Hispanic" for actor in ACTORS[:4]]
    (root / "VideoDemographics.csv").write_text("\n".join(["ActorID,Age,Sex,Race,Ethnicity", *people]) + "\n")
