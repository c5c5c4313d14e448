"""Labels of runs in tables and figures: by the suffix of a run's name, from conf/report.yaml."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from seke.reporting.data.runs import FinishedRun, natural

NO_DRAWS: Final = "no draws"
"""E[S] of a generation that asks once and for everything: it samples nothing."""
SPARE_TONES = ("red", "yellow", "sky", "orange", "purple", "green")
"""For runs that the wording does not know, as long as no run that it knows has the colour."""
_CELL: Final = re.compile(r"(?P<sweep>.*?)-(?P<settings>[\w.@/+~-]+=.*)")
"""The name of a sweep's cell: the sweep's, and the settings that were typed."""


@dataclass(frozen=True)
class Words:
    """The words for one run."""

    label: str
    short: str
    """For figures."""
    tone: str
    """A colour of the page's palette, by name."""
    reference: bool = False
    """Shown for comparison only: never the best of a column."""


class NamedRun(NamedTuple):
    """A run and its words."""

    run: FinishedRun
    words: Words
    suffix: str
    """The suffix that gave the words; empty where the run's own name stands for itself."""


def named(runs: Sequence[FinishedRun], wording: Mapping[str, Mapping[str, Any]]) -> list[NamedRun]:
    """Name `runs` and put them into the order of `wording`; runs it does not know follow under their own names.

    `wording` maps a suffix to `{label, short, tone, reference}`. The longest suffix wins: demo-labels-seke is
    "labels-seke" before it is "seke". Where two runs share a suffix, each label says which run it is. Cells of a sweep
    are called by what they do not share.
    """
    suffixes = [_suffix(run.name, wording) for run in runs]
    shared = Counter(suffixes)
    taken = {str(wording[suffix].get("tone", "grey")) for suffix in suffixes if suffix}
    tones = [tone for tone in SPARE_TONES if tone not in taken] or SPARE_TONES
    own, spare = told_apart([run.name for run in runs]), 0
    result = []
    for run, suffix in zip(runs, suffixes, strict=True):
        if suffix:
            entry = wording[suffix]
            label, short = str(entry["label"]), str(entry.get("short", suffix))
            if shared[suffix] > 1:
                label, short = f"{label} ({run.name})", run.name
            words = Words(label, short, str(entry.get("tone", "grey")), bool(entry.get("reference", False)))
        else:
            words = Words(own[run.name], own[run.name], tones[spare % len(tones)])
            spare += 1
        result.append(NamedRun(run, words, suffix))
    place = {suffix: index for index, suffix in enumerate(wording)}
    return sorted(result, key=lambda item: (place.get(item.suffix, len(place)), natural(item.run.name)))


def told_apart(names: Sequence[str]) -> dict[str, str]:
    """Return what to call each run: cells of a sweep without the settings that all of its cells have in common.

    >>> told_apart(["feab-model.path=a,records=raw", "feab-model.path=b,records=raw"])["feab-model.path=b,records=raw"]
    'feab-model.path=b'
    >>> told_apart(["feab-model.path=a,records=raw", "mine"])
    {'feab-model.path=a,records=raw': 'feab-model.path=a,records=raw', 'mine': 'mine'}
    """
    sweeps: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in names:
        if found := _CELL.fullmatch(name):
            sweeps[found["sweep"]][name] = found["settings"].split(",")
    called = {name: name for name in names}
    for sweep, cells in sweeps.items():
        shared = set.intersection(*map(set, cells.values()))
        for name, settings in cells.items():
            if differing := [setting for setting in settings if setting not in shared]:
                called[name] = f"{sweep}-{','.join(differing)}"
    return called


def _suffix(name: str, wording: Mapping[str, Any]) -> str:
    fitting = [suffix for suffix in wording if name == suffix or name.endswith(f"-{suffix}")]
    return max(fitting, key=len, default="")
