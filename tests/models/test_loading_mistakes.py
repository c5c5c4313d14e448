"""Checkpoints that cannot be what they are taken for: one line that names the mistake, before weights are read."""

import json

import pytest

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer


@pytest.fixture
def saved(tmp_path):
    tokenizer = train_tokenizer(["What is this? A face."] * 3, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
               feed_forward=48).save(tmp_path / "model")  # fmt: skip
    return tmp_path / "model"


def changed(file, **entries):
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def refused(path):
    with pytest.raises(UserError) as stop:
        LlavaOv(str(path)).load()
    line = str(stop.value)
    assert line.startswith(f"model.path={path}: ") and "\n" not in line
    return line


def test_a_sound_checkpoint_loads(saved):
    assert LlavaOv(str(saved)).load().model.config.model_type == "llava_onevision"


def test_another_architecture_is_named(saved):
    changed(saved / "config.json", model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    (saved / "model.safetensors").unlink()  # never opened
    assert "a checkpoint of Qwen2ForCausalLM, not of llava_onevision; set model=" in refused(saved)


def test_a_config_without_a_kind_is_refused(saved):
    (saved / "config.json").write_text("{}")
    assert "a checkpoint of an unknown kind, not of llava_onevision" in refused(saved)


def test_a_template_without_the_image_token_is_refused(saved):
    (saved / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    assert "its chat_template.jinja has no <image>, so no image would reach the model" in refused(saved)


def test_an_older_template_file_is_read_too(saved):
    (saved / "chat_template.jinja").unlink()
    (saved / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert "its chat_template.json has no <image>" in refused(saved)


def test_a_tokenizer_with_another_image_token_is_refused(saved):
    number = json.loads((saved / "config.json").read_text())["image_token_index"]
    changed(saved / "config.json", image_token_index=number + 1)
    assert f"its tokenizer has id {number} for <image>, its model {number + 1}" in refused(saved)


def test_a_model_that_is_neither_here_nor_reachable_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert "cannot be loaded (" in refused("nobody/no-such-model")


def test_a_directory_that_is_not_there_is_one_line(tmp_path):
    assert "no such directory" in refused(tmp_path / "nowhere")


def test_weights_that_are_not_whole_are_one_line(saved):
    (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:1000])
    assert "cannot be loaded (" in refused(saved)
