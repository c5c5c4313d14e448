"""Local answers do not depend on what shares their batch, are repeatable, and say truthfully how they ended."""

import hashlib
import io

import pytest
from PIL import Image as Pictures

from seke.backends.local import Local
from seke.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.models.tiny import build_tiny, train_tokenizer
from seke.vlm import VLM, Image, Message, Request


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    build_tiny(train_tokenizer(["What is this? A face. Why?"] * 4, 400), image=32, patch=8, vision_width=32,
               vision_layers=1, width=32, layers=2, heads=2, feed_forward=48).save(path)  # fmt: skip
    return path


def image(folder, k, size=(32, 32)):
    buffer = io.BytesIO()
    Pictures.radial_gradient("L").rotate(30 * k).resize(size).save(buffer, "PNG")
    file = folder / f"{k}.png"
    file.write_bytes(buffer.getvalue())
    return Image(file, hashlib.sha256(buffer.getvalue()).hexdigest())


@pytest.fixture(scope="module")
def requests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    asks = ["What?", "What is this? A face? Why?", "Why?", "A", "What is this?"]
    return [
        Request((Message("user", (ask, image(folder, k, (32 + 9 * k, 32)))),), temperature=0, max_tokens=10)
        for k, ask in enumerate(asks)
    ]


def local(path, **more):
    return Local(LlavaOv(str(path), base_only_when_small=True), **more)


def answers(backend, requests):
    replies = dict(backend.reply(requests))
    assert sorted(replies) == list(range(len(requests)))
    return [replies[k] for k in range(len(requests))]


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_batched_equals_one_by_one(path, requests, temperature):
    asked = [Request(r.messages, temperature=temperature, n=1 + k % 3, max_tokens=10) for k, r in enumerate(requests)]
    together = answers(local(path, batch_size=4), asked)
    alone = [answers(local(path, batch_size=1), [request])[0] for request in asked]
    assert together == alone
    assert [len(reply.choices) for reply in together] == [1, 2, 3, 1, 2]
    assert all(reply.model == str(path) for reply in together)


def test_draws_differ_and_are_repeatable(path, requests):
    asked = [Request(requests[0].messages, temperature=1.5, n=4, max_tokens=10, draw=draw) for draw in (0, 4)]
    first, second = answers(local(path), asked)
    assert len({choice.text for choice in first.choices + second.choices}) > 4
    assert answers(local(path), asked) == [first, second]


def test_an_answer_without_its_end_is_truncated_and_tokens_are_counted(path, requests):
    for request, reply in zip(requests, answers(local(path, max_new_tokens=5), requests), strict=True):
        # A random model says <|im_end|> in none of five tokens.
        assert [choice.status for choice in reply.choices] == ["truncated"]
        assert reply.usage.output_tokens == 5
        assert reply.usage.input_tokens > len(request.text.split()) + 17


def test_an_unreadable_image_is_an_invalid_answer_not_a_crash(path, requests, tmp_path):
    broken = Image(tmp_path / "gone.png", "0")
    asked = [requests[0], Request((Message("user", ("What?", broken)),), temperature=0, max_tokens=10)]
    good, bad = answers(local(path), asked)
    assert bad.choices[0].status == "invalid" and "gone.png" in bad.choices[0].text
    assert good == answers(local(path), requests[:1])[0]


def test_text_only_requests(path):
    [reply] = answers(local(path), [Request((Message("user", ("Why?",)),), temperature=0, max_tokens=4)])
    assert reply.usage.output_tokens <= 4


def test_is_a_vlm_and_loads_only_when_asked():
    backend = local("no/such/model")
    assert isinstance(backend, VLM)
    with pytest.raises(UserError, match=r"^model\.path="):
        next(backend.reply([Request((Message("user", ("Why?",)),))]))


def test_batches_of_no_request_are_refused(path):
    with pytest.raises(UserError, match=r"^backend\.batch_size=0"):
        local(path, batch_size=0)
