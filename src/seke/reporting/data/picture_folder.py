"""The folder of the pictures that a report shows, remembered from the last time: runs that were handed over name none.

Who gets a copy of somebody's runs has the pictures elsewhere, says so once, and the report finds them from then on.
"""

from pathlib import Path
from typing import Final

from seke.core import manifests, runs

IMAGES: Final = "images"
"""Its key in the report's manifest, which stays beside the page and is no part of it."""


def remembered(report: Path, given: str | None) -> str | None:
    """Return the setting `paths.images`: what is given, else what it was when this report was last made.

    A folder that is not there any more is forgotten.

    Args:
        report: outputs/report/<name>.
        given: the setting as it is given now.
    """
    if given is not None:
        return str(Path(given).resolve())
    before = (manifests.read(report / runs.MANIFEST) or {}).get(IMAGES)
    return before if isinstance(before, str) and Path(before).is_dir() else None
