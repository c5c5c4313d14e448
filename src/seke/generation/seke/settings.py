"""What the generator's settings may be, and which of them go together."""

from typing import Any

from seke.core.errors import UserError
from seke.generation.seke.aggregation import AGGREGATES
from seke.generation.seke.schema import FORMS
from seke.generation.seke.stopping import check_max_samples


def check(max_samples: int, per_au: str, uncertainty: str, aggregate: str, pilot: int, temperature: float) -> None:
    """Refuse what is out of range or unknown.

    Raises:
        UserError: naming the setting, its value and what it may be.
    """
    check_max_samples(max_samples)
    if per_au not in ("mean", "max"):
        raise UserError("generator.per_au", per_au, "no such way to combine AUs", "set mean or max")
    if uncertainty not in FORMS:
        raise UserError("generator.uncertainty", uncertainty, "no such source of it", f"set {', '.join(FORMS)}")
    if aggregate not in AGGREGATES:
        raise UserError("generator.aggregate", aggregate, "unknown", f"set {', '.join(AGGREGATES)}")
    if pilot < 1:
        raise UserError("generator.pilot", pilot, "not a number of images", "set for example 400")
    if not 0 <= temperature <= 2:
        raise UserError("generator.temperature", temperature, "out of range", "set a number from 0 to 2")


def check_calibrated(
    aggregate: str, calibrates: bool, reuse: str | None, witnesses: Any, by_value: bool, *, two: bool
) -> None:
    """Refuse what only a calibrated annotator model can do where labels are made in another way.

    Args:
        aggregate: how labels are made.
        calibrates: whether that is by such a model.
        reuse: the run whose draws are read again.
        witnesses: those that cost nothing.
        by_value: whether the stopping rule asks by value.
        two: whether there is a second annotator.

    Raises:
        UserError: naming the first setting that does not go with the others.
    """
    remedy = "set generator.aggregate=calibrated"
    if reuse is not None and not calibrates:
        problem = f"draws are read again by a calibrated annotator model, and labels are made by {aggregate} here"
        raise UserError("generator.reuse", reuse, problem, remedy)
    if witnesses and not calibrates:
        problem = f"witnesses are heard by a calibrated annotator model, and labels are made by {aggregate} here"
        raise UserError("generator.witnesses", witnesses, problem, remedy)
    if reuse is not None and two:
        raise UserError("generator.reuse", reuse, "two annotators are asked by value here", "leave second out")
    if by_value and two and not calibrates:
        problem = f"a calibrated annotator model says what an answer is worth, and labels are made by {aggregate}"
        raise UserError("stopping", "value", problem, remedy)
