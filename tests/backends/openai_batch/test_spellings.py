"""What servers of the Batch API write differently is read as it is meant, and nothing is paid for a second time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seke.core.errors import UserError

from ...servers.batch_server import running
from ..openai_asked import replies, warnings_of
from .conftest import Asked, Make, texts

Told = Callable[[dict[str, Any]], dict[str, Any]]


def changed(**change: object) -> Told:
    return lambda told: {**told, **change}


def without(*names: str) -> Told:
    return lambda told: {name: value for name, value in told.items() if name not in names}


def absent(spelling: object) -> Told:
    """Ids that are not there, as another server spells them."""
    names = ("output_file_id", "error_file_id")
    return lambda told: {**told, **{name: spelling for name in names if told[name] is None}}


@pytest.mark.parametrize(
    "told",
    [
        *map(absent, ("", "null", "None", " ", 0, False, {}, [])),
        lambda told: {name: value for name, value in told.items() if value is not None},
        without("created_at", "completion_window", "endpoint", "input_file_id"),
        changed(request_counts=None),
        lambda told: {**told, "status": told["status"].upper()},
        lambda told: {**told, "status": {"completed": "succeeded"}.get(told["status"], told["status"])},
    ],
)
def test_what_is_not_there_may_be_spelt_in_any_way(make: Make, asked: Asked, expected: Callable, told: Told) -> None:
    with running(told=told) as server:
        found = replies(make(server), asked(4))
        assert len(server.batches) == 1 and set(server.executed.values()) == {1}
    assert texts(found) == texts(expected(asked(4)))


def response(**change: object) -> Told:
    return lambda row: {**row, "response": {**row["response"], **change}}


@pytest.mark.parametrize(
    "written",
    [
        *(response(status_code=status) for status in ("200", "200 OK", 0, None, 500, "ok")),
        lambda row: {**row, "response": without("status_code", "request_id")(row["response"])},
        lambda row: {**row, "response": {**row["response"], "body": json.dumps(row["response"]["body"])}},
        lambda row: {**row, "response": row["response"]["body"]},
        lambda row: {**row, "error": {"code": None, "message": ""}},
        lambda row: {"custom_id": row["custom_id"], **row["response"]["body"]},
    ],
)
def test_a_row_with_choices_is_an_answer_whatever_its_status(
    make: Make, asked: Asked, expected: Callable, written: Told
) -> None:
    with running(written=written) as server:
        found = replies(make(server), asked(4))
        assert len(server.batches) == 1 and set(server.executed.values()) == {1}
    assert texts(found) == texts(expected(asked(4)))


@pytest.mark.parametrize("counts", [{"total": 3, "completed": 3, "failed": 0}, None])
def test_a_batch_without_results_is_looked_at_again_then_told_and_never_paid_again(
    make: Make, asked: Asked, tmp_path: Path, counts: object
) -> None:
    with running(told=changed(output_file_id=None, request_counts=counts)) as server:
        for _ in range(2):
            with pytest.raises(UserError, match=r"batch_0 is completed.*names no file of results"):
                replies(make(server), asked(3))
        assert len(server.batches) == 1
        server.told = dict  # the server has found them
        found = replies(make(server), asked(3))
        assert len(server.batches) == 1
    assert {choice.status for reply in found for choice in reply.choices} == {"ok"}


def test_results_that_come_late_are_waited_for(make: Make, asked: Asked) -> None:
    looks: list[str] = []

    def late(told: dict[str, Any]) -> dict[str, Any]:
        looks.append(told["status"])
        return {**told, "output_file_id": None} if looks.count("completed") < 4 else told

    with running(told=late) as server:
        found = replies(make(server), asked(3))
        assert len(server.batches) == 1
    assert {choice.status for reply in found for choice in reply.choices} == {"ok"}


def test_rows_that_the_server_counts_and_does_not_give_are_told(
    make: Make, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    """They are asked again as often as backend.retries says, and no row that came."""
    with running(finished=0.5) as server:
        server.ends.append("lost")
        server.told = changed(request_counts={"total": 4, "completed": 4, "failed": 0})
        found = replies(make(server), asked(4))
        assert len(server.batches) == 2 and set(server.executed.values()) == {1}
    assert "not all of them are in its files" in warnings_of(caplog)
    assert {choice.status for reply in found for choice in reply.choices} == {"ok"}


def test_a_failed_batch_with_results_is_read(make: Make, asked: Asked, expected: Callable) -> None:
    with running() as server:
        server.told = lambda told: {**told, "status": "failed" if told["status"] == "completed" else told["status"]}
        found = replies(make(server), asked(3))
        assert len(server.batches) == 1
    assert texts(found) == texts(expected(asked(3)))


def test_a_batch_that_tells_no_id_is_not_begun_again(make: Make, asked: Asked) -> None:
    with running(told=changed(id="")) as server:
        with pytest.raises(UserError, match="nothing got through for too long"):
            replies(make(server, patience=0.05), asked(2))
        assert len(server.batches) == 1
        server.told = dict
        replies(make(server), asked(2))
        assert len(server.batches) == 1


def test_results_that_are_gone_are_one_line_and_nothing_is_asked_again(make: Make, asked: Asked) -> None:
    with running(told=changed(output_file_id="file-99")) as server:
        with pytest.raises(UserError, match="no longer has file-99, the results of batch_0"):
            replies(make(server), asked(2))
        assert len(server.batches) == 1


def test_of_two_rows_with_one_id_the_answer_counts(make: Make, asked: Asked, expected: Callable) -> None:

    with running() as server:
        annotator = make(server)
        store = server._store
        failed = {"response": None, "error": {"code": "batch_expired", "message": "late"}}

        def doubled(data: bytes) -> dict[str, Any]:
            rows = [json.loads(line) for line in data.splitlines()]
            if "response" in rows[0]:
                rows = [other for row in rows for other in ({**row, **failed}, row, row)]
            return store("".join(json.dumps(row) + "\n" for row in rows).encode())

        server._store = doubled  # type: ignore[method-assign]
        found = replies(annotator, asked(3))
        assert len(server.batches) == 1
    assert texts(found) == texts(expected(asked(3)))
