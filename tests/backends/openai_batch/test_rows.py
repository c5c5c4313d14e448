"""A round is one job; what becomes of its rows: nothing submitted twice, nothing lost, nothing made up."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.backends.openai.client import OpenAI
from seke.backends.openai_batch.jobs import Limits, Row, split
from seke.core.errors import UserError
from seke.core.vlm import VLM

from ...servers.batch_server import running
from ..openai_asked import replies, warnings_of
from .conftest import Asked, Make, texts


def left_in(folder: Path) -> set[str]:
    return {path.suffixes[-1] if path.name != "notes.json" else path.name for path in folder.iterdir()}


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


def test_what_was_asked_one_by_one_is_found_and_the_other_way_round(make: Make, asked: Asked, tmp_path: Path) -> None:
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


def test_a_picture_that_cannot_be_read_spoils_only_its_own_request(make: Make, asked: Asked) -> None:
    requests = asked(3, n=2)
    requests[1].images[0].path.write_bytes(b"no picture")
    with running() as server:
        found = replies(make(server), requests)
        assert [rows for rows, _ in server.sizes] == [2]
    assert [[choice.status for choice in reply.choices] for reply in found] == [["ok"] * 2, ["invalid"] * 2, ["ok"] * 2]
    assert found[1].choices[0].text.startswith("face_1.png: ")


def test_extra_settings_of_a_model_are_sent_as_they_are(make: Make, asked: Asked) -> None:
    with running() as server:
        replies(make(server, extra_body={"reasoning_effort": "none"}, logprobs=True), asked(1))
        assert server.bodies[0]["reasoning_effort"] == "none" and server.bodies[0]["logprobs"] is True


def test_rows_of_a_server_without_schemas_are_sent_again_in_words(make: Make, asked: Asked) -> None:
    with running(forms=()) as server:
        found = replies(make(server), asked(3))
        assert len(server.batches) == 2 and sum(server.executed.values()) == 3
        replies(make(server), asked(5))  # which is remembered
        assert len(server.batches) == 3
    assert {reply.choices[0].status for reply in found} == {"ok"}


def test_a_batch_without_a_usable_answer_is_not_followed_by_another(make: Make, asked: Asked) -> None:
    with running(faults={"schema": 1.0}) as server:
        for _ in range(2):
            with pytest.raises(UserError, match="none of 5 answers can be used"):
                replies(make(server), asked(5))
        assert len(server.batches) == 1
