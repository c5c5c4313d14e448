"""What a model thinks aloud before it answers, and marks as such: no part of its answer."""

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


def spoken(text: str) -> tuple[str, str | None]:
    """Return what of `text` was said, and a thought that did not end (None: there is none).

    A tag that only closes was opened by the prompt: all before it is thought.

    >>> spoken("<think>AU12?</think> Happy."), spoken("AU12? </think>Happy."), spoken("Well. <think>AU12")
    ((' Happy.', None), ('Happy.', None), ('Well. ', 'AU12'))
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


def told(text: str) -> Choice:
    """Return free text as a choice: without the thoughts in it, and cut off where it is nothing but a thought.

    >>> told("<think>AU12?</think> Happy."), told("<think>AU12?").status
    (Choice(text='Happy.', status='ok', logprobs=None), 'truncated')
    """
    answer, unfinished = spoken(text)
    if answer == text:
        return Choice(text)
    if not answer.strip():
        # The thought itself is no answer, and must not be read as one.
        return Choice("", "truncated") if unfinished is not None else Choice("nothing but a thought", "invalid")
    return Choice(answer.strip())


def cut(text: str) -> Choice:
    """Return free text that was cut off as a choice: as far as it goes, without the thoughts in it.

    >>> cut("<think>AU12?</think> Hap").text, cut("<think>AU12?").text
    ('Hap', '')
    """
    answer, _ = spoken(text)
    return Choice(text if answer == text else answer.strip(), "truncated")
