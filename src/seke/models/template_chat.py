"""Conversations as tokens by a checkpoint's own chat template, turn by turn.

    template, with marks in place of the texts -> skeleton, once for every shape of conversation
    skeleton + texts + image tokens -> ids, and which of them the model is to learn

The ids are those of the rendered conversation as a whole, tokenised by the checkpoint's tokenizer, with one difference:
a turn's text is data, so special tokens spelt out in it stay ordinary text. What carries loss is an answer and all that
follows it up to the token that ends it: what the model has to say after the template's prompt. Nothing is ever cut.
Where a template can switch thinking off, it is off.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from jinja2 import TemplateError

from seke.core.errors import UserError
from seke.models.chat import Turn
from seke.models.protocol import Encoded, LabelMask

MARK: Final = "\ue000{}\ue001"
"""Stands for a turn's text in a skeleton: characters for private use, which no template touches."""
MARKS: Final = re.compile("\ue000(\\d+)\ue001")
Shape = tuple[tuple[tuple[str, tuple[bool, ...]], ...], bool]
"""Roles and images of a conversation's turns, of each whether it is a clip, and whether an answer is to follow."""


class Piece(NamedTuple):
    """A part of a skeleton."""

    kind: str
    """text: between special tokens; token: a special one; turn: a turn's text; image: one of the images or clips."""
    text: str = ""
    number: int = 0
    """The id of a token, or which turn or image it is."""


