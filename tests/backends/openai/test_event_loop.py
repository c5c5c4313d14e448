"""The event loop in a thread: what it says of mistakes that nobody waits for."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from seke.backends.openai.event_loop import Background
from seke.core.errors import UserError


@pytest.fixture
def background() -> Iterator[Background]:
    opened = Background("test")
    yield opened
    opened.stop()


@pytest.mark.parametrize(
    ("error", "said"), [(UserError("backend.model", "m", "is not there", "choose another"), 0), (ValueError("bug"), 1)]
)
def test_a_mistake_of_a_task_that_was_left_is_told_only_if_it_is_ours(
    background: Background, caplog: pytest.LogCaptureFixture, error: Exception, said: int
) -> None:
    async def left() -> None:
        # As of a request in flight whose caller was cancelled in the same moment.
        asyncio.get_running_loop().create_future().set_exception(error)

    with caplog.at_level(logging.ERROR, "asyncio"):
        background.start(left()).result()
    assert len(caplog.records) == said
