"""The manual says what is there: its tables are those of conf/, its commands have known settings, its links lead on."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig

from seke.cli import settings
from seke.cli.command import build

from .composition import composed

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in
         (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))}  # fmt: skip
README, TRAINING = PAGES["README.md"], PAGES["docs/training.md"]
COMMAND = re.compile(r"^(?:python )?(prepare|generate|train|evaluate|report|serve)\.py (.*)$", re.MULTILINE)
SHELL = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PARAMETERS = {"7B": 8_029_890_080, "0.5B": 893_675_552}
"""Of the published configurations (transformers, on the meta device)."""


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands that a page's shell examples show, with their words; lines that go on are joined."""
    shown = "\n".join(SHELL.findall(text)).replace("\\\n", " ")
    found = []
    for line in re.sub(
        r"^torchrun .*?(?=train\.py)|^sbatch .*?train\.sbatch", "train.py", shown, flags=re.MULTILINE
    ).splitlines():
        if match := COMMAND.match(line.replace("train.pytrain.py", "train.py")):
            found.append((match[1], shlex.split(match[2], comments=True)))
    return found


SHOWN = [(page, command, words) for page, text in PAGES.items() for command, words in commands(text)]


@pytest.mark.parametrize("group", ["source", "model", "backend", "benchmark"])
def test_a_table_of_the_readme_lists_the_options_that_there_are(group: str) -> None:
    table = README.partition(f"| `{group}=` |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def test_the_pages_show_many_commands_and_every_command_there_is() -> None:
    there = {path.stem for path in (ROOT / "conf").glob("*.yaml") if (ROOT / f"{path.stem}.py").is_file()}
    assert len(SHOWN) > 60
    assert {command for page, command, _ in SHOWN if page == "README.md"} == there


@pytest.fixture(scope="module")
def _known_settings_are_composed_once() -> Iterator[None]:
    """Most commands choose the same options; the files of conf/ stay as they are meanwhile."""
    known: dict[str, DictConfig] = {}
    compose = settings._composed

    def composed_once(*choice: Any, **more: Any) -> DictConfig:
        key = repr((choice, more))
        if key not in known:
            known[key] = compose(*choice, **more)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_composed", composed_once)
        yield


@pytest.mark.usefixtures("_known_settings_are_composed_once")
@pytest.mark.parametrize("page", sorted({page for page, *_ in SHOWN} - {"CONTRIBUTING.md"}))
def test_a_command_of_the_manual_has_only_settings_that_there_are(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of CONTRIBUTING.md are of parts that one adds; tests/test_contributing.py runs them."""
    monkeypatch.chdir(ROOT)
    for command, words in {(command, tuple(words)) for of, command, words in SHOWN if of == page}:
        typed = [word for word in words if word != "-m" and not word.startswith("hydra")]
        if "--help" in typed or any(word.startswith("--config-dir") for word in typed):
            continue
        read = settings.written(typed, ROOT / "conf", command)
        settings.check_shown(read, ROOT / "conf", command)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page: str) -> None:
    for target in LINK.findall(PAGES[page]):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}: no heading of that name"


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_what_was_never_run_stands_on_the_first_screen(page: str) -> None:
    first = "\n".join(PAGES[page].splitlines()[:45])
    assert re.search(r"never (been )?run", first, re.IGNORECASE)
    assert "GPU" in first and re.search(r"photographs|real instruction data", first)


@pytest.mark.parametrize("path", sorted([*PAGES, *(str(p.relative_to(ROOT)) for p in (ROOT / "conf").rglob("*.yaml"))]))
def test_a_page_and_a_comment_of_a_setting_have_no_words_of_our_own(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not re.findall(r"\b(doors?|came out|mend(?:ed|s)?|bought|latent truth)\b", text)


def test_memory_and_disk_are_what_a_dry_run_computes() -> None:
    from seke.training.dry_run import GIB, Batch, Sizes, _bytes

    text = SimpleNamespace(hidden_size=0, intermediate_size=0, num_hidden_layers=0, vocab_size=0)
    loaded = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(text_config=text)))
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (\d) \| [^|]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", TRAINING, re.MULTILINE
    )
    assert len(rows) >= 8
    for trainer, optimizer, gpus, *told in rows:
        cfg = composed("train", f"trainer={trainer}", f"optimizer={optimizer}", f"trainer.devices={gpus}")
        training, adam = build(cfg.trainer), build(cfg.optimizer)
        width = 2 if adam.keeps_bfloat16 or training.master_weights else 4
        found = []
        for number in PARAMETERS.values():
            sizes = Sizes(number, number, number * width, number * width, {})
            memory, _, checkpoint = _bytes(loaded, sizes, training, adam, Batch(0, 0, 0), int(gpus), False)
            found.append((memory.total / GIB, checkpoint / GIB))
        (seven, kept), (half, _) = found
        assert [float(number) for number in told] == pytest.approx([seven, half, kept], abs=0.06), (trainer, optimizer)


def test_the_citation_file_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert (str(cited["version"]), cited["license"]) == (project["version"], project["license"])


def test_the_dockerfile_has_no_fault_that_its_linter_knows_and_copies_what_there_is() -> None:
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if linter is None:
        pytest.skip("hadolint has no build for this machine")
    done = subprocess.run([linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    for line in re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE):
        assert all(list(ROOT.glob(word)) for word in line.split()), line


@pytest.mark.slow
def test_the_dockerfile_builds_where_there_is_docker(tmp_path: Path) -> None:
    asked = ["docker", "info"]
    if shutil.which("docker") is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("no docker that runs here")
    built = subprocess.run(["docker", "build", "-q", ROOT], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    said = subprocess.run(["docker", "run", "--rm", built.stdout.strip()], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("usage: seke prepare|generate|train|evaluate|report")


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (2, False), (3, True)])
def test_a_slurm_job_that_has_saved_is_queued_again(tmp_path: Path, code: int, requeued: bool) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    for name, ending in (("srun", f"exit {code}"), ("scontrol", "exit 0")):
        (tmp_path / name).write_text(f'#!/usr/bin/env bash\necho "{name} $*" >> {tmp_path}/asked\n{ending}\n')
        (tmp_path / name).chmod(0o755)
    slurm = {
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_JOB_NUM_NODES": "2",
    }
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "train.sbatch", "name=seke", "trainer=deepspeed_zero3"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **slurm}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    step = "srun --kill-on-bad-exit=0 python train.py name=seke trainer=deepspeed_zero3"
    assert asked[0] == f"{step} trainer.devices=4 trainer.num_nodes=2"
    assert asked[1:] == (["scontrol requeue 7"] if requeued else [])
