"""calibration.json, beside pilot.jsonl: what the pilot found in each pattern, and what the user should know of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.generation.calibration import pilot
from seke.generation.calibration.arms import Arm, Calibration
from seke.generation.calibration.patterns import IN_WORDS, Pattern, named
from seke.generation.calibration.study import HIDDEN, SHOWN
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
        **(
            {
                "by_source": list(arm.sources),
                "gain_by_source": _rounded(arm.by_source.mean),
            }
            if arm.by_source is not None
            else {}
        ),
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
            if (apart := arm.sources) and arm.by_source is not None:
                yield (
                    f"{where}: the annotator errs in its own way in {', '.join(apart)}: about {IN_WORDS[name]} it is "
                    f"read by what held-out labels of each say (log loss lower by {arm.by_source.mean:.3f})"
                )
            if not arm.looks and arm.gain is not None:
                free = " and the witnesses" if any(arm.powers) else ""
                yield (
                    f"{where}: the annotator adds nothing to what these{free} say of {IN_WORDS[name]} without looking "
                    f"(log loss better by {arm.gain.mean:.3f} ± {arm.gain.margin:.3f}): it is not asked"
                )


def located(run: str | None, outputs: Path) -> Path | None:
    """Return the calibration.json of `generator.reuse`, a generate run by its name or folder; None where there is none.

    Raises:
        UserError: if it is no run of a calibrated annotator.
    """
    if run is None:
        return None
    for folder in (Path(run).expanduser(), outputs / "generate" / run):
        if (folder / FILE).is_file():
            return folder / FILE
    problem = f"not a generate run with a {FILE}"
    raise UserError("generator.reuse", run, problem, "name a run that was made with generator.aggregate=calibrated")


def draws_in(file: Path) -> dict[Pattern, dict[str, int]]:
    """Return by which prompts a run asked about the records of each pattern, and how many draws there are of each.

    Raises:
        UserError: if the file is not as `content` writes it.
    """
    try:
        patterns: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["patterns"]
        found: dict[Pattern, dict[str, int]] = {named(name): {} for name in patterns}
        for name, page in patterns.items():
            for arm in page["arms"].values():
                prompt, draws = arm["prompt"], int(arm["draws"])
                if prompt in (SHOWN, HIDDEN):
                    found[named(name)][prompt] = max(found[named(name)].get(prompt, 0), draws)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"is no {FILE} ({type(error).__name__}: {error})"
        raise UserError("generator.reuse", file, problem, "name a finished generate run") from error
    return found


def _list(names: Iterable[str]) -> str:
    return ", ".join(IN_WORDS.get(name, name) for name in names)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
