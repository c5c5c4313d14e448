"""Publishing of runs: through the script, over HTTP, to a server that takes commits as the Hub does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from seke.core.errors import UserError
from seke.core.images import decode
from seke.core.runs import file_sha256
from seke.hub.publish import plan

from ..servers import hub_server

ROOT = Path(__file__).resolve().parents[2]
Publish = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, cli) -> Path:
    """A small prepared set, exported without its pictures and, under another name, with them; and a trained model."""
    folder = tmp_path_factory.mktemp("outputs")
    for name, more in (("small", ()), ("faces", ("embed_images=true",))):
        done = cli("prepare", "source.images=60", "export=parquet", f"name={name}", f"paths.outputs={folder}", *more)
        assert done.returncode == 0, done.stderr
    run = folder / "train" / "mine"
    shutil.copytree(ROOT / "assets" / "llava_ov_tiny", run / "model")
    (run / "model" / "README.md").write_text("as trained\n")
    (run / "manifest.json").write_text(json.dumps({"config": {}, "inputs": {}}))
    return folder


@pytest.fixture
def hub():
    """A Hub of this machine."""
    with hub_server.running() as running:
        yield running


@pytest.fixture
def publish(outputs: Path, hub: hub_server.Hub) -> Publish:
    """Run the script as a user who is logged in does."""

    def run(*words: str, token: str = hub_server.TOKEN) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "scripts/publish.py", *words, "--outputs", str(outputs)]
        there = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, **there}, capture_output=True, text=True, check=False
        )

    return run


def pictures(there: hub_server.Repository) -> list[bytes | None]:
    """Return what the repository's rows hold as pictures."""
    tables = [read_table(BytesIO(data)) for name, data in there.files.items() if name.endswith(".parquet")]
    return [row["bytes"] for table in tables for row in table.column("image").to_pylist()]


def test_a_dataset_goes_up_with_its_card_and_without_a_picture(outputs: Path, hub, publish: Publish) -> None:
    ready = publish("prepare/small", "you/small", "--dry-run")
    assert ready.returncode == 0, ready.stderr
    assert ready.stdout.startswith("dataset you/small (private): ") and "no picture is in it" in ready.stdout
    assert hub.repositories == {}
    done = publish("prepare/small", "you/small")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub.url}/you/small/commit/0"
    there, export = hub.repositories["you/small"], outputs / "prepare" / "small" / "parquet"
    assert (there.kind, there.private, there.message) == ("dataset", True, "prepare/small, by SEKE")
    here = {str(path.relative_to(export)): path for path in export.rglob("*") if path.is_file()}
    assert set(there.files) == set(here) - {"manifest.json"}
    for name, data in there.files.items():
        assert data == here[name].read_bytes()
        assert str(outputs).encode() not in data
    assert set(pictures(there)) == {None}


def test_pictures_go_up_only_where_somebody_says_that_they_are_licensed(hub, publish: Publish) -> None:
    done = publish("prepare/faces", "you/faces")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        "error: run=prepare/faces: its export holds the picture files themselves, of synthetic"
    )
    assert hub.repositories == {}
    done = publish("prepare/faces", "you/faces", "--licensed", "--public")
    assert done.returncode == 0, done.stderr
    assert not hub.repositories["you/faces"].private
    assert all(decode(data).size for data in pictures(hub.repositories["you/faces"]))


def test_a_model_goes_up_with_the_newest_card_of_these_very_weights(outputs: Path, hub, publish: Publish) -> None:
    weights = outputs / "train" / "mine" / "model" / "model.safetensors"
    for place, (name, digest) in enumerate(
        {"old": file_sha256(weights), "new": file_sha256(weights), "x": "0"}.items()
    ):
        folder = outputs / "evaluate" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(
            json.dumps({"config": {}, "inputs": {"model/model.safetensors": digest}, "packages": {}})
        )
        (folder / "model_card.md").write_text(f"results of {name}\n")
        os.utime(folder / "model_card.md", (place, place))
    done = publish("train/mine", "you/mine")
    assert done.returncode == 0, done.stderr
    there = hub.repositories["you/mine"]
    assert there.kind == "model" and there.files["README.md"] == b"results of new\n"
    assert there.files["model.safetensors"] == weights.read_bytes()
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= set(there.files)


def test_a_repository_that_is_public_already_takes_nothing_unless_that_is_said(hub, publish: Publish) -> None:
    hub.repositories["you/old"] = hub_server.Repository("dataset", private=False)
    done = publish("prepare/small", "you/old")
    assert done.returncode == 2
    assert "repository=you/old: this repository is public already; say --public" in done.stderr
    assert hub.repositories["you/old"].files == {}
    assert publish("prepare/small", "you/old", "--public").returncode == 0


def test_a_refusal_of_the_hub_is_one_line_without_the_token(publish: Publish) -> None:
    done = publish("prepare/small", "you/small", token="hf_wrong")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: repository=you/small: ") and "401" in done.stderr
    assert "hf_wrong" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ("small", "no finished run of that name"),
        ("prepare/nothing", "no finished run of that name"),
        ("evaluate/small", "no finished run of that name"),
        ("prepare/bare", "there is no export of it; make one: python prepare.py ... name=bare export=parquet"),
        ("train/empty", "holds no weights"),
        ("../prepare/small", "no finished run of that name"),
    ],
)
def test_what_cannot_be_published_is_said(outputs: Path, run: str, problem: str) -> None:
    for other in ("prepare/bare", "train/empty"):
        (outputs / other).mkdir(parents=True, exist_ok=True)
        (outputs / other / "manifest.json").write_text(json.dumps({"config": {}, "inputs": {}}))
    with pytest.raises(UserError, match=problem):
        plan(run, outputs, licensed=False)


def test_an_export_that_was_touched_is_not_passed_on(outputs: Path, tmp_path: Path) -> None:
    shutil.copytree(outputs / "prepare" / "small", tmp_path / "prepare" / "small")
    [first, *_] = sorted((tmp_path / "prepare" / "small" / "parquet" / "data").iterdir())
    first.write_bytes(first.read_bytes() + b"more")
    with pytest.raises(UserError, match="is not what was exported"):
        plan("prepare/small", tmp_path, licensed=False)
