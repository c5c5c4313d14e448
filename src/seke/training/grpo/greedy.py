"""Greedy answers to faces, and what they earn: the base's at the start, and the validation's as training goes on.

No random number is drawn here, so that a look changes nothing of what is trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from seke.core.errors import UserError
from seke.models.protocol import TrainableVLM, TurnLike
from seke.training.callbacks.sample_answers import evaluating
from seke.training.grpo.records import Face
from seke.training.grpo.rewards import NAMES, Judge, Rewards

BATCH = 64
CUT = 0.5
"""Share of answers cut off at `max_tokens` from which training is refused."""


class Answer(NamedTuple):
    """An answer to a face."""

    face: Face
    text: str
    tokens: int
    ended: bool
    """Whether it came to its end within the tokens it had."""


class Worth(NamedTuple):
    """What answers earn on the mean."""

    reward: float
    parts: Mapping[str, float]
    """By task, over the faces with a label for it."""
    tokens: float
    ended: float
    """Share."""


def answers(loaded: TrainableVLM, faces: Sequence[Face], question: str, max_tokens: int) -> Iterator[Answer]:
    """Yield the model's greedy answer to each face, in batches.

    Raises:
        ImageError: if a picture is lost or has changed.
    """
    with evaluating(loaded.model), torch.no_grad():
        for start in range(0, len(faces), BATCH):
            batch = faces[start : start + BATCH]
            seen = [loaded.pixels(face.picture.picture()) for face in batch]
            turns: list[list[TurnLike]] = [[("user", question, (pixels.size,))] for pixels in seen]
            crops = torch.cat([pixels.crops for pixels in seen]).to(loaded.model.device, loaded.model.dtype)
            counts, sizes = [len(pixels.crops) for pixels in seen], [pixels.size for pixels in seen]
            features = loaded.features(loaded.see(crops, counts, sizes), counts, sizes, loaded.contexts(turns))
            new = loaded.generate(loaded.prompts(turns), features, max_tokens, sizes=sizes).tolist()
            for face, ids in zip(batch, new, strict=True):
                ended = loaded.end in ids
                kept = ids[: ids.index(loaded.end)] if ended else ids
                yield Answer(face, loaded.decode(kept), len(kept), ended)


def worth(judge: Judge, given: Sequence[Answer]) -> Worth:
    """Return what answers earn; there must be some."""
    parts = [judge.parts(answer.text, answer.face.labels, answer.ended) for answer in given]
    totals = [total for total in map(judge.total, parts) if total is not None]
    return Worth(
        reward=sum(totals) / len(totals) if totals else 0.0,
        parts=means(parts),
        tokens=sum(answer.tokens for answer in given) / len(given),
        ended=sum(answer.ended for answer in given) / len(given),
    )


def means(parts: Sequence[Rewards]) -> dict[str, float]:
    """Return the mean of each reward over the answers for which there is one; what none has is left out."""
    found = {
        name: [value for value in column if value is not None]
        for name, column in zip(NAMES, zip(*parts, strict=True), strict=True)
    }
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def check_base(judge: Judge, given: Sequence[Answer], path: str, max_tokens: int) -> None:
    """Refuse a model from whose answers nothing could be learnt.

    Raises:
        UserError: if most answers are cut off, or none of them earns anything.
    """
    cut = sum(not answer.ended for answer in given)
    found = worth(judge, given)
    earned = found.reward > 0 and any(value for name, value in found.parts.items() if name != "form")
    if cut > CUT * len(given) and (earned or cut < len(given)):
        problem = f"{cut} of the first {len(given)} answers are cut off at it"
        remedy = f"try {2 * max_tokens}, or fine-tune on shorter answers first"
        raise UserError("algorithm.max_tokens", max_tokens, problem, remedy)
    if not earned:
        problem = f"none of its first {len(given)} answers says anything that its face's labels confirm"
        if cut:
            problem += f", and {cut} are cut off at algorithm.max_tokens={max_tokens}"
        remedy = "fine-tune it first (python train.py data.path=...), then give that run as model.path"
        raise UserError("model.path", path, problem, remedy)
