"""LLaVA-OneVision's processor: read from a checkpoint without torchvision, written as the Hub's files.

transformers' LlavaOnevisionProcessor insists on a video processor, and that on torchvision, which no face needs. Here
it is built without; written are the names and files that llava-hf publishes, so that `AutoProcessor` finds all three
parts and no class of ours stands in any of them.
"""

import json
from pathlib import Path
from typing import Any, Final

from transformers import Qwen2Tokenizer
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.processing_utils import ProcessorMixin

from seke.models.chat import system_of, template

PROCESSOR: Final = "LlavaOnevisionProcessor"
SETTINGS: Final = (
    "num_image_tokens",
    "vision_feature_select_strategy",
    "vision_aspect_ratio",
    "image_token",
    "video_token",
)
"""What processor_config.json says beside the names of classes."""
OF_FRAMES: Final = (
    "do_convert_rgb",
    "do_normalize",
    "do_rescale",
    "do_resize",
    "image_mean",
    "image_std",
    "resample",
    "rescale_factor",
    "size",
)
"""Settings that frames of a video share with pictures."""
TEMPLATE_FILE: Final = "chat_template.jinja"
WRITTEN: Final = (
    TEMPLATE_FILE,
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)


class ImageOnlyProcessor(LlavaOnevisionProcessor):  # type: ignore[misc]
    """LlavaOnevisionProcessor without its video processor, which needs torchvision. It is never written as itself."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        num_image_tokens: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        video_token: str = "<video>",
        vision_aspect_ratio: str = "anyres_max_9",
        **_: Any,
    ) -> None:
        # ProcessorMixin reads this signature to learn its parts: that is why no video_processor may stand in it.
        self.num_image_tokens = num_image_tokens
        self.vision_feature_select_strategy = vision_feature_select_strategy
        self.vision_aspect_ratio = vision_aspect_ratio
        self.image_token, self.video_token = image_token, video_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> list[str]:
        """Write the Hub's files (`WRITTEN`), under the Hub's class names; return their paths."""
        return [str(path) for path in save(self, Path(save_directory))]


def read(directory: Path, jinja: str | None = None, system: str | None = None) -> ImageOnlyProcessor:
    """Return the processor of a checkpoint, whether its parts lie in one file or, as on the Hub, in several.

    Args:
        directory: the checkpoint's.
        jinja: chat template; ours unless another is wanted.
        system: the system turn of ours, "" for none; None: what the checkpoint was trained with, if it is of ours.
    """
    if jinja is None:
        file = directory / TEMPLATE_FILE
        trained_with = system_of(file.read_text(encoding="utf-8")) if file.is_file() else None
        jinja = template(trained_with if system is None else system)
    pictures = LlavaOnevisionImageProcessorPil.from_pretrained(directory, local_files_only=True)
    tokenizer = Qwen2Tokenizer.from_pretrained(directory, local_files_only=True)
    settings: dict[str, Any] = {}
    if (file := directory / "processor_config.json").is_file():
        settings = json.loads(file.read_text(encoding="utf-8"))
    given = {name: settings[name] for name in SETTINGS if name in settings}
    return ImageOnlyProcessor(pictures, tokenizer, chat_template=jinja, **given)


def save(processor: Any, folder: Path) -> list[Path]:
    """Write a LLaVA-OneVision processor as llava-hf publishes it, with our chat template; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = processor.tokenizer
    for told in ("is_local", "local_files_only", "processor_class"):  # how it was loaded here is no property of it
        tokenizer.init_kwargs.pop(told, None)
    tokenizer.save_pretrained(folder)
    pictures = {name: value for name, value in processor.image_processor.to_dict().items() if value is not None}
    pictures |= {"image_processor_type": "LlavaOnevisionImageProcessor", "processor_class": PROCESSOR}
    frames = {name: pictures[name] for name in OF_FRAMES if name in pictures}
    frames |= {"video_processor_type": "LlavaOnevisionVideoProcessor", "processor_class": PROCESSOR}
    whole = {name: getattr(processor, name) for name in SETTINGS} | {"processor_class": PROCESSOR}
    texts = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    for name, content in (
        ("processor_config.json", whole),
        ("preprocessor_config.json", pictures),
        ("video_preprocessor_config.json", frames),
        ("tokenizer_config.json", texts | {"processor_class": PROCESSOR}),
    ):
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / TEMPLATE_FILE).write_text(template(system_of(processor.chat_template)), encoding="utf-8")
    return [folder / name for name in WRITTEN]
