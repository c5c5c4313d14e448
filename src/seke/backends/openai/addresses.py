"""Diagnosis of addresses: tells a wrong path, host and model apart, from what a server or the network says.

404 about a path        the address lacks its /v1, or is no address of a model at all
404 about a model       the model is another's; which ones there are, is asked of /models
no such host, nothing listens, no TLS, no answer
"""

import errno
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from seke.core.errors import UserError

PATH: Final = "/chat/completions"
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".openai.azure.us")
_OF_A_PATH: Final = re.compile(
    r"^\s*<|invalid url|cannot (?:post|get)|unexpected endpoint|no (?:such )?(?:route|path|handler|static resource)"
    r"|(?:page|path|route|url|endpoint|resource)\b.{0,40}\bnot found|^\W*(?:404\W*|detail\W+)?not found\W*$",
    re.IGNORECASE,
)
"""A path that nobody serves, as OpenAI, Azure, FastAPI, Go, Express, LM Studio and web servers say it."""
_OF_A_MODEL: Final = re.compile(r"\bmodels?\b|model_not_found|deployment", re.IGNORECASE)
_NO_NAME: Final = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA")}
"""What a name server says of a host that is not there; it may also say that it cannot tell."""
_NO_WAY: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
MOST_NAMED: Final = 8
"""Models in a message."""
LONGEST_NAME: Final = 80


class NoModel(UserError):
    """There is no such model; whoever can ask which ones there are does so (`with_models`)."""


def not_found(address: str, model: str, detail: str, message: str, code: str = "") -> UserError:
    """Return what is wrong where a server says 404; `message` and `code` are its words, `detail` is them for people.

    >>> print(not_found("http://gpu:8000", "qwen", "404: Not Found", "Not Found"))
    backend.base_url=http://gpu:8000: has no /chat/completions (404: Not Found); say http://gpu:8000/v1
    """
    if _OF_A_PATH.search(message) and not _OF_A_MODEL.search(f"{message} {code}"):
        return UserError("backend.base_url", address, f"has no {PATH} ({detail})", correction(address))
    return NoModel("backend.model", model, detail, "choose a model that this key may use")


def names_path_or_model(message: str, code: str = "") -> bool:
    """Return whether the words of a 404 are about a path or a model, which is then wrong for every request.

    >>> names_path_or_model("Not Found"), names_path_or_model("no such face")
    (True, False)
    """
    return bool(_OF_A_PATH.search(message) or _OF_A_MODEL.search(f"{message} {code}"))


def with_models(error: NoModel, names: Sequence[str]) -> UserError:
    """Return the error with the names of the models that the server has."""
    shown = [name for name in names if name.isprintable() and len(name) <= LONGEST_NAME][:MOST_NAMED]
    if not shown:
        return error
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return UserError(
        "backend.model", error.value, error.problem, f"choose a model that it has: {', '.join(shown)}{more}"
    )


def azure_correction(address: str) -> str | None:
    """Return how to correct an address of Azure's that does not speak OpenAI's protocol; None if there is no need.

    Azure speaks it below /openai/v1 alone, with a deployment's name for the model's. Its older addresses name the
    deployment themselves and want an api-version, which this protocol has not.

    >>> azure_correction("https://me.openai.azure.com/openai/deployments/gpt4o/chat/completions?api-version=2024-10-21")
    'say https://me.openai.azure.com/openai/v1, with backend.model=gpt4o'
    """
    parts = urlsplit(address)
    path = parts.path.rstrip("/")
    as_openai = path.endswith("/openai/v1") and not parts.query
    if as_openai or not (parts.hostname or "").endswith(_AZURE):
        return None
    deployment = re.match(r"/openai/deployments/([^/]+)", path)
    model = deployment[1] if deployment else "the deployment's name"
    return f"say https://{parts.hostname}/openai/v1, with backend.model={model}"


def correction(address: str) -> str:
    """Return how to correct an address under which no model is served.

    >>> correction("https://api.openai.com/v1/chat/completions"), correction("http://gpu:8000/v1")
    ('say https://api.openai.com/v1', 'correct the address, which usually ends in /v1')
    """
    if address.endswith(PATH):
        return f"say {address.removesuffix(PATH)}"
    if not re.search(r"/(?:v[0-9]|openai)", urlsplit(address).path):
        return f"say {address}/v1"
    return "correct the address, which usually ends in /v1"


def hint(address: str) -> str:
    """Return what may be wrong with an address whose server says 200 and gives no answer; nothing if it looks right."""
    remedy = correction(address)
    return f" ({remedy})" if remedy.startswith("say ") else ""


class ConnectionProblem(NamedTuple):
    """Why no connection came about."""

    problem: str
    remedy: str
    certain: bool = False
    """Whether it would be no better in a moment."""

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}"


def connection_problem(error: BaseException, address: str) -> ConnectionProblem | None:
    """Return, in words, why no connection came about and what to do; None if that is not what `error` says."""
    parts = urlsplit(address)
    place = parts.netloc
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            problem = f"no host is called {parts.hostname} ({cause.strerror})"
            return ConnectionProblem(problem, "correct the address, or see to the name server", cause.errno in _NO_NAME)
        if isinstance(cause, ConnectionRefusedError):
            return ConnectionProblem(
                f"nothing listens at {place} (connection refused)", "start it, or correct host and port"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectionProblem(
                f"the certificate of {place} is not valid ({getattr(cause, 'verify_message', cause)})",
                "correct the address",
            )
        if isinstance(cause, ssl.SSLError):
            remedy = "say http:// in place of https://, or correct the port"
            return ConnectionProblem(f"{place} speaks no TLS ({getattr(cause, 'reason', cause)})", remedy)
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return ConnectionProblem(
                f"there is no way to {place} ({cause.strerror})", "correct the address, or see to the network"
            )
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error, what it wraps (aiohttp's `os_error`) and what it came from."""
    causes: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is not None and cause not in causes:
            causes.append(cause)
            waiting += [getattr(cause, "os_error", None), cause.__cause__, cause.__context__]
    return causes
