"""The key, which shows nowhere; settings, which are sent or refused; and what a user is warned of."""

import logging
import pickle
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from seke.backends.openai.client import OpenAI
from seke.core.errors import UserError

from ...servers.openai_server import running
from ..openai_asked import SECRET, replies, warnings_of
from .conftest import Make


def test_a_key_is_asked_for_only_when_something_has_to_be_sent(
    tmp_path: Path, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    annotator = OpenAI("gpt-test", ledger=tmp_path / "new" / "ledger.sqlite")
    assert not (tmp_path / "new").exists()
    pickle.loads(pickle.dumps(annotator))
    with pytest.raises(UserError, match=r"OPENAI_API_KEY=: .* wants a key; export"):
        replies(annotator, asked(1))


def test_a_local_server_needs_no_key(make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with running() as server:
        assert replies(make(server), asked(1))[0].choices[0].status == "ok"


def test_a_key_with_odd_characters_is_refused_unseen(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\nX: ü")
    with pytest.raises(UserError, match=r"OPENAI_API_KEY=\*\*\*") as failure:
        replies(make("http://127.0.0.1:9/v1"), asked(1))
    assert SECRET not in str(failure.getrepr(chain=True))


@pytest.mark.parametrize("fault", ["none", "401", "403", "400", "quota", "429", "500", "reset", "html", "schema"])
def test_the_key_is_in_no_file_message_or_log(
    make: Make, asked: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    with running(faults={fault: 0.7}, seed=5, echo_key=True) as server:
        try:
            said = repr(replies(make(server, max_retries=2), asked(12)))
        except UserError as error:
            said = "".join(map(repr, [error, error.__cause__, error.__context__]))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "SECRET" not in said + caplog.text
    assert b"SECRET" not in written


def test_extra_settings_of_a_server_are_sent_as_they_are(make: Make, asked: Callable) -> None:
    with running() as server:
        replies(make(server, extra_body={"reasoning_effort": "none", "top_k": 5}), asked(1))
        assert server.bodies[0]["reasoning_effort"] == "none" and server.bodies[0]["top_k"] == 5


def test_azure_is_warned_of(make: Make, asked: Callable, caplog: pytest.LogCaptureFixture) -> None:
    annotator = make("http://faces.openai.azure.com.invalid:9/v1", patience=0.0)
    with pytest.raises(UserError):
        replies(annotator, asked(1))
    assert "blurs faces" not in warnings_of(caplog)
    with pytest.raises(UserError):
        replies(make("http://127.0.0.1.azure.com:9/v1", patience=0.0), asked(1))
    assert "Azure blurs faces" in warnings_of(caplog)


@pytest.mark.parametrize(("days", "warned"), [(30, True), (89, True), (120, False), (None, False)])
def test_a_model_that_will_soon_be_gone_is_warned_of(
    make: Make, asked: Callable, caplog: pytest.LogCaptureFixture, days: int | None, warned: bool
) -> None:
    ends = None if days is None else (date.today() + timedelta(days=days)).isoformat()
    with running(shutdown_date=ends, latency=0.2) as server:
        replies(make(server), asked(1))
    assert ("gpt-test is shut down on" in warnings_of(caplog)) is warned


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("base_url", "localhost:8000"),
        ("base_url", "http:///v1"),
        ("base_url", "http://h:port"),
        ("concurrency", 0),
        ("timeout", 0),
        ("max_retries", -1),
        ("n", "maybe"),
    ],
)
def test_a_setting_out_of_range_is_named(tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(UserError, match=f"backend.{setting}={value}"):
        OpenAI("gpt-test", ledger=tmp_path / "ledger.sqlite", **{setting: value})


@pytest.mark.parametrize("address", ["http://me:{}@host/v1", "http://me:{}/x@host/v1", "https://host/v1?api_key={}"])
def test_an_address_with_a_secret_is_refused_unseen(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match=r"^backend\.base_url=.*\*\*\*: ") as failure:
        OpenAI("gpt-test", address.format(SECRET), tmp_path / "ledger.sqlite")
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "abc"}, {"headers": {"Authorization": "Bearer x"}}, {"auth": {"password": "p"}}, {"hf_token": "t"},
        {"x": ["sk-abcdefghijkl"]}, {"user": "Bearer abc"}, {"client_secret": "s"}, {"apikey": "1"},
    ],
)  # fmt: skip
def test_a_secret_among_extra_settings_is_refused_unseen(tmp_path: Path, extra: dict) -> None:
    with pytest.raises(UserError, match=r"^backend\.extra_body\S*=\*\*\*: looks like a secret"):
        OpenAI("gpt-test", ledger=tmp_path / "ledger.sqlite", extra_body=extra)


def test_settings_that_only_sound_like_secrets_are_taken(tmp_path: Path) -> None:
    extra = {"max_tokens": 9, "reasoning_effort": "none", "stop_token_ids": [1], "prompt_cache_key": "seke"}
    OpenAI("gpt-test", ledger=tmp_path / "ledger.sqlite", extra_body=extra)
