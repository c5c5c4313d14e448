"""Files of a checkpoint's directory, checked before anything of it is used: which there are, how large they are.

Checkpoints come from others. Nothing here runs code, waits for a pipe, or takes more memory than the file it reads.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from huggingface_hub import snapshot_download
from safetensors import safe_open

from seke.core.errors import UserError

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
READ: Final = ("*.json", "*.jinja", "*.txt", "*.model", "model*.safetensors", "*/*.json", "*/*.txt", "*/*.jinja")
"""What is fetched of a repository of the Hub, and looked at in a directory."""
LARGEST_CONFIG: Final = 8 << 20
LARGEST_TEXT: Final = 128 << 20
"""Bytes of a configuration, and of a vocabulary or tokenizer; the largest published ones have a quarter of it."""
VOCABULARIES: Final = ("tokenizer.json", "vocab.json", INDEX)
MOST_FILES: Final = 10_000
MOST_ENTRIES: Final = 100_000
MOST_LAYERS: Final = 1_000
"""Layers, blocks or experts: several times what any published model has."""
LARGEST_SIZE: Final = 1 << 27
"""Of any width, vocabulary or number of positions."""
LARGEST_PICTURE: Final = 8_192
"""Pixels a side that a vision tower reads."""
MOST_PATCHES: Final = 1_024
"""Patches a side."""
LAYERS: Final = re.compile(r"(layers|depths?|blocks|experts)$|^n_layer$")
"""Keys of a configuration that say how many modules are built."""
POSITIVE: Final = (
    "hidden_size",
    "image_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "patch_size",
    "vocab_size",
)
IDS: Final = re.compile(r"(^|_)(ids?|index|indexes)$")


class Weights(NamedTuple):
    """What the headers of a checkpoint's files say of its weights."""

    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str]
    """safetensors' names: F32, BF16, I64, ..."""

    @property
    def numbers(self) -> int:
        """How many numbers they are."""
        total = 0
        for shape in self.shapes.values():
            size = 1
            for side in shape:
                size *= side
            total += size
        return total


def fetched(argument: str, source: str, weights: bool = True) -> Path:
    """Return the directory that `source` is, or that the Hub's repository of this id is kept in, its files checked.

    `weights`: whether they are wanted, too; all else is small.

    Raises:
        UserError: naming the file that is not what it should be.
        OSError: if the repository is neither kept here nor reachable.
    """
    directory = Path(source)
    if not directory.is_dir():
        if source.count("/") != 1 or source.startswith((".", "/")):
            raise UserError(argument, source, "no such directory", "give a directory, a run's name or a Hub id")
        wanted = [pattern for pattern in READ if weights or not pattern.endswith(".safetensors")]
        offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        directory = Path(snapshot_download(source, allow_patterns=wanted, local_files_only=offline))
    for file in _files(argument, source, directory):
        _check_file(argument, source, file)
    return directory


def _files(argument: str, source: str, directory: Path) -> Iterator[Path]:
    seen = 0
    for place in (directory, *(path for path in sorted(directory.iterdir()) if path.is_dir())):
        for path in sorted(place.iterdir()):
            seen += 1
            if seen > MOST_FILES:
                raise UserError(argument, source, f"more than {MOST_FILES} files", "give the model's own directory")
            relative = path.relative_to(directory)
            if any(relative.match(pattern) and len(relative.parts) == 1 + pattern.count("/") for pattern in READ):
                yield path


def _check_file(argument: str, source: str, file: Path) -> None:
    """Refuse what is no regular file, or larger than text of its kind ever is."""
    if file.name == "adapter_config.json":
        problem = "it holds an adapter (adapter_config.json), not a whole model"
        raise UserError(argument, source, problem, "merge it into its base first (peft: merge_and_unload)")
    try:
        found = file.stat()
    except OSError as error:
        remedy = "copy the file itself into the directory"
        raise UserError(argument, source, f"{file.name} leads nowhere ({error.strerror})", remedy) from error
    if not stat.S_ISREG(found.st_mode):
        raise UserError(argument, source, f"{file.name} is not a regular file", "copy the checkpoint again")
    if file.suffix != ".safetensors":
        largest = LARGEST_CONFIG if file.suffix == ".json" and file.name not in VOCABULARIES else LARGEST_TEXT
        if file.suffix == ".jinja":
            largest = LARGEST_CONFIG
        if found.st_size > largest:
            problem = f"{file.name} has {found.st_size:,} bytes, more than {largest:,}"
            raise UserError(argument, source, problem, "take it from the model's publisher again")


