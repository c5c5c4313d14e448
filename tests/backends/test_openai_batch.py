"""The Batch backend against a real server: one job a round, nothing submitted twice, nothing lost, nothing made up."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from seke.backends.batch_jobs import Job, Limits, Row, split
from seke.backends.openai import OpenAI
from seke.backends.openai_batch import OpenAIBatch
from seke.errors import Paused, UserError
from seke.images import sha256
from seke.ledger import Ledger, Receipt
from seke.vlm import VLM, Image, Message, Reply, Request

from ..servers.batch_server import BatchServer, run_batch, running

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-test-SECRET"
SCHEMA = {
    "type": "object",
    "properties": {"expression": {"type": "string", "enum": ["anger", "fear"]}, "reasoning": {"type": "string"}},
    "required": ["expression", "reasoning"],
    "additionalProperties": False,
}
Make = Callable[..., OpenAIBatch]
Asked = Callable[..., list[Request]]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    def requests(count: int, n: int = 1) -> list[Request]:
        found = []
        for number in range(count):
            path = tmp_path / f"face_{number}.png"
            Pillow.new("RGB", (24, 24), (number, 9, 9)).save(path)
            face = Image(path, sha256(path.read_bytes()))
            found.append(Request((Message("user", (f"Face {number}?", face)),), SCHEMA, n=n))
        return found

    return requests


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    made: list[OpenAIBatch] = []

    def annotator(server: BatchServer | str, **settings: object) -> OpenAIBatch:
        url = server if isinstance(server, str) else server.url
        swift = {"ledger": tmp_path / "ledger.sqlite", "folder": tmp_path / "batches", "poll": 0.01, "patience": 5.0}
        made.append(OpenAIBatch("gpt-test", url, **{**swift, **settings}))
        return made[-1]

    yield annotator
    for annotator in made:
        annotator.close()


@pytest.fixture
def expected(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Reply]]:
    """What the backend that asks one by one is told."""

    def replies_of(requests: list[Request]) -> list[Reply]:
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        with running() as server:
            return replies(OpenAI("gpt-test", server.url, ledger=tmp_path / "expected.sqlite"), requests)

    return replies_of


def replies(annotator: OpenAI, requests: list[Request]) -> list[Reply]:
    try:
        found = dict(annotator.reply(requests))
    finally:
        annotator.close()
    return [found[index] for index in range(len(requests))]


def texts(found: list[Reply]) -> list[list[tuple[str, str]]]:
    return [[(choice.status, choice.text) for choice in reply.choices] for reply in found]


def left_in(folder: Path) -> set[str]:
    return {path.suffixes[-1] if path.name != "notes.json" else path.name for path in folder.iterdir()}


def warnings_of(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def test_a_round_is_one_job_and_its_answers_are_those_of_single_requests(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path
) -> None:
    with running() as server:
        annotator = make(server, prices={"gpt-test": [1.0, 5.0]})
        assert isinstance(annotator, VLM)
        found = replies(annotator, asked(20, n=3))
        assert len(server.batches) == 1 and sum(server.seen.values()) == 0
        assert [body["n"] for body in server.bodies] == [3] * 20
    assert texts(found) == texts(expected(asked(20, n=3)))
    into, out, _ = found[0].usage
    assert found[0].cost == pytest.approx((into * 1.0 + out * 5.0) / 1e6)
    assert not any(reply.recalled for reply in found)


def test_when_all_is_over_no_picture_is_left_here_or_at_the_server(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running() as server:
        replies(make(server), asked(5))
        assert len(server.deleted) == 1
        assert not any(b"base64" in data for data in server.files.values())
    assert left_in(tmp_path / "batches") == {"notes.json"}


def test_what_the_ledger_holds_is_not_submitted_again(make: Make, asked: Asked) -> None:
    with running() as server:
        first = replies(make(server), asked(10, n=2))
        again = replies(make(server), asked(13, n=2))
        assert again[:10] == first and [reply.recalled for reply in again] == [True] * 10 + [False] * 3
        assert [rows for rows, _ in server.sizes] == [10, 3]
        assert set(server.executed.values()) == {1}


def test_what_was_bought_one_by_one_is_found_and_the_other_way_round(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running() as server:
        one_by_one = OpenAI("gpt-test", server.url, ledger=tmp_path / "ledger.sqlite")
        first = replies(one_by_one, asked(4, n=2))
        both = replies(make(server), asked(6, n=2))
        assert both[:4] == first and [rows for rows, _ in server.sizes] == [2]
        assert replies(one_by_one, asked(6, n=2)) == both and sum(server.seen.values()) == 4


def test_what_is_settled_needs_neither_server_nor_key(
    make: Make, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        address, first = server.url, replies(make(server), asked(3))
    monkeypatch.delenv("OPENAI_API_KEY")
    assert replies(make(address), asked(3)) == first


def test_requests_that_are_the_same_are_one_row_and_paid_once(make: Make, asked: Asked) -> None:
    with running() as server:
        [request] = asked(1)
        found = replies(make(server), [request, request])
        assert [rows for rows, _ in server.sizes] == [1]
    assert found[0].choices == found[1].choices
    assert [reply.recalled for reply in found] == [False, True]


@pytest.mark.parametrize("limit", [{"rows": 4}, {"megabytes": 0.003}])
def test_files_keep_within_their_limits(make: Make, asked: Asked, expected: Callable, limit: dict[str, float]) -> None:
    with running(max_rows=4 if "rows" in limit else 1000, max_bytes=3000 if "megabytes" in limit else 10**9) as server:
        found = replies(make(server, **limit), asked(10))
        assert len(server.sizes) > 2
    assert texts(found) == texts(expected(asked(10)))


def test_a_request_larger_than_a_file_may_be_is_refused(make: Make, asked: Asked) -> None:
    with running() as server, pytest.raises(UserError, match=r"backend.megabytes=0.0003: one request takes"):
        replies(make(server, megabytes=0.0003), asked(1))


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 10), st.integers(50, 120))
def test_splitting_keeps_order_and_limits_and_wastes_no_file(sizes: list[int], most: int, size: int) -> None:
    rows = [Row(str(number), frozenset(), b"x" * length) for number, length in enumerate(sizes)]
    groups = list(split(rows, Limits(most, size)))
    assert [row for group in groups for row in group] == rows
    totals = [sum(len(row.line) for row in group) for group in groups]
    assert all(0 < len(group) <= most and total <= size for group, total in zip(groups, totals, strict=True))
    for group, after, total in zip(groups, groups[1:], totals, strict=False):
        assert len(group) == most or total + len(after[0].line) > size


def test_rows_that_expired_are_asked_again_and_finished_ones_are_used(
    make: Make, asked: Asked, expected: Callable
) -> None:
    with running() as server:
        server.ends.extend(["expired", "expired"])
        found = replies(make(server), asked(12))
        assert [rows for rows, _ in server.sizes] == [12, 6, 3]
        assert set(server.executed.values()) == {1}
    assert texts(found) == texts(expected(asked(12)))


def test_rows_that_never_come_back_are_given_up_and_not_made_up(make: Make, asked: Asked) -> None:
    with running(finished=0.0) as server:
        server.ends.extend(["lost", "expired", "lost"])
        found = replies(make(server), asked(2))
        assert len(server.batches) == 3
    assert [choice.status for reply in found for choice in reply.choices] == ["invalid"] * 2
    assert found[0].choices[0].text == "no answer after 3 tries; the last: it did not come back"
    assert found[0].cost == 0 and not found[0].recalled


def test_given_up_rows_stay_given_up_until_the_notes_are_removed(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running(faults={"500": 1.0}) as server:
        first = replies(make(server, retries=0), asked(2))
        assert texts(replies(make(server, retries=0), asked(2))) == texts(first)
        assert len(server.batches) == 1
        (tmp_path / "batches" / "notes.json").unlink()
        server.faults = {}
        assert replies(make(server, retries=0), asked(2))[0].choices[0].status == "ok"


@pytest.mark.parametrize("fault", ["429", "429_after", "500", "503", "empty"])
def test_rows_that_failed_are_asked_again_and_forgotten_once_they_are_answered(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path, fault: str
) -> None:
    with running() as server:
        server.script.extend([fault, "ok", fault])
        found = replies(make(server), asked(5))
        assert [rows for rows, _ in server.sizes] == [5, 2]
    assert json.loads((tmp_path / "batches" / "notes.json").read_text())["failures"] == {}
    assert texts(found) == texts(expected(asked(5)))


@pytest.mark.parametrize(
    ("fault", "status"),
    [("400_filter", "filtered"), ("400", "invalid"), ("schema", "invalid"), ("refusal", "refusal"),
     ("filter", "filtered"), ("length", "truncated"), ("surrogate", "invalid")],
)  # fmt: skip
def test_an_unusable_answer_is_a_status_and_not_asked_for_again(
    make: Make, asked: Asked, fault: str, status: str
) -> None:
    with running() as server:
        server.script.extend(["ok", fault])
        found = replies(make(server), asked(3))
        assert sorted(reply.choices[0].status for reply in found) == sorted(["ok", "ok", status])
        assert texts(replies(make(server), asked(3))) == texts(found)
        assert len(server.batches) == 1


def test_choices_that_did_not_come_are_asked_for_one_by_one(make: Make, asked: Asked, expected: Callable) -> None:
    with running() as server:
        server.script.extend(["ok", "fewer"])
        found = replies(make(server), asked(3, n=3))
        assert [rows for rows, _ in server.sizes] == [3, 1] and "n" not in server.bodies[-1]
    assert texts(found) == texts(expected(asked(3, n=3)))
    assert len({reply.usage.input_tokens for reply in found}) == 2


@pytest.mark.parametrize(("n", "jobs"), [("no", [4, 12]), ("ignored", [4, 8])])
def test_a_server_without_n_is_asked_once_whether_it_has_it(
    make: Make, asked: Asked, expected: Callable, n: str, jobs: list[int]
) -> None:
    with running(n=n) as server:
        found = replies(make(server), asked(4, n=3))
        assert [rows for rows, _ in server.sizes] == jobs
        replies(make(server), [replace(request, draw=3) for request in asked(4, n=3)])
        assert [rows for rows, _ in server.sizes] == [*jobs, 12]
    assert texts(found) == texts(expected(asked(4, n=3)))


def test_parameters_that_a_model_refuses_are_left_out_and_that_is_remembered(
    make: Make, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    with running(refuses=["temperature", "max_tokens"]) as server:
        found = replies(make(server, retries=0), asked(6))
        assert [rows for rows, _ in server.sizes] == [6, 6, 6]
        assert "max_completion_tokens" in server.bodies[-1] and "temperature" not in server.bodies[-1]
        replies(make(server, retries=0), asked(7))
        assert [rows for rows, _ in server.sizes] == [6, 6, 6, 1]
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert warnings_of(caplog).count("gpt-test does not accept") == 2


def test_a_mistake_in_every_row_ends_the_run(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running(faults={"400": 1.0}) as server:
        with pytest.raises(UserError, match=r"backend.model=gpt-test: 400: Invalid body; correct"):
            replies(make(server), asked(4))
        server.faults = {}
        assert replies(make(server), asked(4))[0].choices[0].status == "ok"


def test_an_empty_account_ends_the_run_and_keeps_what_was_bought(make: Make, asked: Asked) -> None:
    with running() as server:
        server.script.extend(["ok", "quota", "ok", "quota"])
        with pytest.raises(UserError, match="top it up"):
            replies(make(server), asked(4))
        replies(make(server), asked(4))
        assert [rows for rows, _ in server.sizes] == [4, 2]


def test_a_file_that_is_rejected_ends_the_run_with_its_reason(make: Make, asked: Asked) -> None:
    with running() as server:
        server.ends.append("failed")
        with pytest.raises(
            UserError, match=r"backend.model=gpt-test: batch_0 was rejected: line 3: This line .* what was sent is in"
        ):
            replies(make(server), asked(4))
        assert replies(make(server), asked(4))[0].choices[0].status == "ok"
        assert list(server.batches) == ["batch_0", "batch_1"]


def test_a_cancelled_batch_pauses_and_the_same_command_asks_the_rest(make: Make, asked: Asked) -> None:
    with running() as server:
        server.ends.append("cancelled")
        with pytest.raises(Paused, match="batch_0 was cancelled; what it had finished is kept"):
            replies(make(server, retries=0), asked(8))
        found = replies(make(server, retries=0), asked(8))
        assert [rows for rows, _ in server.sizes] == [8, 4] and set(server.executed.values()) == {1}
    assert {choice.status for reply in found for choice in reply.choices} == {"ok"}


def test_a_full_queue_is_waited_for(make: Make, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    with running(looks=2) as server:
        server.ends.extend(["completed", "full"])
        found = replies(make(server, rows=3), asked(6))
        assert list(server.batches) == ["batch_0", "batch_1", "batch_2"] and len(server.sizes) == 2
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert "batch_1 does not fit into the server's queue" in warnings_of(caplog)


def test_a_queue_that_is_full_with_less_ends_the_run_and_smaller_files_go_on(make: Make, asked: Asked) -> None:
    with running() as server:
        server.ends.append("full")
        with pytest.raises(UserError, match=r"backend.rows=6: the server's queue is full"):
            replies(make(server), asked(6))
        replies(make(server, rows=2), asked(6))
        assert [rows for rows, _ in server.sizes] == [6, 2, 2, 2]


@pytest.mark.parametrize("fault", ["500", "429", "html", "deaf"])
def test_trouble_at_any_step_loses_nothing_and_begins_no_batch_twice(
    make: Make, asked: Asked, expected: Callable, fault: str
) -> None:
    right = expected(asked(4))
    for step in range(6):
        with running() as server:
            server.control.extend(["ok"] * step + [fault])
            found = replies(make(server, ledger=f"{asked(1)[0].images[0].path}.{step}.sqlite"), asked(4))
            assert len(server.batches) == 1 and set(server.executed.values()) == {1}
        assert texts(found) == texts(right)


def test_a_download_that_breaks_off_is_begun_again(make: Make, asked: Asked) -> None:
    with running(looks=0) as server:
        server.control.extend(["ok", "ok", "ok", "cut"])
        assert replies(make(server), asked(4))[3].choices[0].status == "ok"


def test_a_server_that_stays_away_is_given_up_and_its_batch_waited_for_next_time(make: Make, asked: Asked) -> None:
    with running() as server:
        server.control.extend(["ok", "ok"] + ["503"] * 5)
        with pytest.raises(UserError, match=r"nothing got through for too long; the last: 503"):
            replies(make(server, patience=0.05), asked(4))
        server.control.clear()
        replies(make(server), asked(4))
        assert len(server.batches) == len(server.sizes) == 1


def test_a_server_without_batches_says_so(make: Make, asked: Asked) -> None:
    with running(has_batches=False) as server, pytest.raises(UserError, match=r"has no Batch API.*mode=file"):
        replies(make(server), asked(1))


def test_a_batch_that_the_server_does_not_know_is_not_begun_anew_silently(
    make: Make, asked: Asked, tmp_path: Path
) -> None:
    with running() as server:
        server.control.extend(["ok", "ok", "401"])
        with pytest.raises(UserError, match="does not accept the key") as failure:
            replies(make(server), asked(1))
        assert SECRET not in str(failure.getrepr(chain=True))
        server.batches.clear()
        with pytest.raises(UserError, match=r"knows nothing of batch_0; .* delete .*batches/[0-9a-f]{12}\.json"):
            replies(make(server), asked(1))


def test_a_refused_window_is_one_line(make: Make, asked: Asked) -> None:
    with running() as server, pytest.raises(UserError, match="completion_window"):
        replies(make(server, window="1h"), asked(1))


def test_a_picture_that_cannot_be_read_spoils_only_its_own_request(make: Make, asked: Asked) -> None:
    requests = asked(3, n=2)
    requests[1].images[0].path.write_bytes(b"no picture")
    with running() as server:
        found = replies(make(server), requests)
        assert [rows for rows, _ in server.sizes] == [2]
    assert [[choice.status for choice in reply.choices] for reply in found] == [["ok"] * 2, ["invalid"] * 2, ["ok"] * 2]
    assert found[1].choices[0].text.startswith("face_1.png: ")


def test_no_key_reaches_the_disk(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running(echo_key=True) as server:
        server.control.extend(["500", "ok", "ok", "500"])
        server.script.extend(["400", "429"])
        replies(make(server), asked(4))
        server.ends.append("failed")
        with pytest.raises(UserError):
            replies(make(server), asked(6))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in files)
    assert [path for path in files if b"SECRET" in path.read_bytes()] == []


def test_nothing_is_opened_before_the_first_request_and_it_can_be_pickled(make: Make, tmp_path: Path) -> None:
    annotator = make("http://127.0.0.1:9/v1")
    pickle.loads(pickle.dumps(annotator))
    assert not (tmp_path / "batches").exists() and not (tmp_path / "ledger.sqlite").exists()
    assert list(annotator.reply([])) == []


@pytest.mark.parametrize(
    ("setting", "line"),
    [({"mode": "post"}, "backend.mode=post"), ({"poll": 0}, "backend.poll=0"), ({"rows": 0}, "backend.rows=0"),
     ({"megabytes": 0}, "backend.megabytes=0"), ({"retries": -1}, "backend.retries=-1")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(make: Make, setting: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}: "):
        make("http://127.0.0.1:9/v1", **setting)


def test_a_damaged_note_is_not_taken_for_no_job(make: Make, asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "0123456789ab.json").write_text('{"keys": ["a"], "addr')
    with running() as server, pytest.raises(UserError, match=r"backend.folder=.*: 0123456789ab.json is damaged"):
        replies(make(server), asked(1))


CHILD = """
import json, sys
from pathlib import Path
from seke.backends.openai_batch import OpenAIBatch
from seke.images import sha256
from seke.vlm import Image, Message, Request
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
    deadline = time.monotonic() + 30
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
        said = process.communicate(timeout=20)[1]
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


