"""The verdict that heads the page: one run's four headline scores, and what it gains over not looking at the pictures.

A score alone says little: labels that nobody looked for, inferred from the human ones, and the best constant answer
score something, too. So the run in focus is set beside such a baseline, paired by subject on the pictures that both
scored: as `evaluate.py compare=` found it, else as the report finds it in the two runs' predictions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.records import NOBODY
from seke.core.rules import MEASURES
from seke.reporting.data import scenes
from seke.reporting.data.collect import Material
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import estimate
from seke.reporting.data.tables import Column, interval, shown

Compare = Callable[[Sequence[Any], Sequence[Any], str], Mapping[str, Any]]
"""(ours, theirs, name of theirs) -> the content of comparison.json."""
HEADLINE: Final = [(measure.title, Column.of(measure)) for measure in MEASURES]
"""The four scores that stand for a system wherever there is no room for all, and their names there."""


class Gain(NamedTuple):
    """What a run gains on one measure over the baseline."""

    column: Column
    difference: Estimate
    """Ours minus theirs, with its 95 % interval."""
    n: int
    """Pictures that both scored."""

    @property
    def outcome(self) -> str:
        """better, worse, or unclear where the interval holds 0 or there is none."""
        _, low, high = self.difference
        if low is None or high is None or low <= 0 <= high:
            return "unclear"
        return "better" if (low > 0) == (self.column.better == "high") else "worse"

    @property
    def text(self) -> str:
        """The difference as it is printed, e.g. "+8.5 points, 95 % +4.0 to +12.7" or "error +0.127, no interval"."""
        value, low, high = (None if end is None else self._signed(end) for end in self.difference)
        named = f"error {value}" if self.column.better == "low" else f"{value} points"
        return f"{named}, 95 % {low} to {high}" if low and high else f"{named}, no interval"

    def _signed(self, value: float) -> str:
        return shown(Estimate(value), replace(self.column, signed=True))


class Tile(NamedTuple):
    """One headline score."""

    title: str
    key: str
    """Its key in metrics.json."""
    value: str
    interval: str
    gain: Gain | None
    share: str
    """How much of the upper bound it reaches; empty where nobody knows."""


class Verdict(NamedTuple):
    """What heads the page."""

    item: NamedRun
    """The run that it is about."""
    sentence: str
    """What came of the comparison, to be read behind the run's label."""
    tiles: tuple[Tile, ...] = ()


_OUTCOMES: Final = {
    "better": ("is better than {against} in", "is better in"),
    "worse": ("is worse than {against} in", "is worse in"),
    "unclear": ("does not differ beyond chance from {against} in", "does not differ beyond chance in"),
}
"""What is said of each outcome: first, and behind another."""
BLIND: Final = {"constant": "the best answer that never looks", NOBODY: "not looking"}
"""Who answers without looking, as manifests name them, and what to call such a run of somebody's own name."""
NOT_COMPARED: Final = (
    "was not compared with anything that never looks at the pictures: whether looking helped is not known here. A run "
    "of the same records in this report would tell: evaluate.py system=constant beside a model, generate.py "
    "generator=blind beside labels."
)


def verdicts(
    material: Material, focus: str, ceiling: str, baselines: Mapping[str, str], compare: Compare | None
) -> list[Verdict]:
    """Return the verdicts on one model of faces, on one set of generated labels, and on one model of scenes.

    Args:
        material: all runs.
        focus: the suffix of the run in focus, of labels behind "labels-"; else it is the last that competes.
        ceiling: the suffix of the upper bound.
        baselines: suffix of a run that never looks -> what to call it; the first there is counts.
        compare: the paired bootstrap of two runs' predictions; None: only what `evaluate.py compare=` has found.
    """
    of_faces = [_of_faces(items, focus, ceiling, baselines, compare) for items in (material.scored, material.checked)]
    return [found for found in (*of_faces, _of_scenes(material.scenes)) if found]


def _of_faces(
    items: Sequence[NamedRun], focus: str, ceiling: str, baselines: Mapping[str, str], compare: Compare | None
) -> Verdict | None:
    blind = {words: item for item in reversed(items) if (words := _never_looks(item, baselines))}
    rivals = [item for item in items if not item.words.reference and not _never_looks(item, baselines)]
    in_focus = [item for item in rivals if item.suffix in (focus, f"labels-{focus}")]
    hero = next(iter([*in_focus, *reversed(rivals)]), None)
    if hero is None:
        return None
    against = next((words for words in (*baselines.values(), *blind) if words in blind), "")
    gains = {gain.column.key: gain for gain in _gains(_comparison(hero, blind[against], compare) if against else {})}
    top = next((item for item in items if item.suffix == ceiling), None)
    tiles = (
        Tile(
            title,
            column.key,
            shown(score, column),
            interval(score, column),
            gains.get(column.key),
            _share_of(top, hero, column) if top else "",
        )
        for title, column in HEADLINE
        for score in [hero.run.scores.get(column.key)]
    )
    sentence = _sentence(list(gains.values()), against) if gains else NOT_COMPARED
    return Verdict(hero, sentence, tuple(tiles))


