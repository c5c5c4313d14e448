"""How fast a server is asked, when it is asked again, and what the ledger says of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import httpx2
import openai
import pytest

from seke.backends.openai.protocol import decode
from seke.backends.openai.rate_limit import Breaker, Concurrency, requested_wait_s
from seke.backends.openai.transport import Call, Refused, Server, Transport
from seke.core.errors import UserError
from seke.core.ledger import Ledger

REPLY = '{"model": "m-1", "choices": [{}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}'
SENT = httpx2.Request("POST", "http://localhost/v1/chat/completions")


def status(code: int, error_code: str = "", **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(code, headers=headers, request=SENT)
    return openai.APIStatusError("", response=response, body={"message": "it says", "code": error_code})


def broken(cause: Exception) -> openai.APIError:
    error = openai.APIConnectionError(request=SENT)
    error.__cause__ = cause
    return error


DEAD = broken(httpx2.ConnectError("refused"))
CUT = broken(httpx2.ReadError("reset"))
SLOW = broken(httpx2.ReadTimeout("no answer"))


def sent(tmp_path: Path, *script: object, calls: int = 1, **settings: float) -> tuple[list[object], Ledger, Transport]:
    """Send calls through a post that follows `script` and then answers; errors stand among the results."""
    left = list(script)
    ledger = Ledger(tmp_path / "ledger.sqlite")

    async def post(body: object) -> str:
        step = left.pop(0) if left else REPLY
        if isinstance(step, Exception):
            raise step
        return str(step)

    async def run() -> tuple[list[object], Transport]:
        limits = {"concurrency": 4, "max_retries": 3, "backoff_s": 0.001, "patience_s": 60, **settings}
        transport = Transport(post, ledger, Server("http://localhost/v1", "m"), secret="sk-SECRET", **limits)
        tasks = [transport.send(Call(f"key {n}", f"call {n}", {})) for n in range(calls)]
        return await asyncio.gather(*tasks, return_exceptions=True), transport

    results, transport = asyncio.run(run())
    return results, ledger, transport


def test_a_reply_is_in_the_ledger(tmp_path: Path) -> None:
    [received], ledger, _ = sent(tmp_path)
    assert received == decode(REPLY) and ledger.find(["key 0"]) == {"key 0": REPLY}
    assert ledger.totals()["m-1"][:3] == (1, 5, 2) and ledger.unsettled() == []


@pytest.mark.parametrize(
    "trouble",
    [status(408), status(409), status(429), status(500), status(502), status(503), status(529), DEAD, CUT, SLOW,
     "<html>", '{"choices": [{"mess', '{"choices": []}'],
)  # fmt: skip
def test_trouble_is_met_by_asking_again(tmp_path: Path, trouble: object) -> None:
    [received], ledger, _ = sent(tmp_path, trouble, trouble)
    assert received == decode(REPLY) and ledger.unsettled() == []


@pytest.mark.parametrize(
    ("trouble", "in_doubt"),
    [(status(500), False), (DEAD, False), (status(400), False), (CUT, True), (SLOW, True), ("<html>", True)],
)
def test_a_call_stays_in_doubt_only_if_it_may_have_been_billed(tmp_path: Path, trouble: object, in_doubt: bool) -> None:
    [failure], ledger, _ = sent(tmp_path, trouble, max_retries=0)
    assert isinstance(failure, Refused)
    assert bool(ledger.unsettled()) is in_doubt


def test_a_request_that_fails_on_its_own_is_given_up(tmp_path: Path) -> None:
    [failure], _, _ = sent(tmp_path, *[status(500)] * 9)
    assert isinstance(failure, Refused) and "no answer after 4 tries; the last: 500: it says" in str(failure)


def test_a_dead_server_is_waited_for_however_often_it_fails(tmp_path: Path) -> None:
    results, _, _ = sent(tmp_path, *[DEAD] * 12, calls=2, max_retries=5)
    assert results == [decode(REPLY)] * 2


def test_patience_ends(tmp_path: Path) -> None:
    [failure], _, _ = sent(tmp_path, *[DEAD] * 1000, patience_s=0.05, max_retries=99)
    assert isinstance(failure, UserError) and "nothing got through for too long" in str(failure)


def test_a_server_that_says_to_come_back_tomorrow_is_not_waited_for(tmp_path: Path) -> None:
    [failure], _, _ = sent(tmp_path, status(429, **{"retry-after": "86400"}))
    assert isinstance(failure, UserError) and "later" in str(failure)


def test_rate_limits_do_not_use_up_the_retries(tmp_path: Path) -> None:
    [received], _, _ = sent(tmp_path, *[status(429)] * 12, max_retries=1)
    assert received == decode(REPLY)


@pytest.mark.parametrize("headers", [{"retry-after": "0.3"}, {"retry-after-ms": "300"}])
def test_retry_after_is_honoured_for_all(tmp_path: Path, headers: dict[str, str]) -> None:
    began = time.monotonic()
    sent(tmp_path, status(429, **headers), calls=3, concurrency=1)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("error", "argument", "said"),
    [
        (status(401), "backend.base_url", "OPENAI_API_KEY"),
        (status(402), "backend.base_url", "top it up"),
        (status(403), "backend.model=m", "choose a model"),
        (status(404), "backend.model=m", "choose a model"),
        (status(405), "backend.base_url", "correct the address"),
        (status(429, "insufficient_quota"), "backend.base_url", "top it up"),
    ],
)
def test_what_cannot_get_better_ends_the_run_at_once(
    tmp_path: Path, error: Exception, argument: str, said: str
) -> None:
    [failure], ledger, _ = sent(tmp_path, error)
    assert isinstance(failure, UserError)
    assert str(failure).startswith(argument) and said in str(failure) and "\n" not in str(failure)
    assert ledger.unsettled() == []


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_request_that_the_server_does_not_take_is_not_repeated(tmp_path: Path, code: int) -> None:
    [failure], _, _ = sent(tmp_path, status(code))
    assert isinstance(failure, Refused) and failure.message == f"{code}: it says"


def test_a_key_in_the_servers_words_is_cut_out(tmp_path: Path) -> None:
    told = openai.APIStatusError("", response=httpx2.Response(400, request=SENT), body={"message": "bad sk-SECRET"})
    [failure], ledger, _ = sent(tmp_path, told)
    assert str(failure) == "400: bad ***" and failure.__cause__ is None
    ledger.close()
    assert b"sk-SECRET" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_reply_in_flight_reaches_the_ledger_although_nobody_waits(tmp_path: Path) -> None:
    async def run() -> None:
        async def post(body: object) -> str:
            await asyncio.sleep(0.1)
            return REPLY

        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            transport = Transport(post, ledger, Server("", "m"), 4, 3, 0.001, 60)
            task = asyncio.create_task(transport.send(Call("key", "", {})))
            await asyncio.sleep(0.05)
            task.cancel()
            await transport.drained()
            assert ledger.find(["key"]) == {"key": REPLY}

    asyncio.run(run())


async def most_at_once(concurrency: Concurrency, workers: int = 20) -> int:
    busy = most = 0

    async def work() -> None:
        nonlocal busy, most
        async with concurrency.slot():
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.001)
            busy -= 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return most


def test_concurrency_shrinks_at_most_once_per_cool_down() -> None:
    async def run() -> tuple[int, int]:
        concurrency = Concurrency(10, cool_down_s=60)
        concurrency.limited()
        concurrency.limited()
        await most_at_once(concurrency)
        return concurrency.limit, await most_at_once(concurrency)

    assert asyncio.run(run()) == (8, 8)


def test_concurrency_grows_by_one_after_as_many_successes_up_to_its_most() -> None:
    async def run() -> list[int]:
        concurrency, limits = Concurrency(6, cool_down_s=0), []
        concurrency.limited()
        concurrency.limited()
        for _ in range(20):
            limits.append(concurrency.limit)
            concurrency.succeeded()
        await most_at_once(concurrency)
        assert await most_at_once(concurrency) == 6
        return limits

    assert asyncio.run(run()) == [3] * 3 + [4] * 4 + [5] * 5 + [6] * 8


def test_concurrency_never_falls_below_one() -> None:
    async def run() -> int:
        concurrency = Concurrency(3, cool_down_s=0)
        for _ in range(9):
            concurrency.limited()
        await most_at_once(concurrency)
        return await most_at_once(concurrency)

    assert asyncio.run(run()) == 1


async def through(breaker: Breaker, outcome: Callable[[], Awaitable[None]]) -> None:
    async with breaker.passage():
        await outcome()


def test_an_open_circuit_lets_one_probe_through_at_a_time() -> None:
    async def run() -> list[str]:
        breaker, events = Breaker(first_pause_s=0.01, failures=3), []
        for number in range(3):
            breaker.failed(f"key {number}", own=False)

        async def probe() -> None:
            events.append("in")
            await asyncio.sleep(0.005)
            events.append("out")
            if events.count("out") == 3:
                breaker.succeeded()

        await asyncio.gather(*(through(breaker, probe) for _ in range(6)))
        return events

    events = asyncio.run(run())
    assert events[:6] == ["in", "out"] * 3
    assert events[6:9] == ["in"] * 3


def test_pauses_grow_until_something_gets_through() -> None:
    breaker, pauses = Breaker(first_pause_s=1, failures=1), []
    breaker.failed("key", own=False)
    for _ in range(9):
        pauses.append(breaker.pause_s)
        breaker._probes += 1
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    breaker.succeeded()
    assert not breaker.open and breaker.pause_s == 1


@pytest.mark.parametrize(("keys", "is_open"), [("aaa", False), ("aab", True)])
def test_one_request_that_always_fails_says_nothing_about_the_server(keys: str, is_open: bool) -> None:
    breaker = Breaker(first_pause_s=1, failures=3)
    for key in keys:
        breaker.failed(key, own=True)
    assert breaker.open is is_open


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-remaining-tokens": "900",
            },
            1,
        ),
        ({"x-ratelimit-reset-tokens": "1.5"}, 1.5),
        ({"x-ratelimit-reset-tokens": "never"}, None),
    ],
)
def test_servers_say_in_many_ways_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert requested_wait_s(headers, now=1_000_000) == seconds
