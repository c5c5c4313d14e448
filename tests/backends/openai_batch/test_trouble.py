"""Jobs that fail, servers in trouble and a user's mistakes: the run ends in one line or goes on where it was."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from seke.backends.openai_batch import results
from seke.core.errors import Paused, UserError

from ...servers.batch_server import running
from ..openai_asked import SECRET, replies, warnings_of
from .conftest import Asked, Make, texts


def test_a_mistake_in_every_row_ends_the_run(make: Make, asked: Asked, tmp_path: Path) -> None:
    with running(faults={"400": 1.0}) as server:
        with pytest.raises(UserError, match=r"backend.model=gpt-test: 400: Invalid body; correct"):
            replies(make(server), asked(4))
        server.faults = {}
        assert replies(make(server), asked(4))[0].choices[0].status == "ok"


def test_an_empty_account_ends_the_run_and_keeps_what_was_paid_for(make: Make, asked: Asked) -> None:
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


@pytest.mark.parametrize("fault", ["drip", "flood"])
def test_an_answer_without_end_is_given_up_and_asked_for_again(make: Make, asked: Asked, fault: str) -> None:
    with running(looks=0) as server:
        server.control.extend(["ok", "ok", fault, fault, "ok"])  # of the batch, and of its results
        if fault == "flood":
            server.control[2] = "ok"
        found = replies(make(server, timeout=0.5 if fault == "drip" else 60.0), asked(2))
        assert len(server.batches) == len(server.sizes) == 1 and not server.control
    assert {reply.choices[0].status for reply in found} == {"ok"}


@pytest.mark.parametrize("step", range(4))
def test_faces_prompts_and_results_follow_no_redirect_to_another_origin(make: Make, asked: Asked, step: int) -> None:
    with running(looks=0) as server, running() as other:
        server.control.extend(["ok"] * step + [f"{other.url}/files"])
        with pytest.raises(UserError, match=rf"sent elsewhere, to '{other.url}/files'"):
            replies(make(server), asked(1))
        assert not other.files and not other.sizes


def test_a_row_longer_than_any_answer_is_read_in_pieces_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_BYTES", 100)
    row = '{"custom_id": "%s", "response": {"body": {"choices": [{}]}}}\n'
    (tmp_path / "results").write_text(row % "a" + "[" * 1000 + "\n" + row % "b", encoding="utf-8")
    assert [result.key for result in results.results(tmp_path / "results")] == ["a", "b"]
