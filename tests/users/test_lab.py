"""A lab's day with Aff-Wild2 and a GPU box: real labels, an annotator on a server, training under Slurm, a report.

What a test cannot have is stood in for: frames are small blobs of colour in the real layout of the dataset, the
annotator is a server on this machine that speaks vLLM's protocol, the model is tiny and trained on the CPU, and `srun`
runs its command here. What the numbers are is therefore of no interest; that every step follows from the last one is.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT
from ..servers.openai_server import running
from ..trees import aff_wild2
from ..trees.pictures import save
from .terminal import Terminal

SAYS = (
    "The expression is happiness. Valence is 0.6 and arousal is 0.3. Active action units: AU6, AU12.",
    "The expression is anger. Valence is -0.5 and arousal is 0.6. Active action units: AU4, AU7.",
    "The expression is neutral. Valence is 0.0 and arousal is 0.0. Active action units: AU1.",
)
SRUN = """#!/usr/bin/env bash
shift 2  # --kill-on-bad-exit=0 python
cd "{root}" && exec "{python}" "{warned}" "$@"
"""
WARNED = """
import os, pathlib, runpy, signal, sys
from seke.training.module import Sft

once, steps, step = pathlib.Path(__file__).with_suffix(".once"), [0], Sft.training_step

def warned(*arguments, **named):
    steps[0] += 1
    if steps[0] == 3 and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGUSR1)
    return step(*arguments, **named)

