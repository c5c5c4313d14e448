"""The parts of scripts/check_peers.sh that are Python: run by its name, in the peers' environment and without seke.

make FAMILY FOLDER                   a random checkpoint of a family, as tiny as the tests' are        (ours)
ours MODEL                           prints what evaluate.py is to be told of a checkpoint             (ours)
peer MODEL                           prints what lmms-eval calls its family, and its model_args        (ours)
choose OUTPUTS RECORDS N FOLDER      N test faces of a prepared set, as a set of their own; [SIDE]     (ours)
side MODEL                           side of the pictures that a tiny checkpoint does not scale        (ours)
auto MODEL TASK OUT                  answers by AutoProcessor and AutoModelForImageTextToText          (theirs)
pipeline MODEL TASK OUT              answers by pipeline("image-text-to-text")                         (theirs)
sft MODEL TASK ANSWERS OUT           a few steps of TRL's SFTTrainer, on our own answers               (theirs)
lmms OUT LOGS                        the answers that lmms-eval logged, as predictions                 (theirs)
vllm MODEL TASK OUT                  answers by vLLM                                                   (theirs)
table EVALUATED SFT                  all scores; exit code 1 where they differ                         (ours)
summary WORK FAMILY...               who answered as we do, by family                                  (ours)
"""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Family(NamedTuple):
    """A family of models, by what others call it."""

    option: str
    """As model= has it."""
    tiny: str
    """The option whose random, or small, checkpoint the tests use."""
    own_budget: str
    """Settings by which pictures are shown as large as the checkpoint itself says."""
    lmms: str = ""
    """lmms-eval's name of it."""
    rounds: bool = False
    """Whether lmms-eval answers in bfloat16 whatever the checkpoint holds."""
    side: int = 96
    """Side of the square pictures that its tiny checkpoint shows as they are."""


FAMILIES = {
    "llava_onevision": Family("llava_ov", "llava_ov_tiny", "", "llava_hf"),
    "qwen2_5_vl": Family(
        "qwen2_5_vl", "qwen2_5_vl", "model.min_pixels=null model.max_pixels=null", "qwen2_5_vl", True, 56
    ),
    "qwen3_vl": Family("qwen3_vl", "qwen3_vl", "model.min_pixels=null model.max_pixels=null", "qwen3_vl", True, 64),
    "internvl": Family("internvl", "internvl", "model.max_patches=null", "internvl_hf", True, 32),
    "smolvlm": Family("smolvlm", "smolvlm", "model.longest_edge=null"),
    "instructblip": Family("instructblip", "instructblip_tiny", "", "instructblip"),
}
"""By `model_type` in config.json."""
PEERS = {
    "auto": "Auto classes", "pipeline": "`pipeline`", "serve": "`transformers serve`", "lmms-eval": "lmms-eval",
    "vllm": "vLLM", "trl": "TRL",
}  # fmt: skip
"""What others are called."""
NUMBERS = {
    "expression accuracy": ("expression", "accuracy"),
    "AU F1 (14)": ("action_units", "f1_mean_14"),
    "valence MAE": ("valence", "mae"),
    "arousal MAE": ("arousal", "mae"),
}


def family_of(model: str) -> tuple[Family, dict[str, Any]]:
    """Return the family of a checkpoint, and its config.json; one line and exit code 2 where we know none."""
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind not in FAMILIES:
        print(f"error: checkpoint={model}: of {kind}, none of {', '.join(FAMILIES)}", file=sys.stderr)
        raise SystemExit(2)
    return FAMILIES[kind], config


def make(name: str, folder: str) -> None:
    """Write a family's tiny checkpoint, which the tests make or which lies in assets/, with random weights."""
    sys.path.insert(0, str(ROOT))
    from tests.trees import families, tried

    tiny = {family.option: family.tiny for family in FAMILIES.values()}
    if name not in tiny:
        print(f"error: family={name}: none of {', '.join(tiny)}", file=sys.stderr)
        raise SystemExit(2)
    shutil.rmtree(folder, ignore_errors=True)
    loaded = tried.family(tiny[name], dtype="float32").load()
    families.random(loaded.model)
    loaded.save(Path(folder))


def ours(model: str) -> None:
    """Print the settings by which evaluate.py loads a checkpoint as others do: its dtype, its own pixel budget."""
    family, config = family_of(model)
    dtype = config.get("dtype") or config.get("torch_dtype") or "float32"
    print(f"model={family.option} model.dtype={dtype} {family.own_budget}".strip())


