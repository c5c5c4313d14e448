"""Build the tiny InstructBLIP that `model=instructblip_tiny` loads: random weights, tokenizers of our own words.

    python scripts/build_instructblip_tiny.py out=/tmp/instructblip_tiny      a few seconds; the same files every time

It has learnt nothing; the one in assets/ is pre-trained by scripts/pretrain_instructblip_tiny.py.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.answers import describe
from seke.models.instructblip_tiny import build_tiny, train_reader, train_tokenizer
from seke.records import Labels
from seke.rules import EMOTIONS

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: dict[str, Any] = {"out": "assets/instructblip_tiny", "vocabulary": 1024, "seed": 0}


def words() -> list[str]:
    """Every word that our prompts and answers use, so that they cost few tokens."""
    texts = [*ACTION_UNITS.values(), *EXPRESSIONS, *EMOTIONS]
    texts += [f"The {expression}. {name.lower()}" for expression in EXPRESSIONS for name in ACTION_UNITS.values()]
    texts += [f"Please select the emotion closest to the image. Predict emotion: {emotion}" for emotion in EMOTIONS]
    some = dict.fromkeys(ACTION_UNITS, True)
    texts.append(describe(Labels(expression="neutral", valence=-0.12, arousal=0.34, action_units=some)))
    questions = (ROOT / "conf" / "prompts" / "seke.yaml").read_text(encoding="utf-8")
    return texts + strings(yaml.safe_load(questions))


def strings(node: Any) -> list[str]:
    """Return all texts in what a YAML file holds."""
    if isinstance(node, str):
        return [node]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for item in inner for text in strings(item)]


def main(out: str, vocabulary: int, seed: int) -> None:
    """Train both tokenizers, draw the weights, save."""
    texts = words()
    loaded = build_tiny(train_tokenizer(texts, vocabulary), train_reader(texts, vocabulary), seed=seed)
    loaded.save(Path(out))
    weights = sum(parameter.numel() for parameter in loaded.model.parameters())
    tokenizers = len(loaded.processor.tokenizer), len(loaded.processor.qformer_tokenizer)
    print(f"{out}: {weights:,} weights, {tokenizers[0]} and {tokenizers[1]} tokens")


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    main(**{name: type(default)(given.get(name, default)) for name, default in SETTINGS.items()})
