"""Pre-train the tiny LLaVA-OneVision on synthetic faces and captions of what is visible in them: the demo's base model.

    python scripts/pretrain_tiny.py work=/tmp/tiny out=assets/llava_ov_tiny      about 20 minutes on two idle cores

1. pool      faces of nobody in particular, half with the movements of an expression, half with any movements at all
2. tower     the vision tower alone, with a throw-away head that regresses the captions' visible features
3. language  projector and language model, tower frozen, on the captions as text
What it sees: of each face the exact intensity, 0 to 5, of all 17 action units under geometric names
(inner_brow_height is AU1), regressed by the tower and graded in the captions. What it never sees: the names of action
units and expressions, valence, arousal. So it is a general base in its words, not in its features.
Each stage is kept in `work` and not repeated. `start=DIR` goes on from a checkpoint with the third stage; so, after
2200 steps on the base view alone, the one in assets/ learned with its tile beside it, too:

    python scripts/pretrain_tiny.py start=assets/llava_ov_tiny language_steps=500 language_lr=1e-3
"""

import io
import json
import multiprocessing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from pretraining import ASK, ROOT, SIZE, STATEMENTS, Head, answer_loss, description, given, learn, save, strings
from seke.cli.mistakes import in_one_line
from seke.core.affect import ACTION_UNITS, EXCLUSIVE_AUS, EXPRESSIONS
from seke.models.llava_ov import LlavaOv, Loaded
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.sources.synthetic import face_captions, face_identity, face_model, face_renderer

ASK_STRIKING = ("What is striking about this face?", "Name only what stands out.", "What is unusual in the picture?")
SETTINGS: dict[str, Any] = {
    "work": "/tmp/pretrain_tiny", "out": "assets/llava_ov_tiny", "start": "", "images": 100_000, "seed": 20_000,
    "vision_width": 128, "vision_layers": 4, "width": 128, "layers": 3, "feed_forward": 256, "vocabulary": 2048,
    "tower_steps": 3000, "tower_batch": 64, "tower_lr": 1e-3,
    "language_steps": 2200, "language_batch": 32, "language_lr": 2e-3,
}  # fmt: skip
HELD = 1000
"""The pool's first images are never trained on."""
TRAITS = ("skin_tone", "wrinkles", "grey_hair", "glasses", "beard", "lip_fullness")
MOVES = [movement.feature for movement in face_captions.MOVEMENTS.values()]


class Pool(NamedTuple):
    """Rendered faces: pixels (n, 96, 96, 3) uint8, feature targets (n, F) float32, captions."""

    pixels: np.ndarray
    targets: np.ndarray
    captions: list[str]


def any_movements(rng: Random) -> face_model.Face:
    """Draw a face whose movements have nothing to do with one another, but for the pairs no mouth can show at once."""
    au = {unit: round(rng.uniform(2, 5) if rng.random() < 0.3 else 0.0, 2) for unit in ACTION_UNITS}
    for unit in au:
        if not au[unit] and rng.random() < face_model.TRACE_PROBABILITY:
            au[unit] = round(rng.uniform(*face_model.TRACE), 2)
    for one, other in EXCLUSIVE_AUS:
        if au[one] and au[other]:
            au[rng.choice((one, other))] = 0.0
    return face_model.Face(EXPRESSIONS[0], au, 0.0, 0.0)


def render(seed: int) -> tuple[np.ndarray, list[float], str]:
    """Draw one face, its features and its caption."""
    rng = Random(seed)
    face = face_model.draw_face(rng) if seed % 2 else any_movements(rng)
    identity = face_identity.draw_identity(rng)
    file = io.BytesIO()
    face_renderer.draw(face.au_intensity, identity, face_renderer.draw_scene(rng, wild=rng.random() < 0.7), SIZE).save(
        file, "JPEG", quality=rng.randint(80, 98)
    )
    seen = face_captions.features(face, identity)
    hair = [float(seen["hair"] == k) for k in range(len(face_identity.HAIR))]
    numbers = [float(seen[name]) / 5 for name in MOVES] + [float(seen[name]) for name in TRAITS] + hair
    return np.asarray(Image.open(file)), numbers, face_captions.caption(face, identity, rng)


