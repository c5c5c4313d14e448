"""Check that no setting holds a secret: settings are written down with every run."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from seke.core.errors import UserError

SECRET_NAME = re.compile(
    r"(?:api|access|secret|private|auth)[-_]?key|\btokens?$|_token$|^(?:key|bearer|authorization|credentials?)$"
    r"|authorization|passw|secret|cookie",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"^(?:sk|pk|rk|gsk|hf|xai|ghp|key)[-_][\w-]{8,}|^(?:bearer|basic) \S+|^eyJ[\w-]{10,}\.", re.IGNORECASE
)


REMEDY = "leave it out: the key is read from OPENAI_API_KEY in the environment, and from nowhere else"


def check(settings: object, name: str = "") -> None:
    """Refuse secrets in what all settings together say to servers, whether or not this run asks them.

    Raises:
        UserError: naming the setting, which does not repeat it.
    """
    for key, value in settings.items() if isinstance(settings, Mapping) else ():
        inner = f"{name}.{key}" if name else str(key)
        if key == "extra_body":
            refuse_secrets(value, inner)
        elif key == "base_url" and isinstance(value, str):
            refuse_secret_address(value, inner)
        else:
            check(value, inner)


def refuse_secret_address(address: str, name: str = "backend.base_url") -> None:
    """Refuse an address with a login, or with a key in its path or behind it.

    Raises:
        UserError: which does not repeat it.
    """
    if "@" in address:
        raise UserError(name, "***", "the login before its @ would stand in the run's files", REMEDY)
    try:
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
    except ValueError:  # brackets that are none, or too much
        return
    in_path = any(SECRET_VALUE.match(part) for part in parts.path.split("/"))
    if in_path or any(SECRET_NAME.search(key) or SECRET_VALUE.match(value) for key, value in asked.items()):
        raise UserError(name, "***", "looks like a secret, and would stand in the run's files", REMEDY)


def refuse_secrets(given: object, name: str = "backend.extra_body") -> None:
    """Refuse what looks like a key or a password: settings stand in the run's files, on dashboards and on cards.

    Raises:
        UserError: which does not repeat it.
    """
    if isinstance(given, str) and SECRET_VALUE.match(given.strip()):
        raise UserError(name, "***", "looks like a secret, and would stand in the run's files", REMEDY)
    if isinstance(given, Mapping):
        for key, value in given.items():
            inner = f"{name}.{key}"
            if SECRET_NAME.search(str(key)) and isinstance(value, str) and value:
                raise UserError(inner, "***", "looks like a secret, and would stand in the run's files", REMEDY)
            refuse_secrets(value, inner)
    elif isinstance(given, list | tuple):
        for value in given:
            refuse_secrets(value, name)
