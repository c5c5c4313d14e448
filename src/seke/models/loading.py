"""Loading a checkpoint of a family that this program trains, whole or in outline, and freezing what does not train."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from seke.models.checkpoint_checks import load_errors
from seke.models.checkpoint_files import check_numbers, read_weights
from seke.models.protocol import TrainableVLM
from seke.models.weight_checks import PLAINLY, check_loaded, check_size, generation_config, warn_ignored


class CheckpointFiles(NamedTuple):
    """A checkpoint's directory, configuration and processor, checked."""

    directory: Path
    settings: Any
    """The transformers configuration."""
    processor: Any
    ends: Mapping[str, int]
    """Tokens that are known better than generation_config.json knows them, such as `eos_token_id`."""


Opener = Callable[[str, bool], CheckpointFiles]
"""(directory or Hub id, whether the weights are fetched too) -> the small files."""


def load(source: str, opener: Opener, architecture: Any, dtype: str, attention: str) -> tuple[Any, CheckpointFiles]:
    """Return a model, in eval mode, with all its weights, and what was opened; no code from the Hub is run.

    Args:
        source: a directory in Hugging Face layout, or a Hub id.
        opener: looks at its small files.
        architecture: transformers' class of the model.
        dtype: of the weights, as torch names it.
        attention: as transformers names it.

    Raises:
        UserError: if there is no such model here and the Hub cannot be reached, its files are not whole, or it is of
            another architecture.
    """
    with load_errors("model.path", source), quiet():
        opened = opener(source, True)
        weights = read_weights("model.path", source, opened.directory)
        check_numbers("model.path", source, opened.settings.to_dict(), weights)
        check_size("model.path", source, lambda: architecture(opened.settings), weights)
        asked, left = generation_config(opened.directory, **opened.ends)
        model, found = architecture.from_pretrained(
            opened.directory,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            generation_config=asked,
            **PLAINLY,
        )
        check_loaded("model.path", source, model, found)
    warn_ignored(source, left)
    return model.eval(), opened


def outline(source: str, opener: Opener, architecture: Any, dtype: str, attention: str) -> tuple[Any, CheckpointFiles]:
    """Return a model without its weights, on the device `meta`; otherwise as `load`."""
    with load_errors("model.path", source), quiet():
        opened = opener(source, False)
        with torch.device("meta"):
            model = architecture._from_config(
                opened.settings, dtype=getattr(torch, dtype), attn_implementation=attention
            )
        model.tie_weights()
    return model.eval(), opened


def parameter_groups(
    loaded: TrainableVLM,
    tuned: Callable[[str, str], bool],
    lr: float,
    lr_of: Mapping[str, float] | None,
    dtype: str,
    dead: Callable[[str], bool] = lambda name: False,
) -> list[dict[str, Any]]:
    """Freeze all parameters but those that are tuned, in place, and put the model into training mode.

    Args:
        loaded: the model.
        tuned: whether a parameter is, by its name and its part. All others are kept in `dtype`: frozen weights need
            no float32, and what passes between the parts is cast there.
        lr: learning rate.
        lr_of: that of a part, where it is another.
        dtype: as torch names it.
        dead: whether a parameter of this name never gets a gradient, on one of which DDP insists.

    Returns:
        A group of each part that has any: its "name", "params" and "lr".
    """
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in loaded.model.named_parameters():
        part = loaded.part(name)
        trains = tuned(name, part)
        parameter.requires_grad_(trains and not dead(name))
        if not trains:
            parameter.data = parameter.data.to(getattr(torch, dtype))
        if parameter.requires_grad:
            groups.setdefault(part, []).append(parameter)
    loaded.train_mode()
    return [{"name": part, "params": params, "lr": (lr_of or {}).get(part, lr)} for part, params in groups.items()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' loading chatter; errors still come as exceptions."""
    before, root = transformers_logging.get_verbosity(), logging.getLogger("transformers")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        root.propagate = False