def peer(model: str) -> None:
    """Print what lmms-eval calls a checkpoint's family, and how it is to load it: nothing where it has none.

    Of a Qwen-VL it shows pictures in a pixel budget of its own unless it is told the checkpoint's.
    """
    family = family_of(model)[0]
    settings = f"pretrained={model}"
    if family.option != "instructblip":  # whose loader takes no map
        settings += ",device_map=cpu"
    if family.option.startswith("qwen"):
        seeing = json.loads((Path(model) / "preprocessor_config.json").read_text(encoding="utf-8"))
        size = seeing.get("size") or {}
        least = seeing.get("min_pixels") or size["shortest_edge"]
        most = seeing.get("max_pixels") or size["longest_edge"]
        settings += f",min_pixels={least},max_pixels={most}"
    if family.lmms:
        print(family.lmms, settings)


def side(model: str) -> None:
    """Print the side of the pictures that a family's tiny checkpoint shows as they are."""
    print(family_of(model)[0].side)


def choose(outputs: str, records: str, count: str, folder: str, side: str = "") -> None:
    """Copy some faces of a prepared set, and their manifest, to `folder`; scaled to squares of `side` pixels if given.

    Transformers scales by torchvision where it is installed and by Pillow, as we do, where not. Their pixels may be one
    grey level apart, which a model with random weights answers otherwise.
    """
    from PIL import Image

    from seke.cli.mistakes import in_one_line
    from seke.core import runs
    from seke.core.records import ImageRecord, read_jsonl, write_jsonl

    with in_one_line():
        file = runs.locate("records", records, Path(outputs), "prepare", "test.jsonl")
    every, root = list(read_jsonl(file, ImageRecord)), runs.image_root(file)
    chosen = every[:: max(1, len(every) // int(count))][: int(count)]  # of every source, which come one by one
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    if side:
        scaled = Path(folder) / "images"
        scaled.mkdir()
        for number, record in enumerate(chosen):
            picture = Image.open(root / record.image).convert("RGB").resize((int(side), int(side)))
            picture.save(scaled / f"{number}.png")
        chosen = [
            record.model_copy(update={"image": f"{number}.png", "sha256": None}) for number, record in enumerate(chosen)
        ]
        root = scaled
    write_jsonl(Path(folder) / "test.jsonl", chosen)
    (Path(folder) / "manifest.json").write_text(json.dumps({"image_root": str(root.resolve())}), encoding="utf-8")


def faces(task: str) -> tuple[str, int, list[tuple[str, Path]]]:
    """Return the question, the most new tokens, and (id, file) of every face of an exported lmms-eval task."""
    written = (Path(task) / "utils.py").read_text(encoding="utf-8")
    found = re.search(r"question=(.+), max_tokens=(\d+)\)", written)
    root = re.search(r"IMAGE_ROOT = Path\('(.+)'\)", written)
    assert found is not None, "an exported task"
    assert root is not None, "an exported task"
    quoted = found[1].strip().strip("'\"").replace("\\n", "\n").strip()
    lines = (Path(task) / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return quoted, int(found[2]), [(row["id"], Path(root[1]) / row["image"]) for row in map(json.loads, lines)]


def asked(question: str, picture: Any) -> list[dict[str, Any]]:
    """Return the one user turn about a picture."""
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": question}]}]


def write(out: str, answers: dict[str, str]) -> None:
    """Write answers as predictions that evaluate.py reads."""
    rows = (json.dumps({"id": id_, "text": text.strip()}) + "\n" for id_, text in answers.items())
    Path(out).write_text("".join(rows), encoding="utf-8")


def auto(model: str, task: str, out: str) -> None:
    """Answer with nothing but transformers' Auto classes, as a model card shows it."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    question, most, pictures = faces(task)
    processor: Any = AutoProcessor.from_pretrained(model)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(model).eval()
    assert {type(part).__module__.split(".")[0] for part in (processor, loaded)} == {"transformers"}
    answers = {}
    for id_, file in pictures:
        picture = Image.open(file).convert("RGB")
        text = question
        if processor.chat_template:
            text = processor.apply_chat_template(asked(question, picture), tokenize=False, add_generation_prompt=True)
        inputs = processor(images=[picture], text=[text], return_tensors="pt")
        [said] = loaded.generate(**inputs, max_new_tokens=most, do_sample=False)
        begins = inputs["input_ids"].shape[1]
        new = said[begins:] if said[:begins].tolist() == inputs["input_ids"][0].tolist() else said
        answers[id_] = processor.tokenizer.decode(new, skip_special_tokens=True)
    assert "seke" not in sys.modules
    write(out, answers)


def pipeline(model: str, task: str, out: str) -> None:
    """Answer with transformers' own pipeline, which comes to the processor through AutoProcessor."""
    from PIL import Image
    from transformers import pipeline as make

    question, most, pictures = faces(task)
    made: Any = make("image-text-to-text", model=model, device="cpu")
    assert type(made.processor).__module__.split(".")[0] == "transformers", type(made.processor)
    answers = {}
    for id_, file in pictures:
        picture = Image.open(file).convert("RGB")
        given: dict[str, Any] = {"text": asked(question, picture)}
        if not made.processor.chat_template:
            given = {"images": picture, "text": question}
        [said] = made(**given, return_full_text=False, generate_kwargs={"max_new_tokens": most, "do_sample": False})
        answers[id_] = said["generated_text"]
    assert "seke" not in sys.modules
    write(out, answers)


def sft(model: str, task: str, answered: str, out: str, steps: int = 12) -> None:
    """Train a few steps on our own answers; the loss must fall, and be worse where faces and answers are swapped, which
    the answers of a random model need not be.
    """
    import torch
    from datasets import Dataset
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    question, _, pictures = faces(task)
    said = {row["id"]: row["text"] for row in map(json.loads, Path(answered).read_text(encoding="utf-8").splitlines())}

    def rows(shift: int) -> Any:
        moved = [*pictures[shift:], *pictures[:shift]]
        return Dataset.from_list(
            [
                {
                    "images": [Image.open(file).convert("RGB")],
                    "prompt": [{"role": "user", "content": question}],
                    "completion": [{"role": "assistant", "content": said[id_]}],
                }
                for (id_, _), (_, file) in zip(pictures, moved, strict=True)
            ]
        )

    processor, loaded = AutoProcessor.from_pretrained(model), AutoModelForImageTextToText.from_pretrained(model)
    folder = str(Path(out).with_suffix(""))
    config = SFTConfig(
        output_dir=folder, max_steps=steps, per_device_train_batch_size=4, learning_rate=1e-4, logging_steps=1,
        report_to=[], save_strategy="no", use_cpu=not torch.cuda.is_available(), max_length=None, bf16=False,
    )  # fmt: skip
    trainer: Any = SFTTrainer(
        model=loaded, args=config, train_dataset=rows(0), eval_dataset={"own": rows(0), "swapped": rows(1)},
        processing_class=processor,
    )  # fmt: skip
    before = trainer.evaluate()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    own, swapped = before["eval_own_loss"], before["eval_swapped_loss"]
    after = trainer.evaluate()["eval_own_loss"]
    Path(out).write_text(json.dumps({"own": own, "swapped": swapped, "after": after, "losses": losses}))


def lmms(out: str, logs: str) -> None:
    """Turn lmms-eval's log of samples into predictions."""
    found = sorted(Path(logs).rglob("*samples_feab.jsonl"))
    if not found:
        raise SystemExit("lmms-eval wrote no answers")
    [log] = found
    answers = {}
    for row in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        said = row["resps"] if "resps" in row else row["filtered_resps"]
        while isinstance(said, list):
            said = said[0]
        record = json.loads(row["doc"]["record"]) if "doc" in row else json.loads(row["target"])
        # Of InstructBLIP it logs what transformers returns: the question and the answer.
        answers[record["id"]] = said.removeprefix(row.get("input") or "")
    write(out, answers)


def vllm(model: str, task: str, out: str) -> None:
    """Answer with vLLM, which needs a GPU."""
    import base64

    import vllm as library  # type: ignore[import-not-found]

    question, most, pictures = faces(task)
    engine: Any = library.LLM(model=model, max_model_len=4096)
    greedy = library.SamplingParams(temperature=0, max_tokens=most)
    answers = {}
    for id_, file in pictures:
        url = f"data:image/jpeg;base64,{base64.b64encode(file.read_bytes()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
        answers[id_] = engine.chat([{"role": "user", "content": content}], greedy)[0].outputs[0].text
    write(out, answers)


def table(model: str, evaluated: str, trained: str, random: str = "") -> int:
    """Print what everyone scored, and in how many answers they differ from evaluate.py's own; exit code 1 where any do.

    `random`: not empty, if the model knows nothing, whose answers TRL need not prefer to those of another face.
    """
    from seke.core.text_tables import markdown_table

    given, rows = Path(trained).parent, []
    equal = equal_answers(Path(evaluated), given, model)
    for name in equal:
        metrics = json.loads((Path(evaluated) / name / "metrics.json").read_text(encoding="utf-8"))
        scores = [(metrics.get(task) or {}).get(name) for task, name in NUMBERS.values()]
        rows.append([name, str(equal[name]), *("-" if score is None else f"{score:.3f}" for score in scores)])
    rows += [[name, why, *["-"] * len(NUMBERS)] for name, why in not_run(given).items()]
    print(markdown_table(["through", "equal answers", *NUMBERS], rows))
    wrong = not all(found.all for found in equal.values())
    if not Path(trained).is_file():
        return int(wrong)
    found = json.loads(Path(trained).read_text(encoding="utf-8"))
    print(
        f"\nTRL: loss on its own answers {found['own']:.3f}, on those of another face {found['swapped']:.3f}; "
        f"after {len(found['losses'])} steps {found['after']:.3f}"
    )
    return int(wrong or not learned(found, bool(random)))


class Equal(NamedTuple):
    """How many answers are equal to evaluate.py's own."""

    equal: int
    asked: int
    rounds: bool = False
    """Whether the other one answers in bfloat16 with a checkpoint of float32, so that answers need not be equal."""

    @property
    def all(self) -> bool:
        """Whether all are that need to be."""
        return self.rounds or self.equal == self.asked

    def __str__(self) -> str:
        return f"{self.equal} of {self.asked}" + ", in bfloat16" * self.rounds


def equal_answers(evaluated: Path, given: Path, model: str) -> dict[str, Equal]:
    """Return the equal answers by who gave them, our own first; `given` has the answers that others wrote.

    Special tokens that a model says in between do not count: some leave them in the text, some do not.
    """
    family, config = family_of(model)
    rounds = {"lmms-eval"} if family.rounds and (config.get("dtype") or config.get("torch_dtype")) == "float32" else ()
    tokens = json.loads((Path(model) / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    special = [token["content"] for token in tokens if token["special"]]
    names = sorted((folder.name for folder in evaluated.iterdir()), key=lambda name: (name != "ours", name))
    files = {name: evaluated / name / "answers.jsonl" for name in names}
    said = {
        name: _answers(file if file.is_file() else given / f"{name}.jsonl", special) for name, file in files.items()
    }
    own = said["ours"]
    equal = {name: sum(said[name].get(id_) == text for id_, text in own.items()) for name in names}
    # Who rounds has to answer all of them all the same.
    return {name: Equal(equal[name], len(own), name in rounds and said[name].keys() >= own.keys()) for name in names}


def not_run(given: Path) -> dict[str, str]:
    """Return who was not asked, and why."""
    return {file.stem: file.read_text(encoding="utf-8").strip() for file in sorted(given.glob("*.not_run"))}


def learned(found: dict[str, Any], random: bool) -> bool:
    """Return whether TRL's loss fell, and was lower on the right faces, which a random model cannot tell."""
    return bool(found["after"] < found["own"] and (random or found["own"] < found["swapped"]))


def summary(work: str, *families: str) -> None:
    """Print a table of families and others: all answers equal, how many of them, or why none was asked for."""
    from seke.core.text_tables import markdown_table

    rows = []
    for family in families:
        given, row = Path(work) / family, [f"`{family}`"]
        if not (given / "outputs" / "evaluate" / "ours").is_dir():
            rows.append([*row, *["ended with an error"] * len(PEERS)])
            continue
        found = equal_answers(given / "outputs" / "evaluate", given, str(Path(work) / "made" / family))
        told = {who: f"{'answers' if of.rounds else 'equal'}, {of}" if of.all else f"**{of}**"
                for who, of in found.items()}  # fmt: skip
        if (given / "sft.json").is_file():
            tuned = json.loads((given / "sft.json").read_text(encoding="utf-8"))
            fell = f"{tuned['own']:.2f} to {tuned['after']:.2f}"
            told["trl"] = f"learns, loss {fell}" if learned(tuned, True) else f"**loss {fell}**"
        told |= not_run(given)
        rows.append([*row, *(told.get(who, "ended with an error") for who in PEERS)])
    print(markdown_table(["family", *PEERS.values()], rows))


def _answers(file: Path, special: Sequence[str]) -> dict[str, str]:
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    without = re.compile("|".join(map(re.escape, special)) or "$^")
    return {row["id"]: without.sub("", row["text"]).strip() for row in rows}


def main(words: Sequence[str]) -> int:
    """Run one part."""
    parts: dict[str, Any] = {
        "make": make, "ours": ours, "peer": peer, "side": side, "choose": choose, "auto": auto,
        "pipeline": pipeline, "sft": sft, "lmms": lmms, "vllm": vllm, "table": table, "summary": summary,
    }  # fmt: skip
    if not words or words[0] not in parts:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    return int(parts[words[0]](*words[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
