"""Checks of a checkpoint before its weights are read: its architecture, its processor, image token and template."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.models.checkpoint_files import read_json

TEMPLATES: Final = ("chat_template.jinja", "chat_template.json")
"""Where a processor keeps its chat template, the newer place first."""
PICTURES: Final = ("preprocessor_config.json", "processor_config.json")
"""Where the settings of the image processor stand: in a file of their own, or in the processor's."""
VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")
"""Files that a tokenizer can be read from."""
PLAIN: Final = "use a plain checkpoint, or a server"
MINE: Final = "use the files that the model's publisher has beside the weights"
MOST_SHAPES: Final = 1_000
"""Shapes of grids that AnyRes chooses among; the published models have 36."""
MOST_TILES: Final = 16
"""Tiles a side of such a grid; theirs have six."""


@contextmanager
def load_errors(
    argument: str, source: str, remedy: str = "check the directory, or the id and the network"
) -> Iterator[None]:
    """Make one line for the user of whatever goes wrong within: files missing, not whole, hostile, or not understood.

    What reads them here is code of others, which on files of others raises anything, panics of Rust included.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        first = " ".join(str(error).split())[:160] or "no reason given"
        kind = "" if isinstance(error, OSError | ValueError | KeyError | ImportError) else f"{type(error).__name__}: "
        raise UserError(argument, source, f"cannot be loaded ({kind}{first})", remedy) from error


def check_architecture(source: str, directory: Path, kind: str) -> dict[str, Any]:
    """Return the checkpoint's config.json, which must be of `kind`, without code or quantisation of its own.

    Raises:
        UserError: naming what it is instead, or if there is none.
    """
    config = read_json("model.path", source, directory / "config.json")
    _check_no_code(source, "config.json", config)
    if config.get("model_type") != kind:
        architectures = config.get("architectures")
        named = ", ".join(map(str, architectures)) if isinstance(architectures, list) else ""
        found = (named or str(config.get("model_type") or "") or "an unknown kind")[:100]
        raise UserError(
            "model.path", source, f"a checkpoint of {found}, not of {kind}", "set model= to its kind or path to another"
        )
    if config.get("quantization_config"):
        problem = "its weights are quantised (config.json: quantization_config)"
        raise UserError("model.path", source, problem, PLAIN)
    return config


def _check_no_code(source: str, name: str, settings: dict[str, Any]) -> None:
    if settings.get("auto_map"):
        raise UserError("model.path", source, f"it names code of its own ({name}: auto_map)", PLAIN)


def check_processor_files(source: str, directory: Path, tokenizers: Sequence[str] = ("",)) -> None:
    """Refuse a checkpoint whose processor lacks a part, or is code of its own.

    Args:
        source: directory or Hub id.
        directory: where its files are.
        tokenizers: the folders in it that have a tokenizer each.

    Raises:
        UserError: naming the file that is not there, or that names code.
    """
    files = [*PICTURES, *(f"{folder}tokenizer_config.json" for folder in tokenizers)]
    settings = {
        name: read_json("model.path", source, directory / name) for name in files if (directory / name).exists()
    }
    for name, said in settings.items():
        _check_no_code(source, name, said)
    own, whole = PICTURES
    lacking = [] if own in settings or isinstance(settings.get(whole, {}).get("image_processor"), dict) else [
        f"{own}, so nothing says how it sees pictures"
    ]  # fmt: skip
    for folder in tokenizers:
        if not any((directory / folder / name).exists() for name in VOCABULARIES):
            lacking.append(f"{folder}{VOCABULARIES[0]}")
        elif f"{folder}tokenizer_config.json" not in settings:
            lacking.append(f"{folder}tokenizer_config.json")
    if lacking:
        raise UserError("model.path", source, f"it has no {lacking[0]}", MINE)


def check_images(source: str, tokenizer: Any, token: str, number: int | None, directory: Path) -> None:
    """Refuse a checkpoint whose conversations could hold no image.

    Args:
        source: directory or Hub id.
        tokenizer: must know `token` as one token of its own.
        token: the image token, e.g. <image>.
        number: the id that the model expects for it; None: any.
        directory: where its files are.

    Raises:
        UserError: if the tokenizer, the model and the template do not agree on the image token.
    """
    known = tokenizer.convert_tokens_to_ids(token)
    if known is None or known == tokenizer.unk_token_id or (number is not None and known != number):
        problem = f"its tokenizer has id {known} for {token}, its model {number}"
        raise UserError("model.path", source, problem, "use the tokenizer that belongs to this checkpoint")
    for name in TEMPLATES:
        file = directory / name
        if not file.is_file():
            continue
        whole = str(read_json("model.path", source, file).get("chat_template")) if name.endswith("json") else None
        if token not in (file.read_text(encoding="utf-8") if whole is None else whole):
            problem = f"its {name} has no {token}, so no image would reach the model"
            raise UserError("model.path", source, problem, "use the processor that belongs to this checkpoint")
        return


def check_pictures(source: str, config: Any, processor: Any) -> None:
    """Refuse a LLaVA-OneVision whose processor and model do not agree on how pictures are cut, or ask the absurd.

    Raises:
        UserError: naming the first setting that does not fit.
    """
    vision, pictures, tokenizer = config.vision_config, processor.image_processor, processor.tokenizer
    tile, side = int(vision.image_size), int(vision.image_size) // int(vision.patch_size)
    grid = [list(cell) for cell in pictures.image_grid_pinpoints or []]
    size = dict(pictures.size or {})
    shown = {size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge"))}
    largest = max([*tokenizer.get_vocab().values(), int(config.image_token_id)], default=0)
    spread = [float(value) for value in pictures.image_std or ()]
    ratio = str(processor.vision_aspect_ratio)
    sound = {
        "num_image_tokens": processor.num_image_tokens == side * side,
        "size": shown == {tile},
        "image_grid_pinpoints": grid == [list(cell) for cell in config.image_grid_pinpoints]
        and 0 < len(grid) <= MOST_SHAPES
        and {len(cell) for cell in grid} == {2}
        and {side for cell in grid for side in cell} <= {tile * tiles for tiles in range(1, MOST_TILES + 1)},
        "image_std": len(spread) == 3 and all(value > 0 for value in spread),
        "image_mean": len(pictures.image_mean or ()) == 3,
        "vision_aspect_ratio": re.fullmatch(r"anyres_max_[1-9]\d?", ratio) is not None
        and ratio == config.vision_aspect_ratio,
        "vision_feature_select_strategy": {processor.vision_feature_select_strategy or "full"}
        == {config.vision_feature_select_strategy}
        == {"full"},
        "vision_feature_layer": isinstance(config.vision_feature_layer, int)
        and -vision.num_hidden_layers - 1 <= config.vision_feature_layer <= vision.num_hidden_layers,
        "vocab_size": largest < config.text_config.vocab_size,
    }
    for name, fits in sound.items():
        if not fits:
            problem = f"{name} of its processor and of its model do not fit together"
            raise UserError("model.path", source, problem, "use the processor that belongs to this checkpoint")
