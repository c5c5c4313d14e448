"""What is billed at most where a server states nothing: never less than the dearest model would bill."""

import json
from pathlib import Path

import pytest

from seke.backends.openai.protocol import decode
from seke.backends.openai.token_bounds import Sending, bound, known_cost, output_tokens, prompt_tokens, stated
from seke.core.vlm import Bill, Image, Message, Reply, Request, Usage

REQUEST = Request((Message("user", ("Which AUs?", Image(Path("a.png"), "a"))),), n=3, max_tokens=100)
PRICES = {"m": [2.0, 10.0, 1.0]}
REPLIED, SILENT, LOST = Sending(REQUEST, "m", Usage(50, 7)), Sending(REQUEST, "m"), Sending(REQUEST)


@pytest.mark.parametrize(
    "usage",
    [
        None, {}, [], "90", {"prompt_tokens": 90}, {"completion_tokens": 7},
        *({"prompt_tokens": odd, "completion_tokens": 7}
          for odd in (float("nan"), float("inf"), -90, 90.5, True, "90", None, 0, 10**9, 10**4000)),
        *({"prompt_tokens": 90, "completion_tokens": odd} for odd in (float("nan"), -1, 0.5, False, "7", 1e300)),
    ],
)  # fmt: skip
def test_usage_that_cannot_be_true_is_unknown_and_not_nothing(usage: object) -> None:
    assert decode(json.dumps({"choices": [{}], "usage": usage})).usage is None


@pytest.mark.parametrize(
    ("cached", "counted"), [(64, 64), (90, 90), (91, 0), (-5, 0), (True, 0), (float("nan"), 0), ("64", 0), (None, 0)]
)
def test_cached_tokens_that_cannot_be_true_count_as_fresh(cached: object, counted: int) -> None:
    usage = {"prompt_tokens": 90.0, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": cached}}
    assert decode(json.dumps({"choices": [{}], "usage": usage})).usage == Usage(90, 7, counted)


def test_a_prompt_has_no_more_tokens_than_bytes_and_what_the_dearest_model_bills_for_a_picture() -> None:
    plain = Request((Message("user", ("é" * 100,)),))
    assert prompt_tokens(plain, 512, "high", {}) >= 200
    assert prompt_tokens(REQUEST, 512, "high", {}) >= 2833 + 5667
    assert prompt_tokens(REQUEST, 1024, "auto", {}) >= 2833 + 4 * 5667
    assert 2833 <= prompt_tokens(REQUEST, 1024, "low", {}) < prompt_tokens(REQUEST, 512, "high", {})
    assert prompt_tokens(plain, 512, "high", {"tools": "x" * 1000}) >= 1200


def test_all_answers_may_be_as_long_as_is_allowed() -> None:
    assert output_tokens(REQUEST, {}) == 300
    assert output_tokens(REQUEST, {"max_completion_tokens": 4000, "n": 5}) == 20_000


def test_what_is_unknown_is_bounded_and_what_is_stated_counts_as_stated() -> None:
    assert bound([REPLIED], 1000, {}, PRICES, "m") == Bill(1, 57, pytest.approx(170e-6))
    assert bound([SILENT], 1000, {}, PRICES, "m") == Bill(1, 1300, pytest.approx(5e-3))
    # The prompt of what was lost is the one of which the server has stated the tokens.
    assert bound([LOST, LOST, REPLIED], 1000, {}, PRICES, "m") == Bill(3, 2 * 350 + 57, pytest.approx(6.37e-3))
    assert bound([LOST], 1000, {}, {}, "m") == Bill(1, 1300, None)
    assert bound([], 1000, {}, {}, "m") == Bill()


def test_a_statement_for_some_replies_is_none_for_all() -> None:
    assert stated([REPLIED, REPLIED]) == Usage(100, 14) and stated([]) == Usage()
    assert stated([LOST, REPLIED]) == Usage(50, 7) and known_cost([LOST, REPLIED], PRICES, "m") == 170e-6
    assert stated([SILENT, REPLIED]) is stated([LOST]) is None


def test_a_reply_says_what_it_was_billed_or_what_at_most() -> None:
    assert Reply((), "m", Usage(3, 4), 0.5).bound == Bill(1, 7, 0.5)
    with pytest.raises(ValueError, match="bound"):
        Reply((), "m", None)
