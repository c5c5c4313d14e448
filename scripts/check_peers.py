"""The parts of scripts/check_peers.sh that are Python: run by its name, in the peers' environment and without seke.

choose OUTPUTS RECORDS N FOLDER      N test faces of a prepared set, as a set of their own             (ours)
pipeline MODEL TASK OUT              answers by pipeline("image-text-to-text")                         (theirs)
sft MODEL TASK ANSWERS OUT           a few steps of TRL's SFTTrainer, on our own answers               (theirs)
lmms OUT LOGS                        the answers that lmms-eval logged, as predictions                 (theirs)
vllm MODEL TASK OUT                  answers by vLLM                                                   (theirs)
table EVALUATED SFT                  all scores; exit code 1 where they differ                         (ours)
"""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NUMBERS = {
    "expression accuracy": ("expression", "accuracy"),
    "AU F1 (14)": ("action_units", "f1_mean_14"),
    "valence MAE": ("valence", "mae"),
    "arousal MAE": ("arousal", "mae"),
}


def choose(outputs: str, records: str, count: str, folder: str) -> None:
    """Copy some faces of a prepared set, and their manifest, to `folder`."""
    from seke.cli.mistakes import in_one_line
    from seke.core import runs
    from seke.core.records import ImageRecord, read_jsonl, write_jsonl

    with in_one_line():
        file = runs.locate("records", records, Path(outputs), "prepare", "test.jsonl")
    every, root = list(read_jsonl(file, ImageRecord)), runs.image_root(file)
    chosen = every[:: max(1, len(every) // int(count))][: int(count)]  # of every source, which come one by one
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
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


def pipeline(model: str, task: str, out: str) -> None:
    """Answer with transformers' own pipeline, which comes to the processor through AutoProcessor."""
    from PIL import Image
    from transformers import AutoProcessor
    from transformers import pipeline as make

    question, most, pictures = faces(task)
    processor: Any = AutoProcessor.from_pretrained(model)
    assert type(processor).__name__ == "LlavaOnevisionProcessor", type(processor)
    made: Any = make("image-text-to-text", model=model, device="cpu")
    answers = {}
    for id_, file in pictures:
        turns = asked(question, Image.open(file).convert("RGB"))
        [said] = made(text=turns, return_full_text=False, generate_kwargs={"max_new_tokens": most, "do_sample": False})
        answers[id_] = said["generated_text"]
    assert "seke" not in sys.modules
    write(out, answers)


def sft(model: str, task: str, answered: str, out: str, steps: int = 12) -> None:
    """Train a few steps on our own answers; the loss must fall, and be worse where faces and answers are swapped."""
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
    [log] = sorted(Path(logs).rglob("*samples_feab.jsonl"))
    answers = {}
    for row in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        said = row["resps"] if "resps" in row else row["filtered_resps"]
        while isinstance(said, list):
            said = said[0]
        record = json.loads(row["doc"]["record"]) if "doc" in row else json.loads(row["target"])
        answers[record["id"]] = said
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


def table(evaluated: str, trained: str) -> int:
    """Print what everyone scored, and in how many answers they differ from evaluate.py's own."""
    from seke.core.text_tables import markdown_table

    folders = sorted(Path(evaluated).iterdir(), key=lambda folder: (folder.name != "ours", folder.name))
    own, given = {folder.name: folder / "answers.jsonl" for folder in folders}, Path(trained).parent
    said = {name: _answers(file if file.is_file() else given / f"{name}.jsonl") for name, file in own.items()}
    wrong, rows = 0, []
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        equal = sum(said[folder.name].get(id_) == text for id_, text in said["ours"].items())
        wrong += equal < len(said["ours"])
        scores = [(metrics.get(task) or {}).get(name) for task, name in NUMBERS.values()]
        cells = ["-" if score is None else f"{score:.3f}" for score in scores]
        rows.append([folder.name, f"{equal} of {len(said['ours'])}", *cells])
    if "vllm" not in said:
        rows.append(["vllm", "not installed", *["-"] * len(NUMBERS)])
    print(markdown_table(["through", "equal answers", *NUMBERS], rows))
    found = json.loads(Path(trained).read_text(encoding="utf-8"))
    good = found["after"] < found["own"] < found["swapped"]
    print(
        f"\nTRL: loss on its own answers {found['own']:.3f}, on those of another face {found['swapped']:.3f}; "
        f"after {len(found['losses'])} steps {found['after']:.3f}"
    )
    return int(bool(wrong) or not good)


def _answers(file: Path) -> dict[str, str]:
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["text"].strip() for row in rows}


def main(words: Sequence[str]) -> int:
    """Run one part."""
    parts: dict[str, Any] = {
        "choose": choose, "pipeline": pipeline, "sft": sft, "lmms": lmms, "vllm": vllm, "table": table
    }  # fmt: skip
    if not words or words[0] not in parts:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    return int(parts[words[0]](*words[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
