"""What bench_train.py measures: its cases, their data and models, and a round of each way to train on them."""

import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench import ROOT, peak

TOKENIZER = ROOT / "assets" / "llava_ov_tiny"
SOURCES = {  # images of FEID by Table 1, and (height, width) of the source's images
    "ck_plus": (293, (490, 640)), "raf_db": (2453, (100, 100)), "affectnet": (5752, (224, 224)),
    "disfa": (7001, (768, 1024)), "bp4d": (6260, (1392, 1040)), "aff_wild2": (4479, (112, 112)),
}  # fmt: skip
FEID = sum(images for images, _ in SOURCES.values())
WAYS = ("packed", "grouped", "Trainer", "SFTTrainer")
BATCH = 8
ANSWERS = (80, 400)
WARM_UP = 2
"""Optimiser steps before the clock runs."""


class Case(NamedTuple):
    """What is trained, and how."""

    samples: int
    pack_tokens: int
    workers: int
    scale: float = 1.0
    """Of the images' sides."""
    mfu: float | None = None
    """Target."""
    text: dict[str, Any] = {}  # noqa: RUF012
    """Sizes of the language model; none: the tiny model."""
    low_memory: bool = False
    """bfloat16 weights without a float32 copy, and activations computed again."""


CASES = {
    "tiny": Case(64, 4096, 1, 0.25),
    "0.5b": Case(512, 16384, 12, mfu=0.45, text={
        "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "intermediate_size": 4864, "vocab_size": 152000, "tie_word_embeddings": True}),
    "7b": Case(256, 16384, 12, mfu=0.50, low_memory=True, text={
        "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18944, "vocab_size": 152128, "tie_word_embeddings": False}),
}  # fmt: skip


class Took(NamedTuple):
    """What one round of one way took."""

    seconds: float
    waited: float
    computed: int
    """Positions of the language model, padding included."""
    tokens: int
    memory: float
    """Peak in bytes: of the GPU's tensors, else of the process."""
    flops: float
    """What the samples need."""
    peak: float | None
    """FLOP/s of the device."""


def write(folder: Path, case: Case) -> None:
    """Write images and instruction rows."""
    rng = np.random.default_rng(0)
    names, weights = list(SOURCES), np.array([images for images, _ in SOURCES.values()])
    words = ["the", "face", "shows", "raised", "brows", "which", "suggests", "surprise", "rather", "than", "fear"]
    drawn = rng.choice(names, case.samples, p=weights / weights.sum())
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number, name in enumerate(drawn):
            height, width = (round(side * case.scale) for side in SOURCES[name][1])
            coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
            coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
            answer = " ".join(rng.choice(words, rng.integers(*ANSWERS)))
            turns = [{"from": "human", "value": "<image>\nHow does this person feel, and what in the face shows it?"},
                     {"from": "gpt", "value": answer}]  # fmt: skip
            row = {"id": str(number), "image": f"{number}.jpg", "conversations": turns}
            file.write(json.dumps(row) + "\n")


def build(case: Case, device: str = "cuda") -> Any:
    """Build the model with random weights, the same in every process, with its processor; a large one on `device`."""
    import torch
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Tokenizer
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    from seke.models.llava_ov import Loaded
    from seke.models.tiny.llava_ov import build_tiny

    torch.manual_seed(0)
    tokenizer = Qwen2Tokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    tiny = build_tiny(tokenizer)
    if not case.text:
        return Loaded(tiny.model, tiny.processor, "tiny")
    side, patch = 384, 14
    pinpoints = [[side * rows, side * columns] for rows in range(1, 7) for columns in range(1, 7)]
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 26,
        "num_attention_heads": 16, "image_size": side, "patch_size": patch, "vision_use_head": False,
    }  # fmt: skip
    small = tiny.model.config
    text = {
        "model_type": "qwen2", "max_position_embeddings": 32768, "bos_token_id": None,
        "eos_token_id": small.text_config.eos_token_id, "pad_token_id": small.text_config.pad_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, **case.text,
    }  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_grid_pinpoints=pinpoints, vision_feature_layer=-1,
        image_token_index=small.image_token_index, video_token_index=small.video_token_index,
        tie_word_embeddings=case.text["tie_word_embeddings"],
    )  # fmt: skip
    with torch.device(device):
        dtype = torch.bfloat16 if case.low_memory else torch.float32
        model = LlavaOnevisionForConditionalGeneration._from_config(config, dtype=dtype, attn_implementation="sdpa")
    half = [0.5] * 3
    seeing = LlavaOnevisionImageProcessorPil(
        size={"height": side, "width": side}, image_grid_pinpoints=pinpoints, image_mean=half, image_std=half
    )
    tiny.processor.image_processor, tiny.processor.num_image_tokens = seeing, (side // patch) ** 2
    return Loaded(model, tiny.processor, "random")


def run(case: Case, way: str, folder: Path) -> Took:
    """Run one round of one way, in this process."""
    import torch

    from seke.models.llava_ov import LlavaOv
    from seke.training.data.dataset import prepare
    from seke.training.data.flops import peak as best
    from seke.training.data.flops import training, work
    from seke.training.data.mixture import Data, stream
    from seke.training.data.samplers import Batches

    gpu = bool(case.text)
    loaded = build(case)
    groups = LlavaOv("", lr=1e-5).train(loaded)
    data = Data(path=str(folder / "rows.jsonl"), cache="none", workers=case.workers, pack_tokens=case.pack_tokens)
    samples = prepare([stream(part) for part in data.sources(folder)], loaded, data, False, folder / f"{way}.arrow")
    crops = sum(len(loaded.pixels(Image.open(file).convert("RGB")).crops) for file in samples.pictures.files)
    done = work(crops, samples.lengths.tolist(), int(samples.tokens.sum()))
    parts = {group["name"] for group in groups}
    if way in WAYS[:2]:
        took = ours(case, loaded, groups, samples, way == "packed", gpu)
    else:
        order = np.concatenate(Batches(samples.lengths, samples.tokens, BATCH, group=False).order(0))
        took = theirs(case, loaded, samples, order, way, gpu)
    return took._replace(
        tokens=done.tokens,
        flops=sum(training(loaded.products(), done, parts, parts).values()),
        peak=best(torch.cuda.get_device_name()) if gpu else None,
    )


def ours(case: Case, loaded: Any, groups: Any, samples: Any, packed: bool, gpu: bool) -> Took:
    """Train with Lightning as `train.py` does."""
    from lightning.pytorch.callbacks import Callback
    from torch.utils.data import DataLoader

    from seke.training.callbacks.throughput import DataWait
    from seke.training.data.samplers import Batches, Packs, Steps, collate_step
    from seke.training.module import Sft
    from seke.training.settings import Training

    class Clock(Callback):  # type: ignore[misc]
        seconds, computed = 0.0, 0

        def on_train_start(self, *_: Any) -> None:
            self.seconds = -now(gpu)

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
            self.computed += batch["ids"].numel()

        def on_train_end(self, *_: Any) -> None:
            self.seconds += now(gpu)

    pad = loaded.processor.tokenizer.pad_token_id
    kind = {"accelerator": "gpu", "precision": "bf16-mixed"} if gpu else {}
    if case.low_memory:
        loaded.model.gradient_checkpointing_enable()
    module = Sft(loaded, groups, **optimiser(case))

    def train(steps: int) -> tuple[Clock, DataWait]:
        if packed:
            batches: Any = Packs(samples.lengths, samples.tokens, case.pack_tokens)
        else:
            batches = Batches(samples.lengths, samples.tokens, BATCH)
        collated = partial(collate_step, pad=pad, pack=packed)
        loader = DataLoader(Steps(samples), batch_sampler=batches, collate_fn=collated, num_workers=case.workers)
        clock, waiting = Clock(), DataWait()
        trainer = Training(max_steps=steps, **kind).lightning(
            logger=False, callbacks=[clock], profiler=waiting, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(module, loader)
        return clock, waiting

    train(WARM_UP)
    clock, waiting = train(-1)
    return Took(clock.seconds, waiting.seconds, clock.computed, 0, memory(gpu), 0.0, None)


def optimiser(case: Case) -> dict[str, Any]:
    """Return how weights are updated where memory is short; else the module's own AdamW does it."""
    if not case.low_memory:
        return {}
    from seke.training.optimizers import StochasticAdamW

    return {"optimizer": StochasticAdamW()}


def theirs(case: Case, loaded: Any, samples: Any, order: Any, way: str, gpu: bool, native: Any = None) -> Took:
    """Train with Hugging Face's trainers, given the same samples and a collator; `native` as in `hugging_face`."""
    import transformers

    sums = {"waited": 0.0, "computed": 0, "began": 0.0, "ended": 0.0}

    class Clock(transformers.TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            sums.update(waited=0.0, computed=0, began=now(gpu))

        def on_train_end(self, *_: Any, **__: Any) -> None:
            sums["ended"] = now(gpu)

    loaded.model.set_attn_implementation("sdpa")
    with tempfile.TemporaryDirectory() as folder:
        for steps in (WARM_UP, -1):
            hugging_face(case, loaded, samples, order, way, gpu, folder, sums, Clock(), steps, native=native).train()
    return Took(sums["ended"] - sums["began"], sums["waited"], int(sums["computed"]), 0, memory(gpu), 0.0, None)


def hugging_face(
    case: Case, loaded: Any, samples: Any, order: Any, way: str, gpu: bool, folder: str, sums: dict[str, float],
    callback: Any, steps: int = -1, batch: int = BATCH, native: Any = None,
) -> Any:  # fmt: skip
    """Return transformers' `Trainer`, or TRL's, over the samples in this order, padded.

    `native` makes of a padded batch the pictures as the model takes them; None: as LLaVA-OneVision does.
    It adds what it waits for batches ("waited", seconds) and the positions in them ("computed") to `sums`.
    """
    import torch
    from torch.utils.data import Dataset, SequentialSampler

    from seke.training.data.samplers import collate

    if way == "SFTTrainer":
        from datasets import Dataset as Table
        from trl import SFTConfig as Arguments
        from trl import SFTTrainer as Base

        more: dict[str, Any] = {"dataset_kwargs": {"skip_prepare_dataset": True}, "max_length": None}
    else:
        from transformers import Trainer as Base
        from transformers import TrainingArguments as Arguments

        more = {}
    pad = loaded.processor.tokenizer.pad_token_id

    def opened(index: int) -> dict[str, Any]:
        item = samples[index]
        return {"input_ids": item[0].ids, "item": item}

    class Drawn(Dataset[Any]):
        def __len__(self) -> int:
            return len(order)

        def __getitem__(self, place: int) -> dict[str, Any]:
            return opened(int(order[place]))

    def columns(rows: dict[str, Any]) -> dict[str, Any]:
        items = [opened(index) for index in rows["index"]]
        return {name: [item[name] for item in items] for name in ("input_ids", "item")}

    class Timed(Base):  # type: ignore[misc, valid-type]
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def get_batch_samples(self, *arguments: Any) -> Any:
            began = time.perf_counter()
            found = super().get_batch_samples(*arguments)
            sums["waited"] += time.perf_counter() - began
            sums["computed"] += sum(batch["input_ids"].numel() for batch in found[0])
            return found

    def collated(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        batch = collate([item["item"] for item in items], pad, 1)
        kept = batch["keep"].roll(1, dims=1)
        pictures = native(batch) if native else {
            "pixel_values": batch["vision"], "image_sizes": torch.tensor(batch["sizes"]),
            "batch_num_images": torch.ones(len(items), dtype=torch.long),
        }  # fmt: skip
        return {
            "input_ids": batch["ids"], "attention_mask": (batch["ids"] != pad).long(),
            "labels": torch.where(kept, batch["ids"], -100), **pictures,
        }  # fmt: skip

    arguments = Arguments(
        folder, per_device_train_batch_size=batch, num_train_epochs=1, max_steps=steps, learning_rate=1e-5,
        max_grad_norm=1.0, optim="adamw_torch_fused", use_cpu=not gpu, bf16=gpu, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        dataloader_num_workers=case.workers, gradient_checkpointing=case.low_memory, **more,
    )  # fmt: skip
    drawn: Any = Drawn()
    if way == "SFTTrainer":
        drawn = Table.from_dict({"index": [int(index) for index in order]}).with_transform(columns)
    return Timed(
        model=loaded.model, args=arguments, train_dataset=drawn, data_collator=collated, callbacks=[callback],
        processing_class=loaded.processor.tokenizer,
    )  # fmt: skip


def now(gpu: bool) -> float:
    """Return the time at which the device has done what it was given."""
    import torch

    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def memory(gpu: bool) -> float:
    """Return the peak in bytes: of the GPU's tensors, else of the process."""
    import torch

    return float(torch.cuda.max_memory_allocated()) if gpu else peak()
