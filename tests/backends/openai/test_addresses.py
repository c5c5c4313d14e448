"""A wrong address, a wrong host and a wrong model are three mistakes, and told apart."""

import errno
import socket
import ssl
from collections.abc import Callable

import pytest

from seke.backends.openai.addresses import NoModel, connection_problem, correction, not_found, with_models
from seke.backends.openai.client import checked_address
from seke.core.errors import UserError

from ...servers.openai_server import running
from ..openai_asked import replies
from .conftest import Make

GPU = "http://gpu:8000"


@pytest.mark.parametrize(
    "message",
    [
        '{"detail": "Not Found"}',
        '{"detail":"Not Found"}',
        "Not Found",
        "404 page not found",
        "404 Not Found",
        "Invalid URL (POST /chat/completions)",
        "Cannot POST /chat/completions",
        "Resource not found",
        "Unexpected endpoint or method. (POST /chat/completions)",
        "<html><head><title>404 Not Found</title></head></html>",
        "no such path /chat/completions",
        "The requested URL /chat/completions was not found on this server.",
    ],
)
def test_a_path_that_nobody_serves_is_the_addresss_fault(message: str) -> None:
    said = str(not_found(GPU, "qwen", f"404: {message}", message))
    assert said.startswith(f"backend.base_url={GPU}: has no /chat/completions (404: {message}); say {GPU}/v1")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("The model `qwen` does not exist or you do not have access to it.", "model_not_found"),
        ("The model `qwen` does not exist.", "404"),
        ('model "qwen" not found, try pulling it first', ""),
        ("models/qwen is not found for API version v1main", ""),
        ("The API deployment for this resource does not exist.", "DeploymentNotFound"),
        ("Not Found", "model_not_found"),
        ("it says", ""),
    ],
)
def test_a_model_that_nobody_has_is_the_models(message: str, code: str) -> None:
    error = not_found("http://gpu:8000/v1", "qwen", message, message, code)
    assert isinstance(error, NoModel) and str(error).startswith("backend.model=qwen: ")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (GPU, f"say {GPU}/v1"),
        (f"{GPU}/v1", "correct the address, which usually ends in /v1"),
        (f"{GPU}/v1/chat/completions", f"say {GPU}/v1"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "correct the address, which usually ends in /v1"),
    ],
)
def test_how_to_correct_an_address(address: str, said: str) -> None:
    assert correction(address) == said


@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("https://me.openai.azure.com", "the deployment's name"),
        ("https://me.openai.azure.com/openai/deployments/vision-4o", "vision-4o"),
        ("https://ME.openai.azure.com/openai/deployments/v/chat/completions?api-version=2025-01-01-preview", "v"),
        ("https://me.openai.azure.com/openai/v1?api-version=preview", "the deployment's name"),
        ("https://me.cognitiveservices.azure.com/openai", "the deployment's name"),
    ],
)
def test_an_address_of_azures_own_protocol_is_told_with_the_one_of_openais(address: str, model: str) -> None:
    host = address.split("/")[2].lower()
    with pytest.raises(UserError, match=rf"; say https://{host}/openai/v1, with backend.model={model}$"):
        checked_address(address)


def test_azures_address_of_openais_protocol_is_taken() -> None:
    assert checked_address("https://me.openai.azure.com/openai/v1/") == "https://me.openai.azure.com/openai/v1"


def caused(cause: Exception) -> Exception:
    error = OSError("Cannot connect to host")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no host is called gpu"),
        (caused(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")), "no host is called gpu"),
        (caused(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), "nothing listens at gpu:8000"),
        (caused(OSError(errno.EHOSTUNREACH, "No route to host")), "no way to gpu:8000"),
        (caused(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong")), "speaks no TLS"),
    ],
)
def test_why_no_connection_came_about(error: Exception, said: str) -> None:
    found = connection_problem(error, GPU)
    assert found is not None and said in found.problem
    assert found.certain is (isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME)


def test_a_connection_that_broke_is_none_of_these() -> None:
    assert connection_problem(caused(ConnectionResetError(errno.ECONNRESET, "reset")), GPU) is None


def test_only_a_few_models_are_named_and_none_that_a_terminal_would_obey() -> None:
    error = NoModel("backend.model", "qwen", "no", "choose a model that this key may use")
    assert str(with_models(error, ["a", "b\x1b[31m"])).endswith("choose a model that it has: a and 1 more")
    assert str(with_models(error, [f"m{n}" for n in range(99)])).endswith("m6, m7 and 91 more")
    assert with_models(error, []) is error


def test_an_address_without_its_v1_is_told_with_it(make: Make, asked: Callable) -> None:
    with running() as server:
        address = server.url.removesuffix("/v1")
        with pytest.raises(
            UserError, match=rf"^backend.base_url={address}: has no /chat/completions .*; say {address}/v1"
        ):
            replies(make(address), asked(2))


def test_a_model_that_is_not_there_is_told_with_those_that_are(make: Make, asked: Callable) -> None:
    with running(faults={"404": 1.0}) as server:
        with pytest.raises(
            UserError, match=r"^backend.model=gpt-test: 404: .*; choose a model that it has: gpt-test, gpt-other$"
        ):
            replies(make(server), asked(2))
        server.models = ()
        with pytest.raises(UserError, match="choose a model that this key may use"):
            replies(make(server), asked(2))


def test_a_host_that_is_not_there_is_told_at_once(make: Make, asked: Callable) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", _unknown)
        patch.setenv("OPENAI_API_KEY", "sk-test")
        with pytest.raises(UserError, match=r"^backend.base_url=http://gpu:8000/v1: no host is called gpu"):
            replies(make("http://gpu:8000/v1", patience=600), asked(2))


def _unknown(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_port_where_nothing_listens_is_told(make: Make, asked: Callable) -> None:
    with running() as server:
        address = server.url
    with pytest.raises(
        UserError, match=r"nothing listens at 127.0.0.1:[0-9]+ \(connection refused\): start it, or correct"
    ):
        replies(make(address, patience=0.2), asked(2))
