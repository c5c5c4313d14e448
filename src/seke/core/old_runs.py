"""Facts about runs of versions before 0.3, derived here, and nowhere else, from what those runs recorded.

Since then each of these is a field: `simulated` of a reply, a row and an answer; `synthetic`, `scores` and `floor` of a
manifest. Only where the field is missing may anybody ask here, and a name decides only if it is exactly one of ours.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from seke.core.rules import algorithm_floor

SIMULATED: Final = frozenset({
    "simulated-annotator", "simulated-annotator-blind",
    "simulated-scene-annotator", "simulated-scene-annotator-blind", "simulated-scene-judge",
})  # fmt: skip
"""Every name under which this program's own simulations have answered."""
DRAWN: Final = {"faces": "truth.jsonl", "scenes": "scenes.jsonl"}
"""What a source that draws its pictures leaves in the prepared set, beside the records."""


def simulated(noted: bool | None, names: str | None) -> bool:
    """Return what was noted of an answer; else whether those who gave it, parted by commas, include one of ours."""
    return noted if noted is not None else not SIMULATED.isdisjoint((names or "").split(", "))


def synthetic(noted: str | None, folder: Path | None, sources: Collection[str] = ()) -> str:
    """Return what of a prepared set's pictures is drawn, "faces", "scenes" or "nothing", as it was noted.

    Else as its folder says, if it is known, or the sources of its rows, if all of these are ours.
    """
    if noted is not None:
        return noted
    drawn = [what for what, file in DRAWN.items() if folder and (folder / file).is_file()]
    return drawn[0] if drawn else "scenes" if set(sources) == {"synthetic_scenes"} else "nothing"


def simulated_by_notes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the notes of an evaluation say that does not name its models."""
    if "simulated" in _notes(manifest):
        yield "simulated annotator"


def synthetic_by_notes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the notes of an evaluation say of its pictures, whose prepared set may be gone."""
    if "synthetic faces" in _notes(manifest):
        yield "synthetic faces"


def scores(noted: str | None, config: Mapping[str, Any]) -> str:
    """Return what was noted of an evaluation, whether it scores "answers" or given "labels"; else by its class."""
    target = str((config.get("benchmark") or {}).get("_target_"))
    return noted or ("labels" if target.rpartition(".")[2] == "Reliability" else "answers")


def floor(config: Mapping[str, Any]) -> float | None:
    """Return E[S] of Algorithm 1 at U = 0 where a generation's settings name that rule; None for other rules."""
    rule = config.get("stopping") or {}
    if str(rule.get("_target_")).rpartition(".")[2] != "uamc":
        return None
    most = (config.get("generator") or {}).get("max_samples", rule.get("max_samples"))
    return algorithm_floor(most) if isinstance(most, int) and most >= 2 else None


def _notes(manifest: Mapping[str, Any]) -> str:
    return " ".join(map(str, manifest.get("notes") or ()))
