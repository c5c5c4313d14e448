"""conf/system/: every row of Table 2 and of today in one word, each a backend and a model that can be built."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seke.benchmark.scoring.tables import paper
from seke.core.vlm import VLM, Message, Request

from ... import composition
from ...servers import openai_server

CONF = composition.CONF
PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "served_models.json").read_text()
)
FAMILY = {model: family for family, models in PUBLISHED["families"].items() for model in models}
SYSTEMS = sorted(path.stem for path in (CONF / "system").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    return composition.composed("evaluate", *overrides)


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


SERVED = [name for name in SYSTEMS if composed(f"system={name}").backend.get("base_url") == "http://localhost:8000/v1"]
NEVER_RUN = [name for name in SYSTEMS if "Never run by us." in (CONF / "system" / f"{name}.yaml").read_text()]


def comment(system: str) -> str:
    lines = (CONF / "system" / f"{system}.yaml").read_text().splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# ") and "@package" not in line)


def test_the_systems_that_reviewers_ask_for_are_there() -> None:
    names = {composed(f"system={system}").system.name for system in SYSTEMS}
    assert names >= {
        "Qwen3-VL-4B-Instruct", "Qwen3-VL-8B-Instruct", "Qwen3-VL-32B-Instruct", "Qwen3.5-9B", "Qwen3.6-27B",
        "InternVL3.5-8B", "MiniCPM-V-4.5", "Gemma-4-31B", "GLM-4.6V-Flash", "MiMo-VL-7B-RL", "UniFER-7B", "Face-LLaVA",
        "Emotion-LLaMA-v2", "R1-Omni-0.5B", "EmoVIT", "Gemini 3.5 Flash", "Claude Sonnet 5", "Qwen3.6-Plus",
    }  # fmt: skip
    assert len(names) == len(SYSTEMS) - 1, "two names for Qwen2.5-VL, one of which needs no server"


@pytest.mark.parametrize("system", SERVED)
def test_a_served_model_has_the_name_family_and_flags_that_its_server_publishes(system: str) -> None:
    model, told = str(composed(f"system={system}").backend.model), comment(system)
    assert model in FAMILY, f"record in tests/data/served_models.json who loads {model}, and as what"
    assert f"vllm serve {model}" in told
    assert ("--trust-remote-code" in told) == (FAMILY[model] in PUBLISHED["own_code"])


@pytest.mark.parametrize("system", SERVED)
def test_thinking_is_off_as_the_server_publishes_it_and_the_request_says_so(system: str, tmp_path: Path) -> None:
    with openai_server.running() as server:
        settings = (f"backend.base_url={server.url}", f"paths.outputs={tmp_path}", "backend.n=false")
        cfg = composed(f"system={system}", *settings)
        OmegaConf.resolve(cfg)
        asked: list[dict[str, Any]] = []
        answer = server._answer
        server._answer = lambda request, choice: (asked.append(request), answer(request, choice))[1]  # type: ignore
        backend = instantiate(cfg.backend, _convert_="all")
        [(_, reply)] = backend.reply([Request((Message("user", ("Which expression is it?",)),), max_tokens=8)])
    assert reply.choices
    family = FAMILY[str(cfg.backend.model)]
    extra = {key: value for key, value in asked[0].items() if key == "chat_template_kwargs"}
    wanted = PUBLISHED["thinks_unless_told"].get(family)
    assert asked[0]["model"] == cfg.backend.model
    if wanted is not None:
        assert extra == wanted
    if family in PUBLISHED["thinks_if_told"]:
        assert extra == {}


@pytest.mark.parametrize("family", sorted(set(PUBLISHED["families"]) - set(PUBLISHED["own_code"])))
def test_families_without_code_of_their_own_are_classes_of_transformers(family: str) -> None:
    import transformers

    assert hasattr(transformers, family)


@pytest.mark.parametrize(("model", "address"), PUBLISHED["apis"].items())
def test_an_api_is_asked_by_its_published_name_at_its_address(model: str, address: str) -> None:
    [system] = [name for name in SYSTEMS if composed(f"system={name}").backend.get("model") == model]
    assert composed(f"system={system}").backend.base_url == address
    assert "OPENAI_API_KEY" in comment(system)


@pytest.mark.parametrize("system", [name for name in NEVER_RUN if name in SERVED])
def test_what_was_never_run_says_so_and_how_much_memory_its_weights_take(system: str) -> None:
    assert "Weights " in comment(system)
    assert "GB in bf16" in comment(system)


def template(model: str) -> dict[str, Any] | None:
    """Return what is known of a model's chat template; of one of the same family where that is all that was seen."""
    found = PUBLISHED["templates"].get(model)
    return template(found["like"]) if found and "like" in found else found


@pytest.mark.parametrize("system", SERVED)
def test_a_served_model_has_a_template_that_was_seen_or_says_that_it_was_not(system: str) -> None:
    model = str(composed(f"system={system}").backend.model)
    assert ("Its chat template was not seen." in comment(system)) == (template(model) is None)


@pytest.mark.parametrize("system", [name for name in SERVED if template(composed(f"system={name}").backend.model)])
def test_what_is_told_to_a_template_is_a_switch_that_it_has_and_off_where_it_thinks_by_itself(system: str) -> None:
    backend = composed(f"system={system}").backend
    known, told = template(str(backend.model)), (backend.get("extra_body") or {}).get("chat_template_kwargs") or {}
    assert known is not None and known["seen"]
    assert set(told) <= {known["switch"]} and not any(told.values())
    if known["unless_told"] == "thinks":
        assert told == {known["switch"]: False}
    if known["unless_told"] == "answers":
        assert not told
    if known["prompt"] is not None:  # as requests are put together: the picture, and then the question
        assert known["prompt"].count(known["picture"]) == 1
        assert known["prompt"].index(known["picture"]) < known["prompt"].index("Q?")
