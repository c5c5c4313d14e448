"""Jobs that a run left open, killed or interrupted: the next one waits for the same batch and pays no row twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seke.backends.openai_batch.batch import OpenAIBatch
from seke.backends.openai_batch.jobs import Job
from seke.core.errors import UserError
from seke.core.ledger import Ledger, Receipt
from seke.core.vlm import Request

from ...servers.batch_server import BatchServer, running
from ..openai_asked import SECRET, replies
from .conftest import SCHEMA, Asked, Make, texts

ROOT = Path(__file__).resolve().parents[3]

CHILD = """
import json, sys
from pathlib import Path
from seke.backends.openai_batch.batch import OpenAIBatch
from seke.core.images import sha256
from seke.core.vlm import Image, Message, Request
url, folder, count, schema = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
requests = []
for number in range(count):
    path = folder / f"face_{number}.png"
    face = Image(path, sha256(path.read_bytes()))
    requests.append(Request((Message("user", (f"Face {number}?", face)),), schema))
annotator = OpenAIBatch("gpt-test", url, ledger=folder / "ledger.sqlite", folder=folder / "batches", poll=0.01)
for index, reply in annotator.reply(requests):
    pass
"""


def child(server: BatchServer, tmp_path: Path, count: int) -> subprocess.Popen[str]:
    """Ask in a process of its own."""
    command = [sys.executable, "-c", CHILD, server.url, str(tmp_path), str(count), json.dumps(SCHEMA)]
    environment = {**os.environ, "OPENAI_API_KEY": SECRET, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)


def test_a_run_killed_while_it_waits_polls_the_same_batch(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path
) -> None:
    requests = asked(6)
    with running(looks=10**6) as server:
        process = child(server, tmp_path, 6)
        wait_until(lambda: bool(server.batches) and server.batches["batch_0"]["status"] == "in_progress", process)
        process.kill()
        process.communicate()
        server.batches["batch_0"]["looks"] = 0
        found = replies(make(server), requests)
        assert len(server.batches) == len(server.sizes) == 1 and set(server.executed.values()) == {1}
    assert texts(found) == texts(expected(requests))
    assert not any(reply.recalled for reply in found)


@pytest.mark.parametrize("forgotten", [{"batch_id": None}, {"batch_id": None, "file_id": None}])
def test_a_run_killed_before_it_heard_the_ids_adopts_its_batch_or_uploads_again(
    make: Make, asked: Asked, tmp_path: Path, forgotten: dict[str, None]
) -> None:
    with running() as server:
        server.control.extend(["ok"] * (2 if len(forgotten) == 1 else 1) + ["401"])
        with pytest.raises(UserError):
            replies(make(server), asked(3))
        [note] = [path for path in (tmp_path / "batches").glob("*.json") if path.name != "notes.json"]
        note.write_text(json.dumps({**json.loads(note.read_text()), **forgotten}))
        replies(make(server), asked(3))
        assert len(server.batches) == 1 and set(server.executed.values()) == {1}
        assert len(server.sizes) == len(forgotten)


def test_a_run_killed_before_the_ledger_had_all_reads_the_results_again(
    make: Make, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        with monkeypatch.context() as patch:
            patch.setattr(Job, "close", lambda self: (_ for _ in ()).throw(OSError("power cut")))
            with pytest.raises(OSError, match="power cut"):
                replies(make(server), asked(3))
        (tmp_path / "ledger.sqlite").unlink()
        found = replies(make(server), asked(3))
        assert len(server.batches) == 1 and found[2].choices[0].status == "ok"


def test_several_kills_at_random_moments_pay_no_row_twice(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path
) -> None:
    requests = asked(8)
    with running(looks=2) as server:
        server.ends.extend(["expired"])
        for moment in range(3):
            process = child(server, tmp_path, 8)
            seen = server.now + moment * 2
            while process.poll() is None and server.now < seen + 1:
                time.sleep(0.001)
            process.kill()
            process.communicate()
        found = replies(make(server), requests)
        assert set(server.executed.values()) == {1} and len(server.executed) == 8
    assert texts(found) == texts(expected(requests))


def test_ctrl_c_names_the_batch_and_leaves_it_running(make: Make, asked: Asked, tmp_path: Path) -> None:
    asked(3)
    with running(looks=10**6) as server:
        process = child(server, tmp_path, 3)
        wait_until(lambda: bool(server.batches) and server.batches["batch_0"]["status"] == "in_progress", process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1]
        assert "batch_0: 3 requests, window 24h; Ctrl-C is safe" in said
        assert "batch_0 goes on at the server; the same command waits for it again" in said
        server.batches["batch_0"]["looks"] = 0
        replies(make(server), asked(3))
        assert len(server.batches) == 1


def interrupted(annotator: OpenAIBatch, server: BatchServer, requests: list[Request]) -> None:
    """Leave as soon as a batch has begun."""
    server.control.extend(["ok", "ok", "401"])
    with pytest.raises(UserError, match="does not accept the key"):
        replies(annotator, requests)


def test_overlapping_records_share_an_open_job(make: Make, asked: Asked, tmp_path: Path) -> None:
    requests = asked(5)
    with running() as server:
        interrupted(make(server), server, requests[:4])
        replies(make(server), requests[2:])
        assert [rows for rows, _ in server.sizes] == [4, 1] and set(server.executed.values()) == {1}
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert sum(total.calls for total in ledger.totals().values()) == 5


def test_nobody_waits_for_a_job_of_other_records_or_of_another_model(make: Make, asked: Asked) -> None:
    requests = asked(3)
    with running(looks=10**6) as server:
        interrupted(make(server), server, requests[:2])
        server.looks = 0
        replies(make(server), requests[2:])
        other = OpenAIBatch("gpt-other", server.url, make(server).ledger, folder=make(server).folder, poll=0.01)
        replies(other, requests[:2])
        assert server.batches["batch_0"]["looks"] == 10**6 and len(server.batches) == 3


def test_a_job_at_another_address_is_not_looked_for_here_and_not_lost(make: Make, asked: Asked) -> None:
    with running() as server, running() as elsewhere:
        interrupted(make(server), server, asked(2))
        interrupted(make(elsewhere), elsewhere, asked(2))
        replies(make(server), asked(2))
        assert len(server.batches) == len(elsewhere.batches) == 1


def test_single_draws_under_way_are_not_asked_for_again(make: Make, asked: Asked) -> None:
    with running() as server:
        interrupted(make(server, n=False), server, asked(2, n=3))
        replies(make(server), [*asked(2, n=3), *asked(3, n=3)[2:]])
        assert [rows for rows, _ in server.sizes] == [6, 1] and set(server.executed.values()) == {1}


def test_a_job_stays_open_until_the_ledger_has_its_replies(
    make: Make, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Receipt[None]:
        receipt: Receipt[None] = Receipt()
        receipt.set_exception(UserError("backend.ledger", "it", "no room", "make some"))
        return receipt

    with running() as server:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "done", full)
            with pytest.raises(UserError, match="no room"):
                replies(make(server), asked(3))
        assert replies(make(server), asked(3))[2].choices[0].status == "ok"
        assert len(server.batches) == 1
