"""Loader of any vision LLM of transformers and its processor, by Hub id or directory, checked before it is used.

A processor's template, tokenizer and sizes are the checkpoint's own. They are tried first in a process of their own,
with bounds on its time and memory: a loop in a template or an expression without end cannot be stopped in this one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils import is_torchvision_available

from seke.core.errors import UserError
from seke.models import llava_ov_processor
from seke.models.chat import TEMPLATE
from seke.models.checkpoint_checks import load_errors
from seke.models.checkpoint_files import check_numbers, fetched, read_json, read_weights
from seke.models.weight_checks import PLAINLY, check_loaded, check_size, generation_config, warn_ignored

REMEDY: Final = "check the directory, or the id and the network; a model with code of its own needs backend=vllm"
SECONDS: Final = 180
PROCESSOR_SECONDS: Final = 20
"""How long a processor may take to start and to prepare one question, and how much of it computing; a published one
takes under a second, the libraries some more."""
MOST_CHARACTERS: Final = 1_000_000
MOST_TOKENS: Final = 100_000
"""Of one question with a small picture."""
MEMORY: Final = 4 << 30
"""Bytes that it may take for that, beside the libraries."""
QUESTION: Final = "Which emotion does this face show, which facial action units are active, and how strong are they?"
tried: set[tuple[str, int]] = set()
"""Processors found good by this process: their directory, and when its newest file was written."""


def load(argument: str, source: str, dtype: torch.dtype, conversation: bool = False) -> tuple[Any, Any]:
    """Return a model, in eval mode, and its processor; no code of their own is run.

    Args:
        argument: the setting that names the model.
        source: its value, a directory in Hugging Face layout or a Hub id.
        dtype: of the weights.
        conversation: whether the processor must also render a question with its chat template.

    Raises:
        UserError: if there is no such model, or it is not whole or sound.
    """
    with load_errors(argument, source, REMEDY):
        directory = fetched(argument, source)
        config = read_json(argument, source, directory / "config.json")
        weights = read_weights(argument, source, directory)
        check_numbers(argument, source, config, weights)
        _try_out(argument, source, directory, conversation)
        processor = read_processor(argument, source, directory)
        settings = AutoConfig.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
        if not config.get("quantization_config"):
            check_size(argument, source, lambda: AutoModelForImageTextToText.from_config(settings), weights)
        asked, left = generation_config(directory)
        if asked.eos_token_id is None:
            own = getattr(settings.get_text_config(), "eos_token_id", None)
            asked.eos_token_id = processor.tokenizer.eos_token_id if own is None else own
        model, found = AutoModelForImageTextToText.from_pretrained(
            directory, dtype=dtype, generation_config=asked, **PLAINLY
        )
        check_loaded(argument, source, model, found)
    warn_ignored(source, left)
    return model.eval(), processor


def read_processor(argument: str, source: str, directory: Path) -> Any:
    """Return the processor of a checkpoint; LLaVA-OneVision's without torchvision, which only its videos need.

    Raises:
        UserError: if it needs what is not installed, or reads no pictures, or no text.
    """
    kind = read_json(argument, source, directory / "config.json").get("model_type")
    if kind == "llava_onevision" and not is_torchvision_available():
        file = directory / "chat_template.jinja"
        template = file.read_text(encoding="utf-8") if file.is_file() else TEMPLATE
        return llava_ov_processor.read(directory, template)
    try:
        processor = AutoProcessor.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
    except ImportError as error:
        if is_torchvision_available() or "torchvision" not in str(error).lower():
            raise
        remedy = "pip install torchvision (of the same build as torch), or use a server: backend=vllm"
        raise UserError(argument, source, "its processor needs torchvision, which is not here", remedy) from error
    for part, what in (("image_processor", "pictures"), ("tokenizer", "text")):
        if getattr(processor, part, None) is None:
            raise UserError(argument, source, f"it reads no {what}: its processor has no {part}", "give a vision LLM")
    return processor


def question(processor: Any, conversation: bool = True) -> Any:
    """Return one question about a small picture, or the picture alone, as a processor prepares it.

    Raises:
        ValueError: if it becomes longer than any question is.
    """
    picture = Image.radial_gradient("L").resize((96, 64)).convert("RGB")
    if not conversation:
        return processor.image_processor([picture], return_tensors="pt")
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"its chat template makes {len(text):,} characters of one question")
    prepared = processor(text=[text], images=[[picture]], return_tensors="pt")
    if (tokens := prepared["input_ids"].shape[1]) > MOST_TOKENS:
        raise ValueError(f"one question becomes {tokens:,} tokens")
    return prepared


def answer_once(argument: str, source: str, model: Any, processor: Any, dtype: torch.dtype) -> None:
    """Have a model answer one question in one token, on the device where it lies.

    Raises:
        UserError: if it cannot; `argument`=`source` names it.
    """
    with load_errors(argument, source), torch.inference_mode():
        asked = question(processor).to(model.device, dtype)
        model.generate(**asked, max_new_tokens=1, do_sample=False, pad_token_id=processor.tokenizer.pad_token_id)


def _try_out(argument: str, source: str, directory: Path, conversation: bool) -> None:
    newest = max((path.stat().st_mtime_ns for path in directory.iterdir()), default=0)
    if (str(directory), newest) in tried:
        return
    asked = json.dumps([argument, source, str(directory), conversation])
    # Nothing that an attacker may have put into the working directory is imported.
    command = [sys.executable, "-P", "-c", "from seke.models.auto import _child; _child()", asked]
    hidden = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    known = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, **hidden, "PYTHONPATH": known}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        problem = f"its processor does not prepare one question within {SECONDS} s"
        raise UserError(argument, source, problem, "look at its chat template and tokenizer") from error
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if line.startswith("refused: ")), "")
        problem, _, remedy = said.removeprefix("refused: ").partition("\t")
        ended = "its processor takes too long, or too much memory, to prepare one question"
        raise UserError(argument, source, problem or ended, remedy or "look at its chat template and tokenizer")
    tried.add((str(directory), newest))


def _child() -> None:
    """Try out the processor that the command line names, within bounds; say on stderr what is wrong with it."""
    import resource

    argument, source, directory, conversation = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    if sys.platform == "linux":
        here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = here + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with load_errors(argument, source, REMEDY):
            question(read_processor(argument, source, Path(directory)), conversation)
    except UserError as error:
        print(f"refused: {error.problem}\t{str(error).rpartition('; ')[2]}", file=sys.stderr)
        raise SystemExit(1) from None
