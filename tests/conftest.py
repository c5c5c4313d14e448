"""Fixtures that every room's tests share: tiny records, a picture, and a command as a subprocess."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from . import warm

ROOT = Path(__file__).resolve().parent.parent
PROCESS_GROUP = {"MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"}

# Where Python is told to keep no bytecode, as in containers, hundreds of commands would compile the same modules anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Examples are drawn from a fixed seed and without a deadline: machines stall, and a test must not depend on that.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_offline() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="offline", WANDB_SILENT="true", TOKENIZERS_PARALLELISM="false")
    os.environ.pop("OPENAI_API_KEY", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _heeds_signals() -> None:
    """Let signals mean something that were ignored at the start (`nohup make test &`), and so would be in children."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return `run(script, "name=x", ...)`, which runs a script beside its own conf/ as a user does."""

    def run(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return warm.run(Path(script.name), *words, cwd=script.parent, env={**os.environ, **environment})

    return run


@pytest.fixture(scope="session")
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return `run("prepare", "name=x", ...)`, which runs a command as a user does and returns exit and output."""

    def run(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        # A test that trained in this very process has left the port of its own process group behind.
        inherited = {key: value for key, value in os.environ.items() if key not in PROCESS_GROUP}
        return warm.run(ROOT / f"{name}.py", *arguments, cwd=ROOT, env={**inherited, **environment})

    return run
