"""The last step of scripts/figure5.sh: the methods' generate runs side by side, on the same faces.

python scripts/figure5.py outputs outputs/prepare/demo/train.jsonl fig5 seke "single=Simple annotation" ...
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seke.benchmark.answer import read_answers
from seke.benchmark.scoring.cost_quality import Bill, Price
from seke.benchmark.tasks.figure5 import MASKS, Method, figure5, table
from seke.core.files import write_text
from seke.core.records import ImageRecord, read_jsonl

GPT4O = Price(2.5, 10.0)
"""USD per million tokens, OpenAI's list price."""


def method(outputs: Path, name: str, short: str, label: str, known: set[str]) -> Method:
    """Read a method's three generate runs."""
    folders = {mask: outputs / "generate" / f"{name}-{short}-{mask}" for mask in MASKS}
    costs = [json.loads((folder / "cost.json").read_text(encoding="utf-8")) for folder in folders.values()]
    return Method(
        name=label,
        answers={mask: read_answers(folder / "instructions.jsonl", known) for mask, folder in folders.items()},
        bills=[Bill.of(cost) for cost in costs],
        pilots=[Bill.of(cost["pilot"]) for cost in costs if "pilot" in cost],
        annotated=costs[0]["records"],
    )


def compare(outputs: Path, records: Path, name: str, reference: str, methods: Sequence[str]) -> Path:
    """Write outputs/figure5/<name>/{table.md,rows.json}; return the folder."""
    rows = [row for row in read_jsonl(records, ImageRecord) if row.labels.described]
    known = {row.id for row in rows}
    labels = dict(text.split("=", 1) for text in methods)
    read = [method(outputs, name, short, label, known) for short, label in labels.items()]
    found = figure5(rows, read, labels[reference], GPT4O)
    models = sorted({row.model or "" for part in read for table_ in part.answers.values() for row in table_.values()})
    notes = [f"annotator: {', '.join(models)}; USD at {GPT4O.input} in and {GPT4O.output} out per million tokens"]
    if any(model.startswith("simulated") for model in models):
        notes.append("simulated annotator on synthetic faces: how the program behaves, not how a vision LLM does")
    folder = outputs / "figure5" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", table(found, labels[reference], notes))
    write_text(folder / "rows.json", json.dumps(found, indent=1) + "\n")
    return folder


def main() -> None:
    """Make the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outputs", type=Path)
    parser.add_argument("records", type=Path)
    parser.add_argument("name", help="the runs are outputs/generate/<name>-<method>-<mask>")
    parser.add_argument("reference", help="the method that differences are taken to")
    parser.add_argument("methods", nargs="+", help="<method>=<what the table calls it>")
    asked = parser.parse_args()
    folder = compare(asked.outputs, asked.records, asked.name, asked.reference, asked.methods)
    print((folder / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