def read_json(argument: str, source: str, file: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        UserError: if there is none, or it is no JSON object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            argument, source, f"cannot be loaded (no {file.name})", "give the directory of a whole checkpoint"
        ) from error
    except (ValueError, RecursionError) as error:
        problem = f"{file.name} cannot be loaded ({' '.join(str(error).split())[:120]})"
        raise UserError(argument, source, problem, "copy the checkpoint again") from error
    if not isinstance(content, dict):
        raise UserError(argument, source, f"{file.name} is no JSON object", "copy the checkpoint again")
    return content


def read_weights(argument: str, source: str, directory: Path) -> Weights:
    """Return what the weights' headers say; no weight is read.

    Raises:
        UserError: if there are no safetensors, or their index leads out of the directory.
        SafetensorError: if a file is not whole.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, str] = {}
    for file in _shards(argument, source, directory):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  (it is no mapping)
                view = opened.get_slice(name)
                shapes[name], types[name] = tuple(view.get_shape()), str(view.get_dtype())
    return Weights(shapes, types)


def _shards(argument: str, source: str, directory: Path) -> list[Path]:
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    if not (directory / INDEX).is_file():
        if pickles := sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in directory.glob(pattern)):
            problem = f"{pickles[0]} is a pickle, which can run code, and is never read"
            raise UserError(argument, source, problem, "save the weights as safetensors")
        raise UserError(
            argument, source, f"cannot be loaded (no {WEIGHTS})", "give the directory of a whole checkpoint"
        )
    parts = read_json(argument, source, directory / INDEX).get("weight_map")
    names = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
    for name in names:
        if Path(name).name != name:
            raise UserError(argument, source, f"{INDEX} leads out of it, to {name}", "copy the checkpoint again")
        if not (directory / name).is_file():
            raise UserError(argument, source, f"no {name}, which {INDEX} names", "copy the checkpoint again")
        _check_file(argument, source, directory / name)
    if not names:
        raise UserError(argument, source, f"{INDEX} names no files", "copy the checkpoint again")
    return [directory / name for name in names]


def check_numbers(argument: str, source: str, config: Mapping[str, Any], weights: Weights | None = None) -> None:
    """Refuse a configuration whose numbers no model has: building it would take hours, or all memory.

    `weights`, once they are known: no more layers than there are of them.

    Raises:
        UserError: naming the first such number.
    """
    for number, (where, key, value) in enumerate(_entries(config)):
        problem = "one of more entries than any has" if number > MOST_ENTRIES else _problem(key, value, weights)
        if problem:
            said = f"its config.json says {where}={str(value)[:60]}, {problem}"
            raise UserError(argument, source, said, "take the file from the model's publisher")
    for part in (config, *(value for value in config.values() if isinstance(value, Mapping))):
        side, patch = part.get("image_size"), part.get("patch_size")
        if isinstance(side, int) and isinstance(patch, int) and side > MOST_PATCHES * patch:
            said = f"its config.json says image_size={side}, {side // patch} patches of {patch} a side"
            raise UserError(argument, source, said, "take the file from the model's publisher")


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, key, value) of everything in a configuration; what lies in a list has the list's key."""
    waiting: list[tuple[str, str, Any]] = [("", "", config)]
    while waiting:
        where, key, node = waiting.pop()
        if where:
            yield where, key, node
        if isinstance(node, Mapping):
            waiting += [(f"{where}.{name}".lstrip("."), str(name), value) for name, value in node.items()]
        elif isinstance(node, list):
            waiting += [(f"{where}.{place}", key, value) for place, value in enumerate(node)]


def _problem(key: str, value: object, weights: Weights | None) -> str | None:
    """Return what is wrong with one entry."""
    if key.endswith("attn_implementation") and isinstance(value, str) and not value.isidentifier():
        return "which is code of someone else's"
    if isinstance(value, float) and math.isnan(value):
        return "no number"
    if isinstance(value, bool) or not isinstance(value, int) or IDS.search(key):
        return None
    if LAYERS.search(key) and not 0 <= value <= MOST_LAYERS:
        return f"not from 0 to {MOST_LAYERS}"
    if LAYERS.search(key) and weights and value > max(64, len(weights.shapes)):
        return f"but its files hold {len(weights.shapes)} weights"
    if key == "image_size" and value > LARGEST_PICTURE:
        return f"more than {LARGEST_PICTURE} pixels a side"
    if key in POSITIVE and value < 1:
        return "less than 1"
    return f"more than {LARGEST_SIZE:,}" if abs(value) > LARGEST_SIZE else None
