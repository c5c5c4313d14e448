"""Requests as chat.completions wants them, and its replies judged choice by choice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.backends.openai.dialect import Dialect
from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.protocol import Completions, NoReply, choices, decode, seed
from seke.core.vlm import Choice, Clip, Image, Message, Request, Usage

FACE = Image(Path("face.png"), "f" * 64)
SCHEMA = {"type": "object", "properties": {"reasoning": {"type": "string"}}, "required": ["reasoning"]}
REQUEST = Request((Message("system", ("Rules.",)), Message("user", (FACE, "Which AUs?"))), SCHEMA, n=2)
WRITTEN = Completions("gpt-4o", ImageEncoder(detail="low"))


def body(request: Request = REQUEST, dialect: Dialect | None = None) -> dict:
    return WRITTEN.body(request, {FACE.sha256: "data:face"}, dialect or Dialect())


def judged(content: object, finish: str = "stop", request: Request = REQUEST, **message: object) -> Choice:
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    [found] = choices(decode(json.dumps({"choices": [choice]})), request)
    return found


@pytest.mark.parametrize("parts", [(FACE, "Which AUs?"), ("Which AUs?", FACE)])
def test_system_comes_first_and_the_image_stays_where_the_request_has_it(parts: tuple[str | Image, ...]) -> None:
    asked = replace(REQUEST, messages=(REQUEST.messages[0], Message("user", parts)))
    system, user = body(asked)["messages"]
    assert system == {"role": "system", "content": "Rules."}
    text = {"type": "text", "text": "Which AUs?"}
    image = {"type": "image_url", "image_url": {"url": "data:face", "detail": "low"}}
    assert user["content"] == [image if part is FACE else text for part in parts]


def test_several_images_keep_their_places_in_the_text() -> None:
    other = Image(Path("b.png"), "b" * 64)
    request = Request((Message("user", ("Before:", FACE, "after:", other)),))
    sent = WRITTEN.body(request, {FACE.sha256: "a", other.sha256: "b"}, Dialect())
    assert [part["type"] for part in sent["messages"][0]["content"]] == ["text", "image_url"] * 2


def test_the_schema_is_sent_strictly() -> None:
    form = body()["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["additionalProperties"] is False


def test_free_text_asks_for_no_format() -> None:
    assert "response_format" not in body(replace(REQUEST, schema=None))


def test_refused_parameters_are_not_sent_again() -> None:
    dialect = Dialect()
    assert dialect.learn(body(), "Unsupported parameter: 'max_tokens'", "max_tokens") == "max_tokens"
    assert dialect.learn(body(), "temperature must be 1 for this model", "") == "temperature"
    sent = body(dialect=dialect)
    assert sent["max_completion_tokens"] == REQUEST.max_tokens
    assert not {"max_tokens", "temperature"} & set(sent)
    assert dialect.learn(sent, "Unsupported parameter: 'max_tokens'", "max_tokens") is None


@pytest.mark.parametrize(
    ("message", "param", "about_n"),
    [
        ("Unsupported value: 'n' does not support 3 with this model.", "n", True),
        ("n must be 1 when using greedy sampling, got 3.", "", True),
        ("Invalid image.", "", False),
        ("'n' is mentioned, but", "messages", False),
    ],
)
def test_a_400_about_n_is_told_from_others(message: str, param: str, about_n: bool) -> None:
    assert Dialect().is_about_n(message, param) is about_n


def test_n_draws_at_once_have_the_seeds_of_n_single_draws() -> None:
    assert [seed(replace(REQUEST, n=1, draw=draw)) - seed(REQUEST) for draw in range(3)] == [0, 1, 2]


def test_no_two_prompts_share_a_seed() -> None:
    other = Image(Path("face.png"), "e" * 64)
    elsewhere = replace(REQUEST, messages=(REQUEST.messages[0], Message("user", (other, "Which AUs?"))))
    assert seed(REQUEST) != seed(elsewhere) and seed(REQUEST) != seed(replace(REQUEST, seed=1))


@pytest.mark.parametrize(
    "other",
    [
        Completions("gpt-4.1", ImageEncoder(detail="low")),
        Completions("gpt-4o", ImageEncoder(detail="high")),
        Completions("gpt-4o", ImageEncoder(side=224, detail="low")),
        Completions("gpt-4o", ImageEncoder(detail="low"), logprobs=True),
        Completions("gpt-4o", ImageEncoder(detail="low"), extra_body={"top_p": 0.9}),
    ],
)
def test_whatever_is_sent_is_in_the_key(other: Completions) -> None:
    assert other.key(REQUEST) != WRITTEN.key(REQUEST)


def test_settings_of_images_do_not_touch_the_key_of_text() -> None:
    text = Request((Message("user", ("Hello",)),))
    assert Completions("gpt-4o", ImageEncoder(side=224)).key(text) == WRITTEN.key(text)


@pytest.mark.parametrize(
    ("choice", "status"),
    [
        (judged('{"reasoning": "The brow is lowered."}'), "ok"),
        (judged('{"reasoning": "The brow is lowe', "length"), "truncated"),
        (judged('{"reasoning": "All of it."}', "length"), "truncated"),
        (judged("", "content_filter"), "filtered"),
        (judged(None, refusal="No."), "refusal"),
        (judged("I’m sorry, but I can’t help with that."), "refusal"),
        (judged('{"reasoning": "I cannot identify the person in this image."}'), "refusal"),
        (judged('{"mood": "fine"}'), "invalid"),
        (judged('{"reasoning": NaN}'), "invalid"),
        (judged('{"reasoning": "\\ud83d"}'), "invalid"),
        (judged("[" * 100_000), "invalid"),
        (judged(""), "invalid"),
        (judged(None), "invalid"),
        (judged(["a part"]), "invalid"),
    ],
)
def test_each_choice_has_a_status_of_its_own(choice: Choice, status: str) -> None:
    assert choice.status == status


@pytest.mark.parametrize(
    "text",
    [
        "I can see a raised brow and parted lips.",
        "I cannot see AU12, so happiness is unlikely.",
        "I can't identify any lid tightening here.",
        "The person looks sorry, but I am sure of AU4.",
        "Sorrow shows in the inner brow.",
    ],
)
def test_a_hedged_observation_is_no_refusal(text: str) -> None:
    assert judged(text, request=replace(REQUEST, schema=None)).status == "ok"


def test_an_invalid_choice_says_why_and_what_was_said() -> None:
    assert judged('{"mood": "fine"}').text == 'no reasoning: {"mood": "fine"}'


def test_choices_come_by_their_index_and_no_more_than_asked() -> None:
    said = [{"index": place, "message": {"content": str(place)}} for place in (2, 0, 1)]
    received = decode(json.dumps({"choices": said}))
    assert [choice.text for choice in choices(received, replace(REQUEST, schema=None))] == ["0", "1"]


def test_usage_counts_cached_tokens() -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}}
    assert decode(json.dumps({"choices": [{}], "usage": usage})).usage == Usage(90, 7, 64)


@pytest.mark.parametrize(
    "raw", ["", "<html></html>", '{"choices": [{"mess', '{"choices": []}', '{"error": "busy"}', "[1]", "null"]
)
def test_a_200_without_an_answer_is_no_reply(raw: str) -> None:
    with pytest.raises(NoReply):
        decode(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, min_size=1, max_size=3), json_values, json_values)
def test_no_reply_of_a_server_breaks_the_reader(said: list, usage: object, message: object) -> None:
    entries = [*said, {"message": message, "finish_reason": "stop", "logprobs": message}]
    received = decode(json.dumps({"choices": entries, "usage": usage}))
    for choice in choices(received, replace(REQUEST, n=9)):
        assert choice.status in ("invalid", "refusal")
        choice.text.encode()


@given(json_values)
def test_odd_log_probabilities_do_not_spoil_an_answer(given_logprobs: object) -> None:
    entry = {"message": {"content": "Yes."}, "finish_reason": "stop", "logprobs": given_logprobs}
    [choice] = choices(decode(json.dumps({"choices": [entry]})), replace(REQUEST, schema=None))
    assert choice.status == "ok" and not choice.logprobs


@pytest.mark.parametrize("request_", [REQUEST, replace(REQUEST, schema=None)])
def test_an_answer_longer_than_any_model_gives_is_not_looked_into(request_: Request) -> None:
    choice = judged('{"a":' * 300_000, request=request_)
    assert choice.status == "invalid" and choice.text.startswith("an answer of 1,500,000 characters: ")
    assert len(choice.text) < 300


def test_a_clip_is_sent_as_its_frames_in_order_each_after_its_time() -> None:
    frames = tuple(Image(Path(f"{k}.png"), str(k) * 64) for k in range(3))
    clip = Clip(FACE.path, FACE.sha256, None, frames, (0.0, 0.25, 0.5))
    request = Request((Message("user", ("What changes?", clip)),))
    sent = WRITTEN.body(request, {frame.key: f"data:{k}" for k, frame in enumerate(frames)}, Dialect())
    content = sent["messages"][0]["content"]
    assert [part.get("text") or part["image_url"]["url"] for part in content] == [
        "What changes?", "Frame 1 of 3, at 0.00 s:", "data:0", "Frame 2 of 3, at 0.25 s:", "data:1",
        "Frame 3 of 3, at 0.50 s:", "data:2",
    ]  # fmt: skip
    plain = Request((Message("user", ("What changes?", *frames)),))
    assert WRITTEN.prompt_at_most(request) == WRITTEN.prompt_at_most(plain) + 3 * len("\nFrame 1 of 3, at 0.00 s:")
