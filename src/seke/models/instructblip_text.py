"""Conversations as InstructBLIP reads them: no chat template, the bare instruction twice, for two tokenizers.

    language model   <image> x 32, </s>, How does this person feel?, The person looks glad., </s>
    Q-Former         [CLS] how does this person feel ? [SEP]

All of a conversation's image tokens stand before the first special token, as transformers' processor puts them. What is
said before an answer (system text, question) is one text, its turns on lines of their own. A later question follows the
`</s>` of the answer before it: InstructBLIP's Vicuna opens every text with that same token, so each question starts
alike. The Q-Former reads one instruction per image, the first of the conversation: features that changed with every
question would need the image once per turn.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from seke.core.errors import UserError
from seke.models.chat import Turn
from seke.models.protocol import Encoded, LabelMask


class Instructions:
    """Encodes conversations for one language model and its Q-Former.

    Args:
        tokenizer: the language model's.
        reader: the Q-Former's tokenizer.
        image: id of the image token.
        positions: as many tokens the Q-Former can read; of a longer instruction it reads a part, cut on the side that
            its tokenizer says. The language model always reads the whole.
    """

    def __init__(self, tokenizer: Any, reader: Any, image: int, positions: int) -> None:
        self.tokenizer, self.reader = tokenizer, reader
        self.image, self.positions = image, positions
        self.opening: list[int] = tokenizer("")["input_ids"]
        self.end: int = tokenizer.eos_token_id

    def encode(self, conversations: Iterable[Sequence[Turn]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids, label mask (answers and their end token) and the Q-Former's ids of whole conversations.

        Raises:
            UserError: if `mask` is another model's.
        """
        if mask != "answer":
            raise UserError("data.label_mask", mask, "follows a chat template that InstructBLIP has not", "use answer")
        wanted = list(conversations)
        sides = [_sides(turns) for turns in wanted]
        texts = iter(self._ids([text for parts in sides for _, text in parts]))
        contexts = self.contexts(wanted)
        return [
            self._encoded(turns, [(answer, next(texts)) for answer, _ in parts], context)
            for turns, parts, context in zip(wanted, sides, contexts, strict=True)
        ]

    def prompts(self, conversations: Iterable[Sequence[Turn]]) -> list[list[int]]:
        """Return ids of conversations that the model is to go on with."""
        return [encoded.ids for encoded in self.encode(conversations)]

    def contexts(self, conversations: Iterable[Sequence[Turn]]) -> list[list[int]]:
        """Return what the Q-Former reads: ids of each conversation's first instruction."""
        first = [next((text for answer, text in _sides(turns) if not answer), "") for turns in conversations]
        if not first:
            return []
        ids: list[list[int]] = self.reader(
            first, truncation=True, max_length=self.positions, split_special_tokens=True
        )["input_ids"]
        return ids

    def _encoded(self, turns: Sequence[Turn], parts: Sequence[tuple[bool, list[int]]], context: list[int]) -> Encoded:
        ids = [self.image] * sum(sum(turn.images) for turn in turns) + self.opening
        supervised = [False] * len(ids)
        for answer, text in parts:
            part = [*text, self.end] if answer else text
            ids = ids + part
            supervised += [answer] * len(part)
        return Encoded(ids, supervised, context)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids


def _sides(turns: Sequence[Turn]) -> list[tuple[bool, str]]:
    r"""Return (is an answer, text) of each side in turn, neighbouring turns of one side joined by a newline.

    >>> _sides([Turn("system", "Be brief."), Turn("user", "Who?"), Turn("assistant", "Nobody.")])
    [(False, 'Be brief.\nWho?'), (True, 'Nobody.')]
    """
    grouped = groupby(turns, key=lambda turn: turn.role == "assistant")
    return [(answer, "\n".join(turn.text.strip() for turn in side)) for answer, side in grouped]