class TemplateChat:
    """Encodes conversations for one processor.

    Args:
        source: what the checkpoint is called, in errors.
        processor: with a `tokenizer` and a `chat_template`.
        image: how the template writes an image.
        layout: the ids that an image of a turn becomes, its image tokens among them.
        end: the token that ends an answer.
        video: how the template writes a clip; None: the family reads none.

    Raises:
        UserError: if the template leaves out a turn or an image, or opens answers in a way that it does not record.
    """

    def __init__(
        self,
        source: str,
        processor: Any,
        image: str,
        layout: Callable[[Turn, int], list[int]],
        end: str,
        video: str | None = None,
    ) -> None:
        self.source, self.processor, self.tokenizer = source, processor, processor.tokenizer
        self.shown, self.layout = (image, *([video] if video else [])), layout
        self.end: int = self.tokenizer.convert_tokens_to_ids(end)
        special = {token: number for number, token in _special(self.tokenizer).items()}
        self._special = special
        self._split = re.compile("|".join(map(re.escape, sorted({*special, *self.shown}, key=len, reverse=True))))
        self._skeletons: dict[Shape, list[Piece]] = {}
        self._check(end)

    def encode(self, conversations: Iterable[Sequence[Turn]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids and label mask of whole conversations.

        Raises:
            UserError: if `mask` is another model's.
        """
        if mask != "answer":
            raise UserError("data.label_mask", mask, "follows LLaVA-OneVision's chat template", "use answer")
        return self._encoded([(turns, False) for turns in conversations])

    def prompts(self, conversations: Iterable[Sequence[Turn]]) -> list[list[int]]:
        """Return ids of conversations that the assistant is to go on with."""
        return [encoded.ids for encoded in self._encoded([(turns, True) for turns in conversations])]

    def contexts(self, conversations: Iterable[Sequence[Turn]]) -> list[tuple[int, ...]]:
        """Return what an image encoder reads beside each conversation's images: nothing."""
        return [()] * len(list(conversations))

    def render(self, turns: Sequence[Turn], answer: bool = False) -> str:
        """Return a conversation as the template writes it, images not yet expanded."""
        return self._render([(turn.role, turn.text.strip(), turn.clips) for turn in turns], answer)

    # -- skeletons ----------------------------------------------------------------------------------------------------

    def _render(self, turns: Sequence[tuple[str, str, Sequence[bool]]], answer: bool) -> str:
        messages = [
            {
                "role": role,
                "content": [
                    *({"type": "video" if clip else "image"} for clip in clips),
                    {"type": "text", "text": text},
                ],
            }
            for role, text, clips in turns
        ]
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.processor.chat_template,
                tokenize=False,
                add_generation_prompt=answer,
                enable_thinking=False,
            )
        except TemplateError as error:
            order = ", ".join(role for role, _, _ in turns)
            problem = f"its chat template refuses a conversation of {order} ({' '.join(str(error).split())[:120]})"
            raise UserError("model.path", self.source, problem, "use the template that belongs to it") from error
        return rendered

    def _skeleton(self, turns: Sequence[Turn], answer: bool) -> list[Piece]:
        shape: Shape = (tuple((turn.role, turn.clips) for turn in turns), answer)
        if shape not in self._skeletons:
            marked = [(turn.role, MARK.format(k), turn.clips) for k, turn in enumerate(turns)]
            self._skeletons[shape] = self._pieces(self._render(marked, answer), turns)
        return self._skeletons[shape]

    def _pieces(self, rendered: str, turns: Sequence[Turn]) -> list[Piece]:
        pieces: list[Piece] = []
        images = 0
        for place, part in enumerate(MARKS.split(rendered)):
            if place % 2:
                pieces.append(Piece("turn", number=int(part)))
                continue
            last = 0
            for found in self._split.finditer(part):
                if text := part[last : found.start()]:
                    pieces.append(Piece("text", text))
                if found[0] in self.shown:
                    pieces.append(Piece("image", number=images))
                    images += 1
                else:
                    pieces.append(Piece("token", number=self._special[found[0]]))
                last = found.end()
            if text := part[last:]:
                pieces.append(Piece("text", text))
        said = [piece.number for piece in pieces if piece.kind == "turn"]
        if said != list(range(len(turns))) or images != sum(len(turn.images) for turn in turns):
            problem = "its chat template leaves out, or moves, a turn or an image of a conversation"
            remedy = "use the template that belongs to this checkpoint, and conversations of the turns that it knows"
            raise UserError("model.path", self.source, problem, remedy)
        return pieces

    def _check(self, end: str) -> None:
        question, answer = Turn("user", "Who?"), Turn("assistant", "Nobody.")
        [prompt], [whole] = self.prompts([[question]]), self.encode([[question, answer]])
        if whole.ids[: len(prompt)] != prompt:
            problem = "its chat template opens an answer otherwise than it records one (a model that always thinks?)"
            raise UserError("model.path", self.source, problem, "use a checkpoint that answers at once (Instruct)")
        if self.end not in [id_ for id_, counts in zip(whole.ids, whole.supervised, strict=True) if counts]:
            problem = f"its chat template does not end an answer with {end}"
            remedy = "use the template that belongs to this checkpoint"
            raise UserError("model.path", self.source, problem, remedy)

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _encoded(self, wanted: Sequence[tuple[Sequence[Turn], bool]]) -> list[Encoded]:
        skeletons = [self._skeleton(turns, answer) for turns, answer in wanted]
        chunks = [_chunks(pieces, turns) for pieces, (turns, _) in zip(skeletons, wanted, strict=True)]
        texts = [chunk.text for found in chunks for chunk in found if isinstance(chunk, Chunk)]
        if not texts:
            return [Encoded([], []) for _ in wanted]
        read = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        tokens = zip(read["input_ids"], read["offset_mapping"], strict=True)
        return [self._joined(found, turns, tokens) for found, (turns, _) in zip(chunks, wanted, strict=True)]

    def _joined(self, chunks: Sequence["Chunk | Piece"], turns: Sequence[Turn], tokens: Any) -> Encoded:
        ids: list[int] = []
        supervised: list[bool] = []
        shown = iter([(turn, k) for turn in turns for k in range(len(turn.images))])
        answering = False
        for chunk in chunks:
            if isinstance(chunk, Chunk):
                new, spans = next(tokens)
                began = answering
                kept = []
                for _, stop in spans:
                    began = began or (chunk.answer is not None and stop > chunk.answer)
                    kept.append(began)
                answering = began or chunk.answer is not None
            elif chunk.kind == "image":
                new = self.layout(*next(shown))
                kept = [False] * len(new)
            else:
                new, kept = [chunk.number], [answering]
                answering = answering and chunk.number != self.end
            ids += new
            supervised += kept
        return Encoded(ids, supervised)


class Chunk(NamedTuple):
    """What lies between two special tokens, tokenised as one text."""

    text: str
    answer: int | None
    """Where in it an assistant's text begins."""


def _chunks(pieces: Sequence[Piece], turns: Sequence[Turn]) -> list[Chunk | Piece]:
    found: list[Chunk | Piece] = []
    text, answer = "", None
    for piece in (*pieces, None):
        if piece is not None and piece.kind == "text":
            text += piece.text
        elif piece is not None and piece.kind == "turn":
            if turns[piece.number].role == "assistant" and answer is None:
                answer = len(text)
            text += turns[piece.number].text.strip()
        else:
            if text or answer is not None:
                found.append(Chunk(text, answer))
            text, answer = "", None
            if piece is not None:
                found.append(piece)
    return found


def _special(tokenizer: Any) -> dict[int, str]:
    """Return the special tokens that a tokenizer looks for in a text before anything else."""
    return {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
