"""Signals end a command that pays in order: what is in flight comes in and is kept, and is not paid for again."""

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from seke.core.ledger import Ledger

from .. import warm
from ..servers.openai_server import Server, running

ROOT = Path(__file__).resolve().parents[2]
IN_FLIGHT = 4
Child = warm.Started | subprocess.Popen[bytes]
Start = Callable[..., Child]


@pytest.fixture(scope="session")
def prepared(cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("interrupted")
    made = cli("prepare", "source.images=36", "source.size=48", "source.workers=1", f"paths.outputs={outputs}")
    assert made.returncode == 0, made.stderr
    return outputs / "prepare" / "demo"


@pytest.fixture
def start(prepared: Path, tmp_path: Path) -> Start:
    """Return what starts generate.py or evaluate.py at a server; `ignored` are the signals that it inherits so."""

    def started(name: str, server: Server, ignored: tuple[int, ...] = (), terminal: int | None = None) -> Child:
        records = prepared / ("train.jsonl" if name == "generate" else "truth.jsonl")
        command = [
            str(ROOT / f"{name}.py"), f"records={records}", "backend=openai", "backend.patience=60",
            f"paths.images={prepared / 'images'}", f"paths.outputs={tmp_path}", f"backend.base_url={server.url}",
            f"backend.concurrency={IN_FLIGHT}", "chunk=8" if name == "generate" else "name=demo",
        ]  # fmt: skip
        # The key is a dummy; the server is this process's own.
        environment = {**os.environ, "OPENAI_API_KEY": "sk-none"}
        if terminal is None:
            said = tmp_path / "said"
            return warm.start(*command, said=said, cwd=Path.cwd(), env=environment, ignored=ignored)
        command, shown = [sys.executable, *command], {"stdout": terminal, "stderr": terminal}
        take = partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0)
        return subprocess.Popen(command, env=environment, preexec_fn=take, start_new_session=True, **shown)

    return started


def wait_until_in_flight(child: Child, server: Server) -> None:
    while server.in_flight < IN_FLIGHT:
        assert child.poll() is None, "it ended before it could be stopped"
        time.sleep(0.002)


def unsettled_and_settled(folder: Path) -> tuple[int, int]:
    with Ledger(folder / "ledger.sqlite") as ledger:
        return len(ledger.unsettled()), sum(total.calls for total in ledger.totals().values())


@pytest.mark.parametrize(
    ("command", "number", "ignored", "code"),
    [
        ("generate", signal.SIGTERM, (), 143),
        pytest.param("evaluate", signal.SIGTERM, (signal.SIGINT, signal.SIGHUP), 143, marks=pytest.mark.slow),
        ("evaluate", signal.SIGHUP, (), 129),
        ("generate", signal.SIGINT, (signal.SIGINT,), 130),
    ],
)
def test_what_is_in_flight_is_kept(start: Start, tmp_path: Path, command, number, ignored, code) -> None:
    with running(latency=1.5) as server:  # on a loaded machine, too, four are asked before the first is answered
        child = start(command, server, ignored)
        wait_until_in_flight(child, server)
        child.send_signal(number)
        assert child.wait() == code
        said = (tmp_path / "said").read_text()
        assert f"waiting for {IN_FLIGHT} requests in flight; Ctrl-C drops them" in said
        assert said.endswith("interrupted; the same command goes on from here\n")
        assert unsettled_and_settled(tmp_path) == (0, sum(server.seen.values()))
        if number == signal.SIGTERM:
            server.latency = 0.0
            assert start(command, server).wait() == 0
            assert set(server.seen.values()) == {1}, "nothing is asked twice"


def test_a_second_signal_does_not_wait(start: Start, tmp_path: Path) -> None:
    with running(latency=60.0) as server:
        child = start("generate", server)
        while server.in_flight < 1:
            time.sleep(0.002)
        child.send_signal(signal.SIGTERM)
        while "waiting for" not in (tmp_path / "said").read_text():
            assert child.poll() is None
            time.sleep(0.002)
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 143
    unsettled, settled = unsettled_and_settled(tmp_path)
    # The first request goes alone, but not for ever: on a busy machine others may have followed it.
    assert settled == 0 and 1 <= sum(server.seen.values()) <= unsettled <= IN_FLIGHT


def test_under_nohup_a_command_outlives_its_terminal(start: Start, tmp_path: Path) -> None:
    with running(latency=0.02) as server:
        child = start("generate", server, (signal.SIGHUP,))
        wait_until_in_flight(child, server)
        child.send_signal(signal.SIGHUP)
        assert child.wait() == 0, (tmp_path / "said").read_text()


def test_a_terminal_that_closes_loses_nothing(start: Start, tmp_path: Path) -> None:
    with running(latency=0.4) as server:
        master, slave = pty.openpty()

        with contextlib.ExitStack() as closing:
            closing.callback(os.close, master)
            child = start("generate", server, terminal=slave)
            os.close(slave)
            wait_until_in_flight(child, server)
        assert child.wait() == 129
        assert unsettled_and_settled(tmp_path) == (0, sum(server.seen.values()))
