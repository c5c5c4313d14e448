"""`python serve.py` as a user runs it: a real model, a real server, an end in order, and nothing left behind."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image as Picture

from ..servers import openai_server
from .test_page import ask

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "assets" / "llava_ov_tiny"


@contextmanager
def running(tmp_path: Path, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]", list[str]]]:
    """Run the command until it says where the page is; yield its address, the process and what it said before."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [sys.executable, "serve.py", f"paths.outputs={tmp_path / 'outputs'}", "page.port=0", *words]
    environment = {**os.environ, "TMPDIR": str(temporary), "OPENAI_API_KEY": "sk-test"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []
    try:
        while not (line := process.stdout.readline()).startswith("page: "):
            assert line, said
            said.append(line.rstrip())
        yield line.split()[1], process, said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def face() -> bytes:
    """A drawn face of the demo, or what is left of one."""
    out = io.BytesIO()
    Picture.open(ROOT / "docs" / "faces.png").convert("RGB").crop((0, 0, 160, 160)).save(out, "PNG")
    return out.getvalue()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_base_is_served_until_sigterm_and_nothing_is_left(tmp_path: Path) -> None:
    with running(tmp_path, "draws=1", "backend.max_new_tokens=24") as (address, process, said):
        assert said[0] == "model: assets/llava_ov_tiny"
        assert said[1].startswith("vLLM serves the same checkpoint (on a GPU; not run by us): vllm serve ")
        assert "the tiny base, which was never taught to answer" in said[3]
        assert address.startswith("http://127.0.0.1:")
        status, text, _ = ask(address, "POST", "/see", face())
        assert status == 200 and "The answer" in text
        assert not (tmp_path / "outputs").exists() and files(tmp_path / "tmp") == set()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "ended; nothing was kept\n"
        assert process.wait(20) == 0


def test_the_demo_s_run_is_served_where_there_is_one(tmp_path: Path, cli) -> None:
    run = tmp_path / "train" / "demo-seke"
    shutil.copytree(BASE, run / "model")
    (run / "manifest.json").write_text(json.dumps({"config": {}, "inputs": {}}))
    (run / "config.yaml").write_text("{}")
    ready = ("serve", f"paths.outputs={tmp_path}", "dry_run=true")
    done = cli(*ready)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"model: {run / 'model'}\n")
    assert "--served-model-name demo-seke " in done.stdout and "taught on drawn faces" in done.stdout
    assert cli(*ready, "demo.run=null").stdout.startswith("model: assets/llava_ov_tiny\n")
    own = cli(*ready, f"model.path={run}")
    assert own.stdout.startswith(f"model: {run / 'model'}\n") and "drawn faces" not in own.stdout


def test_a_model_behind_an_api_is_asked_and_what_it_says_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    sly = "The expression is fear. <script>alert(1)</script>"
    monkeypatch.setattr(openai_server.Server, "_answer", lambda self, request, choice: sly)
    with openai_server.running() as server:
        words = ("backend=openai", f"backend.base_url={server.url}", "backend.model=gpt-test", "draws=2")
        with running(tmp_path, *words) as (address, process, said):
            assert said == ["model: gpt-test"]
            status, text, _ = ask(address, "POST", "/see", face())
            assert status == 200, text
            assert '<strong id="expression">fear</strong> <span class="sure">100 % agree</span>' in text
            assert "<script>" not in text
            process.send_signal(signal.SIGINT)
            assert "ended; nothing was kept" in process.stdout.read()
            assert process.wait(20) == 0
        assert server.paid.total() == 2
    assert files(tmp_path / "tmp") == set() and not (tmp_path / "outputs" / "ledger.sqlite").exists()


def test_a_page_that_others_reach_says_so(cli, tmp_path: Path) -> None:
    done = cli("serve", "page.host=0.0.0.0", "dry_run=true", f"paths.outputs={tmp_path}")
    assert done.returncode == 0
    assert done.stderr.startswith(
        "warning: page.host=0.0.0.0: whoever reaches this machine can use the page, without a"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["page.port=-1"], "error: page.port=-1: no port; "),
        (["draws=-1"], "error: draws=-1: no number of answers; "),
        (["benchmark=reliability"], "error: benchmark=Reliability: this benchmark asks no model; "),
        (["model.path=/no/such"], "error: model.path=/no/such: neither a finished "),
        (["page.prot=1"], "error: page.prot=1: serve.py has no such setting; did you mean `page.port`?"),
        (
            ["backend=simulated", "page.host=no.such.host.invalid"],
            "error: page.port=7860: cannot be opened at no.such.",
        ),
    ],
)
def test_a_mistake_is_one_line(cli, tmp_path: Path, words: list[str], line: str) -> None:
    done = cli("serve", f"paths.outputs={tmp_path}", *words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(line), done.stderr


def test_a_port_that_is_taken_is_told(cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("serve", f"paths.outputs={tmp_path}", "backend=simulated", f"page.port={port}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: page.port={port}: cannot be opened at 127.0.0.1 (")
