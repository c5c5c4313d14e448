"""What a reply may have cost: every sending counts, also one that came to nothing."""

from collections.abc import Callable

import pytest

from seke.core.vlm import Bill, Usage

from ...servers.openai_server import running
from ..openai_asked import replies
from .conftest import Make


def test_sendings_that_brought_nothing_are_bounded(make: Make, asked: Callable) -> None:
    with running() as server:
        server.script.extend(["500", "reset", "429", "html", "ok"])
        [reply] = replies(make(server, concurrency=1), asked(1))
    into, out, _ = reply.usage
    lost = into + 512
    assert reply.bound[:2] == (4, 3 * lost + into + out)
    assert reply.bound.usd == pytest.approx((4 * into * 2.0 + (3 * 512 + out) * 10.0) / 1e6)
    assert reply.cost == pytest.approx((into * 2.0 + out * 10.0) / 1e6)


def test_a_request_that_is_given_up_says_what_it_may_have_cost(make: Make, asked: Callable) -> None:
    with running() as server:
        server.script.extend(["ok", *["reset"] * 3])
        annotator = make(server, concurrency=1, max_retries=2)
        good, given_up = replies(annotator, asked(2))
        assert good.bound.requests == 1 and good.usage is not None
        assert given_up.usage is given_up.cost is None and not given_up.recalled
        assert given_up.bound.requests == 3 and given_up.bound.tokens > 3 * (good.usage.input_tokens + 512)
        one = annotator.bound(asked(2)[1])
        assert given_up.bound == Bill(3, 3 * one.tokens, pytest.approx(3 * one.usd))


def test_what_never_left_costs_nothing(make: Make, asked: Callable, faces: list) -> None:
    faces[0].path.write_bytes(b"no picture")
    with running() as server:
        [reply] = replies(make(server), asked(1, n=2))
    assert (reply.usage, reply.cost, reply.bound) == (Usage(), 0.0, Bill())
