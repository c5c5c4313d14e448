"""What an instruction and its trace are made of, whoever completed the labels."""

from collections.abc import Sequence
from random import Random

from seke.core.prompts import Prompts
from seke.core.records import Labels, Origin, Origins, Trace, Turn
from seke.generation.seke.sampling import Bill


def conversation(prompts: Prompts, seed: int, record_id: str, text: str) -> tuple[Turn, Turn]:
    """Return one of FEID's questions, chosen by seed and record, and `text` as its answer."""
    variant = Random(f"{seed}/{record_id}/question").randrange(prompts.variants("questions"))
    question = prompts.render("questions", variant)
    return Turn(speaker="human", value=f"<image>\n{question}"), Turn(speaker="gpt", value=text)


def origins(manual: Labels, final: Labels) -> Origins:
    """Return where each label of `final`, which has all three descriptions, comes from."""

    def of(value: object) -> Origin:
        return "generated" if value is None else "manual"

    known = manual.action_units or {}
    return Origins(
        expression=of(manual.expression),
        valence=of(manual.valence),
        arousal=of(manual.arousal),
        action_units={str(au): of(known.get(au)) for au in final.action_units or {}},
    )


def trace(record_id: str, prior: Labels, draws: Sequence[Labels], summary: Labels | None, bill: Bill) -> Trace:
    """Return how a record's labels came about, and what that took."""
    return Trace(
        id=record_id,
        prior=prior,
        draws=tuple(draws),
        summary=summary,
        requests=bill.requests,
        input_tokens=bill.input_tokens,
        output_tokens=bill.output_tokens,
    )
