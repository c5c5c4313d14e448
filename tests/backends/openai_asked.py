"""What the tests of both OpenAI backends share: a key that must not show, pictures to ask about, ordered replies."""

import logging
from pathlib import Path

import pytest
from PIL import Image as Pillow

from seke.backends.openai.client import OpenAI
from seke.core.images import sha256
from seke.core.vlm import Image, Reply, Request

SECRET = "sk-test-SECRET"


def face(folder: Path, number: int) -> Image:
    """A picture of a colour of its own."""
    path = folder / f"face_{number}.png"
    Pillow.new("RGB", (24, 24), (number, 9, 9)).save(path)
    return Image(path, sha256(path.read_bytes()))


def replies(annotator: OpenAI, requests: list[Request]) -> list[Reply]:
    try:
        found = dict(annotator.reply(requests))
    finally:
        annotator.close()
    return [found[index] for index in range(len(requests))]


def warnings_of(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
