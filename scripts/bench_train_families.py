"""Samples a second of our training against Hugging Face's `Trainer`, family by family, in one run on the CPU.

    python scripts/bench_train_families.py                       every family, medians of three rounds
    python scripts/bench_train_families.py qwen3_vl --rounds 1   one of them, a look

Both train all parts of the same random model (128 wide, three or four layers a side) on the same conversations for one
epoch (`bench_train_ways.write`: FEID's sources at a quarter of their size, answers of 80 to 400 words): ours in packs,
`Trainer` in padded batches of eight in the drawn order, each picture as the family's class takes it. Steps that warm up
are not timed; the ways take turns. Seconds are those of the processor in one thread: what the clock says on an idle
machine.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bench_train_ways as ways
from bench import ROOT, Target, apart, by_turns, options, tell, threads, times

LLAVA = "llava_ov_tiny"
FAMILIES = (LLAVA, "qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm")
LEAST = {LLAVA: 1.7}
"""Targets: at least so many times `Trainer`; 1.5 for the others."""
WIDTH, LAYERS, HEADS = 128, 4, 4
HEAD = ("family", "tokens of a sample", "padding of Trainer", "ours, samples/s", "Trainer, samples/s", "times Trainer")


class Round(NamedTuple):
    """A round of one way."""

    seconds: float
    computed: int
    """Positions of the language model, padding included."""
    tokens: int


def model(option: str) -> tuple[Any, Any]:
    """Return a family and a random model of it, made from the tests' small checkpoints but wider."""
    import sys

    import torch

    sys.path.insert(0, str(ROOT))
    from tests.trees.tried import family

    made: Any = family(option)
    loaded: Any = made.load()
    config = loaded.model.config.to_dict()
    text, vision = config["text_config"], config["vision_config"]
    text |= {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": HEADS}
    if "head_dim" in text:
        text["head_dim"] = WIDTH // HEADS
    if "mrope_section" in (text.get("rope_parameters") or {}):
        text["rope_parameters"]["mrope_section"] = [WIDTH // HEADS // 4, WIDTH // HEADS // 8, WIDTH // HEADS // 8]
    sizes = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "out_hidden_size": WIDTH, "depth": LAYERS,
             "num_hidden_layers": LAYERS, "num_heads": HEADS, "num_attention_heads": HEADS}  # fmt: skip
    vision |= {name: value for name, value in sizes.items() if name in vision}
    torch.manual_seed(0)
    wider = made.architecture._from_config(
        type(loaded.model.config).from_dict(config), dtype=torch.float32, attn_implementation="sdpa"
    )
    return made, type(loaded)(wider, loaded.processor, "random", loaded.files)


def inputs(loaded: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pictures of a padded batch as the family's class in transformers takes them."""
    import torch

    crops, kind = batch["vision"], loaded.model.config.model_type
    if kind == "internvl":
        return {"pixel_values": crops}
    if kind == "smolvlm":
        each = torch.split(crops, batch["counts"])
        return {"pixel_values": torch.nn.utils.rnn.pad_sequence(list(each), batch_first=True)}
    side, patch, frames = loaded.merge, loaded.tile // loaded.merge, loaded._frames
    cut = crops.reshape(len(crops), 3, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5).unsqueeze(4)
    patches = cut.expand(-1, -1, -1, -1, frames, -1, -1).reshape(len(crops) * side**2, -1)
    grids = [(1, rows * side, columns * side) for rows, columns in map(loaded.grid, batch["sizes"])]
    shown = (batch["ids"] == loaded.model.config.image_token_id).int()
    return {"pixel_values": patches, "image_grid_thw": torch.tensor(grids), "mm_token_type_ids": shown}


def train(option: str, way: str, folder: Path, case: ways.Case) -> Round:
    """Train for one epoch."""
    import numpy as np

    from seke.models.llava_ov import LlavaOv
    from seke.training.data.dataset import prepare
    from seke.training.data.mixture import Data, stream
    from seke.training.data.samplers import Batches

    made, loaded = (LlavaOv("", lr=1e-5), ways.build(case)) if option == LLAVA else model(option)
    groups = made.train(loaded)
    data = Data(path=str(folder / "rows.jsonl"), cache="none", workers=0, pack_tokens=case.pack_tokens)
    file = folder / f"{option}.arrow"
    samples = prepare([stream(part) for part in data.sources(folder)], loaded, data, False, file)
    assert not samples.rejected
    if way == "ours":
        took = ways.ours(case, loaded, groups, samples, packed=True, gpu=False)
    else:
        order = np.concatenate(Batches(samples.lengths, samples.tokens, ways.BATCH, group=False).order(0))
        native = None if option == LLAVA else partial(inputs, loaded)
        took = ways.theirs(case, loaded, samples, order, "Trainer", False, native)
    return Round(took.seconds, took.computed, int(samples.lengths.sum()))


def measure(option: str, folder: Path, case: ways.Case, rounds: int) -> dict[str, list[Round]]:
    """Return the rounds of both ways, in this process."""
    import torch

    torch.set_num_threads(1)
    ways.now = lambda gpu: time.process_time()
    each: dict[str, Callable[[], Round]] = {
        way: partial(train, option, way, folder, case) for way in ("ours", "Trainer")
    }
    return by_turns(each, rounds)


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__)
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], help="which; all of them")
    parser.add_argument("--samples", type=int, default=48, help="of the epoch that is timed")
    asked = parser.parse_args()
    case = ways.CASES["tiny"]._replace(samples=asked.samples, workers=0)
    rows, targets = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways.write(folder, case)
        for option in asked.families or FAMILIES:
            found = apart(measure, option, folder, case, asked.rounds, **threads(1))
            seconds = {way: [one.seconds for one in rounds] for way, rounds in found.items()}
            ratio, theirs = times(seconds["Trainer"], seconds["ours"]), found["Trainer"][0]
            middle = {way: sorted(all_)[len(all_) // 2] for way, all_ in seconds.items()}
            rows.append([
                option, theirs.tokens / case.samples, f"{1 - theirs.tokens / theirs.computed:.1%}",
                *(case.samples / middle[way] for way in ("ours", "Trainer")), ratio,
            ])  # fmt: skip
            print(*rows[-1], flush=True)
            targets.append(Target(f"{option}: times Trainer", ratio, least=LEAST.get(option, 1.5)))
    about = f"{case.samples} samples, one thread, medians of {asked.rounds} rounds, seconds of the processor"
    return tell(about, HEAD, rows, targets)


if __name__ == "__main__":
    raise SystemExit(main())
