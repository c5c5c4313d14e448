"""Requests, a Batch backend that is told the server's address, and what the backend that asks one by one is told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seke.backends.openai.client import OpenAI
from seke.backends.openai_batch.batch import OpenAIBatch
from seke.core.vlm import Message, Reply, Request

from ...servers.batch_server import BatchServer, running
from ..openai_asked import SECRET, face, replies

SCHEMA = {
    "type": "object",
    "properties": {"expression": {"type": "string", "enum": ["anger", "fear"]}, "reasoning": {"type": "string"}},
    "required": ["expression", "reasoning"],
    "additionalProperties": False,
}
Make = Callable[..., OpenAIBatch]
Asked = Callable[..., list[Request]]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    def requests(count: int, n: int = 1) -> list[Request]:
        shown = [(f"Face {number}?", face(tmp_path, number)) for number in range(count)]
        return [Request((Message("user", parts),), SCHEMA, n=n) for parts in shown]

    return requests


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    made: list[OpenAIBatch] = []

    def annotator(server: BatchServer | str, **settings: object) -> OpenAIBatch:
        url = server if isinstance(server, str) else server.url
        swift = {"ledger": tmp_path / "ledger.sqlite", "folder": tmp_path / "batches", "poll": 0.01, "patience": 5.0}
        made.append(OpenAIBatch("gpt-test", url, **{**swift, **settings}))
        return made[-1]

    yield annotator
    for annotator in made:
        annotator.close()


@pytest.fixture
def expected(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Reply]]:
    """What the backend that asks one by one is told."""

    def replies_of(requests: list[Request]) -> list[Reply]:
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        with running() as server:
            return replies(OpenAI("gpt-test", server.url, ledger=tmp_path / "expected.sqlite"), requests)

    return replies_of


def texts(found: list[Reply]) -> list[list[tuple[str, str]]]:
    return [[(choice.status, choice.text) for choice in reply.choices] for reply in found]
