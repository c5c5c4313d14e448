"""Checkpoints of others, cut, hostile or with wishes of their own: one line, soon, and no answer but ours."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file, save_file

from seke.backends.transformers.any_model import AnyVlm
from seke.backends.transformers.tuned import Local
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.vlm import Image, Message, Request
from seke.models import auto
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

WORDS = ["What is this? A face."] * 3


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "model"
    build_tiny(train_tokenizer(WORDS, 400), image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=2,
               heads=2, feed_forward=48).save(path)  # fmt: skip
    return path


@pytest.fixture
def copied(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "model"))


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    path = tmp_path_factory.mktemp("faces") / "x.png"
    Picture.radial_gradient("L").resize((32, 32)).convert("RGB").save(path)
    parts = (Image(path, sha256(path.read_bytes())), "What is this?")
    return Request((Message("user", parts),), temperature=0.0, max_tokens=8)


def changed(file, change):
    content = json.loads(file.read_text())
    file.write_text(json.dumps(change(content) or content))


def config(**entries):
    def change(path):
        for key, value in entries.items():
            part, _, name = key.partition("__") if "__" in key else ("", "", key)
            changed(path / "config.json", lambda d, p=part, n=name, v=value: (d[p] if p else d).update({n: v}))

    return change


def weights(change):
    def spoil(path):
        file = path / "model.safetensors"
        save_file(change(load_file(file)), file, {"format": "pt"})

    return spoil


def replaced(name, make):
    def change(path):
        (path / name).unlink()
        make(path / name)

    return change


def indexed(**places):
    def change(path):
        (path / "model.safetensors").rename(path.parent / "elsewhere.safetensors")
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    return change


def pickled(path):
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


CASES = {
    "lacks": (
        weights(lambda d: {k: v for k, v in d.items() if ".layers.1." not in k}),
        "it lacks the weights .*layers.1",
    ),
    "more": (weights(lambda d: d | {"model.extra.weight": torch.zeros(2)}), "more than its config.json knows.*extra"),
    "nan": (weights(lambda d: d | {"image_newline": d["image_newline"] * float("nan")}), "finite in .*image_newline"),
    "infinite": (weights(lambda d: d | {"image_newline": d["image_newline"] / 0}), "finite in .*image_newline"),
    "integers": (weights(lambda d: d | {"image_newline": d["image_newline"].long()}), "image_newline is of type I64"),
    "shape": (weights(lambda d: d | {"image_newline": torch.zeros(3)}), "other shapes .*image_newline"),
    "layers": (
        config(text_config__num_hidden_layers=10**6, text_config__layer_types=None),
        "num_hidden_layers=1000000",
    ),
    "no heads": (config(text_config__num_attention_heads=0), "num_attention_heads=0, less than 1"),
    "wide": (config(text_config__intermediate_size=10**8), "describes .* weights, its files hold"),
    "patch": (config(vision_config__patch_size=0), "patch_size=0, less than 1"),
    "huge picture": (config(vision_config__image_size=10**6), "image_size=1000000"),
    "words": (config(text_config__hidden_size="many"), "cannot be loaded"),
    "layer": (config(vision_feature_layer=99), "vision_feature_layer"),
    "code": (config(auto_map={"AutoModel": "evil.Evil"}), "code of its own"),
    "kernel": (config(text_config__attn_implementation="somebody/kernel"), "code of someone else"),
    "quantised": (config(quantization_config={"quant_method": "x"}), "quantised"),
    "nan setting": (config(text_config__rms_norm_eps=float("nan")), "no number"),
    "list": (lambda path: (path / "config.json").write_text("[1]"), "no JSON object"),
    "deep": (lambda path: (path / "config.json").write_text("[" * 10**6), "cannot be loaded"),
    "tokens": (
        lambda path: changed(path / "processor_config.json", lambda d: d | {"num_image_tokens": 10**9}),
        "num_image",
    ),
    "grid": (
        lambda path: changed(path / "preprocessor_config.json", lambda d: d | {"image_grid_pinpoints": [[64, 10**5]]}),
        "image_grid_pinpoints",
    ),
    "pipe": (replaced("model.safetensors", os.mkfifo), "not a regular file"),
    "device": (replaced("config.json", lambda file: file.symlink_to("/dev/zero")), "not a regular file"),
    "loop": (replaced("model.safetensors", lambda file: file.symlink_to(file.name)), "leads nowhere"),
    "empty": (lambda path: (path / "model.safetensors").write_bytes(b""), "cannot be loaded"),
    "header": (lambda path: (path / "model.safetensors").write_bytes(b"\xff" * 64), "cannot be loaded"),
    "outside": (indexed(a="../elsewhere.safetensors"), "leads out of it"),
    "absent": (indexed(a="part.safetensors"), "no part.safetensors"),
    "pickle": (pickled, "a pickle, which can run code"),
    "adapter": (
        lambda path: (path / "adapter_config.json").write_text('{"target_modules": "((a+)+)+X"}'),
        "holds an adapter",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_spoilt_checkpoint_is_one_line(copied, case):
    spoil, said = CASES[case]
    spoil(copied)
    with pytest.raises(UserError, match=rf"^model\.path=.*{said}") as stop:
        LlavaOv(str(copied)).load()
    assert "\n" not in str(stop.value)


def said(vlm, request):
    [(_, reply)] = vlm.reply([request])
    return reply.choices[0]


def test_what_a_generation_config_asks_for_is_not_followed_and_said(sound, copied, request_, capsys):
    before = said(Local(LlavaOv(str(sound)), device="cpu"), request_)
    wishes = {"repetition_penalty": 5.0, "num_beams": 3, "min_new_tokens": 7, "eos_token_id": 1}
    changed(copied / "generation_config.json", lambda d: d | wishes)
    assert said(Local(LlavaOv(str(copied)), device="cpu"), request_) == before
    assert "(min_new_tokens, num_beams, repetition_penalty) is not followed" in capsys.readouterr().err
    again = json.loads((sound / "generation_config.json").read_text())
    LlavaOv(str(copied)).load().save(copied)
    assert json.loads((copied / "generation_config.json").read_text()) == again


def test_any_transformers_model_needs_no_torchvision_for_ours_and_answers_as_we_do(sound, request_, tmp_path):
    ours = said(Local(LlavaOv(str(sound)), device="cpu"), request_)
    assert said(AnyVlm(str(sound), device="cpu"), request_) == ours


def test_any_transformers_model_is_shown_the_face(sound, request_, tmp_path):
    image = request_.images[0]
    wide = Picture.new("RGB", (200, 120), "red")
    wide.paste(Picture.open(image.path), (90, 40))
    wide.save(tmp_path / "wide.png")
    shown = Image(tmp_path / "wide.png", "0", face=(90, 40, 32, 32))
    asked = Request((Message("user", (shown, "What is this?")),), temperature=0.0, max_tokens=8)
    prepared = AnyVlm(str(sound), device="cpu")._prepared(0, asked)
    assert {abs(side - 32 * 1.6) < 1 for side in prepared.pictures[0].size} == {True}


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("<image>{{ 'a ' * 900000 }}", "characters of one question"),
        ("<image>{{ raise_exception('no') }}", "TemplateError"),
    ],
)
def test_a_template_without_measure_is_one_line(copied, request_, template, problem):
    (copied / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=rf"^backend\.model=.*{problem}"):
        said(AnyVlm(str(copied), device="cpu"), request_)


def test_a_template_without_end_is_stopped(copied, request_, monkeypatch):
    monkeypatch.setattr(auto, "SECONDS", 0.01)  # no import is as quick
    with pytest.raises(UserError, match="does not prepare one question within"):
        said(AnyVlm(str(copied), device="cpu"), request_)


def test_no_file_of_an_export_names_a_class_of_ours(sound):
    found = {file.name: file.read_text() for file in sound.iterdir() if file.suffix in (".json", ".jinja")}
    assert not [name for name, text in found.items() if "ImageOnly" in text or "seke" in text]
    kinds = {name: json.loads(text).get("processor_class") for name, text in found.items() if "processor" in name}
    assert kinds == dict.fromkeys(
        ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
        "LlavaOnevisionProcessor",
    )
    assert json.loads(found["preprocessor_config.json"])["image_processor_type"] == "LlavaOnevisionImageProcessor"
    assert json.loads(found["video_preprocessor_config.json"])["video_processor_type"] == "LlavaOnevisionVideoProcessor"
