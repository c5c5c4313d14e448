"""The page behind a real server in a thread, with a model that says what a test wants."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from seke.serving.page import Facts, See, Settings, application, serve


@contextmanager
def served(see: See, facts: Facts | None = None, settings: Settings | None = None) -> Iterator[str]:
    """Serve the page at a free port of this machine; yield its address."""
    settings, loop, opened, port = settings or Settings(port=0), asyncio.new_event_loop(), threading.Event(), []

    def ready(number: int) -> None:
        port.append(number)
        opened.set()

    async def main() -> None:
        await serve(application(see, facts or Facts("toy", 5), settings), settings, ready)

    task = loop.create_task(main())

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert opened.wait(20)
    try:
        yield Settings(host="127.0.0.1").at(port[0])
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
