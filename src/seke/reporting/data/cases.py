"""Cases: instruction records chosen by a rule, each with what was known, drawn, concluded and true of its face.

The rule: the records whose draws left an uncertainty, split into high, middle and low; in each third the sources take
turns, and of a source the record at the 95th, 50th or 5th percentile of uncertainty is shown. Nobody picks by hand.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seke.core.affect import ACTION_UNITS
from seke.core.records import InstructionRecord, Labels, Origin, Trace
from seke.core.rules import near
from seke.reporting.data import spread
from seke.reporting.data.tables import MISSING, signed

Verdict = Literal["right", "wrong", "unknown"]
LEVELS = (("high", 0.95), ("middle", 0.5), ("low", 0.05))


class Chosen(NamedTuple):
    """One record and the third of uncertainty it stands for."""

    level: str
    record: InstructionRecord


def choose(records: Sequence[InstructionRecord], count: int) -> list[Chosen]:
    """Return up to `count` records, high uncertainty first, spread over the sources (see the module's rule)."""
    sampled = [record for record in records if record.uncertainty.max is not None]
    by_source: dict[str, list[InstructionRecord]] = {}
    for record in sorted(sampled, key=lambda record: (record.uncertainty.max or 0.0, record.id)):
        by_source.setdefault(record.source, []).append(record)
    sources, taken, chosen, turn = sorted(by_source), set[str](), list[Chosen](), 0
    for place, (level, share) in enumerate(LEVELS):
        wanted = (count + len(LEVELS) - 1 - place) // len(LEVELS)
        for _ in range(min(wanted, len(sampled) - len(taken))):
            while not (free := [row for row in by_source[sources[turn % len(sources)]] if row.id not in taken]):
                turn += 1  # this source has no record left
            record = free[round(share * (len(free) - 1))]
            turn += 1
            taken.add(record.id)
            chosen.append(Chosen(level, record))
    return chosen


class Claim(NamedTuple):
    """One label as it is shown, where it came from, and whether it is true."""

    text: str
    origin: Origin | None
    verdict: Verdict
    missed: bool = False
    """An AU that is there and was not claimed."""


@dataclass(frozen=True)
class Line:
    """One label field of a case: what the draws said, what stands in the record, what is true."""

    field: str
    spread: str
    """How far the draws lie apart, in words."""
    final: tuple[Claim, ...]
    truth: str
    draws: tuple[str, ...]


def lines(record: InstructionRecord, trace: Trace | None, truth: Labels | None) -> tuple[Line, ...]:
    """Return a case's four lines: expression, valence, arousal, action units."""
    draws = trace.draws if trace else ()
    scalars = []
    for field in ("expression", "valence", "arousal"):
        origin = getattr(record.origin, field)
        claim = Claim(_scalar_text(record.labels, field), origin, verdict(record.labels, truth, field))
        fact = _scalar_text(truth, field) if truth else MISSING
        answers = tuple(_scalar_text(draw, field, _blank(origin)) for draw in draws)
        apart = spread.words(field, getattr(record.uncertainty, field), draws)
        scalars.append(Line(field.capitalize(), apart, (claim,), fact, answers))
    units = Line(
        "Action units",
        spread.words("action_units", record.uncertainty.action_units, draws),
        tuple(_unit_claims(record, truth)),
        _units_text(truth) if truth else MISSING,
        tuple(_units_text(draw) for draw in draws),
    )
    return (*scalars, units)


def verdict(labels: Labels, truth: Labels | None, field: str) -> Verdict:
    """Compare one scalar label with the truth; valence and arousal are right within 0.2 (Fig. 6)."""
    value, fact = getattr(labels, field), getattr(truth, field) if truth else None
    if value is None or fact is None:
        return "unknown"
    right = value == fact if field == "expression" else near(value, fact)
    return "right" if right else "wrong"


def _unit_verdict(au: int, labels: Labels, truth: Labels | None) -> Verdict:
    label, fact = (labels.action_units or {}).get(au), ((truth.action_units or {}) if truth else {}).get(au)
    if label is None or fact is None:
        return "unknown"
    return "right" if label == fact else "wrong"


def _unit_claims(record: InstructionRecord, truth: Labels | None) -> Iterator[Claim]:
    """Claim every AU that is called active, and every one that is active and was called absent."""
    for au in ACTION_UNITS:
        active = (record.labels.action_units or {}).get(au)
        found = _unit_verdict(au, record.labels, truth)
        if active or (active is False and found == "wrong"):
            yield Claim(f"AU{au}", record.origin.action_units.get(str(au)), found, missed=not active)


def _blank(origin: Origin | None) -> str:
    """Return what stands for no answer: a dash where people gave the label, so that nobody was asked."""
    return "–" if origin == "manual" else MISSING


def _scalar_text(labels: Labels, field: str, blank: str = MISSING) -> str:
    value = getattr(labels, field)
    if value is None:
        return blank
    return value if isinstance(value, str) else signed(value)


def _units_text(labels: Labels) -> str:
    if labels.action_units is None:
        return MISSING
    return " ".join(map(str, labels.active)) or "none"


class Span(NamedTuple):
    """A stretch of text; `verdict` is empty where it claims nothing that we check."""

    text: str
    verdict: Verdict | Literal[""]


def marked(text: str, labels: Labels, truth: Labels | None) -> list[Span]:
    """Cut a description into spans and say which claims are right.

    Three kinds of claim are found: a mention of an AU, which stands for the record's label of that AU (so "AU4 is
    absent" is right where the record calls AU4 absent and it is); the word of the record's expression; and the first
    number behind "valence" or "arousal". The spans joined are the text.
    """
    spans, end = [], 0
    for found in _CLAIM.finditer(text):
        judged = _claim_verdict(found, labels, truth)
        if judged == "unknown":
            continue
        if found.start() > end:
            spans.append(Span(text[end : found.start()], ""))
        spans.append(Span(found.group(), judged))
        end = found.end()
    return [*spans, Span(text[end:], "")] if end < len(text) else spans


_CLAIM = re.compile(
    r"\bAU[\s-]?(?P<au>\d{1,2})\b"
    r"|\b(?P<field>valence|arousal)\b[^.\d+−-]{0,40}?(?P<number>[+−-]?\d(?:\.\d+)?)"
    r"|\b(?P<word>[A-Za-z]+)\b",
    re.IGNORECASE,
)


def _claim_verdict(found: "re.Match[str]", labels: Labels, truth: Labels | None) -> Verdict:
    if found["au"]:
        return _unit_verdict(int(found["au"]), labels, truth)
    if found["field"]:
        fact = getattr(truth, found["field"].lower()) if truth else None
        if fact is None:
            return "unknown"
        return "right" if near(float(found["number"].replace("−", "-")), fact) else "wrong"
    if found["word"].lower() == labels.expression:
        return verdict(labels, truth, "expression")
    return "unknown"


def manual_note(record: InstructionRecord) -> str:
    """Say in words which labels people gave."""
    fields = [field for field in ("expression", "valence", "arousal") if getattr(record.origin, field) == "manual"]
    units = sum(origin == "manual" for origin in record.origin.action_units.values())
    return ", ".join([*fields, *([f"{units} AUs"] if units else [])]) or "nothing"
