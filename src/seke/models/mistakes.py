"""What can be wrong with a checkpoint before its weights are read: its architecture, its image token, its template."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from transformers import PreTrainedConfig
from transformers.utils import cached_file

from seke.errors import UserError

TEMPLATES: Final = ("chat_template.jinja", "chat_template.json")
"""Where a processor keeps its chat template, the newer place first."""


def where(source: str) -> tuple[dict[str, Any], str]:
    """Return the options with which transformers reads a checkpoint, and what to do if that fails.

    Raises:
        UserError: if `source` is neither a directory nor looks like a Hub id.
    """
    local = Path(source).is_dir()
    if not local and (source.count("/") != 1 or source.startswith((".", "/"))):
        raise UserError("model.path", source, "no such directory", "give a directory, a run's name or a Hub id")
    remedy = "check the directory" if local else "check the id and the network, or give a local directory"
    return {"local_files_only": local or os.environ.get("HF_HUB_OFFLINE") == "1"}, remedy


@contextmanager
def told(argument: str, source: str, remedy: str) -> Iterator[None]:
    """Make one line for the user of what goes wrong within: files that are missing, not whole, or not understood."""
    try:
        yield
    except UserError:
        raise
    except (OSError, KeyError, ValueError, ImportError, SafetensorError) as error:
        first = " ".join(str(error).split())[:160]
        raise UserError(argument, source, f"cannot be loaded ({first})", remedy) from error


def check_architecture(source: str, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint's config.json, which must be of `kind`.

    Raises:
        UserError: naming what it is instead.
        OSError: if there is none.
    """
    config, _ = PreTrainedConfig.get_config_dict(source, **options)
    if config.get("model_type") != kind:
        found = ", ".join(config.get("architectures") or []) or config.get("model_type") or "an unknown kind"
        raise UserError(
            "model.path", source, f"a checkpoint of {found}, not of {kind}", "set model= to its kind or path to another"
        )
    return dict(config)


def check_images(source: str, tokenizer: Any, token: str, number: int | None, options: dict[str, Any]) -> None:
    """Refuse a checkpoint whose conversations could hold no image.

    Args:
        source: directory or Hub id.
        tokenizer: must know `token` as one token of its own.
        token: the image token, e.g. <image>.
        number: the id that the model expects for it; None: any.
        options: for reading files of `source`.

    Raises:
        UserError: if the tokenizer, the model and the template do not agree on the image token.
    """
    known = tokenizer.convert_tokens_to_ids(token)
    if known is None or known == tokenizer.unk_token_id or (number is not None and known != number):
        problem = f"its tokenizer has id {known} for {token}, its model {number}"
        raise UserError("model.path", source, problem, "use the tokenizer that belongs to this checkpoint")
    for name in TEMPLATES:
        if file := cached_file(source, name, _raise_exceptions_for_missing_entries=False, **options):
            text = Path(file).read_text(encoding="utf-8")
            template = json.loads(text)["chat_template"] if name.endswith("json") else text
            if token not in template:
                problem = f"its {name} has no {token}, so no image would reach the model"
                raise UserError("model.path", source, problem, "use the processor that belongs to this checkpoint")
            return
