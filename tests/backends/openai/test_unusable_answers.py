"""An annotator of whose answers none can be used is not paid on; a few that cannot be used stop nobody."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.vlm import Message, Request

from ...servers.openai_server import running
from ..openai_asked import face, replies, warnings_of
from .conftest import SCHEMA, Make


def test_a_round_without_a_usable_answer_stops_the_run_in_one_line_and_costs_nothing_again(
    make: Make, asked: Callable
) -> None:
    with running(faults={"schema": 1.0}) as server:
        for _ in range(2):
            with pytest.raises(UserError) as stop:
                replies(make(server), asked(6))
            assert sum(server.seen.values()) == 6
        line = str(stop.value)
        assert line.startswith(
            "backend.model=gpt-test: none of 6 answers can be used, the last is invalid: no expression"
        )
        assert "JSON object of expression, valence, action_units, reasoning" in line and "\n" not in line
        assert "backend.schema=prompt" in line and '{"mood": "fine"}' in line
        server.faults = {}
        found = replies(make(server, schema="prompt"), asked(6))
    assert {reply.choices[0].status for reply in found} == {"ok"}


def test_of_many_requests_no_more_than_a_few_are_paid(make: Make, tmp_path: Path) -> None:
    requests = [Request((Message("user", ("Face?", face(tmp_path, number))),), SCHEMA) for number in range(60)]
    with running(faults={"schema": 1.0}) as server:
        with pytest.raises(UserError, match="none of 16 answers"):
            replies(make(server, concurrency=2), requests)
        assert sum(server.seen.values()) <= 16 + 2


@pytest.mark.parametrize("fault", ["refusal", "refusal_text", "filter", "400", "500"])
def test_what_is_about_single_pictures_stops_nobody(make: Make, asked: Callable, fault: str) -> None:
    with running() as server:
        server.script.extend(["ok", *[fault] * 5] if fault in ("400", "500") else [fault] * 6)
        assert len(replies(make(server, concurrency=1), asked(6))) == 6


def test_one_usable_answer_is_enough(make: Make, asked: Callable) -> None:
    with running() as server:
        server.script.extend([*["schema"] * 3, "ok", *["schema"] * 20])
        found = replies(make(server, concurrency=1), asked(8))
    assert [reply.choices[0].status for reply in found].count("ok") == 1


def test_a_fallback_may_be_unable_to_answer_all_that_another_one_declined(make: Make, asked: Callable) -> None:
    with running(faults={"schema": 1.0}) as server:
        annotator = make(server)
        annotator.usable.last_resort = True
        assert len(replies(annotator, asked(6))) == 6


def test_answers_that_are_cut_off_say_which_setting_is_too_small(make: Make, asked: Callable) -> None:
    with running(faults={"length": 1.0}) as server, pytest.raises(UserError, match=r"cut off: .*raise max_tokens"):
        replies(make(server), asked(6))


def test_control_characters_of_an_answer_reach_no_terminal(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.servers.openai_server.CONVERSATIONAL", ["\x1b[31mI see\x00\u202e a face"] * 2)
    with running(faults={"refusal_text": 1.0}) as server, pytest.raises(UserError) as stop:
        replies(make(server), asked(6))
    assert str(stop.value).isprintable()


def test_a_server_without_schemas_is_asked_in_words(
    make: Make, asked: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with running(forms=()) as server:
        found = replies(make(server), asked(6, n=2))
        assert sum("response_format" in body for body in server.bodies) == 1
    assert {choice.status for reply in found for choice in reply.choices} == {"ok"}
    assert warnings_of(caplog).count("does not accept backend.schema=strict") == 1


@pytest.mark.parametrize("form", ["strict", "json_object"])
def test_a_form_that_is_set_and_refused_is_told(make: Make, asked: Callable, form: str) -> None:
    with running(forms=()) as server, pytest.raises(UserError, match=r"set backend\.schema=auto"):
        replies(make(server, schema=form), asked(2))


def test_json_objects_are_asked_for_where_that_is_set(make: Make, asked: Callable) -> None:
    with running() as server:
        found = replies(make(server, schema="json_object"), asked(2))
        assert {body["response_format"]["type"] for body in server.bodies} == {"json_object"}
    assert {reply.choices[0].status for reply in found} == {"ok"}


def test_no_other_form_is_known(make: Make) -> None:
    with pytest.raises(UserError, match=r"backend.schema=xml: no such way to ask; set auto, strict"):
        make("http://127.0.0.1:9/v1", schema="xml")


def test_free_text_that_is_cut_off_is_read_as_far_as_it_goes(make: Make, asked: Callable) -> None:
    free = [replace(request, schema=None) for request in asked(6)]
    with running(faults={"length": 1.0}) as server:
        assert {reply.choices[0].status for reply in replies(make(server), free)} == {"truncated"}