def make_pool(path: Path, images: int, seed: int) -> Pool:
    """Render `images` faces in two processes, once; kept in `path`."""
    if not (path / "captions.json").is_file():
        path.mkdir(parents=True, exist_ok=True)
        pixels = np.lib.format.open_memmap(path / "pixels.npy", "w+", np.uint8, (images, SIZE, SIZE, 3))
        targets, texts = [], []
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            drawn = workers.imap(render, range(seed, seed + images), chunksize=64)
            for k, (picture, numbers, text) in enumerate(tqdm(drawn, total=images, desc="faces", mininterval=5)):
                pixels[k] = picture
                targets.append(numbers)
                texts.append(text)
        pixels.flush()
        np.save(path / "targets.npy", np.array(targets, np.float32))
        (path / "captions.json").write_text(json.dumps(texts), encoding="utf-8")
    return Pool(
        np.load(path / "pixels.npy", mmap_mode="r"),
        np.load(path / "targets.npy"),
        json.loads((path / "captions.json").read_text(encoding="utf-8")),
    )


def crops(pool: Pool, chosen: np.ndarray, flip: bool) -> Tensor:
    """Return normalised pixels (n, 3, 96, 96), mirrored if `flip`: no caption tells left from right."""
    pixels_NHWC = pool.pixels[np.sort(chosen)]
    pixels = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return pixels.flip(3) if flip else pixels


def tower_loss(out: Tensor, targets: Tensor) -> Tensor:
    """Two grades of each movement (the words' thresholds) by cross-entropy, the amounts by squared error."""
    moves = len(MOVES)
    grades = torch.cat(
        [(targets[:, :moves] * 5 >= cut).float() for cut in (face_captions.SLIGHT, face_captions.STRONG)], dim=1
    )
    classified = F.binary_cross_entropy_with_logits(out[:, : 2 * moves], grades)
    return (
        classified
        + 4 * F.mse_loss(out[:, 2 * moves : 3 * moves], targets[:, :moves])
        + 0.5 * F.mse_loss(out[:, 3 * moves :], targets[:, moves:])
    )


