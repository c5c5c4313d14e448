"""Settings of a training: what is unknown is one line before anything is loaded; what a launcher says counts."""

import csv
import json
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import CSVLogger

from seke.core.errors import UserError
from seke.tracking import wandb_run
from seke.training import loggers
from seke.training.launcher import resolved
from seke.training.settings import Training

WRONG = {
    "precision": ("fp16", "bfloat16", "64-true", None, 8, True),
    "accelerator": ("gpus", "", None, 3, "CPU"),
    "strategy": ("zero2", "fsdp", None, {"stage": 2}, 3),
    "devices": (0, -2, "two", "0", None, [], [-1], 1.5, True),
    "max_steps": (0, -2, 1.5, "all"),
    "max_epochs": (0, None, "one"),
    "batch_size": (0, 1.5, "8", True),
    "accumulate": (0, None),
    "log_every": (0, -1),
    "checkpoint_every": (0,),
    "patience": (0, "few"),
    "validate_every": (0, 2.5),
    "answered": (-1, None),
    "clip": (-1, float("nan"), "no"),
    "warm_up": (-0.1, 3, None),
    "threads": (0,),
    "activation_checkpointing": ("sometimes", None, 2),
    "compile": ("yes", None, 1),
    "float8": ("yes", None),
    "fused_loss": ("apex", True, ""),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_no_training_can_be_set_to_is_refused_by_its_own_name(name, value):
    with pytest.raises(UserError) as refused:
        Training(**{name: value})
    assert str(refused.value).startswith(f"trainer.{name}=") and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["mps", "cuda", "gpu"])
def test_an_accelerator_that_is_not_there_is_named_with_those_that_are(name, monkeypatch):
    for kind in ("CUDAAccelerator", "MPSAccelerator"):
        monkeypatch.setattr(f"seke.training.settings.{kind}", SimpleNamespace(is_available=lambda: False))
    with pytest.raises(UserError, match=rf"^trainer\.accelerator={name}: there is none here; this machine has cpu: "):
        Training(accelerator=name).check_machine()
    Training(accelerator="auto").check_machine()


TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
DEEPSPEED = {"LOCAL_SIZE": "2", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "CROSS_RANK": "1", "CROSS_SIZE": "2"}


@pytest.mark.parametrize("environ", [TORCHRUN, DEEPSPEED])
@pytest.mark.parametrize("devices", [1, "auto", -1, 2, "2"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_a_launchers_processes_are_taken_for_what_they_are(environ, devices, nodes):
    environ = dict(environ)
    assert resolved(devices, nodes, environ) == (2, 2)
    assert environ.get("NODE_RANK") == ("1" if "CROSS_RANK" in environ else None)


@pytest.mark.parametrize(("devices", "nodes", "name"), [(8, 1, "devices"), ([0], 1, "devices"), (2, 3, "num_nodes")])
def test_settings_that_contradict_a_launcher_are_one_line(devices, nodes, name):
    with pytest.raises(UserError, match=rf"^trainer\.{name}=.*torchrun has started 2; "):
        resolved(devices, nodes, dict(TORCHRUN))


@pytest.mark.parametrize("environ", [{}, {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "0"}])
def test_without_a_launcher_the_settings_hold(environ):
    assert resolved("auto", 1, environ) == ("auto", 1)


@pytest.mark.parametrize("mode", ["sometimes", "ON", "true"])
def test_a_mode_that_weights_and_biases_does_not_know_is_one_line(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    for ask in (lambda: loggers.wandb(str(tmp_path), "x"), lambda: wandb_run.checked("offline")):
        with pytest.raises(UserError, match=f"^WANDB_MODE={mode}: no such mode; set one of online, offline"):
            ask()
    assert wandb_run.checked(None) is None


def test_no_logger_is_no_logger():
    assert loggers.with_dashboard(None) is False


def logged(where, column="loss"):
    with next((where / "logs").glob("version_*/metrics.csv")).open() as file:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(file) if row.get(column)}


@pytest.mark.parametrize("every", [1, 10])
def test_metrics_manifest_and_card_tell_the_loss_of_the_last_step(sft, tmp_path, every):
    """Without learning, a step of one batch has that batch's loss, wherever the accumulation is cut short."""

    def train(name, accumulate):
        where = tmp_path / name
        facts = sft.train(where, lr=0.0, max_epochs=1, accumulate=accumulate, log_every=every,
                          logger=CSVLogger(where, "logs"))  # fmt: skip
        return where, facts

    # Ten rows in batches of two: a step of four batches leaves one batch, and three that are only filled up.
    where, facts = train("short", 4)
    _, apart = train("apart", 1)
    assert facts["steps"] == 2 and apart["steps"] == 5 and facts["loss"] > 0
    assert facts["loss"] == pytest.approx(apart["loss"], rel=1e-6)
    manifest = json.loads((where / "manifest.json").read_text())
    assert logged(where)[2] == manifest["loss"] == facts["loss"]
    assert f"| training loss, last | {facts['loss']:.6g} |" in (where / "model" / "README.md").read_text()
    assert "loss_mean" in (where / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]


def test_what_is_rejected_is_counted_by_reason_and_told(sft, tmp_path):
    rows = [json.loads(line) for line in (sft.base / "rows.jsonl").read_text().splitlines()]
    text = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "Grey."}]
    odd = [{"id": "film", "video": "a.mp4", "conversations": text}, {"id": "text", "conversations": text},
           {"id": "gone", "image": "gone.png", "conversations": text}, None]  # fmt: skip
    file = sft.base / "odd.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *odd]) + "{cut")
    facts = sft.train(tmp_path / "odd", max_epochs=1, data={"path": str(file)})
    assert facts["rows"] == 11 and facts["rejected"] == 4 and facts["without_picture"] == 1
    assert facts["rejected_for"] == {"image": 2, "form": 1, "json": 1}, "a video that is not there is like a picture"
    assert json.loads((tmp_path / "odd" / "manifest.json").read_text())["rejected_for"] == facts["rejected_for"]


@pytest.mark.parametrize("validation", ["", '{"id": "x"}\n', "no JSON\n"])
def test_a_validation_set_without_a_usable_row_is_refused(sft, tmp_path, validation):
    file = tmp_path / "watched.jsonl"
    file.write_text(validation)
    with pytest.raises(UserError, match=r"^data\.validation=.*watched\.jsonl: no usable row \("):
        sft.train(tmp_path / "run", data={"validation": str(file)})
    assert not (tmp_path / "run" / "model").exists()
    told = (tmp_path / "run" / "rejected_validation.jsonl").read_text()
    assert len(told.splitlines()) == len(validation.splitlines())


def test_a_part_of_a_mixture_without_a_usable_row_is_refused(sft, tmp_path):
    (sft.base / "none.jsonl").write_text('{"id": "x"}\n')
    parts = {name: {"path": str(sft.base / f"{name}.jsonl")} for name in ("rows", "none")}
    with pytest.raises(
        UserError, match=r"^data\.mixture\.none=.*no usable row \(1 rejected, 1 for 'form', such as x: "
    ):
        sft.train(tmp_path / "run", data={"path": None, "mixture": parts})


@pytest.mark.parametrize("wrong", [{"group": [1]}, {"project": {"a": 1}}])
def test_a_wandb_project_or_group_that_is_no_name_is_told(tmp_path, wrong):
    with pytest.raises(UserError, match=rf"logger\.{next(iter(wrong))}=.*no name"):
        loggers.wandb(str(tmp_path), **{"project": "x", **wrong})
