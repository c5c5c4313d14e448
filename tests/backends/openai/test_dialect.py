"""What a server says it lacks is learnt; what it says of a value is told, with the setting that this belongs to."""

from dataclasses import replace

import pytest

from seke.backends.openai.dialect import Dialect, names, remedy
from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.protocol import Completions
from seke.core.vlm import Message, Request

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
REQUEST = Request((Message("system", ("Rules.",)), Message("user", ("Which?",))), SCHEMA, n=2)
WRITTEN = Completions("m", ImageEncoder())


def sent(written: Completions = WRITTEN, dialect: Dialect | None = None) -> dict:
    return written.body(REQUEST, {}, dialect or Dialect())


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
            "response_format",
        ),
        ("Invalid schema for response_format 'answer': In context=(), 'minimum' is not permitted.", ""),
        ("'response_format.type' must be 'json_schema' or 'text'", ""),
        ("response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later", ""),
        ("This model does not support response format `json_schema`.", ""),
        ("Failed to parse grammar", ""),
        ("JSON schema conversion failed: Unrecognized schema", ""),
        ("The provided JSON schema contains features not supported by xgrammar.", ""),
        ("Failed to deserialize the JSON body: response_format: missing field `value` at line 1 column 9", ""),
        ('Invalid JSON payload received. Unknown name "additionalProperties" at generation_config.response_schema', ""),
        ("GenerateContentRequest.generation_config.response_schema.enum: only allowed for STRING type", ""),
        ("Request contains an invalid argument.", ""),
        ("[{'type': 'extra_forbidden', 'loc': ('body', 'response_format'), 'msg': 'Extra inputs'}]", ""),
        ("Structured outputs are not supported by this model", ""),
        ("output_config.format.schema: For 'number' type, property 'minimum' is not supported", ""),
    ],
)
def test_a_server_without_schemas_is_asked_in_words(message: str, param: str) -> None:
    dialect = Dialect()
    assert dialect.learn(names(sent()), message, param, learns_form=True) == "backend.schema=strict"
    body = sent(dialect=dialect)
    assert "response_format" not in body and '"mood"' in body["messages"][-1]["content"]
    assert dialect.learn(names(body), message, param, learns_form=True) is None
    assert Dialect().learn(names(sent()), message, param) is None, "a form that was set is not changed"


@pytest.mark.parametrize(
    ("message", "param"),
    [("Invalid image.", ""), ("Could not process the image", "messages"), ("Rate of requests", "")],
)
def test_another_400_does_not_change_the_form(message: str, param: str) -> None:
    assert Dialect().learn(names(sent()), message, param, learns_form=True) is None


def test_once_it_has_answered_a_vague_400_is_about_its_own_request() -> None:
    assert Dialect(answered=True).learn(names(sent()), "Request contains an invalid argument.", "", True) is None


@pytest.mark.parametrize(
    "message",
    [
        "Only one completion choice is allowed",
        "Multiple candidates is not enabled for this model",
        "Only one candidate can be specified in the current model",
        "'n' : number must be at most 1",
        'Invalid JSON payload received. Unknown name "n": Cannot find field.',
        "n > 1 is not supported",
        "candidateCount must be 1",
        "This server does not support multiple choices",
    ],
)
def test_a_server_that_gives_one_choice_is_understood(message: str) -> None:
    assert Dialect().is_about_n(message, "")


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 512. This model supports at most 256 completion tokens, whereas you provided 512.",
        "This model's maximum context length is 2048 tokens. Please reduce max_tokens",
        "'max_tokens' or 'max_completion_tokens' is too large: 4000.",
    ],
)
def test_a_value_that_is_too_large_is_not_taken_for_a_parameter_that_is_not_there(message: str) -> None:
    dialect = Dialect()
    assert dialect.learn(names(sent()), message, "max_tokens", True) is None and not dialect.dropped
    assert "max_tokens" in remedy(message, "", {})


@pytest.mark.parametrize(
    ("message", "param", "named"),
    [
        ("max_tokens is too large: 512. This model supports at most 256 completion tokens.", "", "to 256 or less"),
        ("The maximum context length is 2048 tokens", "", "backend.image.side"),
        ("Unsupported value: 'reasoning_effort'", "reasoning_effort", "backend.extra_body.reasoning_effort"),
        ("This model does not support image input", "", "takes pictures"),
        ("grammar error", "", "backend.schema=prompt"),
        ("Only one completion choice is allowed", "", "backend.n=auto"),
        ("No.", "", "correct the backend's settings"),
    ],
)
def test_a_remedy_names_the_setting(message: str, param: str, named: str) -> None:
    assert named in remedy(message, param, {"reasoning_effort": "none"})


def test_the_form_is_sent_as_it_is_set_and_only_what_is_not_the_default_is_in_the_key() -> None:
    strict, loose, words = (replace(WRITTEN, schema=form) for form in ("strict", "json_object", "prompt"))
    assert sent(strict) == sent() and strict.key(REQUEST) == WRITTEN.key(REQUEST)
    assert sent(loose)["response_format"] == {"type": "json_object"} and "response_format" not in sent(words)
    assert sent(loose)["messages"] == sent(words)["messages"] != sent()["messages"]
    assert len({written.key(REQUEST) for written in (strict, loose, words)}) == 3
    free = replace(REQUEST, schema=None)
    assert words.key(free) == WRITTEN.key(free)


def test_keys_of_what_was_paid_for_do_not_change() -> None:
    """The ledgers of all users hold these."""
    hosted = replace(WRITTEN, host="api.openai.com")
    assert hosted.key(REQUEST) == "872eebbecc7955e96862ee50e9774ad1a99d35c16952176b127e87310229aed0"
