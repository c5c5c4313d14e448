"""Local answers do not depend on what shares their batch, are repeatable, and say truthfully how they ended."""

import hashlib
import io

import pytest
import torch
from PIL import Image as Pictures

from seke.backends.transformers.tuned import Local
from seke.core.errors import UserError
from seke.core.vlm import Clip, Image, Message, Request
from seke.models.instructblip import InstructBlip
from seke.models.llava_ov import LlavaOv
from seke.models.tiny import instructblip
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer


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
    return Local(LlavaOv(str(path)), **more)


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


def test_a_model_is_loaded_only_when_asked():
    backend = local("no/such/model")
    with pytest.raises(UserError, match=r"^model\.path="):
        next(backend.reply([Request((Message("user", ("Why?",)),))]))


@pytest.fixture(scope="module")
def instructed(tmp_path_factory):
    """Where a tiny InstructBLIP lies: its image features change with the question."""
    path = tmp_path_factory.mktemp("instructblip")
    words = ["What is this? A face. Why?"] * 4
    instructblip.build_tiny(
        instructblip.train_tokenizer(words, 400), instructblip.train_reader(words, 100), image=32, patch=8,
        vision_width=32, vision_layers=1, queries=4, reader_width=24, reader_layers=1, width=32, layers=2, heads=2,
    ).save(path)  # fmt: skip
    return path


def test_an_instruction_aware_model_reads_each_question_with_its_image(instructed, requests):
    model = InstructBlip(str(instructed))
    together = answers(Local(model, batch_size=4), requests)
    assert together == [answers(Local(model, batch_size=1), [request])[0] for request in requests]
    loaded = model.load()
    for request, reply in zip(requests, together, strict=True):
        turns = [[("user", request.text, ((40, 90),))]]
        pixels = loaded.pixels(Pictures.open(request.images[0].path).convert("RGB"))
        seen = loaded.features(loaded.see(pixels.crops), [1], [pixels.size], loaded.contexts(turns))
        new = loaded.generate(loaded.prompts(turns), seen, max_new_tokens=10)[0].tolist()
        assert reply.choices[0].text == loaded.decode(new)


def test_an_instruction_aware_model_answers_without_an_image(instructed):
    [reply] = answers(
        Local(InstructBlip(str(instructed))),
        [Request((Message("user", ("Why?",)),), temperature=0, max_tokens=4)],
    )
    assert 0 < reply.usage.output_tokens <= 4


def clip(folder, order, size=(40, 32)):
    frames = tuple(image(folder, k, size) for k in order)
    return Clip(frames[0].path, frames[0].sha256, None, frames, None)


def test_a_clip_is_read_as_it_is_trained_on(path, tmp_path):
    backend = local(path)
    asked = [Request((Message("user", ("What?", clip(tmp_path, order))),), temperature=0, max_tokens=8)
             for order in ((0, 1, 2), (2, 1, 0))]  # fmt: skip
    together = answers(backend, [*asked, Request((Message("user", ("What?", image(tmp_path, 3))),), temperature=0)])
    loaded, size = backend.loaded, (3, 32, 40)
    for request, reply in zip(asked, together, strict=False):
        frames = [loaded.frame(Pictures.open(frame.path).convert("RGB")) for frame in request.images]
        crops = torch.cat([frame.crops for frame in frames])
        with torch.no_grad():
            features = loaded.features(loaded.see(crops), [3], [size])
        ids = loaded.prompts([[("user", "What?", (size,))]])
        new = loaded.generate(ids, features, 8)[0].tolist()
        expected = loaded.decode(new[: new.index(loaded.end)] if loaded.end in new else new)
        assert reply.choices[0].text == expected and reply.usage.input_tokens == len(ids[0])


def test_a_clip_that_cannot_be_shown_whole_is_told(path, tmp_path):
    uneven = Clip(tmp_path / "a", "a" * 64, None, (image(tmp_path, 5), image(tmp_path, 6, (64, 64))), None)
    long = clip(tmp_path, [0, 1] * 600, (32, 32))
    asked = [Request((Message("user", ("What?", part)),), temperature=0, max_tokens=4) for part in (uneven, long)]
    first, second = answers(local(path), asked)
    assert first.choices[0].status == second.choices[0].status == "invalid"
    assert "change their size" in first.choices[0].text
    assert "1200 frames of clips), more than the model's 4096 positions" in second.choices[0].text


def test_a_family_that_reads_no_clips_is_named(instructed, tmp_path):
    request = Request((Message("user", ("What?", clip(tmp_path, (0, 1)))),), temperature=0)
    with pytest.raises(UserError, match="reads no clips"):
        answers(Local(InstructBlip(str(instructed))), [request])
