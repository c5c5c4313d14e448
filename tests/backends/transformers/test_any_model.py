"""Any vision LLM that transformers loads: here a tiny random LLaVA (CLIP and Llama), saved as the Hub would have it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from seke.backends.transformers.any_model import AnyVlm
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.vlm import Image, Message, Request
from seke.models.chat import TEMPLATE

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "llava_ov_tiny"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = AutoTokenizer.from_pretrained(ASSETS)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=32, patch_size=8),
        text_config=LlamaConfig(**shape, vocab_size=1152, initializer_range=0.3, **ends),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.3,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return str(folder)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    folder = tmp_path_factory.mktemp("faces")
    made = []
    for number in range(7):
        path = folder / f"{number}.png"
        Picture.radial_gradient("L").rotate(40 * number).resize((32 + number, 48)).convert("RGB").save(path)
        parts = (Image(path, sha256(path.read_bytes())), "What emotion?" + " Look closely." * (number % 3))
        made.append(Request((Message("user", parts),), temperature=0.0, max_tokens=6))
    return made


def answers(vlm: AnyVlm, requests) -> list[tuple[str, str]]:
    found = dict(vlm.reply(requests))
    assert sorted(found) == list(range(len(requests)))
    return [(found[index].choices[0].text, found[index].choices[0].status) for index in range(len(requests))]


def test_batched_answers_are_those_of_one_at_a_time(checkpoint: str, requests) -> None:
    alone = answers(AnyVlm(checkpoint, batch_size=1, device="cpu"), requests)
    assert answers(AnyVlm(checkpoint, batch_size=4, device="cpu"), requests) == alone
    assert len(set(alone)) > 1
    assert {status for _, status in alone} <= {"ok", "truncated"}


def test_usage_counts_prompt_and_answer(checkpoint: str, requests) -> None:
    [(_, reply)] = AnyVlm(checkpoint, device="cpu").reply(requests[:1])
    assert reply.usage.input_tokens > 16  # the picture's patches are among them
    assert 1 <= reply.usage.output_tokens <= 6
    assert (reply.model, reply.cost) == (checkpoint, 0.0)


def test_a_model_that_is_not_there_is_named(tmp_path: Path, requests) -> None:
    with pytest.raises(UserError, match=r"backend\.model=.*cannot be loaded"):
        list(AnyVlm(str(tmp_path), device="cpu").reply(requests[:1]))


def test_a_picture_that_the_family_does_not_read_is_one_unreadable_answer(checkpoint: str, requests) -> None:
    vlm = AnyVlm(checkpoint, batch_size=4, device="cpu")
    expected = answers(vlm, requests)
    model, processor = vlm.loaded

    def strict(**given):
        if given["images"] and any(picture.width == 35 for [picture] in given["images"]):
            raise ValueError("absolute aspect ratio must be\nsmaller than 200")
        return processor(**given)

    strict.tokenizer, strict.apply_chat_template = processor.tokenizer, processor.apply_chat_template
    vlm._loaded = model, strict
    found = answers(vlm, requests)
    assert found[3] == ("absolute aspect ratio must be smaller than 200", "invalid")
    assert [*found[:3], *found[4:]] == [*expected[:3], *expected[4:]]


def test_a_model_of_text_or_of_pictures_alone_is_one_line(checkpoint: str, tmp_path: Path, requests) -> None:
    for gone, said in (("text", "no pictures: its processor has no image_processor"), ("pictures", "no text")):
        path = shutil.copytree(checkpoint, tmp_path / gone)
        kept = "tokenizer" if gone == "text" else "processor"
        for file in path.glob("*processor*.json" if gone == "text" else "*token*"):
            file.unlink()
        kind = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
        if gone == "text":
            config = json.loads((path / "config.json").read_text())
            (path / "config.json").write_text(json.dumps({**config["text_config"], **kind}))
        assert list(path.glob(f"*{kept}*"))
        with pytest.raises(UserError) as stop:
            list(AnyVlm(str(path), device="cpu").reply(requests[:1]))
        line = str(stop.value)
        assert line.startswith(f"backend.model={path}: ") and "\n" not in line
        assert said in line or "cannot be loaded (" in line


def test_a_family_that_transformers_does_not_know_is_one_line(checkpoint: str, tmp_path: Path, requests) -> None:
    path = shutil.copytree(checkpoint, tmp_path / "new")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "model_type": "brandnew"}))
    with pytest.raises(UserError, match=r"cannot be loaded .*brandnew.*backend=vllm") as stop:
        list(AnyVlm(str(path), device="cpu").reply(requests[:1]))
    assert "\n" not in str(stop.value)
