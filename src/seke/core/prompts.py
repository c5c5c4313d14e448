"""Named prompt templates with {slots}; every word sent to a model lives in conf/prompts/.

A slot is a lower-case word in braces. Other braces (JSON examples) are ordinary text. Slots are checked when the
prompts are built, so a misspelt one costs nothing.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from seke.core.errors import UserError

LANGUAGE: Final = "en"
"""Of answers: the words that `seke.answers` knows are English."""
SLOT = re.compile(r"\{([a-z_]+)\}")


class Prompts:
    """A set of templates, each a text or (for variants to choose from) a list of texts.

    Args:
        templates: by their names.
        language: that the answers are to be written in, which is the one that `seke.answers` reads.

    Raises:
        UserError: for another language than `en`, and for a template that is no text and no list of texts.
    """

    def __init__(self, templates: Mapping[str, str | Sequence[str]], language: str = LANGUAGE) -> None:
        if language != LANGUAGE:
            problem = "answers are read in English (en) only: labels in another language would count as unanswered"
            remedy = "templates may be in any language if they ask for answers in English (docs/prompts.md)"
            raise UserError("prompts.language", language, problem, remedy)
        for name, text in templates.items():
            texts = [text] if isinstance(text, str) else text
            if not isinstance(texts, Sequence) or not all(isinstance(one, str) for one in texts):
                remedy = f"write it, or leave it out where it need not be (~prompts.templates.{name})"
                raise UserError(f"prompts.templates.{name}", text, "neither a text nor a list of texts", remedy)
        self.templates: dict[str, tuple[str, ...]] = {
            name: (text,) if isinstance(text, str) else tuple(text) for name, text in templates.items()
        }

    def require(self, **slots: set[str]) -> None:
        """Check that each named template exists and that every variant uses exactly its slots.

        Raises:
            UserError: naming the template and the slot.
        """
        for name, wanted in slots.items():
            if not self.templates.get(name):
                raise UserError(f"prompts.templates.{name}", None, "no such template", f"it takes {_listed(wanted)}")
            for number, text in enumerate(self.templates[name]):
                slots_used = set(SLOT.findall(text))
                if slots_used != wanted:
                    raise UserError(
                        f"prompts.templates.{name}[{number}]",
                        _listed(slots_used),
                        "not the slots this template takes",
                        f"use {_listed(wanted)}, each at least once and no other",
                    )

    def render(self, template: str, variant: int = 0, /, **values: str) -> str:
        """Return the template with its slots filled; values are inserted as they are, never expanded again.

        >>> Prompts({"hello": 'Dear {name}, answer {"like": "this"}.'}).render("hello", name="{you}")
        'Dear {you}, answer {"like": "this"}.'
        """
        text = self.templates[template][variant]
        return SLOT.sub(lambda match: values[match[1]], text).strip()

    def variants(self, template: str) -> int:
        """Return how many variants a template has."""
        return len(self.templates[template])

    def hashes(self) -> dict[str, str]:
        """Return sha256 per template, for the manifest."""
        return {name: hashlib.sha256("\0".join(texts).encode()).hexdigest() for name, texts in self.templates.items()}


def _listed(slots: set[str]) -> str:
    return ", ".join(f"{{{slot}}}" for slot in sorted(slots)) or "no slot"