def _never_looks(item: NamedRun, baselines: Mapping[str, str]) -> str:
    """Return what to call a run that never looks at the pictures, by its suffix or by who answered; else nothing."""
    models = item.run.manifest.get("models")
    return baselines.get(item.suffix) or (BLIND.get(str(models[0]), "") if models and len(models) == 1 else "")


def _sentence(gains: Sequence[Gain], against: str) -> str:
    r"""Say where a run is better, worse, and neither; each with what it gains.

    >>> accuracy, f1 = HEADLINE[0][1], HEADLINE[1][1]
    >>> gains = [Gain(accuracy, Estimate(0.085, 0.04, 0.127), 270), Gain(f1, Estimate(0.1), 9)]
    >>> print(_sentence(gains, "not looking").replace(" and ", "\nand ").replace(" (", "\n("))
    is better than not looking in expression
    (+8.5 points, 95 % +4.0 to +12.7)
    and does not differ beyond chance in action units
    (+10.0 points, no interval); paired by subject, on 9 to 270 pictures.
    """
    parts: list[str] = []
    for outcome, (first, later) in _OUTCOMES.items():
        if found := [f"{gain.column.group.lower()} ({gain.text})" for gain in gains if gain.outcome == outcome]:
            parts.append(f"{later if parts else first.format(against=against)} {_listed(found)}")
    sizes = sorted({gain.n for gain in gains})
    pictures = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    return f"{_listed(parts)}; paired by subject, on {pictures} pictures."


def _of_scenes(items: Sequence[NamedRun]) -> Verdict | None:
    """Judge by the interval of the accuracy: what is always right of the commonest emotion is known without a run."""
    hero = next((item for item in reversed(items) if not item.words.reference), None)
    if hero is None:
        return None
    score = hero.run.scores.get(f"{scenes.EMOTION}.accuracy", Estimate(None))
    common = scenes.without_a_model(hero.run.scores).get(f"{scenes.EMOTION}.commonest", Estimate(None)).value
    if score.value is None or common is None:
        return None
    column = Column.percent("", "", "")
    known = score.low is not None and score.high is not None
    better, worse = known and (score.low or 0) > common, known and (score.high or 0) < common
    outcome = "better than" if better else "worse than" if worse else "not beyond chance different from"
    value, spans = shown(score, column), f"95 % {interval(score, column)}" if known else "no interval"
    without = f"{outcome} always saying the commonest without looking ({common * 100:.1f} %)"
    return Verdict(hero, f"names the emotion of {value} % of the pictures ({spans}), {without}.")


def _comparison(hero: NamedRun, baseline: NamedRun, compare: Compare | None) -> Mapping[str, Any]:
    if hero.run.comparison.get("against") == baseline.run.name:
        return hero.run.comparison
    if compare is None:
        return {}
    try:
        ours, theirs = ({row.id: row for row in item.run.predictions} for item in (hero, baseline))
        shared = [id_ for id_ in ours if id_ in theirs]
        if not shared:
            return {}
        return compare([ours[id_] for id_ in shared], [theirs[id_] for id_ in shared], baseline.run.name)
    except UserError:  # not about the same truth, or predictions that do not read
        return {}


def _gains(found: Mapping[str, Any]) -> Iterator[Gain]:
    measured = {f"{each['task']}.{each['metric']}": each for each in found.get("metrics", ())}
    for _, column in HEADLINE:
        each = measured.get(column.key)
        if each is not None and each["difference"] is not None:
            yield Gain(column, estimate(each, "difference"), int(each["n"]))


def _share_of(top: NamedRun, item: NamedRun, column: Column) -> str:
    """Say how much of the upper bound a score reaches, for scores of which more is better."""
    own, most = (each.run.scores.get(column.key, Estimate(None)).value for each in (item, top))
    if column.better != "high" or own is None or not most:
        return ""
    return f"{own / most:.0%} of {top.words.short}".replace("%", " %")


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
