"""Requests: the key of one is made of all that is sent."""

from pathlib import Path

from seke.core.images import sha256
from seke.core.vlm import Image, Message, Request


def test_a_request_is_keyed_by_all_that_is_sent(tmp_path: Path) -> None:
    def request(text: str = "hi", content: bytes = b"1", file: str = "a", **settings: object) -> Request:
        image = Image(tmp_path / file, sha256(content))
        return Request((Message("user", (text, image)),), **settings)

    same = request()
    assert same.key == request(file="moved elsewhere").key, "an image counts by its content, not its place"
    others = [
        request(text="ho"), request(content=b"2"), request(temperature=0.5), request(n=2), request(draw=1),
        request(seed=1), request(max_tokens=9), request(schema={"type": "object"}),
    ]  # fmt: skip
    assert len({same.key, *(other.key for other in others)}) == 1 + len(others)
    assert same.text == "hi"
    assert len(same.images) == 1
