"""Conversations as tokens: our own chat template and our own label mask, built turn by turn.

    <|im_start|>user
    <image>
    How does this person feel?<|im_end|>
    <|im_start|>assistant
    The person looks glad.<|im_end|>

This is Qwen's ChatML as the llava-hf checkpoints serve it. LLaVA-NeXT's training has the same with a system turn before
all others ("You are a helpful assistant."), which a conversation without one gets here where `system` is set. It is
written into the template of the checkpoint, and read from there: whoever trains, answers or serves has the same.
A turn's text is data: special tokens spelt out in it stay ordinary text, and only a turn's own images become image
tokens. Nothing is ever cut.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from seke.models.protocol import Encoded, LabelMask, Role, Size, is_clip

IMAGE_LINE, CLIP_LINE = "<image>\n", "<video>\n"
OLDER_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] | trim }}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The template of checkpoints that were trained before there were clips."""
TEMPLATE = OLDER_TEMPLATE.replace(
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}",
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% elif part['type'] == 'video' %}<video>\n{% endif %}{% endfor %}",
)
"""The same template as Jinja, saved beside the weights, so that servers talk to the model as we trained it."""
UNLESS_GIVEN = (
    "{% if not messages or messages[0]['role'] != 'system' %}<|im_start|>system\n{{ \"",
    '" }}<|im_end|>\n{% endif %}',
)
"""What precedes it where a system turn is set, around the turn's text as a string of Jinja."""
_OPENED = re.compile(
    re.escape(UNLESS_GIVEN[0])
    + "(.*)"
    + re.escape(UNLESS_GIVEN[1])
    + f"(?:{re.escape(TEMPLATE)}|{re.escape(OLDER_TEMPLATE)})",
    re.DOTALL,
)


def template(system: str | None = None) -> str:
    """Return the template as Jinja, which opens conversations that have no system turn with `system`.

    >>> template() == TEMPLATE, system_of(template('Say "hm".'))
    (True, 'Say "hm".')
    """
    if not (text := (system or "").strip()):
        return TEMPLATE
    quoted = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return quoted.join(UNLESS_GIVEN) + TEMPLATE


def system_of(jinja: str | None) -> str | None:
    """Return the system turn that a template of ours opens with; None where it has none, or is another's."""
    opened = _OPENED.fullmatch((jinja or "").removesuffix("\n"))
    if opened is None or not opened[1].isascii():
        return None
    return opened[1].encode("ascii").decode("unicode_escape")


class Turn(NamedTuple):
    """One turn, its images before its text."""

    role: Role
    text: str
    images: tuple[int, ...] = ()
    """How many image tokens each takes; a clip is one of them."""
    sizes: tuple[Size, ...] = ()
    """Of each, for families that write down how an image is cut up, and to tell clips."""

    @property
    def clips(self) -> tuple[bool, ...]:
        """Of each image whether it is a clip."""
        return tuple(map(is_clip, self.sizes)) or (False,) * len(self.images)


class Chat:
    """Renders and encodes conversations for one tokenizer, those without a system turn opened by `system` if given."""

    def __init__(self, tokenizer: Any, system: str | None = None) -> None:
        self.tokenizer, self.system = tokenizer, system
        self.start, self.end, self.image, self.video = (
            tokenizer.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<|im_end|>", "<image>", "<video>")
        )
        heads = self._texts(["system\n", "user\n", "assistant\n", "\n"])
        self.heads = dict(zip(("system", "user", "assistant"), heads, strict=False))
        self.newline = heads[3]

    def render(self, turns: Sequence[Turn], answer: bool = False) -> str:
        """Return the conversation as one string, one `<image>` per image and one `<video>` per clip.

        With `answer` it is opened for the assistant.

        Turns lie one after another, each closed by `<|im_end|>` and a newline; texts are trimmed.
        """
        text = "".join(
            f"<|im_start|>{turn.role}\n{_lines(turn)}{turn.text.strip()}<|im_end|>\n" for turn in self._opened(turns)
        )
        return text + ("<|im_start|>assistant\n" if answer else "")

    def encode(self, conversations: Iterable[Sequence[Turn]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids and label mask of whole conversations.

        `answer`: an assistant's text and its `<|im_end|>` carry loss, nothing else. `llava_next`: as `preprocess_qwen`
        of LLaVA-NeXT does, the whole assistant turn with its header and last newline, and besides every
        `<|im_start|>`, `<|im_end|>` and single newline of the other turns.
        """
        wanted = [self._opened(turns) for turns in conversations]
        texts = iter(self._texts([turn.text.strip() for turns in wanted for turn in turns]))
        return [self._encoded(turns, texts, mask) for turns in wanted]

    def prompts(self, conversations: Iterable[Sequence[Turn]]) -> list[list[int]]:
        """Return ids of conversations that the assistant is to go on with."""
        opening = [self.start, *self.heads["assistant"]]
        return [encoded.ids + opening for encoded in self.encode(conversations)]

    def contexts(self, conversations: Iterable[Sequence[Turn]]) -> list[tuple[int, ...]]:
        """Return what an image encoder reads beside each conversation's images: nothing."""
        return [()] * len(list(conversations))

    def _opened(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        given = self.system is None or (bool(turns) and turns[0].role == "system")
        return turns if given else [Turn("system", str(self.system)), *turns]

    def _encoded(self, turns: Sequence[Turn], texts: Any, mask: LabelMask) -> Encoded:
        ids: list[int] = []
        supervised: list[bool] = []
        for turn in turns:
            head = [self.start, *self.heads[turn.role]]
            for tokens, clip in zip(turn.images, turn.clips, strict=True):
                head += [self.video if clip else self.image] * tokens + self.newline
            body = next(texts)
            part = [*head, *body, self.end, *self.newline]
            if mask == "llava_next":
                always = {self.start, self.end, *self.newline}
                keep = [turn.role == "assistant" or token in always for token in part]
            else:
                answers = turn.role == "assistant"
                keep = [False] * len(head) + [answers] * (len(body) + 1) + [False] * len(self.newline)
            ids += part
            supervised += keep
        return Encoded(ids, supervised)

    def _texts(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids


def _lines(turn: Turn) -> str:
    return "".join(CLIP_LINE if clip else IMAGE_LINE for clip in turn.clips)