def test_extra_settings_of_a_model_are_sent_as_they_are(make: Make, asked: Asked) -> None:
    with running() as server:
        replies(make(server, extra_body={"reasoning_effort": "none"}, logprobs=True), asked(1))
        assert server.bodies[0]["reasoning_effort"] == "none" and server.bodies[0]["logprobs"] is True


def by_hand(server: BatchServer, folder: Path, finished: float = 1.0) -> int:
    """Run all files that wait; return how many there were."""
    waiting = [path for path in sorted(folder.glob("*.in.jsonl")) if path.with_name(path.name[:12] + ".json").is_file()]
    for path in waiting:
        done = run_batch(server, path.read_text(), finished)
        path.with_name(path.name.replace(".in.", ".out.")).write_text(done)
    return len(waiting)


def test_mode_file_writes_the_requests_and_reads_the_results(
    make: Make, asked: Asked, expected: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    folder = tmp_path / "batches"
    with running() as server:
        for _ in range(2):  # asking again before the results are there changes nothing
            with pytest.raises(Paused) as pause:
                replies(make(server, mode="file", rows=3), asked(5, n=2))
            assert len(list(folder.glob("*.in.jsonl"))) == 2
        assert "5 requests wait in" in str(pause.value) and "likewise the 1 other" in str(pause.value)
        assert f"`vllm run-batch -i {folder}/" in str(pause.value) and "--model gpt-test && mv" in str(pause.value)
        row = json.loads(next(folder.glob("*.in.jsonl")).read_text().splitlines()[0])
        assert (row["method"], row["url"], row["body"]["n"]) == ("POST", "/v1/chat/completions", 2)
        assert by_hand(server, folder) == 2
        found = replies(make(server, mode="file", rows=3), asked(5, n=2))
        assert server.sizes == []
    assert texts(found) == texts(expected(asked(5, n=2)))
    assert {"".join(path.suffixes) for path in folder.iterdir()} == {".json", ".read.jsonl"}


def test_mode_file_takes_what_is_there_and_waits_for_the_rest(make: Make, asked: Asked, tmp_path: Path) -> None:
    folder, rounds = tmp_path / "batches", []
    with running() as server:
        server.script.extend(["ok", "500", "400", "ok"])
        for _ in range(5):
            try:
                found = replies(make(server, mode="file"), asked(6))
                break
            except Paused as pause:
                rounds.append(int(str(pause).split()[0]))
                by_hand(server, folder, 0.67)
        assert rounds == [6, 3, 1] and set(server.executed.values()) == {1}
    said = sorted(f"{choice.status} {choice.text}"[:25] for reply in found for choice in reply.choices)
    assert said[0] == "invalid 400: Invalid body" and all(text.startswith("ok ") for text in said[1:])


def test_mode_file_refuses_results_of_other_requests(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running() as server:
        with pytest.raises(Paused):
            replies(make(server, mode="file"), asked(2))
        [path] = (tmp_path / "batches").glob("*.in.jsonl")
        out = path.with_name(path.name.replace(".in.", ".out."))
        out.write_text('{"custom_id": "other", "response": null, "error": null}\nno JSON\n[1]\n')
        with pytest.raises(UserError, match=f"{out.name} answers none of {path.name}"):
            replies(make(server, mode="file"), asked(2))
        assert out.exists()


def test_files_written_by_hand_can_be_submitted_and_submitted_ones_are_not_handed_out(make: Make, asked: Asked) -> None:
    with running() as server:
        with pytest.raises(Paused):
            replies(make(server, mode="file"), asked(2))
        server.control.extend(["ok", "ok", "401"])
        with pytest.raises(UserError, match="does not accept the key"):
            replies(make(server), asked(2))
        with pytest.raises(UserError, match=r"backend.mode=file: batch_0 is under way; wait for it with mode=batch"):
            replies(make(server, mode="file"), asked(2))
        replies(make(server), asked(2))
        assert len(server.batches) == 1
