"""The command that serves a checkpoint with vLLM."""

import json
import shlex
from pathlib import Path

import pytest

from seke.serving.vllm import command, name_of


def checkpoint(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_train_run_is_served_under_its_own_name(tmp_path: Path) -> None:
    made = checkpoint(tmp_path / "my run" / "model", {"architectures": ["LlavaOnevisionForConditionalGeneration"]})
    served, asked = command(str(made))
    words = shlex.split(served.partition(": ")[2])
    assert words[:3] == ["vllm", "serve", str(made)]
    assert words[words.index("--served-model-name") + 1] == "my run"
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert "backend.model=my run" in shlex.split(asked.partition(": ")[2])


def test_a_hub_id_is_served_as_it_is() -> None:
    served, _ = command("llava-hf/llava-onevision-qwen2-7b-ov-hf")
    assert "vllm serve llava-hf/llava-onevision-qwen2-7b-ov-hf " in served
    assert name_of("llava-hf/llava-onevision-qwen2-7b-ov-hf") == "llava-onevision-qwen2-7b-ov-hf"


@pytest.mark.parametrize(
    "content", [{"architectures": ["InstructBlipForConditionalGeneration"]}, {}, [], {"architectures": []}]
)
def test_what_vllm_does_not_serve_is_said(tmp_path: Path, content: object) -> None:
    [line] = command(str(checkpoint(tmp_path / "model", content)))
    assert line.endswith("is not among the models that it serves")
