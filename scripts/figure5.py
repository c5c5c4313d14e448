"""Two small steps of scripts/figure5.sh that no door has: choosing complete records, and the joint table.

python scripts/figure5.py complete outputs/prepare/demo/train.jsonl outputs/prepare/demo/complete.jsonl
python scripts/figure5.py table outputs demo/complete.jsonl fig5 seke "single=Simple annotation" ...
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seke.benchmark.answer import read_answers
from seke.benchmark.comparison import Bill, Price
from seke.benchmark.figure5 import MASKS, Method, figure5, table
from seke.records import ImageRecord, read_jsonl, write_jsonl

GPT4O = Price(2.5, 10.0)
"""USD per million tokens, OpenAI's list price."""


def complete(source: Path, target: Path) -> int:
    """Write the records that carry all three descriptions; return their number."""
    rows = read_jsonl(source, ImageRecord)
    return write_jsonl(
        target,
        (
            row
            for row in rows
            if None not in (row.labels.expression, row.labels.valence, row.labels.arousal, row.labels.action_units)
        ),
    )


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
    rows = list(read_jsonl(records, ImageRecord))
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
    (folder / "table.md").write_text(table(found, labels[reference], notes), encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    """Do one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    choose = steps.add_parser("complete", help="the records that carry all three descriptions")
    choose.add_argument("source", type=Path)
    choose.add_argument("target", type=Path)
    join = steps.add_parser("table", help="the methods' runs side by side")
    join.add_argument("outputs", type=Path)
    join.add_argument("records", type=Path)
    join.add_argument("name", help="the runs are outputs/generate/<name>-<method>-<mask>")
    join.add_argument("reference", help="the method that differences are taken to")
    join.add_argument("methods", nargs="+", help="<method>=<what the table calls it>")
    asked = parser.parse_args()
    if asked.step == "complete":
        print(f"{asked.target}: {complete(asked.source, asked.target)} records carry all three descriptions")
    else:
        folder = compare(asked.outputs, asked.records, asked.name, asked.reference, asked.methods)
        print((folder / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
