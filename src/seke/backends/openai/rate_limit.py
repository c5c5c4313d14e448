"""Rate limiting: as many requests at once as the server bears, none while it says "wait" or does not answer.

Concurrency grows by addition and shrinks by multiplication (AIMD), as in TCP: x 0.8 on a 429, at most once per
cool-down; + 1 after as many successes as there are slots. A server that fails again and again (connection refused, 5xx)
is left alone but for one probe at a time, with growing pauses: a circuit breaker. All of it lives in one event loop.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime

SHRINK = 0.8
COOL_DOWN_S = 15.0
FAILURES = 5
"""Consecutive failures after which the server counts as dead."""
LONGEST_PAUSE_S = 60.0

DURATION = re.compile(r"([\d.]+)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Concurrency:
    """Slots for requests: `limit` of them, from 1 to `most`."""

    def __init__(self, most: int, cool_down_s: float = COOL_DOWN_S) -> None:
        self.most, self.limit = most, most
        self._cool_down_s, self._shrunk_at = cool_down_s, float("-inf")
        self._successes = 0
        self._slots = asyncio.Semaphore(most)
        # Slots to take away: as many of the coming releases are swallowed.
        self._owed = 0
        self._hold_until = float("-inf")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Occupy a slot, once there is one and nobody was told to wait."""
        await self._slots.acquire()
        try:
            while (rest := self._hold_until - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            yield
        finally:
            self._release()

    def hold(self, seconds: float) -> None:
        """Let no further request leave for so long: the server said when it will take one again."""
        self._hold_until = max(self._hold_until, time.monotonic() + seconds)

    def limited(self) -> None:
        """Take note of a 429."""
        now = time.monotonic()
        self._successes = 0
        if now - self._shrunk_at >= self._cool_down_s:
            self._shrunk_at = now
            fewer = max(int(self.limit * SHRINK), 1)
            self._owed += self.limit - fewer
            self.limit = fewer

    def succeeded(self) -> None:
        """Take note of an answer."""
        self._successes += 1
        if self._successes >= self.limit < self.most:
            self._successes = 0
            self.limit += 1
            self._release()

    def _release(self) -> None:
        if self._owed:
            self._owed -= 1
        else:
            self._slots.release()


class Breaker:
    """Tells a dead server from a single failure.

    A failure that may be the request's own fault (`own`: a 500, a time-out) opens the circuit only together with those
    of another request.
    """

    def __init__(self, first_pause_s: float, failures: int = FAILURES) -> None:
        self._first_pause_s, self._failures = first_pause_s, failures
        self._probing = asyncio.Lock()
        self.succeeded()

    @property
    def open(self) -> bool:
        """Whether the server counts as dead."""
        several = not self._own or len(self._failing) > 1
        return self._consecutive >= self._failures and several

    @property
    def pause_s(self) -> float:
        """Seconds before the next probe."""
        return float(min(self._first_pause_s * 2 ** min(self._probes, 20), LONGEST_PAUSE_S))

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Let through; while the circuit is open one at a time, after its pause. `succeeded` inside closes it."""
        if self.open:
            async with self._probing:
                if self.open:
                    await asyncio.sleep(self.pause_s)
                    self._probes += 1
                    yield
                    return
        yield

    def succeeded(self) -> None:
        """Take note of any answer, be it a refusal: the server lives."""
        self._consecutive, self._probes, self._own = 0, 0, True
        self._failing: set[str] = set()

    def failed(self, request: str, own: bool) -> None:
        """Take note of a failure of the request with this key."""
        self._consecutive += 1
        self._own = self._own and own
        if len(self._failing) < 2:
            self._failing.add(request)


def requested_wait_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return how many seconds the server asks to wait, or None.

    Retry-After (seconds or an HTTP date; also in milliseconds, as OpenAI sends it) goes before x-ratelimit-reset-*, of
    which those count whose allowance is used up. `now`: seconds since the epoch.

    >>> requested_wait_s({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"})
    90.0
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    if (after := headers.get("retry-after")) is not None:
        seconds = _number(after)
        return _until(after, now) if seconds is None else seconds
    resets = [
        seconds
        for kind in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{kind}", "0") == "0"
        and (seconds := _duration(headers.get(f"x-ratelimit-reset-{kind}", ""))) is not None
    ]
    return max(resets, default=None)


def _number(text: str | None) -> float | None:
    """Return a number of seconds; none that is negative, infinite or no number."""
    return float(text) if text is not None and re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None


def _duration(text: str) -> float | None:
    """Return the seconds of `6m0s`, `20ms` or a bare number."""
    parts = DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * SECONDS[unit] for number, unit in parts if number.count(".") <= 1)
    return _number(text)


def _until(date: str, now: float | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment.timestamp() - (time.time() if now is None else now), 0.0)
