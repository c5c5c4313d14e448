"""The last step of scripts/figure5.sh: the methods' generate runs side by side, on the same faces.

python scripts/figure5.py outputs outputs/prepare/demo/train.jsonl fig5 seke "single=Simple annotation" ...
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from seke.benchmark.run import import_predictions
from seke.benchmark.scoring.cost_quality import Calls, Price
from seke.benchmark.tasks.figure5 import MASKS, Method, figure5, table
from seke.cli.mistakes import in_one_line
from seke.core import old_runs
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import NOBODY, ImageRecord, read_jsonl

GPT4O = Price(2.5, 10.0)
"""USD per million tokens, OpenAI's list price."""


def read_method(outputs: Path, name: str, short: str, label: str, known: set[str]) -> tuple[Method, list[str]]:
    """Read a method's three generate runs; return what of their rows could not be read, too.

    Raises:
        UserError: if a run is missing or unfinished.
    """
    folders = {mask: outputs / "generate" / f"{name}-{short}-{mask}" for mask in MASKS}
    for folder in folders.values():
        if not (folder / "cost.json").is_file():
            raise UserError("methods", short, f"no finished generate run in {folder}", "run scripts/figure5.sh")
    given = {mask: import_predictions.read(folder / "instructions.jsonl", known) for mask, folder in folders.items()}
    costs = [json.loads((folder / "cost.json").read_text(encoding="utf-8")) for folder in folders.values()]
    method = Method(
        name=label,
        answers={mask: found.answers for mask, found in given.items()},
        calls=[Calls.of(cost) for cost in costs],
        pilots=[Calls.of(cost["pilot"]) for cost in costs if "pilot" in cost],
        annotated=costs[0]["records"],
    )
    return method, [f"{label}, {mask}: {remark}" for mask, found in given.items() for remark in found.remarks]


def annotators(methods: Sequence[Method]) -> Iterator[str]:
    """Yield notes on who annotated."""
    rows = [row for method in methods for answers in method.answers.values() for row in answers.values()]
    models = sorted({row.model or "" for row in rows} - {NOBODY})
    prices = f"USD at {GPT4O.input} in and {GPT4O.output} out per million tokens"
    yield f"annotator: {', '.join(models) or 'nobody was asked'}; {prices}"
    if any(old_runs.simulated(row.simulated, row.model) for row in rows):
        yield "simulated annotator on synthetic faces: how the program behaves, not how a vision LLM does"


def compare(
    outputs: Path, records: Path, name: str, reference: str, labels: dict[str, str], control: str | None = None
) -> Path:
    """Write outputs/figure5/<name>/{table.md,rows.json}; return the folder.

    Args:
        outputs: where the generate runs are.
        records: what they annotated.
        name: the runs are outputs/generate/<name>-<method>-<mask>.
        reference: the method that differences are taken to.
        labels: what the table calls each method.
        control: the method over which gains are told.
    """
    for argument, method in (("reference", reference), ("control", control)):
        if method is not None and method not in labels:
            raise UserError(argument, method, "is none of the methods", f"name one of {', '.join(labels)}")
    rows = [row for row in read_jsonl(records, ImageRecord) if row.labels.described]
    known = {row.id for row in rows}
    read = [read_method(outputs, name, short, label, known) for short, label in labels.items()]
    methods = [method for method, _ in read]
    over = None if control is None else labels[control]
    found = figure5(rows, methods, labels[reference], GPT4O, control=over)
    notes = [*annotators(methods), *(remark for _, remarks in read for remark in remarks)]
    folder = outputs / "figure5" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", table(found, labels[reference], notes, over))
    write_text(folder / "rows.json", json.dumps(found, indent=1) + "\n")
    return folder


@in_one_line()
def main() -> None:
    """Make the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outputs", type=Path)
    parser.add_argument("records", type=Path)
    parser.add_argument("name", help="the runs are outputs/generate/<name>-<method>-<mask>")
    parser.add_argument("reference", help="the method that differences are taken to")
    parser.add_argument("methods", nargs="+", help="<method>=<what the table calls it>")
    parser.add_argument("--control", help="the method that every other one's gain is taken to")
    asked = parser.parse_args()
    labels = {short: label or short for short, _, label in (text.partition("=") for text in asked.methods)}
    folder = compare(asked.outputs, asked.records, asked.name, asked.reference, labels, asked.control)
    print((folder / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
