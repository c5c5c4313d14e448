"""A reinforcement of a random model on six pictures in a few seconds, whose rewards are made up."""

import json

import pytest
from PIL import Image

from seke.core import images
from seke.core.runs import Run
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.grpo.records import Records
from seke.training.grpo.rewards import Judge, Rewards
from seke.training.grpo.settings import Grpo
from seke.training.settings import Training

LABELS = ({"expression": "fear"}, {"valence": 0.5, "arousal": -0.2}, {"action_units": {"1": True, "12": False}}, {})


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A folder with a random model, a prepared set of eight faces (two without a label), and its validation."""
    path = tmp_path_factory.mktemp("small")
    tokenizer = train_tokenizer(["What is it? The expression is fear."] * 3, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
               feed_forward=48).save(path / "model")  # fmt: skip
    rows = []
    for k in range(8):
        Image.new("L", (32, 32), 30 * k).save(path / f"{k}.png")
        digest = images.sha256((path / f"{k}.png").read_bytes())
        rows.append({"id": f"face{k}", "image": f"{k}.png", "sha256": digest, "source": "abcd"[k % 4], "subject": None,
                     "split": "train", "labels": LABELS[k % 4], "attributes": {}})  # fmt: skip
    (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    return path


@pytest.fixture
def reinforce(small, monkeypatch):
    """Return `run(where, training={}, **algorithm)`: rewards are by an answer's letters, and no base is refused."""
    pytest.importorskip("trl", reason="algorithm=grpo needs pip install -e '.[rl]'")
    from seke.training.grpo import run as room

    def parts(judge, text, truth, ended=True):
        return Rewards(len(set(text)) % 7 / 6, None, None, None, None)

    monkeypatch.setattr(Judge, "parts", parts)
    monkeypatch.setattr(room, "check_base", lambda *_: None)

    def run(where, training=None, data=None, optimizer=None, **algorithm):
        where.mkdir(exist_ok=True)
        model = LlavaOv(str(small / "model"), trainable=["projector", "llm"], lr=1e-2)
        grpo = Grpo(
            **{"prompts": 2, "group_size": 3, "max_tokens": 5, "lr_share": 1.0, "credit": "answer", "demonstrations": 0,
               **algorithm}
        )  # fmt: skip
        settings = Training(**{"max_steps": 4, "checkpoint_every": 1, "warm_up": 0.0, "threads": 1, **(training or {})})
        records = Records(str(small / "train.jsonl"), "What is it?", **{"watched": 0, **(data or {})})
        return room.fit(Run(where, {}, {}), model, records, grpo, settings, False, where, optimizer=optimizer)

    return run
