"""The OpenAI backend and a server with faults, Ctrl-C and SIGKILL: the ledger keeps all that was paid for."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.ledger import Ledger
from seke.core.vlm import Image

from ...servers.openai_server import Server, rates, running
from ..openai_asked import SECRET, replies, warnings_of
from .conftest import Make

ROOT = Path(__file__).resolve().parents[3]


def test_a_400_to_the_first_request_of_all_ends_the_run(make: Make, asked: Callable) -> None:
    with running(faults={"400": 1.0}) as server:
        with pytest.raises(UserError, match=r"backend.model=gpt-test: 400: Invalid body"):
            replies(make(server), asked(20))
        assert sum(server.seen.values()) == 1


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [("401", "OPENAI_API_KEY"), ("403", "choose a model"), ("404", "choose a model"), ("quota", "top it up")],
)
def test_what_cannot_get_better_ends_the_run_and_keeps_what_was_paid_for(
    make: Make, asked: Callable, tmp_path: Path, fault: str, remedy: str
) -> None:
    with running() as server:
        server.script.extend(["ok"] * 6 + [fault] * 99)
        with pytest.raises(UserError, match=remedy):
            replies(make(server, concurrency=2), asked(30))
        paid = sum(server.paid.values())
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert sum(total.calls for total in ledger.totals().values()) == paid == 6
        assert ledger.unsettled() == []


def test_faults_leave_no_trace_in_the_answers(make: Make, asked: Callable, tmp_path: Path) -> None:
    requests = asked(60) + asked(60, n=3)
    with running(odd=0.3) as server:
        undisturbed = replies(make(server, "plain"), requests)
    # Without hangs nothing runs out of time, however slow the machine, and the server knows what reached its reader.
    faults = {**rates("transport=0.4"), "die": 0.005, "hang": 0.0}
    with running(odd=0.3, faults=faults, seed=4, die_s=0.3) as server:
        disturbed = replies(make(server, timeout=300), requests)
        assert len(server.faulted) >= 10
        for body, paid in server.paid.items():
            assert paid <= 1 + server.broken[body]
    assert [reply.choices for reply in disturbed] == [reply.choices for reply in undisturbed]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []


def test_hangs_leave_no_trace_in_the_answers(make: Make, asked: Callable, tmp_path: Path) -> None:
    requests = asked(30)
    with running(odd=0.3) as server:
        undisturbed = replies(make(server, "plain"), requests)
    with running(odd=0.3, faults={"hang": 0.2}, seed=4, hang_s=3) as server:
        disturbed = replies(make(server, timeout=1), requests)
        assert server.faulted["hang"] >= 2
        again = sum(server.paid.values()) - len(server.paid)
    assert [reply.choices for reply in disturbed] == [reply.choices for reply in undisturbed]
    # A slow machine lets more than the hangs run out of time. All that was asked again may have been paid again.
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        assert again <= sum(total.resent for total in ledger.totals().values())


def test_with_every_fault_at_once_nothing_is_made_up(make: Make, asked: Callable) -> None:
    requests = asked(100, n=2)
    with running() as server:
        undisturbed = replies(make(server, "plain"), requests)
    with running(faults=rates("all=0.5"), seed=1, hang_s=3, die_s=0.2) as server:
        disturbed = replies(make(server, timeout=0.5), requests)
    assert {choice.status for reply in disturbed for choice in reply.choices} > {"ok", "refusal", "invalid"}
    for found, expected in zip(disturbed, undisturbed, strict=True):
        for choice, good in zip(found.choices, expected.choices, strict=True):
            assert choice.status != "ok" or choice == good


def test_a_dead_server_is_waited_for(make: Make, asked: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with running(latency=0.01, die_s=1.0) as server:
        server.script.extend(["ok"] * 10 + ["die"])
        found = replies(make(server), asked(40))
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert "trying again until it answers" in warnings_of(caplog)


def test_a_server_that_stays_dead_is_given_up(make: Make, asked: Callable) -> None:
    with running() as server:
        address = server.url
    with pytest.raises(UserError, match="nothing got through for too long"):
        replies(make(address, patience=0.3), asked(4))


def test_a_reader_that_leaves_early_loses_nothing(make: Make, asked: Callable, tmp_path: Path) -> None:
    with running(latency=0.05) as server:
        annotator = make(server)
        reading = annotator.reply(asked(40))
        next(reading)
        reading.close()
        annotator.close()
        seen = sum(server.seen.values())
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        assert 1 <= sum(total.calls for total in ledger.totals().values()) == seen <= 16


def test_ctrl_c_waits_for_what_is_in_flight(
    make: Make, asked: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(latency=0.5) as server:
        annotator = make(server)
        interrupt(server, after=[0.0])
        with pytest.raises(KeyboardInterrupt):
            list(annotator.reply(asked(40)))
        annotator.close()
        seen = sum(server.seen.values())
    assert "waiting for 8 requests in flight" in warnings_of(caplog)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        assert sum(total.calls for total in ledger.totals().values()) == seen == 9


def test_a_second_ctrl_c_does_not_wait(make: Make, asked: Callable, tmp_path: Path) -> None:
    with running(faults={"hang": 1.0}, hang_s=30) as server:
        server.script.append("ok")
        annotator = make(server, timeout=30)
        interrupt(server, after=[0.0, 0.3])
        with pytest.raises(KeyboardInterrupt):
            list(annotator.reply(asked(40)))
        annotator.close()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert len(ledger.unsettled()) == 8


def interrupt(server: Server, after: list[float]) -> None:
    """Press Ctrl-C once eight requests are in flight, and again after so many seconds."""

    def press() -> None:
        while server.in_flight < 8:
            time.sleep(0.005)
        for seconds in after:
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()


CHILD = """
import sys
from pathlib import Path
from seke.backends.openai.client import OpenAI
from seke.core.images import sha256
from seke.core.vlm import Image, Message, Request
url, ledger, face = sys.argv[1:]
image = Image(Path(face), sha256(Path(face).read_bytes()))
requests = [Request((Message("user", (f"Face {number}?", image)),), n=2) for number in range(120)]
for index, reply in OpenAI("gpt-test", url, ledger=ledger, concurrency=8).reply(requests):
    print(index, flush=True)
"""


def test_after_kill_9_only_what_was_in_flight_may_be_paid_twice(tmp_path: Path, faces: list[Image]) -> None:
    path = tmp_path / "ledger.sqlite"
    with running(latency=0.02) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(path), str(faces[0].path)]
        environment = {**os.environ, "OPENAI_API_KEY": SECRET}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        for _ in range(30):
            child.stdout.readline()
        child.kill()
        child.wait()
        with Ledger(path) as ledger:
            in_doubt = len(ledger.unsettled())
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert sorted(map(int, done.stdout.split())) == list(range(120))
        assert sum(server.seen.values()) <= 120 + in_doubt <= 120 + 8


def test_the_server_runs_as_a_program() -> None:
    program = [sys.executable, str(ROOT / "tests/servers/openai_server.py"), "--faults", "429=0.1,all=0.2"]
    child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().startswith("http://127.0.0.1:")
    child.terminate()
    child.wait()