Sft.training_step = warned
sys.argv = sys.argv[1:]
runpy.run_path("train.py", run_name="__main__")
"""
"""A scheduler that gives its warning in the third step, once."""


@pytest.fixture
def lab(tmp_path, cli):
    """A prepared Aff-Wild2, and a server that answers about faces."""
    aff_wild2.make(tmp_path / "data" / "Aff-Wild2")
    with running(sentences=SAYS) as server:
        lab = Terminal(cli, tmp_path / "outputs", OPENAI_API_KEY="")
        lab.server = server
        lab.annotator = ("backend=vllm", "backend.model=Qwen/Qwen3-VL-4B-Instruct", f"backend.base_url={server.url}")
        said = lab("prepare", "source=aff_wild2", f"paths.data={tmp_path / 'data'}", "name=aff")
        assert "58 train, 5 validation, 15 test, 60 rejected" in said
        assert "rejected: no image 56, no label 4; each with its reason in " in said
        yield lab


def sbatch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/train.sbatch as Slurm would on a node with one task."""
    for name in (".venv/bin/activate", "warned.py", "srun", "scontrol"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        (folder / name).chmod(0o755)
    (folder / "warned.py").write_text(WARNED)
    (folder / "srun").write_text(SRUN.format(root=ROOT, python=sys.executable, warned=folder / "warned.py"))
    (folder / "scontrol").write_text(f'#!/usr/bin/env bash\necho "$*" >> "{folder / "requeued"}"\n')
    slurm = {
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
    }
    script = ["bash", str(ROOT / "scripts" / "train.sbatch"), *words]
    return subprocess.run(script, capture_output=True, text=True, check=False, env={**os.environ, **slurm})


@pytest.mark.slow
def test_what_real_labels_say_without_looking_and_what_an_annotator_adds(lab, tmp_path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    recipe = ["bash", str(ROOT / "scripts" / "figure5.sh"), "annotator=none", "records=aff", f"outputs={lab.outputs}"]
    done = subprocess.run(recipe, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    table = lab.read("figure5", "figure5", "table.md")
    assert "annotator: nobody was asked" in table and "(50 records)" in table
    assert re.search(r"\| Not looking .*?\| 0\.\d{3} \(0\.\d{3} to \d\.\d{3}\) \|", table)
    assert not lab.server.bodies

    masked = "generator.hide=[au]"
    lab("generate", "records=aff", "name=aff-blind", "generator=blind", masked)
    lab("generate", "records=aff", "name=aff-qwen", *lab.annotator, masked)
    judged = ("evaluate", "benchmark=reliability", "predictions=aff-blind", "name=aff-labels-blind")
    refused = lab(*judged, "records=aff", code=2)
    truth = f"records={lab.outputs / 'prepare' / 'aff' / 'train.jsonl'}"
    assert "only drawn pictures have a truth.jsonl" in refused and truth in refused
    lab(*judged, truth)
    lab("evaluate", "benchmark=reliability", truth, "predictions=aff-qwen", "name=aff-labels-qwen",
        "compare=aff-labels-blind")  # fmt: skip
    assert "action_units | f1_mean_14" in lab.read("evaluate", "aff-labels-qwen", "comparison.md")
    lab("evaluate", "compare=[aff-qwen,aff-blind,prepare/aff]", "name=people")
    agreement = json.loads(lab.read("evaluate", "people", "agreement.json"))
    assert [pair["action_units"]["n"] for pair in agreement["pairs"]] == [58, 53, 53]


@pytest.mark.slow
def test_from_annotation_to_a_verdict_on_several_checkpoints(lab, tmp_path) -> None:
    asked = lab("generate", "records=aff", "name=aff", *lab.annotator, "dry_run=true")
    assert "58 records; nothing was asked" in asked and not lab.server.bodies
    lab("generate", "records=aff", "name=aff", *lab.annotator, "export=parquet")

    tiny = ("model=llava_ov", "model.path=assets/llava_ov_tiny")
    node = lab("train", "data.path=aff", "name=big", *tiny, "trainer=deepspeed_zero2", "trainer.devices=8",
               "dry_run=true")  # fmt: skip
    assert re.search(r"^rows +58 an epoch, 0 rejected$", node, re.MULTILINE) and "ranks: 8" in node
    assert not (lab.outputs / "train").exists()

    job = ("data.path=aff", "name=aff", "trainer=cpu", "wandb=offline", f"paths.outputs={lab.outputs}")
    assert subprocess.run(["bash", "-n", ROOT / "scripts" / "train.sbatch"], check=False).returncode == 0
    stopped = sbatch(tmp_path, *job)
    assert stopped.returncode == 3, stopped.stderr
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    resumed = sbatch(tmp_path, *job)
    assert resumed.returncode == 0, resumed.stderr
    assert "58 rows, 0 rejected, 8 steps" in resumed.stdout
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    assert list((lab.outputs / "train" / "aff" / "wandb").glob("offline-run-*"))
    lab("train", "data.path=aff", "name=short", "trainer.max_steps=2")

    lab("evaluate", "records=aff", "system=constant", "name=feab-constant")
    lab("evaluate", "-m", "records=aff", "model=llava_ov_tiny", "model.path=aff,short", "name=feab",
        "compare=feab-constant")  # fmt: skip
    said = lab("report", "name=feab")
    assert "feab-model.path=aff" in said and "feab-model.path=short" in said
    assert "collapsed" not in said, "no room was left for a figure"
    page = (lab.outputs / "report" / "feab" / "index.html").read_text(encoding="utf-8")
    verdict = (
        r"feab-model.path=short\W.*?(is worse than|does not differ beyond chance from) the best answer that never looks"
    )
    assert re.search(verdict, page, re.DOTALL)

    assert "vllm serve " in lab("serve", "model.path=aff", "dry_run=true")
    for run in ("train/aff", "generate/aff"):
        published = [sys.executable, ROOT / "scripts" / "publish.py", run, "lab/aff", "--dry-run", "--outputs"]
        done = subprocess.run([*published, lab.outputs], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "(private)" in done.stdout, done.stderr


@pytest.mark.slow
def test_new_pictures_are_labelled_by_two_models_and_held_against_each_other(lab, tmp_path) -> None:
    for number in range(8):
        save(tmp_path / "new" / f"{number}.jpg", f"new {number}")
    said = lab("prepare", "source=folder", f"source.root={tmp_path / 'new'}", "name=new")
    assert "generate.py or evaluate.py can label it" in said
    lab("evaluate", "records=new", *lab.annotator, "name=new")
    lab("evaluate", "records=new", *lab.annotator, "backend.model=other", "seed=1", "name=new2", "compare=new")
    for name in ("new", "new2"):
        assert (lab.outputs / "evaluate" / name / "labels.xlsx").is_file()
    lines = lab.read("evaluate", "new", "labels.csv").splitlines()
    assert len(lines) == 9 and ",ok,happiness," in "".join(lines)
    assert "## new2 and new" in lab.read("evaluate", "new2", "agreement.md")
    lab("report", "name=new2")
