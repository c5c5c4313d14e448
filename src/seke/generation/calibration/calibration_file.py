"""calibration.json, beside pilot.jsonl: what the pilot found in each pattern, and what the user should know of it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from seke.generation.calibration import pilot
from seke.generation.calibration.arms import Arm, Calibration
from seke.generation.calibration.patterns import IN_WORDS
from seke.generation.calibration.witnesses import facts

FILE: Final = "calibration.json"


def content(calibration: Calibration) -> str:
    """Return the content of calibration.json: each pattern's arms, with the losses that they were chosen by."""
    names = [witness.name for witness in calibration.witnesses]
    patterns = {
        pattern.name: {
            "records": calibration.demand[pattern].records,
            "asked": {name: round(asked, 1) for name, asked in calibration.demand[pattern].asked.items()},
            "arms": {name: _row(arm, names) for name, arm in arms.items()},
        }
        for pattern, arms in calibration.arms.items()
    }
    thresholds = {str(au): round(value, 4) for au, value in calibration.thresholds.items()}
    page: dict[str, Any] = {"patterns": patterns, "thresholds": thresholds, "remarks": list(remarks(calibration))}
    if names:
        page["witnesses"] = facts(calibration.witnesses)
    return json.dumps(page, indent=2) + "\n"


def _row(arm: Arm, witnesses: Sequence[str]) -> dict[str, Any]:
    chosen = arm.option._asdict()
    chosen.pop("powers")
    # The mean power over what is read: 0 is refused, less than 1 says that a part of it is no news.
    powers = {name: round(power, 3) for name, power in zip(witnesses, arm.powers, strict=True)}
    return {
        **chosen,
        **({"witnesses": powers} if powers else {}),
        "averaged": {read.option.name: round(read.share, 4) for read in arm.readers},
        "labels": arm.labels,
        "thin": arm.thin,
        "learnt_on": arm.learnt_on.name if arm.learnt_on else None,
        "images": arm.judged,
        "log_loss": _rounded(arm.loss),
        "gain_over_not_looking": _rounded(arm.gain.mean if arm.gain else None),
        "standard_error": _rounded(arm.gain.standard_error if arm.gain else None),
        "log_loss_by_prompt": {prompt: _rounded(loss) for prompt, loss in arm.losses.items()},
    }


def remarks(calibration: Calibration) -> Iterator[str]:
    """Yield what the user should know before the records are annotated, a line each."""
    for pattern, arms in calibration.arms.items():
        where = f"{calibration.demand[pattern].records} records of which {pattern.in_words}"
        if untold := _list(name for name, arm in arms.items() if not arm.judged):
            yield f"{where}: nobody annotated {untold}: the annotator is taken at its word, without a confidence"
        if thin := _list(f"{IN_WORDS[name]} ({arm.labels})" for name, arm in arms.items() if arm.judged and arm.thin):
            yield (
                f"{where}: the pilot has too few images with human labels of {thin}, {pilot.FEWEST} are needed: they "
                "are read as in the most similar records that have enough, and flagged thin_pilot"
            )
        for number, witness in enumerate(calibration.witnesses):
            if refused := _list(name for name, arm in arms.items() if arm.judged and not arm.powers[number]):
                yield f"{where}: witness {witness.name} adds nothing about {refused}: it is not heard (power 0)"
        for name, arm in arms.items():
            if not arm.looks and arm.gain is not None:
                free = " and the witnesses" if any(arm.powers) else ""
                yield (
                    f"{where}: the annotator adds nothing to what these{free} say of {IN_WORDS[name]} without looking "
                    f"(log loss better by {arm.gain.mean:.3f} ± {arm.gain.margin:.3f}): it is not asked"
                )


def _list(names: Iterable[str]) -> str:
    return ", ".join(IN_WORDS.get(name, name) for name in names)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
