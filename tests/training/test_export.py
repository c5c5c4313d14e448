"""The exported checkpoint: names as on the Hub, tied head or not, bfloat16, and verified from outside."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaOnevisionForConditionalGeneration

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.export import export

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "verify_checkpoint.py"
_spec = importlib.util.spec_from_file_location("verify_checkpoint", SCRIPT)
verify_checkpoint = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify_checkpoint)
verify = verify_checkpoint.verify
TOP = {"image_newline", "language_model.model.embed_tokens.weight", "language_model.model.norm.weight",
       "multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_2.bias",
       "vision_tower.vision_model.embeddings.patch_embedding.weight",
       "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
       "vision_tower.vision_model.post_layernorm.bias", "language_model.model.layers.0.mlp.up_proj.weight"}  # fmt: skip
PREFIXES = ("image_newline", "language_model.model.", "language_model.lm_head.", "multi_modal_projector.",
            "vision_tower.vision_model.")  # fmt: skip
ALONE = SimpleNamespace(
    is_global_zero=True, strategy=SimpleNamespace(root_device=torch.device("cpu"), barrier=lambda _: None)
)
"""A trainer of one process, after fit."""


def built(tied=False):
    tokenizer = train_tokenizer(["What does this face show? system user assistant"] * 5, 400)
    loaded = build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
                        feed_forward=48)  # fmt: skip
    if tied:  # as the 0.5B on the Hub: only the language model's configuration says so
        loaded.model.config.text_config.tie_word_embeddings = True
        loaded.model.lm_head.weight = loaded.model.get_input_embeddings().weight
    return loaded


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def exported(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("export")
    export(ALONE, built(request.param), path, "bfloat16")
    return path, request.param


@pytest.fixture
def copied(exported, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(exported[0], tmp_path / "copy"))


def test_names_are_the_hubs(exported):
    path, tied = exported
    names = set(load_file(path / "model.safetensors"))
    assert names >= TOP and all(name.startswith(PREFIXES) for name in names)
    assert ("language_model.lm_head.weight" in names) == (not tied)
    assert "lm_head.weight" not in names


def test_everything_a_server_needs_lies_beside_bfloat16_weights(exported):
    path, _ = exported
    assert {file.name for file in path.iterdir()} >= {"chat_template.jinja", "processor_config.json", "tokenizer.json"}
    config = json.loads((path / "config.json").read_text())
    assert config["dtype"] == "bfloat16" and config["architectures"] == ["LlavaOnevisionForConditionalGeneration"]
    assert {weight.dtype for weight in load_file(path / "model.safetensors").values()} == {torch.bfloat16}
    loaded = LlavaOv(str(path)).load()
    assert json.loads((path / "generation_config.json").read_text())["eos_token_id"] == loaded.end


def test_reloaded_by_plain_transformers_every_weight_is_there(exported):
    path, tied = exported
    model, found = LlavaOnevisionForConditionalGeneration.from_pretrained(path, output_loading_info=True)
    assert not any(found.values())
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied


def test_a_reloaded_checkpoint_is_exported_under_the_same_names(exported, tmp_path):
    path, _ = exported
    export(ALONE, LlavaOv(str(path), dtype="bfloat16").load(), tmp_path, "bfloat16")
    before, after = (load_file(folder / "model.safetensors") for folder in (path, tmp_path))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_of_transformers_own_names_is_exported_under_the_hubs(tmp_path):
    loaded = built()
    loaded.model.save_pretrained(tmp_path / "flat")
    loaded.processor.save_pretrained(tmp_path / "flat")
    assert not set(load_file(tmp_path / "flat" / "model.safetensors")) >= TOP
    export(ALONE, LlavaOv(str(tmp_path / "flat")).load(), tmp_path / "hub", "bfloat16")
    assert set(load_file(tmp_path / "hub" / "model.safetensors")) >= TOP


def test_what_was_exported_is_verified(exported):
    found = verify(exported[0])
    assert found.dtype == "bfloat16" and found.tensors >= 40 and found.difference <= 1e-3
    assert verify(exported[0], exported[0]) == found


def respelt(path, change):
    weights = load_file(path / "model.safetensors")
    save_file(change(weights), path / "model.safetensors", metadata={"format": "pt"})


def test_names_no_server_knows_are_refused(copied):
    respelt(copied, lambda weights: {k.replace("vision_model.", ""): v for k, v in weights.items()})
    with pytest.raises(UserError, match=r"names missing, .* unknown"):
        verify(copied)


def test_a_stray_head_is_refused(copied):
    respelt(copied, lambda weights: weights | {"lm_head.weight": torch.zeros(2, 2)})
    with pytest.raises(UserError, match=r"0 names missing, 1 unknown, as lm_head\.weight"):
        verify(copied)


def test_another_layout_than_the_expected_one_is_refused(copied, tmp_path):
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"weight_map": {"image_newline": "a", "gone": "b"}}))
    with pytest.raises(UserError, match="1 names missing"):
        verify(copied, index)


def test_a_template_that_was_not_trained_with_is_refused(copied):
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>assistant\n", "<|im_start|>assistant \n"))
    with pytest.raises(UserError, match="template renders other tokens"):
        verify(copied)


def test_logits_that_differ_are_refused(copied, monkeypatch):
    ours = verify_checkpoint.ours
    monkeypatch.setattr(verify_checkpoint, "ours", lambda *given: (ours(*given)[0], ours(*given)[1] * 1.1))
    with pytest.raises(UserError, match="its logits differ by"):
        verify(copied)


@pytest.mark.parametrize("gone", ["chat_template.jinja", "generation_config.json", "model.safetensors"])
def test_a_missing_file_is_one_line_and_exit_code_2(copied, gone, monkeypatch, capsys):
    (copied / gone).unlink()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(copied)])
    with pytest.raises(SystemExit, match="2"):
        verify_checkpoint.main()
    said = capsys.readouterr().err
    assert said.startswith("error: checkpoint=") and len(said.strip().splitlines()) == 1


def test_a_good_checkpoint_is_said_to_be_one(exported, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(exported[0]), "--layout", str(exported[0])])
    verify_checkpoint.main()
    assert "tensors of bfloat16 under the Hub's names" in capsys.readouterr().out


def test_a_class_that_nobody_else_has_is_refused(copied):
    file = copied / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"processor_class": "ImageOnlyProcessor"}))
    with pytest.raises(UserError, match="names ImageOnlyProcessor, which no one else has"):
        verify(copied)
