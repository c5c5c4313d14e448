"""Where captions come from: the annotator, a file, a captioning model on this machine; asked once, refused like all."""

import json

import pytest

from seke.core.budget import Budget, Metered
from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.core.vlm import Choice, Message, Reply, Request
from seke.generation.emovit.captioners import Asked, CaptionRouter, Given, through
from seke.generation.seke.sampling import Bill, in_rounds
from seke.generation.seke.schema import Unusable

from ..scenes import PROMPTS, Writer, faces, make, make_emovit


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="session")
def records(folder):
    return make(folder, 2)


def play(dialogue, vlm=None):
    return in_rounds([dialogue], vlm or Writer())[0]


def test_a_caption_is_asked_of_the_picture_greedily(records, folder):
    writer, face, bill = Writer(), faces(records[:1], folder)[0], Bill()
    said = play(Asked(max_tokens=40).caption(face, "What is it?", 7, bill), writer)
    (request,) = writer.asked
    assert said == f"A scene called {face.image.sha256[:6]}." and bill.requests == 1
    assert request == Request((Message("user", ("What is it?", face.image)),), None, 0.0, 1, 40, seed=7)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [(Choice("no", "refusal"), "refusal"), (Choice(" "), "incomplete"), (Choice("A hor", "truncated"), "truncated")],
)
def test_no_caption_after_three_attempts_is_a_rejection(records, folder, choice, reason):
    writer = Writer(lambda request, said: choice if request.schema is None else said)
    emovit = make_emovit(writer, counts={"categorical": 0, "conversation": 0, "reasoning": 1})
    found = list(emovit.generate(faces(emovit.plan(records), folder)))
    assert all(isinstance(outcome.row, Rejection) and outcome.row.reason == reason for outcome in found)
    assert {outcome.trace.requests for outcome in found} == {3} and not any(request.schema for request in writer.asked)


def test_given_captions_are_found_by_record_in_a_file_or_in_its_attributes(records, folder, tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"id": records[0].id, "caption": "A  dark\nwall.", "model": "other"}) + "\n")
    entry = records[0].model_copy(update={"id": f"{records[0].id}/reasoning"})
    own = records[1].model_copy(update={"attributes": {"emotion": "awe", "caption": "A lake."}})
    given = Given(str(file))
    said = [play(given.caption(face, "?", 0, Bill())) for face in faces([records[0], entry, own], folder)]
    assert said == ["A dark wall.", "A dark wall.", "A lake."]
    with pytest.raises(Unusable, match=r"^no caption: "):
        play(given.caption(faces(records[2:3], folder)[0], "?", 0, Bill()))


def test_a_missing_file_of_captions_is_named():
    with pytest.raises(UserError, match=r"captioner\.file=nowhere\.jsonl: no such file"):
        Given("nowhere.jsonl")


class Numbered:
    """A VLM that answers the last request first, with its own name."""

    def __init__(self, name):
        self.name, self.asked = name, []

    def reply(self, requests):
        for index, request in reversed(list(enumerate(requests))):
            self.asked.append(request)
            yield index, Reply((Choice(request.text),), self.name)


def test_voices_ask_each_caption_once_and_mix_nothing_up():
    writer, captions = Numbered("writer"), Numbered("captions")
    texts = ["a", "b", "a", "c", "a"]
    asked = [Request((Message("user", (text,)),), {"type": "object"} if text == "c" else None) for text in texts]
    found = dict(CaptionRouter(writer, captions).reply(asked))
    assert {index: (reply.choices[0].text, reply.model) for index, reply in found.items()} == {
        index: (text, "writer" if text == "c" else "captions") for index, text in enumerate(texts)
    }
    assert len(writer.asked) == 1 and len(captions.asked) == 2
    assert len(list(CaptionRouter(writer, None).reply(asked))) == 5 and len(writer.asked) == 4


def test_a_captioner_of_its_own_captions_and_the_annotator_writes(records, folder):
    writer, own = Writer(), Writer()
    emovit = make_emovit(writer, Asked(own))
    found = list(emovit.generate(faces(emovit.plan(records), folder)))
    assert own.asked and all(request.schema is None for request in own.asked)
    assert writer.asked and all(request.schema for request in writer.asked)
    assert all(PROMPTS.render("caption") == request.text for request in own.asked)
    assert not any(isinstance(outcome.row, Rejection) for outcome in found)


@pytest.fixture(scope="session")
def tiny_blip2(tmp_path_factory):
    """A BLIP-2 of a few thousand weights, in the layout of the real one."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "</s>", "<unk>", "<image>", "a", "dark", "bright", "wall", "lake", "of"]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    width = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = Blip2Config(
        vision_config={**width, "image_size": 16, "patch_size": 8},
        qformer_config={**width, "encoder_hidden_size": 16, "vocab_size": 10},
        text_config={
            "model_type": "opt", "hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 1, "ffn_dim": 16,
            "num_attention_heads": 2, "vocab_size": 10, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1,
            "max_position_embeddings": 64,
        },
        num_query_tokens=2, image_token_index=3,
    )  # fmt: skip
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("blip2")
    Blip2ForConditionalGeneration(config).save_pretrained(path)
    pictures = BlipImageProcessor(size={"height": 16, "width": 16})
    Blip2Processor(pictures, tokenizer, num_query_tokens=2).save_pretrained(path)
    return path


def test_blip2_captions_what_it_sees_batch_by_batch(tiny_blip2, records, folder):
    from seke.backends.transformers.captioner import Captions

    shown = [face.image for face in faces(records, folder)]
    asked = [Request((Message("user", ("What?", image)),), None, 0.0, max_tokens=6) for image in shown]
    model = Captions(str(tiny_blip2), beams=2, batch_size=3, device="cpu")
    found = dict(model.reply(asked))
    assert sorted(found) == list(range(len(asked)))
    texts = [found[index].choices[0].text for index in range(len(asked))]
    assert all("<" not in text and len(text.split()) == found[k].usage.output_tokens for k, text in enumerate(texts))
    assert all(texts)
    alone = [reply.choices[0].text for request in asked for _, reply in model.reply([request])]
    assert texts == alone
    model.close()
    (_, other), = model.reply([Request((Message("user", ("no picture",)),))])  # fmt: skip
    assert other.choices[0].status == "invalid"


def test_a_captioning_model_that_is_not_there_is_named():
    from seke.backends.transformers.captioner import Captions

    with pytest.raises(UserError, match=r"captioner\.vlm\.model=nowhere/none: cannot be loaded"):
        list(Captions("nowhere/none")._captions([], 3))


def test_a_captioner_of_its_own_is_metered_too(records, folder):
    class Generator:
        captioner = Asked(Writer())

    meter = Metered(Writer(), Budget())
    assert isinstance(through(Generator, meter.other), Writer)
    face = faces(records[:1], folder)[0]
    replies = list(Generator.captioner.vlm.reply([Request((Message("user", ("?", face.image)),))]))
    assert len(replies) == meter.spent.requests == 1
    assert through(object(), meter.other) is None
