"""Reading of manifest.json: one is believed only if it is whole and its fields have the types that readers expect.

One may be cut by a full disk, written by hand, or be another program's: what it would say is then not known.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FORM: Final[Mapping[str, type]] = {
    "config": dict, "inputs": dict, "image_root": str, "base": str, "trained_on": list, "notes": list, "models": list,
}  # fmt: skip
"""The fields that other commands read, each where there is one; lists are lists of texts."""
SECTIONS: Final = ("paths", "data", "backend", "benchmark")
"""Parts of `config` that other commands look into."""


def read(path: Path) -> dict[str, Any] | None:
    """Return the manifest in the file `path`; None where there is none, or none that is whole and of this form."""
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and of_form(manifest) else None


def of_form(manifest: Mapping[str, Any]) -> bool:
    """Return whether the fields that others read are what these take them for.

    >>> of_form({"image_root": "faces", "notes": ["a"]}), of_form({"image_root": 5}), of_form({"notes": "a"})
    (True, False, False)
    """
    known = {name: manifest[name] for name in FORM if name in manifest}
    if not all(isinstance(value, FORM[name]) for name, value in known.items()):
        return False
    listed = (value if isinstance(value, list) else [value] for value in known.values() if not isinstance(value, dict))
    texts = [text for values in listed for text in values]
    sections = [known.get("config", {}).get(name) or {} for name in SECTIONS]
    return all(isinstance(text, str) and "\0" not in text for text in texts) and all(
        isinstance(section, dict) for section in sections
    )
