"""Thoughts that a model writes and marks as such before its answer: told apart from the answer."""

import re
from typing import Final

from seke.core.vlm import Choice

_TAG: Final = re.compile(
    r"(?:[\[◁](?P<end>/)?think[\]▷])"
    r"|<(?P<close>/)?(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad)>"
    r"|<\|channel\|>(?:analysis|commentary)[^<]{0,40}<\|message\|>"
    r"|(?P<final><\|channel\|>final[^<]{0,40}<\|message\|>)",
    re.IGNORECASE,
)
"""What opens and closes thoughts: of Qwen, DeepSeek, Magistral, Kimi, Seed and gpt-oss, and of prompts that ask."""


def split_thoughts(text: str) -> tuple[str, str | None]:
    """Return what of `text` was said, and a thought that did not end (None: there is none).

    A tag that only closes was opened by the prompt: all before it is thought.

    >>> split_thoughts("<think>AU12?</think> Happy."), split_thoughts("Well. <think>AU12")
    ((' Happy.', None), ('Well. ', 'AU12'))
    >>> split_thoughts("AU12? </think>Happy.")
    ('Happy.', None)
    """
    said: list[str] = []
    since, thinking = 0, False
    for tag in _TAG.finditer(text):
        if tag["end"] or tag["close"] or tag["final"]:
            if not thinking:
                said.clear()
            since, thinking = tag.end(), False
        elif not thinking:
            said.append(text[since : tag.start()])
            since, thinking = tag.end(), True
    if thinking:
        return "".join(said), text[since:]
    return "".join([*said, text[since:]]), None


def complete_answer(text: str) -> Choice:
    """Return free text as a choice: without the thoughts in it, and cut off where it is nothing but a thought.

    >>> complete_answer("<think>AU12?</think> Happy."), complete_answer("<think>AU12?").status
    (Choice(text='Happy.', status='ok', logprobs=None), 'truncated')
    """
    answer, unfinished = split_thoughts(text)
    if answer == text:
        return Choice(text)
    if not answer.strip():
        # The thought itself is no answer, and must not be read as one.
        return Choice("", "truncated") if unfinished is not None else Choice("nothing but a thought", "invalid")
    return Choice(answer.strip())


def truncated_answer(text: str) -> Choice:
    """Return free text that was cut off as a choice: as far as it goes, without the thoughts in it.

    >>> truncated_answer("<think>AU12?</think> Hap").text, truncated_answer("<think>AU12?").text
    ('Hap', '')
    """
    answer, _ = split_thoughts(text)
    return Choice(text if answer == text else answer.strip(), "truncated")
