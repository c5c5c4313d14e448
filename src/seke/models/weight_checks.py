"""Checks of loaded weights against the checkpoint's files: all there, none left over, every one a number.

transformers fills what is missing with random weights and only warns, and lets `generation_config.json` change what was
asked for; scored that way, a cut checkpoint is a bad model rather than a mistake.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from transformers import GenerationConfig

from seke.core.errors import UserError
from seke.models.checkpoint_files import Weights

FLOATS: Final = ("F64", "F32", "F16", "BF16")
BUFFERS: Final = ("position_ids", "inv_freq", "num_batches_tracked")
"""Endings of names that older checkpoints list and newer code computes: neither weights nor missed."""
IDS: Final = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
"""What of a generation_config.json belongs to the model rather than to how it is asked."""
SILENT: Final = (*IDS, "transformers_version", "_from_model_config", "max_length", "max_new_tokens", "use_cache")
"""Entries that change no answer of ours."""
NEUTRAL: Final[dict[str, object]] = {
    "do_sample": False, "early_stopping": False, "length_penalty": 1, "min_length": 0, "min_new_tokens": 0,
    "no_repeat_ngram_size": 0, "num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1,
}  # fmt: skip
"""Entries with the value that changes nothing."""
SAMPLING: Final = ("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p")


PLAINLY: Final[dict[str, Any]] = {
    "ignore_mismatched_sizes": True, "local_files_only": True, "output_loading_info": True,
    "trust_remote_code": False, "use_safetensors": True,
}  # fmt: skip
"""How weights are read: no code, no pickles, and told what did not fit, which `check_loaded` then refuses by name."""


def check_size(argument: str, source: str, build: Callable[[], Any], weights: Weights) -> None:
    """Refuse a checkpoint whose configuration describes a far larger model than its files hold.

    Args:
        argument: the setting that names the checkpoint.
        source: its value.
        build: makes the model from its configuration; called where weights take no memory.
        weights: what the files hold.

    Raises:
        UserError: if it does, or the weights are of a type that no weights have.
    """
    for name, kind in weights.types.items():
        if kind not in FLOATS and not name.endswith(BUFFERS):
            remedy = "give the weights in bfloat16, float16 or float32"
            raise UserError(argument, source, f"its weight {name} is of type {kind}", remedy)
    with torch.device("meta"):
        model = build()
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if wanted > 4 * weights.numbers + 1_000_000:
        problem = f"its config.json describes {wanted:,} weights, its files hold {weights.numbers:,}"
        raise UserError(argument, source, problem, "use the configuration that belongs to these weights")


def check_loaded(argument: str, source: str, model: Any, found: Mapping[str, Iterable[Any]]) -> None:
    """Refuse a model of which weights are missing, left over, of another shape, or no numbers.

    Args:
        argument: the setting that names the checkpoint.
        source: its value.
        model: as `from_pretrained` made it.
        found: what it told beside the model, with `output_loading_info=True`.

    Raises:
        UserError: naming one of them and how many there are.
    """
    remedy = "copy or export the checkpoint again"
    for kind, said in (
        ("missing_keys", "lacks"),
        ("mismatched_keys", "has other shapes than its config.json says for"),
        ("unexpected_keys", "has more than its config.json knows, with"),
    ):
        names = sorted(str(key if isinstance(key, str) else key[0]) for key in found.get(kind) or ())
        if names := [name for name in names if not name.endswith(BUFFERS)]:
            raise UserError(argument, source, f"it {said} {_some(names)}", remedy)
    spoilt = [name for name, value in model.named_parameters() if not _finite(value)]
    if spoilt:
        raise UserError(argument, source, f"not every number is finite in {_some(spoilt)}", remedy)


def check_answer(*values: torch.Tensor) -> None:
    """Refuse features or logits that are no numbers.

    Raises:
        ValueError: if any is infinite or not a number.
    """
    if not all(map(_finite, values)):
        raise ValueError("what it computes is not a number")


def _some(names: list[str]) -> str:
    return f"the weights {names[0]}" + (f" and {len(names) - 1} others" if len(names) > 1 else "")


def _finite(values: torch.Tensor) -> bool:
    return values.is_meta or not values.is_floating_point() or bool(torch.isfinite(values).all())


def generation_config(directory: Path, **ids: Any) -> tuple[GenerationConfig, list[str]]:
    """Return what a checkpoint's generation_config.json says of its tokens, and the entries that are not followed.

    What is asked of a model is greedy or seeded by us; penalties, beams and lengths of the checkpoint would change it.

    Args:
        directory: the checkpoint's.
        ids: tokens that are known better, such as `eos_token_id`.
    """
    file, said = directory / "generation_config.json", {}
    if file.is_file():
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            said = {}
    said = said if isinstance(said, dict) else {}
    own = {name: said[name] for name in IDS if _tokens(said.get(name))} | ids
    without = (*SILENT, *(() if said.get("do_sample") else SAMPLING))
    changing = {name: value for name, value in said.items() if value is not None and value != NEUTRAL.get(name)}
    left = sorted(set(changing) - set(without))
    return GenerationConfig(**own), left


def warn_ignored(source: str, left: list[str]) -> None:
    """Say on stderr which entries of a generation_config.json are not followed, if any."""
    if left:
        print(f"note: {source}: its generation_config.json ({', '.join(left)[:200]}) is not followed", file=sys.stderr)


def _tokens(value: object) -> bool:
    """Whether a value is the id of a token, or a list of ids."""
    inner = value if isinstance(value, list) else [value]
    return bool(inner) and all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in inner)
