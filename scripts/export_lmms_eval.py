"""FEAB as a task of lmms-eval: the same question, and answers read and scored by seke itself.

python scripts/export_lmms_eval.py lmms_tasks                                 the prepared test faces "demo"
python scripts/export_lmms_eval.py lmms_tasks records=feid                    another prepared set, or a file of records
python scripts/export_lmms_eval.py lmms_tasks max_tokens=128                  shorter answers than the benchmark's

-> lmms_tasks/feab/{feab.yaml, utils.py, records.jsonl}; then, where lmms-eval and seke are both installed:
lmms-eval eval --model qwen2_5_vl --model_args pretrained=Qwen/Qwen2.5-VL-7B-Instruct --tasks feab \
    --include_path lmms_tasks --batch_size 1 --output_path logs
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from seke.cli.mistakes import in_one_line
from seke.core import runs
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import ImageRecord, read_jsonl, to_line

BENCHMARK = Path(__file__).resolve().parents[1] / "conf" / "benchmark" / "feab.yaml"
METRICS = {
    "expression_accuracy": ("expression", "accuracy", True),
    "expression_f1_macro": ("expression", "f1_macro", True),
    "action_units_f1_mean_14": ("action_units", "f1_mean_14", True),
    "action_units_f1_mean_17": ("action_units", "f1_mean_17", True),
    "valence_mae": ("valence", "mae", False),
    "valence_ccc": ("valence", "ccc", True),
    "arousal_mae": ("arousal", "mae", False),
    "arousal_ccc": ("arousal", "ccc", True),
}
"""Metrics of the task: where seke's scores have them, and whether higher is better."""

UTILS = '''"""What lmms-eval calls for FEAB; written by scripts/export_lmms_eval.py: make it anew, do not edit it.

A document's `record` is a row of the prepared test set as JSON. A metric's value for one document is the whole
prediction, and its aggregation scores all of them at once: F1 and CCC are no means over documents.
"""

from pathlib import Path

from seke.core import images
from seke.benchmark.answer import Answer
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.judging.judge import parse
from seke.benchmark.scoring.metrics import scores
from seke.core.records import ImageRecord, Prediction, to_line

FEAB = Feab(question={question!r}, max_tokens={max_tokens!r})
IMAGE_ROOT = Path({root!r})
METRICS = {metrics!r}


def feab_doc_to_visual(doc):
    """Return the document's one picture."""
    return [images.open_record(ImageRecord.model_validate_json(doc["record"]), IMAGE_ROOT).picture]


def feab_doc_to_text(doc, lmms_eval_specific_kwargs=None):
    """Return the benchmark's question."""
    return FEAB.question.strip()


def feab_process_results(doc, results):
    """Return the prediction that the answer amounts to, once for every metric."""
    record = ImageRecord.model_validate_json(doc["record"])
    [row], _ = FEAB.predictions([record], {{record.id: Answer(id=record.id, text=str(results[0]))}}, parse)
    return dict.fromkeys(METRICS, to_line(row))


def _aggregation(task, metric):
    def aggregate(rows):
        found = scores(columns([Prediction.model_validate_json(row) for row in rows]))[task]
        return None if found is None else found[metric]

    return aggregate


{aggregations}
'''


def export(folder: Path, records_file: Path, max_tokens: int | None = None) -> Path:
    """Write the task into `folder`/feab and return that folder; `max_tokens` of an answer: None: the benchmark's.

    Raises:
        UserError: if the records do not read.
    """
    task, settings = folder / "feab", yaml.safe_load(BENCHMARK.read_text(encoding="utf-8"))
    most = settings["max_tokens"] if max_tokens is None else max_tokens
    records = list(read_jsonl(records_file, ImageRecord))
    root = runs.image_root(records_file).resolve()
    task.mkdir(parents=True, exist_ok=True)
    # One string a record: lmms-eval's loader would give all records the keys of all others.
    lines = [{"id": row.id, "image": row.image, "record": to_line(row)} for row in records]
    write_text(task / "records.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    aggregations = "\n".join(
        f"feab_{name} = _aggregation({where[0]!r}, {where[1]!r})" for name, where in METRICS.items()
    )
    written = UTILS.format(
        question=settings["question"], max_tokens=most, root=str(root), metrics=tuple(METRICS),
        aggregations=aggregations,
    )  # fmt: skip
    write_text(task / "utils.py", written)
    write_text(task / "feab.yaml", _yaml(task / "records.jsonl", most))
    return task


def _yaml(records: Path, max_tokens: int) -> str:
    task: dict[str, Any] = {
        "task": "feab",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(records.resolve())}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_visual": "!function utils.feab_doc_to_visual",
        "doc_to_text": "!function utils.feab_doc_to_text",
        "doc_to_target": "record",
        "generation_kwargs": {"max_new_tokens": max_tokens, "temperature": 0, "do_sample": False, "num_beams": 1},
        "process_results": "!function utils.feab_process_results",
        "metric_list": [
            {"metric": name, "aggregation": f"!function utils.feab_{name}", "higher_is_better": where[2]}
            for name, where in METRICS.items()
        ],
        "metadata": [{"version": 1}],
    }
    text = yaml.safe_dump(task, sort_keys=False)
    # A tag cannot be dumped as plain text: what names a function gets its quotes taken off.
    return text.replace("'!function ", "!function ").replace("'\n", "\n")


@in_one_line()
def main(arguments: list[str]) -> None:
    """Export the records that the command line names."""
    if {"--help", "-h"} & set(arguments):
        print((__doc__ or "").strip())
        return
    folder, reference, most = named(arguments)
    print(export(folder, runs.locate("records", reference, Path("outputs"), "prepare", "test.jsonl"), most))


def named(arguments: Sequence[str]) -> tuple[Path, str, int | None]:
    """Return the folder to write into, the records and the tokens of an answer: words in this order, or named.

    >>> named(["tasks"]), named(["records=feid", "folder=tasks", "max_tokens=64"])
    ((PosixPath('tasks'), 'demo', None), (PosixPath('tasks'), 'feid', 64))

    Raises:
        UserError: if there is no folder, a word that is neither, or no number of tokens.
    """
    chosen = {"folder": "", "records": "demo", "max_tokens": ""}
    for place, word in enumerate(arguments):
        name, given, value = word.partition("=")
        if not given and place < len(chosen):
            name, value = list(chosen)[place], word
        if name not in chosen:
            raise UserError("command line", word, "no such setting", f"use {', '.join(chosen)}")
        chosen[name] = value
    if not chosen["folder"]:
        raise UserError("folder", "", "where to write the task?", "see the head of this script")
    most = chosen["max_tokens"]
    if most and not (most.isdecimal() and int(most) > 0):
        raise UserError("max_tokens", most, "no number of tokens", "use 1 or more, or leave it out")
    return Path(chosen["folder"]), chosen["records"], int(most) if most else None


if __name__ == "__main__":
    main(sys.argv[1:])
