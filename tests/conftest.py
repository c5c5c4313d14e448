"""Fixtures that every room's tests share: tiny records, a picture, and a command as a subprocess."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from . import warm

ROOT = Path(__file__).resolve().parent.parent

# Where Python is told to keep no bytecode, as in containers, hundreds of commands would compile the same modules anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Examples are drawn from a fixed seed and without a deadline: machines stall, and a test must not depend on that.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("repeatable")


@contextmanager
def _restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_offline() -> Iterator[None]:
    with _restored_environment():
        os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="offline", WANDB_SILENT="true", TOKENIZERS_PARALLELISM="false")
        os.environ.pop("OPENAI_API_KEY", None)
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_variable_outlives_a_module(_quiet_and_offline: None) -> Iterator[None]:
    with _restored_environment():
        yield


@pytest.fixture(autouse=True)
def _no_variable_outlives_a_test(_no_variable_outlives_a_module: None) -> Iterator[None]:
    """W&B and Lightning set variables where they run in a test's own process; a command would then start cold."""
    with _restored_environment():
        yield


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
        return warm.run(ROOT / f"{name}.py", *arguments, cwd=ROOT, env={**os.environ, **environment})

    return run
