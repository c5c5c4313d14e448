"""An event loop in a thread of its own: asynchronous work behind a synchronous face.

Not anyio's blocking portal: there the caller waits until the loop has begun each request, which makes a busy loop up
to four times slower.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from seke.core.errors import UserError

T = TypeVar("T")


class Background:
    """Runs coroutines while the caller's thread does something else; a daemon, which outlives nobody."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_ignore_user_errors)
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work`; the future can be waited for, and cancelled, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def soon(self, call: Callable[[], object]) -> None:
        """Let the loop make a call that does not wait."""
        self._loop.call_soon_threadsafe(call)

    def stop(self) -> None:
        """End the loop and its thread, with what still runs in it."""
        self.start(_cancel_all()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _ignore_user_errors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep quiet of a mistake that somebody else was told already: whoever waited for this one has left."""
    if not isinstance(context.get("exception"), UserError):
        loop.default_exception_handler(context)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
