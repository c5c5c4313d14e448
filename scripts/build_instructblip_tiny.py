"""Build the tiny InstructBLIP that `model=instructblip_tiny` loads: random weights, tokenizers of our own words.

    python scripts/build_instructblip_tiny.py out=/tmp/instructblip_tiny      a few seconds; the same files every time

It has learnt nothing; the one in assets/ is pre-trained by scripts/pretrain_instructblip_tiny.py.
"""

from typing import Any

import yaml

from pretraining import ROOT, STATEMENTS, description, given, save, strings
from seke.cli.mistakes import in_one_line
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.rules import EMOTIONS
from seke.models.tiny.instructblip import build_tiny, train_reader, train_tokenizer

SETTINGS: dict[str, Any] = {"out": "assets/instructblip_tiny", "vocabulary": 1024, "seed": 0}


def words() -> list[str]:
    """Every word that our prompts and answers use, so that they cost few tokens."""
    asked = [f"Please select the emotion closest to the image. Predict emotion: {emotion}" for emotion in EMOTIONS]
    texts = [*ACTION_UNITS.values(), *EXPRESSIONS, *EMOTIONS, *STATEMENTS, *asked]
    questions = (ROOT / "conf" / "prompts" / "seke.yaml").read_text(encoding="utf-8")
    return [*texts, description(dict.fromkeys(ACTION_UNITS, True)), *strings(yaml.safe_load(questions))]


def main(out: str, vocabulary: int, seed: int) -> None:
    """Train both tokenizers, draw the weights, save."""
    texts = words()
    save(build_tiny(train_tokenizer(texts, vocabulary), train_reader(texts, vocabulary), seed=seed), out)


if __name__ == "__main__":
    with in_one_line():
        main(**given(SETTINGS))
