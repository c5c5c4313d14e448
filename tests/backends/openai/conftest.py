"""Faces to ask about, requests for their annotation, and an OpenAI backend that is told the server's address."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seke.backends.openai import client
from seke.backends.openai.client import OpenAI
from seke.core.vlm import Image, Message, Request

from ...servers.openai_server import Server
from ..openai_asked import SECRET, face

SCHEMA = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "enum": ["anger", "fear", "neutral"]},
        "valence": {"type": "number", "minimum": -1, "maximum": 1},
        "action_units": {"type": "array", "items": {"type": "integer", "enum": [1, 2, 4]}},
        "reasoning": {"type": "string"},
    },
    "required": ["expression", "valence", "action_units", "reasoning"],
    "additionalProperties": False,
}
PRICES = {"gpt-test": [2.0, 10.0, 1.0]}
Make = Callable[..., OpenAI]


@pytest.fixture
def faces(tmp_path: Path) -> list[Image]:
    return [face(tmp_path, number) for number in range(8)]


@pytest.fixture
def asked(faces: list[Image]) -> Callable[..., list[Request]]:
    def requests(count: int, n: int = 1) -> list[Request]:
        shown = [(f"Face {number}?", faces[number % len(faces)]) for number in range(count)]
        return [Request((Message("system", ("Rules.",)), Message("user", parts)), SCHEMA, n=n) for parts in shown]

    return requests


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    # The system hands out a port again: this test's server must not inherit what an earlier one at it understood.
    monkeypatch.setattr(client, "_dialects", {})
    made: list[OpenAI] = []

    def annotator(server: Server | str, ledger: str = "ledger", **settings: object) -> OpenAI:
        url = server if isinstance(server, str) else server.url
        swift = {"backoff": 0.01, "timeout": 5.0, "patience": 60.0, "prices": PRICES, "concurrency": 8}
        path = tmp_path / f"{ledger}.sqlite"
        made.append(OpenAI("gpt-test", url, ledger=path, **{**swift, **settings}))
        return made[-1]

    yield annotator
    for annotator in made:
        annotator.close()