def train_tower(loaded: Loaded, pool: Pool, work: Path, batch: int, lr: float, steps: int) -> None:
    """Stage 2: the vision tower and its head; the head is dropped."""
    if (work / "tower.pt").is_file():
        loaded.model.model.vision_tower.load_state_dict(torch.load(work / "tower.pt"))
        return
    config = loaded.model.config.vision_config
    head = Head(
        (config.image_size // config.patch_size) ** 2, config.hidden_size, 2 * len(MOVES) + pool.targets.shape[1]
    )

    def loss(step: int, chosen: np.ndarray) -> Tensor:
        chosen = np.sort(chosen)
        return tower_loss(head(loaded.see(crops(pool, chosen, bool(step % 2)))), torch.from_numpy(pool.targets[chosen]))

    def held() -> str:
        said = head(loaded.see(crops(pool, np.arange(HELD), False)))[:, : len(MOVES)] > 0
        truth = torch.from_numpy(pool.targets[:HELD, : len(MOVES)]) * 5 >= face_captions.SLIGHT
        f1 = 2 * (truth & said).sum(0) / (truth.sum(0) + said.sum(0))
        return f"F1 {f1.mean():.3f} least {f1.min():.3f}"

    parameters = [*loaded.model.model.vision_tower.parameters(), *head.parameters()]
    rng, of = np.random.default_rng(0), range(HELD, len(pool.pixels))
    learn("tower", parameters, loss, held, rng, batch, lr, steps, of=of, fused=True)
    torch.save(loaded.model.model.vision_tower.state_dict(), work / "tower.pt")


def dialogue(text: str, amounts: np.ndarray, rng: Random) -> tuple[str, str]:
    """Return a question and its answer: the caption with its parts in any order, or only what is not at rest.

    Both say what is to be seen, nothing of what it means. `amounts`: the 17 movements, in [0, 1].
    """
    if rng.random() < 0.5:
        opening, drawn, person = text.split(". ")
        parts = drawn.split("; ")
        if rng.random() < 0.7:
            rng.shuffle(parts)
        return rng.choice(ASK), f"{opening}. {'; '.join(parts)}. {person}"
    moves = zip(face_captions.MOVEMENTS.values(), amounts * 5, strict=True)
    graded = [(move, face_captions.grade(float(amount))) for move, amount in moves]
    striking = [f"{move.part}: {move.thing} {move.grades[grade]}" for move, grade in graded if grade]
    return rng.choice(ASK_STRIKING), ("; ".join(striking) or "nothing") + "."


def train_language(loaded: Loaded, pool: Pool, batch: int, lr: float, steps: int) -> None:
    """Stage 3: projector and language model learn to say what the frozen tower sees."""
    groups = LlavaOv(path="", trainable=("projector", "llm")).train(loaded)
    parameters = [parameter for group in groups for parameter in group["params"]]
    words_rng, of = Random(1), range(HELD, len(pool.pixels))

    def loss(step: int, chosen: np.ndarray) -> Tensor:
        return caption_loss(loaded, pool, np.sort(chosen), bool(step % 2), words_rng)

    def held() -> str:
        return f"{caption_loss(loaded, pool, np.arange(256), False, Random(0)):.4f}"

    learn("language", parameters, loss, held, np.random.default_rng(1), batch, lr, steps, of=of, every=200, fused=True)


def caption_loss(loaded: Loaded, pool: Pool, chosen: np.ndarray, flip: bool, rng: Random) -> Tensor:
    """Return the mean cross-entropy of answers about the chosen faces."""
    talk = [dialogue(pool.captions[k], pool.targets[k, : len(MOVES)], rng) for k in chosen]
    size = (SIZE, SIZE)
    encoded = loaded.encode([[("user", ask, (size,)), ("assistant", answer, ())] for ask, answer in talk])
    with torch.no_grad():
        states = loaded.see(crops(pool, chosen, flip))
    # A picture of the tile's size is its own one tile: others of the checkpoint show it twice, and so do we.
    twice = states.repeat_interleave(2, 0)
    return answer_loss(loaded, encoded, loaded.features(twice, [2] * len(talk), [size] * len(talk)))


def words() -> list[str]:
    """Every word that our prompts and answers use, so that they cost few tokens; no pairing of words is learnt."""
    some, none = dict.fromkeys(ACTION_UNITS, True), dict.fromkeys(ACTION_UNITS, False)
    texts = [*ASK, *ASK_STRIKING, *ACTION_UNITS.values(), *EXPRESSIONS, *STATEMENTS]
    texts += [description(units) for units in (some, none, {**none, 1: True})]
    for path in sorted((ROOT / "conf" / "prompts").glob("*.yaml")):
        texts += strings(yaml.safe_load(path.read_text(encoding="utf-8")))
    return texts


def main(**settings: Any) -> None:
    """Run the three stages."""
    work = Path(settings["work"])
    pool = make_pool(work / "pool", settings["images"], settings["seed"])
    torch.set_num_threads(2)
    if settings["start"]:
        loaded = LlavaOv(settings["start"]).load()
    else:
        tokenizer = train_tokenizer([*pool.captions[:5000], *words()], settings["vocabulary"])
        sizes = {name: settings[name] for name in ("vision_width", "vision_layers", "width", "layers", "feed_forward")}
        loaded = build_tiny(tokenizer, SIZE, **sizes)
        train_tower(loaded, pool, work, settings["tower_batch"], settings["tower_lr"], settings["tower_steps"])
    train_language(loaded, pool, settings["language_batch"], settings["language_lr"], settings["language_steps"])
    save(loaded, settings["out"])


if __name__ == "__main__":
    with in_one_line():
        main(**given(SETTINGS))
