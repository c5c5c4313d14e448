"""train.py algorithm=grpo as a user runs it: mistakes in one line, a dry run, a whole run where TRL is installed."""

import csv
import json
from importlib.util import find_spec

import pytest

from ...offline_wandb import logs

TRL = find_spec("trl") is not None
FACE = "algorithm=grpo"


@pytest.fixture(scope="module")
def given(small):
    return [f"data.path={small / 'train.jsonl'}", f"model.path={small / 'model'}", "trainer.max_steps=2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algorithm=grpo", "data=feid"], "train.jsonl: instruction data, and no records with human labels; use data="),
        (["data=records"], "train.jsonl: records, which hold no answers to imitate; use data=feid, or"),
        (["algorithm=grpo", "model.path=nowhere"], "error: model.path=nowhere: neither a finished"),
        (["algorithm=grpo", "algorithm.rewards.aus=1"], "error: algorithm.rewards.aus=1: "),
        (
            ["algorithm=grpo", "dry_run=true", "trainer.devices=2"],
            "error: trainer.devices=2: reinforcement runs in one",
        ),
        (
            ["algorithm=grpo", "dry_run=true", "trainer=deepspeed_cpu", "trainer.devices=1"],
            "error: trainer.strategy=",
        ),
        (["algorithm=grpo", "algorithm.group_size=1"], "error: algorithm.group_size=1: one answer has none to be held"),
        (["algorithm=grpo", "data.without=[a,b,c]"], "no usable record (2 no human label)"),
        (["algorithm=grpo", "data.path=nowhere"], "error: data.path=nowhere: "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli, given, tmp_path, words, said):
    done = cli("train", *given, f"paths.outputs={tmp_path}", *words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr
    assert not (tmp_path / "train").exists() or not any((tmp_path / "train").iterdir())


def test_a_dry_run_counts_faces_labels_and_answers_and_writes_nothing(cli, given, tmp_path):
    done = cli("train", FACE, *given, f"paths.outputs={tmp_path}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    for line in ("6, 2 rejected (2 no human label); 2 watched", "expression 2, valence 2, arousal 2, action_units 2",
                 "2, 8.00 passes over the faces, 192 answers", "at most 96 of an answer"):  # fmt: skip
        assert line in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(TRL, reason="TRL is installed")
def test_without_trl_it_says_what_to_install(cli, given, tmp_path):
    done = cli("train", FACE, *given, f"paths.outputs={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: algorithm=grpo: trl not installed; pip install -e '.[rl]'"


@pytest.mark.slow
@pytest.mark.skipif(not TRL, reason="algorithm=grpo needs pip install -e '.[rl]'")
def test_a_base_that_cannot_answer_is_sent_to_fine_tuning_and_its_name_stays_free(cli, given, tmp_path):
    done = cli("train", FACE, *given, f"paths.outputs={tmp_path}", "algorithm.max_tokens=8", "name=b")
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: model.path=") and "fine-tune it first" in line
    assert not (tmp_path / "train" / "b").exists()


@pytest.mark.slow
@pytest.mark.skipif(not TRL, reason="algorithm=grpo needs pip install -e '.[rl]'")
def test_after_fine_tuning_it_trains_and_the_same_command_says_when_it_is_finished(cli, tmp_path):
    outputs = f"paths.outputs={tmp_path}"
    assert cli("prepare", "source.images=300", "name=d", outputs).returncode == 0
    assert cli("generate", "records=d", "name=d", outputs).returncode == 0
    assert cli("train", "data.path=d", "name=d", "trainer.max_epochs=6", outputs).returncode == 0
    settings = [FACE, "data.path=d", "model.path=d", "name=rl", outputs, "trainer.max_steps=2", "algorithm.prompts=2",
                "data.watched=8", "wandb=offline"]  # fmt: skip
    done = cli("train", *settings)
    assert done.returncode == 0 and "2 steps, 16 answers, mean reward" in done.stdout, done.stderr
    assert f"next: python evaluate.py records=d model.path=rl name=rl {outputs}" in done.stdout
    manifest = json.loads((tmp_path / "train" / "rl" / "manifest.json").read_text())
    assert manifest["base"] == str(tmp_path / "train" / "d" / "model") and manifest["synthetic"] == "faces"
    rows = list(csv.DictReader((tmp_path / "train" / "rl" / "logs" / "version_0" / "metrics.csv").open()))
    assert {"reward", "reward_action_units", "constant_groups", "length", "distinct", "sampling"} <= set(rows[0])
    [log] = logs(tmp_path / "train" / "rl")
    assert log.job == "train" and log.summary["reward"] == pytest.approx(float(rows[-1]["reward"]))
    again = cli("train", *settings)
    assert again.returncode == 0 and "is finished" in again.stdout
