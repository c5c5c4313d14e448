"""Checks of what user-supplied parts (backends, rules, sources, ...) hand back, where it enters the program.

A part that breaks its promise ends the command in one line: `<setting>=<name of the part>: <what it gave>; <what to
give>`. Nothing that was finished before is lost.
"""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, get_args

from pydantic import ValidationError

from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.vlm import VLM, Choice, Reply, Request, Status

LONGEST: Final = 200
"""Characters that are shown of what a part gave."""
STATUSES: Final = frozenset(get_args(Status))


def name_of(part: Any) -> str:
    """Return where a part is written: module and name of its class, or of the function that made it.

    >>> name_of(math.isfinite), name_of(UserError("a", 1, "b", "c"))
    ('math.isfinite', 'seke.core.errors.UserError')
    """
    while isinstance(part, partial):
        part = part.func
    written = part if hasattr(part, "__qualname__") else type(part)
    return f"{written.__module__}.{written.__qualname__.partition('.<locals>')[0]}"


def shown(value: object) -> str:
    """Return a value as an error shows it: on one line, cut short."""
    return shortened(" ".join(repr(value).split()), LONGEST)


def broken(setting: str, part: object, gave: str, remedy: str) -> UserError:
    """Return the error about a part that breaks a promise."""
    return UserError(setting, name_of(part), gave, remedy)


def invalid(setting: str, part: object, error: ValidationError) -> UserError:
    """Return the error about a part that made a row which breaks its format, naming the first wrong field."""
    first = error.errors(include_url=False)[0]
    field = ".".join([error.title, *map(str, first["loc"])])
    given = "" if first["type"] in ("missing", "value_error") else f" (it is {shown(first['input'])})"
    return broken(
        setting,
        part,
        f"{field}: {first['msg'].removeprefix('Value error, ')}{given}",
        "give a value of that form, or None where unknown",
    )


def require(setting: str, part: object, *methods: str) -> None:
    """Make sure that a part has the methods that it is asked by.

    Raises:
        UserError: naming the first that it lacks.
    """
    for method in methods:
        if not callable(getattr(part, method, None)):
            lacking = "cannot be called" if method == "__call__" else f"has no method {method}()"
            raise broken(setting, part, lacking, "point its _target_ at a class, or a function, that makes such a part")


def replies(vlm: VLM, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
    """Yield a backend's replies, of which each request has exactly one, with as many choices as it asks for.

    Raises:
        UserError: at the first reply that is none, or comes twice, and where requests are left without one.
    """
    waiting: dict[int, Request] = {}
    numbered = enumerate(requests)

    def handed() -> Iterator[Request]:
        for index, request in numbered:
            waiting[index] = request
            yield request

    handing = handed()
    answers: Any = vlm.reply(handing)
    if not isinstance(answers, Iterable):
        raise broken("backend", vlm, f"reply() returned {shown(answers)}", "yield (index of the request, Reply) pairs")
    for answer in answers:
        index, reply = _pair(vlm, answer)
        if index not in waiting:
            problem = f"replied to request {index}, which is answered already or was never asked"
            raise broken("backend", vlm, problem, "yield one reply per request, with its place among the requests")
        _check(vlm, index, reply, waiting.pop(index))
        yield index, reply
    next(handing, None)
    if waiting:
        problem = f"gave no reply to request {min(waiting)}"
        raise broken("backend", vlm, problem, "yield one reply per request; one that failed has the status invalid")


def _pair(vlm: VLM, answer: Any) -> tuple[int, Reply]:
    if isinstance(answer, tuple) and len(answer) == 2:
        index, reply = answer
        if type(index) is int and isinstance(reply, Reply):
            return index, reply
    problem = f"reply() yielded {shown(answer)}"
    raise broken("backend", vlm, problem, "yield (index of the request, Reply) pairs")


def _check(vlm: VLM, index: int, reply: Reply, request: Request) -> None:
    choices = reply.choices
    if not isinstance(choices, tuple) or not all(isinstance(choice, Choice) for choice in choices):
        problem = f"the choices of reply {index} are {shown(choices)}"
        raise broken("backend", vlm, problem, "give a tuple of Choice")
    if len(choices) != request.n:
        problem = f"reply {index} has {len(choices)} choices where n={request.n} are asked for"
        raise broken("backend", vlm, problem, "give n; an answer that is not there is Choice('why', 'invalid')")
    for choice in choices:
        if choice.status not in STATUSES or not _writable(choice.text):
            problem = f"reply {index} has {shown(choice)}"
            remedy = f"give a text that UTF-8 can hold, and a status of {', '.join(sorted(STATUSES))}"
            raise broken("backend", vlm, problem, remedy)
    cost = reply.cost
    if cost is not None and (isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < math.inf):
        problem = f"reply {index} costs {shown(cost)}"
        raise broken("backend", vlm, problem, "give US dollars from 0 on, or None where the price is not known")


def _writable(text: object) -> bool:
    """Return whether `text` is text without half characters (lone surrogates), which no file can hold."""
    try:
        return isinstance(text, str) and text.encode() is not None
    except UnicodeEncodeError:
        return False
