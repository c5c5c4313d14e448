"""Pre-train the tiny InstructBLIP on drawn scenes and descriptions of what is visible in them: EmoVIT's demo base.

    python scripts/pretrain_instructblip_tiny.py work=/tmp/blip out=assets/instructblip_tiny   some minutes on one core
    python scripts/pretrain_instructblip_tiny.py work=/tmp/blip_large out=assets/instructblip_tiny_large \
      like=assets/instructblip_tiny width=128 layers=4     the same tower and tokenizers, a larger language model

1. pool      scenes of no emotion: each of the seven attributes is drawn evenly, and independently of all others
2. tower     the ViT alone, with a throw-away head that tells the attributes
3. queries   the Q-Former, tower frozen, under any question: a throw-away head tells the attributes from its queries
4. language  Q-Former, projection and language model, tower frozen, on descriptions and questions about single
             attributes; and without a picture, on repeating an emotion that the text before has named

So, like InstructBLIP before its instruction tuning, it describes (places and light well, things and persons hardly:
its queries know them, its language model has not learnt to read them), its Q-Former is used to pictures and
captions, and its language model knows the eight words. It was never shown which scene evokes which emotion, nor a
scene drawn for one. Stages 1 to 3 are kept in `work` and not repeated.

`like` names a model whose tower and tokenizers are taken instead of trained, so that two models differ by their
language model alone, and by the Q-Former that learnt to talk to it.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from build_instructblip_tiny import words
from pretraining import ASK, ROOT, SIZE, Head, answer_loss, given, learn, save, strings
from seke.backends.simulated.scenes import described, looks, somebody, things
from seke.cli.mistakes import in_one_line
from seke.core.rules import EMOTIONS
from seke.models.instructblip import InstructBlip, Loaded
from seke.models.tiny.instructblip import build_tiny, train_reader, train_tokenizer
from seke.sources.synthetic.scene_renderer import LEVELS, VALUES, Scene, draw, draw_view

SETTINGS: dict[str, Any] = {
    "work": "/tmp/pretrain_instructblip_tiny", "out": "assets/instructblip_tiny", "like": "",
    "images": 12_000, "seed": 30_000,
    "vision_width": 64, "vision_layers": 3, "reader_layers": 3, "width": 64, "layers": 3, "vocabulary": 1024,
    "tower_steps": 1400, "tower_batch": 64, "tower_lr": 2e-3,
    "queries_steps": 2200, "queries_batch": 64, "queries_lr": 2e-3,
    "language_steps": 1000, "language_batch": 32, "language_lr": 2e-3,
}  # fmt: skip
LOOKING = ("qformer", "projector")
HELD = 500
"""The pool's first scenes are never trained on."""
TEXT_ONLY = 0.2
"""Share of the language stage's examples that have no picture."""
ASK_ONE = {
    "place": ("What place is it?", "Where is this?"),
    "things": ("What things are there?", "Which objects are in the picture?"),
    "person": ("Who is there?", "What does the person look like and do?"),
    "light": ("How are light and colour?", "Is it dark or bright?"),
}
HEARD = ("Somebody felt {}.", "The word is {}.", "It was {}.", "A viewer spoke of {}.", "One said: {}!")


class Pool(NamedTuple):
    """Drawn scenes: pixels (n, 3, 96, 96) uint8, the index of each attribute's value (n, 7), the scenes."""

    pixels: Tensor
    targets: Tensor
    scenes: list[Scene]


def any_scene(rng: Random) -> Scene:
    """Draw a scene of no emotion: every value of every attribute is as likely, whatever the others are."""
    drawn = {attribute: rng.choice(values) for attribute, values in VALUES.items()}
    light, colour = rng.choice(LEVELS[drawn.pop("brightness")]), rng.choice(LEVELS[drawn.pop("colorfulness")])
    return Scene("", light, colour, **drawn)


def scene_of(seed: int) -> Scene:
    """Return a scene of the pool."""
    return any_scene(Random(f"pool/{seed}"))


def render(seed: int) -> np.ndarray:
    """Draw a scene of the pool and compress it as the source does, more or less strongly."""
    rng, file = Random(f"view/{seed}"), io.BytesIO()
    draw(scene_of(seed), draw_view(rng), SIZE).save(file, "JPEG", quality=rng.randint(85, 97))
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def target(scene: Scene) -> list[int]:
    """Return the index of each attribute's value among `VALUES`."""
    level = {value: name for name, values in LEVELS.items() for value in values}
    shown = {**scene._asdict(), "brightness": level[scene.brightness], "colorfulness": level[scene.colorfulness]}
    return [values.index(shown[attribute]) for attribute, values in VALUES.items()]


