"""The SFT module: loss exact under accumulation, rows read once, every recipe builds."""

import json
import shutil
import signal
from pathlib import Path

import hydra
import pytest
import torch

from seke.core.errors import UserError
from seke.core.runs import Run
from seke.models.llava_ov import LlavaOv
from seke.training.data.mixture import Data
from seke.training.data.samplers import EMPTY, collate
from seke.training.module import Sft
from seke.training.settings import Training
from seke.training.train import fit

from .. import composition
from ..opens import opens

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def base(tiny_base):
    return tiny_base


def train(base, where, model=None, data=None, **training):
    settings = {"batch_size": 2, "max_epochs": 2, "clip": 0.0, **training}
    run = Run(where, {}, {})
    where.mkdir(exist_ok=True)
    model = model or LlavaOv(str(base / "model"), trainable=["projector", "llm"], lr=1e-3)
    data = Data(**{"path": str(base / "rows.jsonl"), **(data or {})})
    facts = fit(run, model, data, Training(**settings), False, data.sources(where))
    return facts, LlavaOv(str(where / "model")).load().model.state_dict()


def assert_equal_weights(one, other, tolerance=0.0):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=tolerance, atol=tolerance, msg=name)


def test_training_changes_what_is_free_and_nothing_else(base, tmp_path):
    facts, after = train(base, tmp_path / "run")
    before = LlavaOv(str(base / "model")).load().model.state_dict()
    assert facts["rows"] == 10 and facts["steps"] == 10 and facts["rejected"] == 0
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("vision_tower" in name for name in changed)
    assert any("multi_modal_projector" in name for name in changed) and "lm_head.weight" in changed
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["base"] == str(base / "model")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_loss_is_the_same_however_a_step_is_cut_up(base, tmp_path):
    # Answers differ in length, so a mean of batch means would give other gradients.
    _, whole = train(base, tmp_path / "one", batch_size=10, max_epochs=3)
    _, parts = train(base, tmp_path / "two", batch_size=2, accumulate=5, max_epochs=3)
    assert_equal_weights(whole, parts, tolerance=2e-5)


def test_states_kept_once_equal_pixels_seen_every_time(base, tmp_path):
    model = LlavaOv(str(base / "model"), trainable=["projector", "llm"], lr=1e-3)
    facts, kept = train(base, tmp_path / "kept", model)
    run = Run(tmp_path / "seen", {}, {})
    run.path.mkdir()
    data = Data(path=str(base / "rows.jsonl"), cache="none")
    fit(run, model, data, Training(batch_size=2, max_epochs=2, clip=0.0), False, data.sources(tmp_path))
    assert_equal_weights(kept, LlavaOv(str(run.path / "model")).load().model.state_dict(), tolerance=1e-5)
    assert facts["steps"] == 10


def test_a_training_reads_its_rows_once_and_so_does_its_card(base, tmp_path):
    source = tmp_path / "generate" / "feid"
    shutil.copytree(base, source)
    (source / "rows.jsonl").rename(source / "instructions.jsonl")
    (source / "manifest.json").write_text('{"annotator": "gpt-4o", "image_root": "."}')
    with opens(tmp_path) as seen:
        facts, _ = train(base, tmp_path / "run", data={"path": str(source / "instructions.jsonl")})
    assert facts["rows"] == 10 and facts["annotations"] == ["gpt-4o"]
    assert {name: seen[f"generate/feid/{name}"] for name in ("instructions.jsonl", "manifest.json")} == {
        "instructions.jsonl": 2, "manifest.json": 2,
    }  # fmt: skip


def test_ctrl_c_stays_an_interrupt(base, tmp_path, monkeypatch):
    def interrupted(self, batch, number):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sft, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(base, tmp_path / "cut")
    signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "cut" / "manifest.json").exists()


def test_a_batch_without_images_touches_every_part(base):
    model = LlavaOv(str(base / "model"))
    loaded = model.load()
    module = Sft(loaded, model.train(loaded))
    ids = torch.tensor([[1, 2, 3]])
    batch = {"ids": ids, "keep": torch.tensor([[True, False, False]]), "targets": torch.tensor([2]), "vision": None,
             "counts": [], "contexts": [], "sizes": []}  # fmt: skip
    module.loss_sum(batch).backward()
    free = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    assert all(parameter.grad is not None for parameter in free.values())
    assert not any(free[name].grad.any() for name in free if "vision_tower" in name)


