"""Whose fault is it: a face on which the server always fails is given up, and a dead server is no face's fault."""

import json
from collections.abc import Callable

import pytest

from seke.backends.openai.client import OpenAI
from seke.backends.openai.completion import subject_of
from seke.core.errors import UserError
from seke.core.vlm import Request

from ...servers import openai_server
from ...servers.openai_server import Server, running
from ..openai_asked import replies
from .conftest import Make

FAILURES = ["403", "500", "502", "503", "reset", "html", "empty", "truncated"]


def failing(server: Server, fault: str, *faces: int) -> None:
    """Let the server fail whenever it is shown one of these faces, by the text that goes with it."""
    draw, wanted = server._draw, [f"Face {number}?" for number in faces]
    complete = server._complete

    async def watched(body: bytes, *rest: object) -> bool:
        said = json.dumps(json.loads(body)["messages"])
        server._draw = (lambda: fault) if any(text in said for text in wanted) else draw
        return await complete(body, *rest)

    server._complete = watched


@pytest.mark.parametrize("fault", FAILURES)
@pytest.mark.parametrize(("bad", "concurrency"), [((0,), 1), ((0,), 8), ((2, 5), 8), ((4, 5), 1)])
def test_a_face_on_which_the_server_always_fails_stops_no_other(
    make: Make, asked: Callable, fault: str, bad: tuple[int, ...], concurrency: int
) -> None:
    with running() as server:
        failing(server, fault, *bad)
        found = replies(make(server, concurrency=concurrency, max_retries=2, backoff=0.001), asked(6))
        assert sum(server.seen.values()) <= 4 + 3 * len(bad) + 8
    said = {place: reply.choices[0] for place, reply in enumerate(found)}
    assert {place for place, choice in said.items() if choice.status != "ok"} == set(bad)
    for place in bad:
        assert said[place].status == "invalid" and ("40" in said[place].text or "no answer after" in said[place].text)


def test_a_face_that_was_given_up_is_tried_once_more_not_three_times(make: Make, asked: Callable) -> None:
    with running() as server:
        failing(server, "502", 0)
        annotator = make(server, max_retries=2, backoff=0.001)
        list(annotator.reply(asked(4)))
        before = sum(server.seen.values())
        again = [Request(request.messages, request.schema, draw=7) for request in asked(2)]
        bad, good = replies(annotator, again)
        assert sum(server.seen.values()) == before + 2
    assert (bad.choices[0].status, good.choices[0].status) == ("invalid", "ok")


def test_a_run_of_one_face_gives_it_up_where_the_server_answers_at_all(make: Make, asked: Callable) -> None:
    with running(faults={"502": 1.0}) as server:
        [reply] = replies(make(server, max_retries=2, backoff=0.001), asked(1))
    assert reply.choices[0].text == "no answer after 3 tries; the last: 502: Bad gateway (key ***)"


@pytest.mark.parametrize("fault", ["500", "502", "503", "reset", "html", "empty"])
@pytest.mark.parametrize("count", [2, 6])
def test_a_server_that_fails_at_all_is_to_blame(make: Make, asked: Callable, fault: str, count: int) -> None:
    with running(faults={fault: 1.0}) as server, pytest.raises(UserError, match="nothing got through for too long"):
        replies(make(server, max_retries=1, backoff=0.001, patience=0.3), asked(count))


@pytest.mark.parametrize("count", [1, 6])
def test_a_server_that_is_not_there_is_to_blame(make: Make, asked: Callable, count: int) -> None:
    with running() as server:
        address = server.url
    with pytest.raises(UserError, match="nothing got through for too long"):
        replies(make(address, max_retries=1, backoff=0.001, patience=0.2), asked(count))


def test_a_server_that_dies_before_the_last_is_to_blame(make: Make, asked: Callable) -> None:
    with running(die_s=60) as server:
        server.script.extend(["ok"] * 5 + ["die"])
        with pytest.raises(UserError, match="nothing got through for too long"):
            replies(make(server, concurrency=1, max_retries=1, backoff=0.001, patience=0.2), asked(6))


@pytest.mark.parametrize("words", ["Your input was flagged", "violates our content policy", "data_inspection_failed"])
def test_what_a_servers_rules_forbid_is_filtered_also_when_it_comes_first(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setitem(openai_server.STATUSES, "403", (403, "403", words))
    with running() as server:
        failing(server, "403", 0)
        bad, good = replies(make(server), asked(2))
    assert (bad.choices[0].status, good.choices[0].status) == ("filtered", "ok")


def test_draws_of_one_picture_are_one_request(asked: Callable) -> None:
    [first, second] = asked(2)
    assert subject_of(first) == subject_of(Request(first.messages, n=2, draw=9)) != subject_of(second)


def test_a_reply_is_handed_out_once_however_soon_it_comes(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        annotator = make(server)
        list(annotator.reply(asked(2)))
        ask = OpenAI._ask

        def at_once(self: OpenAI, *rest: object) -> object:
            future = ask(self, *rest)
            future.result()  # so it is there before anything else is looked at
            return future

        monkeypatch.setattr(OpenAI, "_ask", at_once)
        found = [index for index, _ in annotator.reply(asked(5))]
        annotator.close()
        assert sorted(found) == list(range(5)) and sum(server.seen.values()) == 5
