"""What the OpenAI backend asks for and makes of the answers: nothing paid for twice, nothing lost, nothing made up."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from seke.core.errors import UserError
from seke.core.vlm import VLM, Image, Request

from ...servers.openai_server import ODD, running
from ..openai_asked import replies, warnings_of
from .conftest import Make


def test_answers_carry_snapshot_usage_and_cost(make: Make, asked: Callable) -> None:
    with running(cached_tokens=100) as server:
        annotator = make(server)
        assert isinstance(annotator, VLM)
        [reply] = replies(annotator, asked(1, n=3))
    assert [choice.status for choice in reply.choices] == ["ok"] * 3
    assert {"expression", "valence"} <= set(json.loads(reply.choices[0].text))
    assert reply.model == "gpt-test-2026-01-01"
    into, out, cached = reply.usage
    assert cached == 100 and into > 255 and out > 0
    assert reply.cost == pytest.approx(((into - 100) * 2.0 + 100 * 1.0 + out * 10.0) / 1e6)


def test_a_model_without_a_price_has_no_known_cost(make: Make, asked: Callable) -> None:
    with running() as server:
        assert replies(make(server, prices={"other": [1, 1]}), asked(1))[0].cost is None


def test_requests_are_pulled_only_as_they_can_be_in_flight(make: Make, asked: Callable) -> None:
    pulled = 0

    def counted() -> Iterator[Request]:
        nonlocal pulled
        for request in asked(40):
            pulled += 1
            yield request

    with running(latency=0.02) as server:
        for done, _ in enumerate(make(server, concurrency=4).reply(counted())):
            assert pulled - done <= 4
        assert pulled == 40 and server.most_in_flight == 4


def test_nothing_is_paid_for_twice(make: Make, asked: Callable) -> None:
    with running() as server:
        first = replies(make(server), asked(20, n=2))
        again = replies(make(server), [*reversed(asked(20, n=2)), *asked(25, n=2)])
        assert sum(server.seen.values()) == 25
    assert again[:20][::-1] == first and again[20:40] == first


def test_what_is_settled_needs_neither_server_nor_key(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        first = replies(make(server), asked(5))
    monkeypatch.delenv("OPENAI_API_KEY")
    assert replies(make("http://127.0.0.1:9/v1"), asked(5)) == first


def test_what_another_host_answered_is_not_taken_for_this_ones(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        replies(make(server), asked(1))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="wants a key"):
        replies(make("https://api.example.com/v1"), asked(1))


def test_the_same_prompt_is_asked_again_for_another_draw(make: Make, asked: Callable) -> None:
    [request] = asked(1)
    with running() as server:
        draws = replies(make(server), [replace(request, draw=draw) for draw in range(3)])
        together = replies(make(server), [replace(request, n=3)])
    texts = [reply.choices[0].text for reply in draws]
    assert len(set(texts)) == 3
    assert [choice.text for choice in together[0].choices] == texts


@pytest.mark.parametrize(("n", "wasted"), [("no", 1), ("ignored", 0)])
def test_a_server_without_n_is_asked_once_whether_it_has_it(make: Make, asked: Callable, n: str, wasted: int) -> None:
    with running() as server:
        expected = replies(make(server, "plain"), asked(6, n=3))
    with running(n=n) as server:
        annotator = make(server)
        assert [reply.choices for reply in replies(annotator, asked(6, n=3))] == [r.choices for r in expected]
        assert sum(body.get("n", 1) > 1 for body in server.bodies) == 1
        assert sum(server.seen.values()) == 6 * 3 + wasted
        # Another session finds the single draws in the ledger, although it would ask for all at once.
        replies(make(server, n=True), asked(6, n=3))
        assert sum(server.seen.values()) == 6 * 3 + wasted


def test_n_can_be_switched_off(make: Make, asked: Callable) -> None:
    with running() as server:
        replies(make(server, n=False), asked(2, n=3))
        assert [body.get("n", 1) for body in server.bodies] == [1] * 6


def test_choices_that_did_not_come_are_asked_for_one_by_one(make: Make, asked: Callable) -> None:
    with running() as server:
        [expected] = replies(make(server, "plain"), asked(1, n=3))
        server.script.append("fewer")
        [reply] = replies(make(server), asked(1, n=3))
        assert [body.get("n", 1) for body in server.bodies] == [3, 3, 1]
    assert reply.choices == expected.choices
    assert reply.usage.input_tokens == 2 * expected.usage.input_tokens


def test_parameters_that_a_model_refuses_are_dropped_with_one_warning(
    make: Make, asked: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with running(refuses=["temperature", "max_tokens"]) as server:
        found = replies(make(server), asked(10))
        assert "max_completion_tokens" in server.bodies[-1] and "temperature" not in server.bodies[-1]
        assert sum(server.seen.values()) == 12
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert warnings_of(caplog).count("gpt-test does not accept") == 2


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("schema", "invalid"),
        ("surrogate", "invalid"),
        ("refusal", "refusal"),
        ("refusal_text", "refusal"),
        ("filter", "filtered"),
        ("length", "truncated"),
        ("400_filter", "filtered"),
        ("400", "invalid"),
    ],
)
def test_an_unusable_answer_is_a_status_of_its_own(make: Make, asked: Callable, fault: str, status: str) -> None:
    with running() as server:
        server.script.extend(["ok", fault])
        good, bad, after = replies(make(server, concurrency=1), asked(3))
    assert [reply.choices[0].status for reply in (good, bad, after)] == ["ok", status, "ok"]
    bad.choices[0].text.encode()


@pytest.mark.parametrize("fault", ["schema", "refusal", "filter", "length"])
def test_a_paid_answer_is_read_again_not_paid_for_again(make: Make, asked: Callable, fault: str) -> None:
    with running(faults={fault: 1.0}) as server:
        first = replies(make(server), asked(3))
        assert replies(make(server), asked(3)) == first
        assert sum(server.seen.values()) == 3


def test_a_picture_that_cannot_be_read_spoils_only_its_own_request(
    make: Make, asked: Callable, faces: list[Image]
) -> None:
    faces[1].path.write_bytes(b"no picture")
    with running() as server:
        found = replies(make(server), asked(3, n=2))
        assert sum(server.seen.values()) == 2
    assert [choice.status for choice in found[1].choices] == ["invalid"] * 2
    assert found[1].choices[0].text.startswith("face_1.png: ") and found[1].cost == 0


def test_odd_characters_come_through(make: Make, asked: Callable) -> None:
    with running(odd=1.0) as server:
        [reply] = replies(make(server), asked(1))
    assert json.loads(reply.choices[0].text)["reasoning"].endswith(ODD)


def test_log_probabilities_are_handed_on(make: Make, asked: Callable) -> None:
    with running() as server:
        [reply] = replies(make(server, logprobs=True), asked(1))
    tokens = reply.choices[0].logprobs
    assert tokens is not None and " ".join(token for token, _ in tokens) == reply.choices[0].text
    assert {probability for _, probability in tokens} == {-0.1}
