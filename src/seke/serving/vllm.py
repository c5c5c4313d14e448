"""The command line that serves the same checkpoint with vLLM, for more requests than a page has."""

import json
import shlex
from pathlib import Path
from typing import Final

KNOWN: Final = ("LlavaOnevisionForConditionalGeneration",)
"""Architectures of `train.py` that vLLM lists among its supported models (docs.vllm.ai, supported models)."""


def command(checkpoint: str) -> tuple[str, ...]:
    """Return lines to show: how vLLM serves a checkpoint, and how its server is asked; or why it does not.

    Args:
        checkpoint: a directory in Hugging Face layout, or a Hub id.
    """
    folder = Path(checkpoint)
    if folder.is_dir() and (kind := _architecture(folder)) not in KNOWN:
        return (f"vLLM: {kind or 'an unknown architecture'} is not among the models that it serves",)
    name = name_of(checkpoint)
    served = ["vllm", "serve", checkpoint, "--served-model-name", name, "--host", "127.0.0.1", "--port", "8000"]
    asked = ["python", "evaluate.py", "backend=vllm", f"backend.model={name}", f"name={name}-vllm"]
    return (
        f"vLLM serves the same checkpoint (on a GPU; not run by us): {shlex.join(served)}",
        f"and is asked by: {shlex.join(asked)}",
    )


def name_of(checkpoint: str) -> str:
    """Return what to call a checkpoint: by its train run, else by the last word of its directory or Hub id.

    >>> name_of("outputs/train/mine/model"), name_of("llava-hf/llava-onevision-qwen2-7b-ov-hf")
    ('mine', 'llava-onevision-qwen2-7b-ov-hf')
    """
    path = Path(checkpoint)
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def _architecture(folder: Path) -> str:
    try:
        kinds = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    except (OSError, ValueError, AttributeError):
        return ""
    return str(kinds[0])
