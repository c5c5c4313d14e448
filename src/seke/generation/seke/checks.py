"""Checks of an instruction before it is kept. Findings are flags in its row: a flagged row is still a row."""

from collections import Counter
from collections.abc import Sequence

from seke.answers.extract import extract
from seke.core.affect import EXPRESSIONS, VA_OF_EXPRESSION
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import Labels

VA_DRIFT = 0.3
"""A summary this far from the draws' mean valence or arousal has drifted: more than draws of one image spread."""
VA_FAR = 0.75
"""A valence or arousal this far from its expression's anchor is suspicious: more than three spreads of any."""
CLEARLY_NEGATIVE = -0.3
"""Below this valence an active AU12 is suspicious (Sec. 1), contempt's one-sided smile excepted."""


def prior_kept(manual: Labels, final: Labels) -> bool:
    """Return whether every manual label stands unaltered in the final ones."""
    return manual.completed_by(final) == final


def summary_drifts(draws: Sequence[Labels], summary: Labels) -> bool:
    """Return whether the summary leaves what the draws agree on.

    They agree on an expression that more than half of them name, on an AU if all say the same, and on valence and
    arousal within `VA_DRIFT` of their means.
    """
    if not draws:
        return False
    named = Counter(draw.expression for draw in draws)
    expression, votes = named.most_common(1)[0]
    if votes > len(draws) / 2 and summary.expression != expression:
        return True
    for au, active in (summary.action_units or {}).items():
        said = {(draw.action_units or {}).get(au) for draw in draws}
        if said == {not active}:
            return True
    for drawn, value in (
        ([draw.valence for draw in draws], summary.valence),
        ([draw.arousal for draw in draws], summary.arousal),
    ):
        numbers = [number for number in drawn if number is not None]
        if value is not None and numbers and abs(value - sum(numbers) / len(numbers)) > VA_DRIFT:
            return True
    return False


def coupling_flags(labels: Labels) -> list[str]:
    """Return the names of the soft couplings between the three descriptions that `labels` breaks."""
    flags = []
    units = labels.action_units or {}
    clearly_negative = labels.valence is not None and labels.valence < CLEARLY_NEGATIVE
    if units.get(12) and clearly_negative and labels.expression != "contempt":
        flags.append("au12_negative_valence")
    if labels.expression is not None:
        anchor = VA_OF_EXPRESSION[labels.expression]
        pairs = ((labels.valence, anchor.valence), (labels.arousal, anchor.arousal))
        if any(value is not None and abs(value - centre) > VA_FAR for value, centre in pairs):
            flags.append("va_far_from_expression")
    return flags


def text_agrees(text: str, labels: Labels, digits: int = 2) -> bool:
    """Return whether a reader of `text` finds exactly `labels` in it, valence and arousal rounded to `digits`.

    Intensities are not written.
    """
    assert labels.valence is not None
    assert labels.arousal is not None
    written = {"valence": round(labels.valence, digits), "arousal": round(labels.arousal, digits)}
    return extract(text) == labels.model_copy(update={**written, "au_intensity": None})


def questions_leak_nothing(prompts: Prompts, template: str = "questions") -> None:
    """Check that no question names an expression or holds anything that reads as a label.

    Raises:
        UserError: naming the question that would give an answer away.
    """
    for number, question in enumerate(prompts.templates[template]):
        words = set(question.lower().replace(",", " ").replace(".", " ").replace("?", " ").split())
        if not extract(question).empty or words & set(EXPRESSIONS):
            raise UserError(
                f"prompts.templates.{template}[{number}]", question, "gives an answer away", "ask without naming labels"
            )
