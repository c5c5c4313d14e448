"""`wandb=offline` and `objective=` at the commands: a run a stage, Optuna's choice, cells in other processes."""

import json
from importlib.util import find_spec

import pytest
import yaml

from ..offline_wandb import logs

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="pip install -e '.[optuna]'")
needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="pip install -e '.[slurm]'")
LIGHT = ["trainer.max_steps=2", "trainer.batch_size=2", "trainer.threads=1", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def outputs(cli, tmp_path_factory):
    """Where a prepare run p and a generate run g of it are."""
    root = tmp_path_factory.mktemp("outputs")
    for name, *settings in (
        ("prepare", "name=p", "source.images=60", "source.size=48"),
        ("generate", "name=g", "records=p"),
    ):
        done = cli(name, f"paths.outputs={root}", "wandb=offline", *settings, WANDB_API_KEY="K" * 40)
        assert done.returncode == 0, done.stderr
    return root


def test_each_stage_is_a_run_and_they_hang_together(cli, outputs):
    truth = outputs / "prepare" / "p" / "truth.jsonl"
    done = cli(
        "evaluate", f"paths.outputs={outputs}", "benchmark=reliability", "predictions=g", f"records={truth}",
        "name=r", "wandb=offline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [prepare], [generate], [evaluate] = (logs(outputs / path) for path in ("prepare/p", "generate/g", "evaluate/r"))
    assert [log.job for log in (prepare, generate, evaluate)] == ["prepare", "generate", "evaluate"]
    assert generate.used == prepare.made
    assert evaluate.used == prepare.made | generate.made
    metrics = json.loads((outputs / "evaluate" / "r" / "metrics.json").read_text())
    assert evaluate.summary["expression/f1_macro"] == metrics["expression"]["f1_macro"]
    files = [file for run in ("prepare/p", "generate/g") for file in (outputs / run).rglob("*") if file.is_file()]
    assert not [file for file in files if b"K" * 40 in file.read_bytes()]


def test_cells_of_a_sweep_are_runs_of_one_group_with_their_settings_flat(cli, outputs):
    sweep = ("-m", f"paths.outputs={outputs}", "name=n", "records=p", "wandb=offline", "generator.max_samples=2,3")
    assert cli("generate", *sweep).returncode == 0
    cells = [log for path in sorted((outputs / "generate").glob("n-*")) for log in logs(path)]
    assert {log.group for log in cells} == {"n"}
    assert [log.config["sweep_generator_max_samples"] for log in cells] == [2, 3]
    assert all("sweep_paths_outputs" not in log.config for log in cells)


@pytest.mark.slow
def test_an_experiment_is_the_group_of_its_cells(cli, outputs):
    sweep = ("-m", "experiment=sweep_n", f"paths.outputs={outputs}", "name=other", "records=p", "wandb=offline")
    done = cli("generate", *sweep, "generator.max_samples=2")
    assert done.returncode == 0, done.stderr
    [log] = logs(outputs / "generate" / "other-n2")
    assert log.group == "sweep_n"


@pytest.mark.slow
def test_a_training_draws_its_curves_into_the_run_of_its_stage(cli, outputs):
    done = cli("train", f"paths.outputs={outputs}", "data.path=g", "name=t", "wandb=offline", *LIGHT)
    assert done.returncode == 0, done.stderr
    [log] = logs(outputs / "train" / "t")
    assert log.job == "train"
    assert log.summary["trainer/global_step"] == 2
    assert log.used.keys() == {"generate-g"}


def test_an_unknown_mode_claims_no_directory(cli, tmp_path):
    done = cli("prepare", f"paths.outputs={tmp_path}", "wandb=maybe")
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: wandb=maybe: no such mode; set offline, online or null",
    )
    assert not (tmp_path / "prepare").exists()


def test_an_unknown_objective_is_told_with_those_there_are(cli, outputs):
    done = cli("prepare", f"paths.outputs={outputs}", "name=p", "source.images=60", "source.size=48", "objective=mae")
    assert done.returncode == 2
    assert "error: objective=mae: no number of this run; choose among counts/leaks" in done.stderr


@needs_optuna
def test_optuna_minimises_a_number_of_the_finished_runs(cli, outputs):
    study = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=1")
    own = (f"paths.outputs={outputs}", "records=p", "name=opt", "hydra.sweeper.direction=minimize")
    done = cli("generate", "-m", *study, *own, "objective=mean_samples", "generator.max_samples=range(2,8)")
    assert done.returncode == 0, done.stderr
    costs = {
        yaml.safe_load((path / "config.yaml").read_text())["config"]["generator"]["stopping"][
            "max_samples"
        ]: json.loads((path / "cost.json").read_text())["mean_samples"]
        for path in (outputs / "generate").glob("opt-*")
    }
    best = yaml.safe_load((outputs / "optimization_results.yaml").read_text())
    assert len(costs) == 3
    assert best["best_value"] == min(costs.values()) == costs[best["best_params"]["generator.max_samples"]]


@needs_optuna
@pytest.mark.slow
def test_optuna_ends_with_one_line_where_no_trial_can_succeed(cli, outputs):
    study = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "objective=mean_samples")
    done = cli("generate", "-m", *study, f"paths.outputs={outputs}", "records=p", "generator.max_samples=0,1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "begins with 2 draws" in done.stderr.strip().splitlines()[-1]


@needs_submitit
@pytest.mark.slow
def test_a_cell_that_fails_in_another_process_is_told_and_stops_no_other(cli, outputs):
    launcher = ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", f"paths.outputs={outputs}")
    done = cli("generate", "-m", *launcher, "records=p", "name=sub", "generator.max_samples=0,3")
    assert done.returncode == 2
    assert "begins with 2 draws" in done.stderr.strip().splitlines()[-1]
    [finished] = (outputs / "generate").glob("sub-*/manifest.json")
    assert "max_samples=3" in finished.parent.name
