"""Processors of the families that transformers knows, without their part for videos, which needs torchvision.

Pictures go through the Pillow variant of a checkpoint's image processor, on every machine: whether torchvision is
installed changes no pixel. The files that the processor is made of are kept as they were published, and written beside
the tuned weights, so that `AutoProcessor` finds all of its parts there and no class of ours stands in any of them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from transformers import AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from seke.core.errors import UserError
from seke.models.checkpoint_checks import MINE, PICTURES
from seke.models.checkpoint_files import read_json

OTHERS: Final = ("config.json", "generation_config.json", "model.safetensors.index.json")
"""Files that the model writes itself."""
CLIPS: Final = "video_preprocessor_config.json"


class _WithoutVideos(ProcessorMixin):  # type: ignore[misc]
    """Stands behind transformers' class in the order of base classes, and takes the part for videos out of its call."""

    def __init__(self, image_processor: Any, tokenizer: Any, video_processor: Any = None, **settings: Any) -> None:
        known = {name: value for name, value in settings.items() if name == "chat_template"}
        ProcessorMixin.__init__(self, image_processor, tokenizer, **known)


def without_videos(kind: type) -> type:
    """Return transformers' processor class `kind`, to be made of an image processor and a tokenizer alone."""

    def __init__(
        self: Any, image_processor: Any, tokenizer: Any, chat_template: str | None = None, **settings: Any
    ) -> None:
        made: Any = kind
        made.__init__(self, image_processor, tokenizer, None, chat_template=chat_template, **settings)

    return type(f"{kind.__name__}WithoutVideos", (kind, _WithoutVideos), {"__init__": __init__})


class ProcessorFiles(NamedTuple):
    """A checkpoint's small files that its processor is read from, found there by `check_processor_files`."""

    source: str
    directory: Path
    content: dict[str, bytes]
    """By name."""
    changed: Mapping[str, Any] = {}
    """Settings of the image processor that are asked to differ from those in the files."""

    @classmethod
    def read(cls, source: str, directory: Path) -> "ProcessorFiles":
        """Read what there is."""
        found = [path for pattern in ("*.json", "*.jinja", "*.txt", "*.model") for path in directory.glob(pattern)]
        return cls(source, directory, {path.name: path.read_bytes() for path in found if path.name not in OTHERS})

    def images(self, kind: type) -> Any:
        """Return the image processor, of the class `kind`."""
        name = next(name for name in PICTURES if name in self.content)
        settings = read_json("model.path", self.source, self.directory / name)
        if name == PICTURES[1]:
            settings = settings["image_processor"]
        made: Any = kind
        return made.from_dict({key: value for key, value in settings.items() if key != "processor_class"})

    def tokenizer(self) -> Any:
        """Return the tokenizer; no code of the checkpoint's is run."""
        return AutoTokenizer.from_pretrained(self.directory, trust_remote_code=False, local_files_only=True)

    def settings(self) -> dict[str, Any]:
        """Return what the processor's own file says."""
        name = "processor_config.json"
        return read_json("model.path", self.source, self.directory / name) if name in self.content else {}

    def video(self) -> dict[str, Any]:
        """Return what its files say of how clips are prepared; empty where pictures' settings are theirs."""
        if CLIPS in self.content:
            return read_json("model.path", self.source, self.directory / CLIPS)
        return dict(self.settings().get("video_processor") or {})

    def template(self) -> str:
        """Return the chat template.

        Raises:
            UserError: if there is none.
        """
        if "chat_template.jinja" in self.content:
            return self.content["chat_template.jinja"].decode()
        for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            if name in self.content:
                found = read_json("model.path", self.source, self.directory / name).get("chat_template")
                if isinstance(found, str):
                    return found
        raise UserError("model.path", self.source, "it has no chat template", MINE)

    def save(self, folder: Path) -> None:
        """Write the files to `folder`, with those settings of the image processor that were changed."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.content.items():
            (folder / name).write_bytes(_with(content, self.changed) if self.changed and name in PICTURES else content)


def _with(content: bytes, changed: Mapping[str, Any]) -> bytes:
    """Return a file of settings with some of the image processor's changed, wherever in it these stand."""
    said = json.loads(content)
    own = said["image_processor"] if isinstance(said.get("image_processor"), dict) else said
    if own is said and "image_processor_type" not in said and "size" not in said:
        return content  # the processor's file, while the image processor has one of its own
    own |= changed
    if "size" in changed:  # what older files say in its place
        for name in ("min_pixels", "max_pixels"):
            own.pop(name, None)
    return (json.dumps(said, indent=2, sort_keys=True) + "\n").encode()
