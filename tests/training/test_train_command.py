"""train.py as a user runs it: three steps of the shipped tiny base, the same command again, and mistakes."""

import csv
import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from safetensors.torch import load_file

from ..conftest import ROOT
from ..trees import emovit, faba, fea_20k, mafw, merr_fine

LIGHT = ["trainer.max_steps=3", "trainer.batch_size=2", "trainer.threads=1", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for k in range(8):
        Image.radial_gradient("L").rotate(45 * k).resize((96, 96)).save(folder / f"{k}.png")
        lines.append({"id": str(k), "image": f"{k}.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat emotion is it?"},
            {"from": "gpt", "value": "The expression is fear."}]})  # fmt: skip
    lines.append({**lines[0], "id": "gone", "image": "gone.png"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "rows.jsonl"


def test_trains_saves_and_says_when_it_is_finished(cli, rows, tmp_path):
    settings = [f"data.path={rows}", f"paths.outputs={tmp_path}", "name=x", *LIGHT]
    done = cli("train", *settings)
    assert done.returncode == 0, done.stderr
    assert "8 rows, 1 rejected, 3 steps" in done.stdout
    run = tmp_path / "train" / "x"
    files = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "processor_config.json",
            "chat_template.jinja"} <= files  # fmt: skip
    assert json.loads((run / "rejected.jsonl").read_text())["id"] == "gone"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["steps"] == 3 and manifest["inputs"]["data0"]
    header = (run / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert "loss" in header
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    again = cli("train", *settings)
    assert again.returncode == 0 and "is finished" in again.stdout
    other = cli("train", *settings, "model.lr=1.0")
    assert other.returncode == 2 and other.stderr.startswith("error: name=x: ") and "model.lr" in other.stderr


def test_a_signal_pauses_with_exit_code_3_and_the_same_command_goes_on(cli, rows, tmp_path):
    settings = [f"data.path={rows}", f"paths.outputs={tmp_path}", "name=p", *LIGHT, "trainer.max_epochs=2"]
    settings.remove("trainer.max_steps=3")
    # The signal comes from within, before the fifth batch: no machine is too fast or too slow for that.
    told = (
        "import os, runpy, signal, sys\n"
        "from seke.training.module import Sft\n"
        "step = Sft.training_step\n"
        "def training_step(module, batch, number):\n"
        "    if module.trainer.global_step == 4:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return step(module, batch, number)\n"
        "Sft.training_step = training_step\n"
        "sys.argv[0] = 'train.py'\n"
        "runpy.run_path('train.py', run_name='__main__')\n"
    )
    paused = subprocess.run(
        [sys.executable, "-c", told, *settings], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert paused.returncode == 3
    assert paused.stderr.splitlines()[-1] == "paused: saved at step 5; the same command goes on from here"
    assert "Traceback" not in paused.stderr and not (tmp_path / "train" / "p" / "manifest.json").exists()
    done = cli("train", *settings)
    assert done.returncode == 0 and "8 steps" in done.stdout, done.stderr


def test_a_loss_that_is_no_number_is_one_line_with_the_records(cli, rows, tmp_path):
    done = cli("train", f"data.path={rows}", f"paths.outputs={tmp_path}", "name=n", *LIGHT, "model.lr=1e30",
                "trainer.warm_up=0.0")  # fmt: skip
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: loss=") and "at step " in line and "on the records " in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("data.path=nowhere", "error: data.path=nowhere: "),
        ("data.keep=aus", "error: data.keep=aus: "),
        ("trainer.patience=0", "error: trainer.patience=0: "),
        ("ckpt=first", "error: ckpt=first: "),
        ("trainer=abacus", "abacus"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli, tmp_path, rows, mistake, said):
    done = cli("train", f"paths.outputs={tmp_path}", f"data.path={rows}", mistake)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr


def test_weights_and_biases_logs_offline_without_a_key(cli, rows, tmp_path):
    done = cli("train", f"paths.outputs={tmp_path}", f"data.path={rows}", "name=w", "logger=wandb", *LIGHT)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "train" / "w" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_mixture_of_every_set_trains(cli, tmp_path):
    data = tmp_path / "data"
    emovit.make(data)
    faba.make(data)
    fea_20k.make(data / "FEA-20K")
    mafw.make(data / "MAFW")
    merr_fine.make(data / "MERR")
    settings = ["data=mixture", "data.mixture.feid=null", "data.mixture.mafw.weight=2", "data.mixture.emovit.limit=5",
                "+data.mixture.merr_fine.reader.first_frame=1"]  # fmt: skip
    done = cli("train", *settings, "name=m", f"paths.data={data}", f"paths.outputs={tmp_path}", *LIGHT)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "train" / "m" / "manifest.json").read_text())
    assert manifest["parts"] == {"emovit": 5, "mafw": 6, "merr_fine": 6, "faba": 8, "fea_20k": 5}
    assert manifest["rows"] == 36 and set(manifest["inputs"]) == set(manifest["parts"])
    rejected = [json.loads(line) for line in (tmp_path / "train" / "m" / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == manifest["rejected"] == 7


def test_table_3s_rows_of_clips_are_counted_by_a_dry_run_at_paper_scale(cli, tmp_path):
    mafw.make(tmp_path / "MAFW")
    merr_fine.make(tmp_path / "MERR")

    def told(data, *settings):
        done = cli("train", "experiment=table3", "scale=paper", f"data={data}", "dry_run=true", "model=llava_ov_tiny",
                   "trainer=cpu", f"paths.data={tmp_path}", f"paths.outputs={tmp_path / 'out'}", *settings)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    for data in ("mafw", "merr_fine"):
        clips, pictures = told(data, "data.reader.shown=3"), told(data)
        assert clips != pictures
    assert not (tmp_path / "out" / "train").exists()


def test_an_unknown_schema_is_one_line_with_its_keys_and_claims_no_run(cli, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([{"file": "x.jpg", "caption": "Joy."}]))
    done = cli("train", "data=feid_release", f"data.path={tmp_path / 'rows.json'}", f"paths.outputs={tmp_path}")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: data.reader.fields=") and "the keys file, caption" in done.stderr
    assert not (tmp_path / "train").exists()


def test_a_dataset_that_is_not_there_claims_no_run(cli, tmp_path):
    done = cli("train", "data=mafw", f"paths.data={tmp_path}", f"paths.outputs={tmp_path / 'out'}")
    assert done.returncode == 2 and done.stderr.startswith("error: data.path=")
    assert not (tmp_path / "out").exists()


def logs(run):
    with (run / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if "grad_norm" in row]


@pytest.mark.slow
def test_two_ranks_train_as_one_and_lose_no_rejection(cli, rows, tmp_path):
    # Nine rows, eight a step: the second step leaves a rank with nothing but a filler.
    (rows.parent / "nine.jsonl").write_text(rows.read_text() + rows.read_text().splitlines()[0] + "\n")
    settings = [f"data.path={rows.parent / 'nine.jsonl'}", f"paths.outputs={tmp_path}", "data.group_by_length=false",
                "trainer.threads=1", "trainer.max_epochs=2", "trainer.log_every=1"]  # fmt: skip
    for ranks in (1, 2):
        more = [f"trainer.batch_size={8 // ranks}", f"trainer.devices={ranks}", f"name=r{ranks}", "overwrite=true"]
        done = cli("train", *settings, *more, *(["trainer.strategy=ddp"] if ranks > 1 else []))
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / "train" / f"r{ranks}" / "model" / "model.safetensors") for ranks in (1, 2))
    assert max(float((one[name].float() - two[name].float()).abs().max()) for name in one) < 1e-4
    logged = [logs(tmp_path / "train" / f"r{ranks}") for ranks in (1, 2)]
    for column in ("loss", "grad_norm"):
        assert [row[column] for row in logged[1]] == pytest.approx([row[column] for row in logged[0]], rel=1e-3)
    assert json.loads((tmp_path / "train" / "r2" / "rejected.jsonl").read_text())["id"] == "gone"
    for ranks in (1, 2):  # the last step of two ranks leaves one of them with nothing
        manifest = json.loads((tmp_path / "train" / f"r{ranks}" / "manifest.json").read_text())
        assert manifest["loss"] == logged[ranks - 1][-1]["loss"] == pytest.approx(logged[0][-1]["loss"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_a_launchers_ranks_train_together_with_the_default_devices(rows, tmp_path, launcher):
    settings = [f"data.path={rows}", f"paths.outputs={tmp_path}", "name=l", "trainer.batch_size=2", "trainer.threads=1",
                "trainer.max_epochs=1", "trainer.log_every=1"]  # fmt: skip
    if launcher == "torchrun":
        words = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29631", "train.py", *settings]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    else:  # its launcher wants a GPU or a compiler; what it gives to its processes is all that counts
        share = {**os.environ, "WORLD_SIZE": "2", "LOCAL_SIZE": "2", "CROSS_SIZE": "1", "CROSS_RANK": "0",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29632"}  # fmt: skip
        ranks = [
            subprocess.Popen(
                [sys.executable, "train.py", f"--local_rank={rank}", *settings],
                cwd=ROOT,
                env={**share, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(2)
        ]
        assert [rank.wait() for rank in ranks] == [0, 0]
    manifest = json.loads((tmp_path / "train" / "l" / "manifest.json").read_text())
    assert manifest["hardware"]["processes"] == 2 and manifest["steps"] == 2 and manifest["rejected"] == 1
    assert manifest["loss"] == logs(tmp_path / "train" / "l")[-1]["loss"]
