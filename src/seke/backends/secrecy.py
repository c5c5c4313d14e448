"""Settings are written down with every run, so none of them may hold a secret."""

import re
from collections.abc import Mapping

from seke.errors import UserError

SECRET_NAME = re.compile(
    r"(?:api|access|secret|private|auth)[-_]?key|\btokens?$|_token$|^(?:key|bearer|authorization|credentials?)$"
    r"|authorization|passw|secret|cookie",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"^(?:sk|pk|rk|gsk|hf|xai|ghp|key)[-_][\w-]{8,}|^(?:bearer|basic) \S+|^eyJ[\w-]{10,}\.", re.IGNORECASE
)


def refuse_secrets(given: object, name: str = "backend.extra_body") -> None:
    """Refuse what looks like a key or a password: settings stand in the run's files, on dashboards and on cards.

    Raises:
        UserError: which does not repeat it.
    """
    remedy = "leave it out: the key is read from OPENAI_API_KEY in the environment, and from nowhere else"
    if isinstance(given, str) and SECRET_VALUE.match(given.strip()):
        raise UserError(name, "***", "looks like a secret, and would stand in the run's files", remedy)
    if isinstance(given, Mapping):
        for key, value in given.items():
            inner = f"{name}.{key}"
            if SECRET_NAME.search(str(key)) and isinstance(value, str) and value:
                raise UserError(inner, "***", "looks like a secret, and would stand in the run's files", remedy)
            refuse_secrets(value, inner)
    elif isinstance(given, list | tuple):
        for value in given:
            refuse_secrets(value, name)
