"""conf/system/: every row of Table 2 and of today in one word, each a backend and a model that can be built."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seke.benchmark.scoring.tables import paper
from seke.core.vlm import VLM

CONF = Path(__file__).resolve().parents[3] / "conf"
SYSTEMS = sorted(path.stem for path in (CONF / "system").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("evaluate", list(overrides))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_a_backend_that_can_be_built(system: str) -> None:
    cfg = composed(f"system={system}")
    OmegaConf.resolve(cfg)
    assert isinstance(instantiate(cfg.backend, _convert_="all"), VLM)


def test_every_row_of_table_2_but_ours_has_its_system() -> None:
    names = {composed(f"system={system}").system.name for system in SYSTEMS}
    assert {row["method"].rstrip("*") for row in paper("table2.csv")} - names == {"SEKE"}


def test_a_system_may_be_served_by_another_server_or_model() -> None:
    backend = composed("system=qwen2_5_vl", "backend.base_url=http://gpu:1/v1", "backend.model=mine").backend
    assert (backend.base_url, backend.model) == ("http://gpu:1/v1", "mine")
    assert composed("system=gpt_4o").backend.model == "gpt-4o"
    assert composed().backend.model.path == "assets/llava_ov_tiny"


def test_what_runs_elsewhere_asks_nobody_and_reads_a_file() -> None:
    assert composed("system=emotion_llama").predictions == "emotion_llama.jsonl"
    cfg = composed("system=emotion_llama", "predictions=theirs.csv", "predictions_fields.text=answer")
    assert cfg.predictions_fields == {"id": "id", "text": "answer"}


def test_the_judge_has_a_backend_of_its_own_only_when_it_needs_one() -> None:
    assert "judge_backend" not in composed()
    cfg = composed("judge=llm", "backend@judge_backend=vllm", "judge_backend.model=mine", "benchmark=emoset")
    assert (cfg.judge_backend.base_url, cfg.judge.vlm.model) == ("http://localhost:8000/v1", "mine")
    assert (cfg.judge.template, composed("judge=llm").judge.template) == ("emotion", "faces")
    assert composed("judge=llm").judge_backend.model == "gpt-4o-mini"
