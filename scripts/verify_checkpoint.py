"""Whether a LLaVA-OneVision checkpoint is what transformers, vLLM and lmms-eval expect, before it is passed on.

    python scripts/verify_checkpoint.py outputs/train/seke/model
    python scripts/verify_checkpoint.py DIR --layout model.safetensors.index.json    # of the Hub's own checkpoint

Compares the weights' names with the Hub's layout, loads the directory with transformers alone, and compares its logits
on one generated picture with ours. A mismatch is one line and exit code 2.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from safetensors import safe_open

from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.llava_ov_processor import PROCESSOR, WRITTEN
from seke.models.weight_names import hub_name

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BESIDE = ("config.json", "generation_config.json", *WRITTEN)
QUESTION = "What does this face show?"
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-3}
"""Largest difference between two computations of a logit, relative to the largest logit."""


class Verified(NamedTuple):
    """What was found to be right."""

    tensors: int
    dtype: str
    difference: float
    """Largest difference of a logit, relative to the largest logit."""


def names(given: Path) -> set[str]:
    """Return the names of the weights in a directory, or in an index file.

    Raises:
        UserError: if neither is there.
    """
    index = given / INDEX if given.is_dir() else given
    if index.is_file():
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    if not (given / WEIGHTS).is_file():
        raise UserError("checkpoint", given, f"neither {WEIGHTS} nor {INDEX}", "give a directory that holds a model")
    with safe_open(given / WEIGHTS, "pt") as file:
        return set(file.keys())


def layout(directory: Path) -> set[str]:
    """Return the names that the Hub gives to a model of this directory's configuration."""
    from transformers import AutoConfig, LlavaOnevisionForConditionalGeneration

    config = AutoConfig.from_pretrained(directory)
    if config.model_type != "llava_onevision":
        raise UserError("checkpoint", directory, f"a model of type {config.model_type}", "give a LLaVA-OneVision")
    with torch.device("meta"):
        model: Any = LlavaOnevisionForConditionalGeneration(config)
    tied = bool(config.tie_word_embeddings or config.text_config.tie_word_embeddings)
    return {hub_name(name) for name in model.state_dict() if not (tied and name == "lm_head.weight")}


def picture(tile: int) -> Image.Image:
    """Return a picture one and a half tiles wide, so that AnyRes has something to cut."""
    ramp = Image.radial_gradient("L").resize((tile * 3 // 2, tile))
    return Image.merge("RGB", (ramp, ramp.rotate(180), ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def theirs(directory: Path) -> tuple[list[int], torch.Tensor]:
    """Return prompt ids and logits (T, V) by transformers alone, as a server would come to them."""
    from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
    from transformers.utils import logging

    logging.disable_progress_bar()
    model: Any
    model, found = LlavaOnevisionForConditionalGeneration.from_pretrained(
        directory, dtype="auto", output_loading_info=True, local_files_only=True
    )
    wrong = {kind: sorted(map(str, keys))[:3] for kind, keys in found.items() if keys}
    if wrong:
        raise UserError("checkpoint", directory, f"transformers loads it with {wrong}", "export it again")
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    processor = LlavaOnevisionImageProcessorPil.from_pretrained(directory, local_files_only=True)
    seen = processor([picture(model.config.vision_config.image_size)], return_tensors="pt")
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    template = (directory / "chat_template.jinja").read_text(encoding="utf-8")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=template, tokenize=False, add_generation_prompt=True
    )
    with torch.no_grad():
        pixels = seen["pixel_values"].to(model.dtype)
        features = model.get_image_features(pixels, seen["image_sizes"]).pooler_output[0]
        ids = tokenizer(prompt.replace("<image>", "<image>" * len(features)), add_special_tokens=False)["input_ids"]
        logits = model(input_ids=torch.tensor([ids]), pixel_values=pixels, image_sizes=seen["image_sizes"]).logits
    return ids, logits[0].float()


def ours(directory: Path, dtype: str) -> tuple[list[int], torch.Tensor]:
    """Return the same by our own loading, preprocessing and template."""
    loaded = LlavaOv(str(directory), dtype=dtype).load()
    pixels = loaded.pixels(picture(loaded.tile))
    [ids] = loaded.prompts([[("user", QUESTION, (pixels.size,))]])
    with torch.no_grad():
        features = loaded.features(loaded.see(pixels.crops.to(loaded.model.dtype)), [len(pixels.crops)], [pixels.size])
        return ids, loaded.logits(torch.tensor([ids]), None, features)[0].float()


def verify(directory: Path, expected: Path | None = None) -> Verified:
    """Check names, loading and logits of a checkpoint; `expected`: index file or directory with the layout.

    Raises:
        UserError: naming the first thing that is not as it should be.
    """
    for file in BESIDE:
        if not (directory / file).is_file():
            raise UserError("checkpoint", directory, f"no {file}", "export it again")
    for file in WRITTEN:
        if file.endswith("_config.json"):
            kind = json.loads((directory / file).read_text(encoding="utf-8")).get("processor_class", PROCESSOR)
            if kind != PROCESSOR:
                problem = f"{file} names {kind}, which no one else has"
                raise UserError("checkpoint", directory, problem, "export it again")
    found, wanted = names(directory), names(expected) if expected else layout(directory)
    if found != wanted:
        problem = f"{len(wanted - found)} names missing, {len(found - wanted)} unknown, as {min(found ^ wanted)}"
        raise UserError("checkpoint", directory, problem, "export it again")
    dtype = str(json.loads((directory / "config.json").read_text(encoding="utf-8"))["dtype"])
    (their_ids, their_logits), (our_ids, our_logits) = theirs(directory), ours(directory, dtype)
    if their_ids != our_ids:
        raise UserError("checkpoint", directory, "its chat template renders other tokens", "export it again")
    difference = float((their_logits - our_logits).abs().max() / our_logits.abs().max())
    if not difference <= TOLERANCE[dtype]:
        raise UserError("checkpoint", directory, f"its logits differ by {difference:.1e}", "export it again")
    return Verified(len(found), dtype, difference)


@in_one_line()
def main() -> None:
    """Verify the directory named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR", help="a checkpoint, e.g. outputs/train/<name>/model")
    parser.add_argument("--layout", type=Path, help="index file or directory whose names are the right ones")
    given = parser.parse_args()
    found = verify(given.directory, given.layout)
    print(
        f"{given.directory}: {found.tensors} tensors of {found.dtype} under the Hub's names; "
        f"logits differ by {found.difference:.1e} of the largest"
    )


if __name__ == "__main__":
    main()