def make_pool(path: Path, images: int, seed: int) -> Pool:
    """Draw `images` scenes, once; kept in `path`."""
    scenes = [scene_of(number) for number in range(seed, seed + images)]
    file = path / f"pixels-{seed}-{images}.npy"
    if not file.is_file():
        path.mkdir(parents=True, exist_ok=True)
        drawn = [render(number) for number in tqdm(range(seed, seed + images), desc="scenes", mininterval=5)]
        np.save(file, np.stack(drawn))
    return Pool(torch.from_numpy(np.load(file)), torch.tensor([target(scene) for scene in scenes]), scenes)


def normalised(loaded: Loaded, pixels: Tensor) -> Tensor:
    """Return pixels as the processor prepares them."""
    of = loaded.processor.image_processor
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (of.image_mean, of.image_std))
    return (pixels.float() / 255 - mean) / std


def train_tower(loaded: Loaded, pool: Pool, work: Path, batch: int, lr: float, steps: int) -> None:
    """Stage 2: the ViT and its head; the head is dropped."""
    vision = loaded.model.vision_model
    if (work / "tower.pt").is_file():
        vision.load_state_dict(torch.load(work / "tower.pt", weights_only=True))
        return
    config, sizes = loaded.model.config.vision_config, [len(values) for values in VALUES.values()]
    torch.manual_seed(0)
    head = Head((config.image_size // config.patch_size) ** 2 + 1, config.hidden_size, sum(sizes))

    def told(chosen: Tensor) -> tuple[Tensor, ...]:
        return head(vision.post_layernorm(loaded.see(normalised(loaded, pool.pixels[chosen])))).split(sizes, 1)

    learn_attributes(
        "tower", [*vision.parameters(), *head.parameters()], told, pool, np.random.default_rng(0), batch, lr, steps
    )
    torch.save(vision.state_dict(), work / "tower.pt")


def learn_attributes(
    stage: str, parameters: list[nn.Parameter], told: Callable[[Tensor], tuple[Tensor, ...]], pool: Pool,
    rng: np.random.Generator, batch: int, lr: float, steps: int,
) -> None:  # fmt: skip
    """Learn to tell the index of each attribute's value: `told(chosen)` are its logits."""

    def loss(_: int, drawn: np.ndarray) -> Tensor:
        chosen = torch.from_numpy(drawn)
        pairs = zip(told(chosen), pool.targets[chosen].T, strict=True)
        return sum((F.cross_entropy(said, true) for said, true in pairs), torch.tensor(0.0))

    def held() -> str:
        pairs = zip(told(torch.arange(HELD)), pool.targets[:HELD].T, strict=True)
        return "accuracy " + " ".join(f"{(said.argmax(1) == true).float().mean():.2f}" for said, true in pairs)

    learn(stage, parameters, loss, held, rng, batch, lr, steps, of=range(HELD, len(pool.pixels)))


def dialogue(scene: Scene, rng: Random) -> tuple[str, str]:
    """Return a question about a scene and its answer: all that is visible, or one part of it."""
    seen = {name: value for name, value in scene.attributes.items() if name != "emotion"}
    if rng.random() < 0.4:
        return rng.choice(ASK), described(seen)
    answers = {
        "place": f"a {scene.scene_type}.",
        "things": f"{things(seen.get('object', ())) or 'nothing'}.",
        "person": f"{somebody(seen) or 'nobody'}.",
        "light": f"It is {' and '.join(looks(seen))}.",
    }
    part = rng.choice(list(answers))
    return rng.choice(ASK_ONE[part]), answers[part]


def repetition(questions: Sequence[str], rng: Random) -> tuple[str, str]:
    """Return a text that names an emotion, each as likely, with a question, and the answer that repeats the name."""
    emotion, question = rng.choice(EMOTIONS), rng.choice(questions)
    answer = f"Predict emotion: {emotion}" if "Predict emotion" in question else f"It evokes {emotion}."
    return f"{rng.choice(HEARD).format(emotion)}\n{question}", answer


def train_queries(loaded: Loaded, states: Tensor, pool: Pool, work: Path, batch: int, lr: float, steps: int) -> None:
    """Stage 3: Q-Former, queries and projection learn to look where things are; the head is dropped.

    Taught by captions alone they find no thing for a long time: the queries first have to look in several places.
    """
    parts = {name: weight for name, weight in loaded.model.state_dict().items() if loaded.part(name) in LOOKING}
    if (work / "queries.pt").is_file():
        loaded.model.load_state_dict(torch.load(work / "queries.pt", weights_only=True), strict=False)
        return
    sizes = [len(values) for values in VALUES.values()]
    torch.manual_seed(2)
    head = Head(loaded.image_tokens((SIZE, SIZE)), loaded.model.config.text_config.hidden_size, sum(sizes))
    parameters = [weight for name, weight in loaded.model.named_parameters() if loaded.part(name) in LOOKING]
    parameters += head.parameters()
    contexts = loaded.contexts([[("user", text, ())] for text in [*ASK, *(t for of in ASK_ONE.values() for t in of)]])
    rng = np.random.default_rng(2)

    def told(chosen: Tensor) -> tuple[Tensor, ...]:
        asked_of = [contexts[place] for place in rng.integers(0, len(contexts), len(chosen))]
        shapes = [(SIZE, SIZE)] * len(chosen)
        found = torch.stack(loaded.features(states[chosen], [1] * len(chosen), shapes, asked_of))
        return tuple(head(found).split(sizes, 1))

    learn_attributes("queries", parameters, told, pool, rng, batch, lr, steps)
    torch.save(parts, work / "queries.pt")


def train_language(
    loaded: Loaded, states: Tensor, pool: Pool, questions: Sequence[str], batch: int, lr: float, steps: int
) -> None:
    """Stage 4: all but the tower learn to say what it sees."""
    for name, parameter in loaded.model.named_parameters():
        parameter.requires_grad_(loaded.part(name) not in ("vision_tower", "ln_vision"))
    loaded.train_mode()
    torch.manual_seed(1)
    parameters = [parameter for parameter in loaded.model.parameters() if parameter.requires_grad]
    rng = Random(1)

    def loss(_: int, chosen: np.ndarray) -> Tensor:
        return text_loss(loaded, states, pool.scenes, chosen, questions, rng)

    def held() -> str:
        loaded.model.eval()
        value = text_loss(loaded, states, pool.scenes, np.arange(HELD), questions, Random(0))
        loaded.train_mode()
        return f"{value:.4f}"

    of = range(HELD, len(pool.scenes))
    learn("language", parameters, loss, held, np.random.default_rng(1), batch, lr, steps, of=of)
    loaded.model.eval()


def text_loss(
    loaded: Loaded, states: Tensor, scenes: Sequence[Scene], chosen: np.ndarray, questions: Sequence[str], rng: Random
) -> Tensor:
    """Return the mean cross-entropy of answers about the chosen scenes, and of repetitions without one."""
    seen, talk = list[int](), list[list[tuple[str, str, tuple[tuple[int, int], ...]]]]()
    sizes = ((SIZE, SIZE),)
    for number in chosen.tolist():
        alone = rng.random() < TEXT_ONLY
        ask, answer = repetition(questions, rng) if alone else dialogue(scenes[number], rng)
        seen += [] if alone else [number]
        talk.append([("user", ask, () if alone else sizes), ("assistant", answer, ())])
    encoded = loaded.encode(talk)
    contexts = [row.context for row, turns in zip(encoded, talk, strict=True) if turns[0][2]]
    features = loaded.features(states[seen], [1] * len(seen), [(SIZE, SIZE)] * len(seen), contexts)
    return answer_loss(loaded, encoded, features)


def asked() -> list[str]:
    """Return EmoVIT's and EmoSet's questions for one of the eight emotions, as they are asked."""
    listed = f"{', '.join(EMOTIONS[:-1])} and {EMOTIONS[-1]}"
    prompts = yaml.safe_load((ROOT / "conf" / "prompts" / "emovit.yaml").read_text(encoding="utf-8"))["templates"]
    benchmark = yaml.safe_load((ROOT / "conf" / "benchmark" / "emoset.yaml").read_text(encoding="utf-8"))
    ours = [text.replace("{classes}", listed) for text in strings(prompts["categorical"])]
    return [*ours, *(" ".join(text.split()) for text in benchmark["questions"].values())]


def texts(questions: Sequence[str]) -> list[str]:
    """Return what both tokenizers are trained on: every word that is asked or answered here, often ones often."""
    rng = Random(0)
    talk = [part for number in range(3000) for part in dialogue(scene_of(number), rng)]
    talk += [part for _ in range(300) for part in repetition(questions, rng)]
    return [*talk, *words()]


def main(**settings: Any) -> None:
    """Run the four stages."""
    work = Path(settings["work"])
    pool = make_pool(work, settings["images"], settings["seed"])
    questions = asked()
    corpus = texts(questions)
    vocabulary = settings["vocabulary"]
    like = InstructBlip(settings["like"]).load() if settings["like"] else None
    tokenizers = (
        (like.processor.tokenizer, like.processor.qformer_tokenizer)
        if like
        else (train_tokenizer(corpus, vocabulary), train_reader(corpus, vocabulary))
    )
    sizes = {name: settings[name] for name in ("vision_width", "vision_layers", "reader_layers", "width", "layers")}
    loaded = build_tiny(*tokenizers, SIZE, **sizes)
    if like:
        loaded.model.vision_model.load_state_dict(like.model.vision_model.state_dict())
    else:
        train_tower(loaded, pool, work, settings["tower_batch"], settings["tower_lr"], settings["tower_steps"])
    with torch.no_grad():
        states = torch.cat([loaded.see(normalised(loaded, part)) for part in pool.pixels.split(500)])
    of = {name: [settings[f"{name}_{key}"] for key in ("batch", "lr", "steps")] for name in ("queries", "language")}
    train_queries(loaded, states, pool, work, *of["queries"])
    train_language(loaded, states, pool, questions, *of["language"])
    save(loaded, settings["out"])


if __name__ == "__main__":
    with in_one_line():
        main(**given(SETTINGS))