@pytest.mark.parametrize("states", [False, True])
def test_a_filler_batch_adds_exactly_nothing_and_touches_every_part(base, states):
    model = LlavaOv(str(base / "model"), trainable=["projector", "llm"] if states else "full")
    loaded = model.load()
    module = Sft(loaded, model.train(loaded), states=states)
    loss = module.loss_sum(collate([(EMPTY, [])], pad=0, step_tokens=9))
    loss.backward()
    free = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    assert loss.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in free.values())


def test_a_step_that_fillers_complete_is_like_any_other(base, tmp_path):
    # Ten rows, eight a step: the second step is one batch of two and three fillers.
    order = {"group_by_length": False}
    _, whole = train(base, tmp_path / "one", data=order, batch_size=8, accumulate=1)
    _, parts = train(base, tmp_path / "two", data=order, batch_size=2, accumulate=4)
    assert_equal_weights(whole, parts, tolerance=2e-5)


def test_what_was_encoded_is_gone_when_a_run_ends(base, tmp_path):
    left = tmp_path / "run" / "samples-of-a-killed-run"
    left.mkdir(parents=True)
    train(base, tmp_path / "run", max_steps=1)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model", "manifest.json", "rejected.jsonl"}


def test_a_mixture_is_trained_on_by_weight(base, tmp_path):
    entry = {"path": str(base / "rows.jsonl")}
    mixture = {"twice": {**entry, "weight": 2}, "some": {**entry, "limit": 4, "weight": 0.5}}
    facts, _ = train(base, tmp_path / "run", data={"path": None, "mixture": mixture}, max_epochs=1)
    assert facts["rows"] == 22 and facts["parts"] == {"twice": 10, "some": 4} and facts["steps"] == 11


@pytest.mark.parametrize(
    ("has", "numerics"),
    [({"avx512_bf16": True}, "bf16-mixed"), ({"amx_bf16": True}, "bf16-mixed"), ({"avx512_bf16": False}, "32-true")],
)
def test_a_cpu_trains_in_bfloat16_where_it_has_instructions_for_it(monkeypatch, has, numerics):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert Training(precision="auto").numerics == numerics
    assert Training().numerics == "32-true" and Training(precision="bf16-mixed").numerics == "bf16-mixed"


@pytest.mark.parametrize(("has", "said"), [(True, ""), (False, "warning: trainer.precision=bf16-mixed: this")])
def test_bfloat16_that_a_cpu_imitates_is_warned_of(monkeypatch, capsys, has, said):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has})
    Training(precision="bf16-mixed").check_machine()
    Training(precision="auto").check_machine()
    assert capsys.readouterr().err.startswith(said) and bool(said) != has


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_precisions_that_spoil_rope_are_refused(precision):
    with pytest.raises(UserError, match=r"^trainer\.precision="):
        Training(precision=precision)


def test_cached_states_of_a_trained_tower_are_refused(base, tmp_path):
    data = Data(path=str(base / "rows.jsonl"), cache="states")
    with pytest.raises(UserError, match=r"^data\.cache="):
        fit(Run(tmp_path, {}, {}), LlavaOv(str(base / "model")), data, Training(), False, data.sources(tmp_path))


def composed(*overrides):
    return composition.composed("train", *overrides)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "trainer").glob("*.yaml")))
def test_every_trainer_builds(name, tmp_path):
    training = hydra.utils.instantiate(composed(f"trainer={name}").trainer, _convert_="all")
    if training.accelerator == "gpu" and not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"^trainer\.accelerator=gpu"):
            training.lightning(default_root_dir=tmp_path)
    else:
        assert training.lightning(default_root_dir=tmp_path, logger=False).max_epochs >= 1
    assert training.master_weights == name.startswith("deepspeed")


@pytest.mark.parametrize("group", ["model", "data", "logger"])
def test_every_other_part_of_a_training_builds(group, tmp_path):
    for path in sorted((CONF / group).glob("*.yaml")):
        more = {"save_dir": str(tmp_path)} if group == "logger" else {}
        hydra.utils.instantiate(composed(f"{group}={path.stem}")[group], _convert_="all", **more)
