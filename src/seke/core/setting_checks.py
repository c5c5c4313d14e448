"""Checks of numbers among the settings, before anything is loaded or claimed."""

import math
from typing import Any

from seke.core.errors import UserError


def check_whole(argument: str, value: Any, least: int, most: int | None = None, *, optional: bool = False) -> None:
    """Refuse what is no whole number from `least` to `most` (None: no end); null is one where it is `optional`.

    Raises:
        UserError: naming the setting.
    """
    if value is None and optional:
        return
    span = f"{least} or more" if most is None else f"{least} to {most}"
    remedy = f"use {span}" + (", or null" if optional else "")
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(argument, value, "not a whole number", remedy)
    if value < least:
        raise UserError(argument, value, f"less than {least}", remedy)
    if most is not None and value > most:
        raise UserError(argument, value, f"more than {most}", remedy)


def check_between(argument: str, value: Any, least: float, most: float = math.inf, optional: bool = False) -> None:
    """Refuse what is no finite number from `least` to `most`; null is one where it is `optional`.

    Raises:
        UserError: naming the setting.
    """
    if value is None and optional:
        return
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not least <= value <= most:
        span = f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"
        raise UserError(argument, value, "not such a number", f"use {span}" + (", or null" if optional else ""))
