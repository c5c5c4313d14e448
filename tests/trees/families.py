"""Checkpoints as the Hub has them, but tiny and random: one of each family that no small one of lies in assets/.

`MAKERS` names them by the class in conf/model/; whoever adds a family adds a maker, or an assets/ checkpoint.
Chat templates are those that the publishers give, without what no picture or text needs.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from seke.models.tiny.llava_ov import train_tokenizer

TEXTS = [
    "What does this face show? Look closely. It shows fear, and AU4 is active. user assistant system You are a helpful",
    "The person looks glad: AU6 and AU12 are active, valence 0.8, arousal 0.3. User: Assistant: System: Who? Nobody.",
]
QWEN = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
        "<|video_pad|>")  # fmt: skip
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
SEEING = (
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}"
)
QWEN25_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    + SEEING
    + "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}{% if message.content is string %}"
    "{{ message.content }}{% else %}"
    + SEEING
    + "{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tokenizer(special: tuple[str, ...], end: str, pad: str) -> Any:
    """Return a byte-level tokenizer with these special tokens."""
    made = train_tokenizer(TEXTS * 3, 420)
    made.add_special_tokens({"additional_special_tokens": list(special)})
    made.eos_token, made.pad_token = end, pad
    return made


def random(model: Any, seed: int = 0) -> Any:
    """Return a model whose weights are far from zero, so that what reaches the logits is seen in them."""
    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.15)
        elif "norm" not in name and "lambda" not in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model.eval()


def write(folder: Path, files: Mapping[str, Any]) -> None:
    """Write JSON files, and texts as they are."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        (folder / name).write_text(text, encoding="utf-8")


def _qwen(
    folder: Path, config: Any, kind: Any, words: Any, template: Mapping[str, Any], seeing: dict[str, Any]
) -> None:
    model = random(kind(config))
    model.generation_config = GenerationConfig(eos_token_id=config.text_config.eos_token_id)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    write(folder, {"preprocessor_config.json": seeing, **template})


def qwen2_5_vl(folder: Path) -> None:
    """Write a Qwen2.5-VL: cells of 8 pixels, windows of 2 x 2 cells."""
    words = tokenizer(QWEN, "<|im_end|>", "<|endoftext|>")
    ids = words.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
            "eos_token_id": ids("<|im_end|>"), "pad_token_id": ids("<|endoftext|>"), "bos_token_id": None,
        },
        vision_config={
            "depth": 3, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 4, "window_size": 16,
            "fullatt_block_indexes": [1], "out_hidden_size": 32,
        },
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    seeing = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
              "min_pixels": 4 * 64, "max_pixels": 90 * 64, "patch_size": 4, "temporal_patch_size": 2, "merge_size": 2,
              **CLIP}  # fmt: skip
    template = {"chat_template.json": {"chat_template": QWEN25_TEMPLATE}}
    _qwen(folder, config, Qwen2_5_VLForConditionalGeneration, words, template, seeing)


def qwen3_vl(folder: Path) -> None:
    """Write a Qwen3-VL: cells of 8 pixels, two layers of the tower read beside its last."""
    words = tokenizer(QWEN, "<|im_end|>", "<|endoftext|>")
    ids = words.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "head_dim": 8,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1],
                                "mrope_interleaved": True},
            "eos_token_id": ids("<|im_end|>"), "pad_token_id": ids("<|endoftext|>"), "bos_token_id": None,
        },
        vision_config={
            "depth": 3, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 4,
            "out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    seeing = {"image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor",
              "size": {"shortest_edge": 4 * 64, "longest_edge": 90 * 64}, "patch_size": 4, "temporal_patch_size": 2,
              "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip
    _qwen(folder, config, Qwen3VLForConditionalGeneration, words, {"chat_template.jinja": QWEN3_TEMPLATE}, seeing)


SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
INTERN_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def smolvlm(folder: Path) -> None:
    """Write a SmolVLM: tiles of 32 pixels, pictures scaled to a longer side of 96, so 3 x 3 tiles at most."""
    cells = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    special = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>", "<fake_token_around_image>",
               "<end_of_utterance>", "<global-img>", *cells)  # fmt: skip
    words = tokenizer(special, "<end_of_utterance>", "<|im_end|>")
    ids = words.convert_tokens_to_ids
    config = SmolVLMConfig(
        text_config={
            "model_type": "llama", "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 4096, "pad_token_id": ids("<|im_end|>"), "bos_token_id": ids("<|im_start|>"),
            "eos_token_id": ids("<end_of_utterance>"), "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 4,
        },
        scale_factor=4, image_token_id=ids("<image>"), tie_word_embeddings=True,
    )  # fmt: skip
    model = random(SmolVLMForConditionalGeneration(config))
    model.generation_config = GenerationConfig(eos_token_id=ids("<end_of_utterance>"), pad_token_id=ids("<|im_end|>"))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    seeing = {"image_processor_type": "SmolVLMImageProcessor", "processor_class": "SmolVLMProcessor",
              "size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": True,
              "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip
    write(folder, {"preprocessor_config.json": seeing, "chat_template.json": {"chat_template": SMOL_TEMPLATE},
                   "processor_config.json": {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}})  # fmt: skip


def internvl(folder: Path) -> None:
    """Write an InternVL: one to six tiles of 32 pixels."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
             "video_token": "<video>"}  # fmt: skip
    words = tokenizer(("<|im_start|>", "<|im_end|>", "<|endoftext|>", *names.values()), "<|im_end|>", "<|endoftext|>")
    ids = words.convert_tokens_to_ids
    config = InternVLConfig(
        text_config={
            "model_type": "qwen2", "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 4096, "eos_token_id": ids("<|im_end|>"), "bos_token_id": None,
            "pad_token_id": ids("<|endoftext|>"), "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": [32, 32], "patch_size": [8, 8],
        },
        image_token_id=ids("<IMG_CONTEXT>"), image_seq_length=4, tie_word_embeddings=False,
    )  # fmt: skip
    model = random(InternVLForConditionalGeneration(config))
    model.generation_config = GenerationConfig(eos_token_id=ids("<|im_end|>"), pad_token_id=ids("<|endoftext|>"))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    write(folder, {"tokenizer_config.json": json.loads(file.read_text()) | {"extra_special_tokens": names}})
    seeing = {"image_processor_type": "GotOcr2ImageProcessorFast", "processor_class": "InternVLProcessor",
              "size": {"height": 32, "width": 32}, "crop_to_patches": False, "min_patches": 1, "max_patches": 6,
              "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}  # fmt: skip
    write(folder, {"preprocessor_config.json": seeing, "chat_template.jinja": INTERN_TEMPLATE,
                   "processor_config.json": {"processor_class": "InternVLProcessor",
                                             "image_seq_length": 4}})  # fmt: skip


MAKERS: dict[str, Callable[[Path], None]] = {
    "seke.models.qwen2_5_vl.Qwen25Vl": qwen2_5_vl,
    "seke.models.qwen3_vl.Qwen3Vl": qwen3_vl,
    "seke.models.smolvlm.SmolVlm": smolvlm,
    "seke.models.internvl.InternVl": internvl,
}
