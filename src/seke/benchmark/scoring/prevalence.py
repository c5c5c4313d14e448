"""F1 of action units at another prevalence than the sample's.

F1 depends on how often an action unit is active, and a test set's draw decides that: of the same model (recall 0.6,
false alarms 0.1) it is .34 where 5 % of the images are active and .60 where 20 % are. Recall and the rate of false
alarms do not depend on it, and with the prevalence they give F1 at any.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seke.benchmark.scoring.arrays import AUS, Columns
from seke.core.affect import ACTION_UNITS, TABLE2_AUS
from seke.core.errors import UserError


def f1_at(recall: float, false_alarms: float, prevalence: float) -> float:
    """Return the positive-class F1 = 2 TP / (2 TP + FP + FN) of a classifier where a share of the images is active.

    Args:
        recall: the share of active images that are called active, in [0, 1].
        false_alarms: the share of inactive images that are called active, in [0, 1].
        prevalence: the share of images that are active, in (0, 1].

    >>> round(f1_at(0.6, 0.1, 0.05), 2), round(f1_at(0.6, 0.1, 0.2), 2)
    (0.34, 0.6)
    """
    hits = prevalence * recall
    return 2 * hits / (prevalence + hits + (1 - prevalence) * false_alarms)


def at_prevalence(data: Columns, prevalence: Mapping[int, float]) -> dict[str, Any]:
    """Return the F1 of each AU of `prevalence` at its share of active images, and the mean over Table 2's 14.

    None stands where the images annotated for an AU are all active, or all inactive: its recall, or its rate of false
    alarms, is not known. `f1_n_aus` counts the AUs in the mean.
    """
    f1 = {}
    for au, share in prevalence.items():
        place = AUS.index(au)
        active, inactive = data.au_true_NA[:, place] == 1, data.au_true_NA[:, place] == 0
        called = data.au_NA[:, place] == 1
        known = active.any() and inactive.any()
        f1[au] = f1_at(float(np.mean(called[active])), float(np.mean(called[inactive])), share) if known else None
    in_14 = [value for au, value in f1.items() if au in TABLE2_AUS and value is not None]
    return {
        "prevalence": {str(au): share for au, share in prevalence.items()},
        "f1": {str(au): value for au, value in f1.items()},
        "f1_mean_14": sum(in_14) / len(in_14) if in_14 else None,
        "f1_n_aus": len(in_14),
    }


def checked_prevalence(argument: str, given: Mapping[Any, Any] | None) -> dict[int, float]:
    """Return the share of active images by AU; nothing where nothing is given.

    Raises:
        UserError: if these are no shares by AU, a key is no action unit of ours, or a share does not lie in (0, 1].
    """
    if given is not None and not isinstance(given, Mapping):
        raise UserError(argument, given, "no shares by action unit", "write for example {1: 0.21, 2: 0.15}")
    shares = {}
    for key, share in (given or {}).items():
        au = int(str(key)) if str(key).isdecimal() else 0
        if au not in ACTION_UNITS:
            known = ", ".join(map(str, ACTION_UNITS))
            raise UserError(
                f"{argument}.{key}", share, "no action unit of ours", f"name some of {known} by their numbers"
            )
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise UserError(f"{argument}.{key}", share, "no share of active images", "set more than 0, at most 1")
        shares[au] = float(share)
    return shares
