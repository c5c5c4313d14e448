"""Whom should people look at? Drawn faces are looked at by who knows their truth, and the finished labels scored.

    python scripts/people.py look <run> outputs=outputs to=review.json        decides about the faces of review=next
    python scripts/people.py orders <run> outputs=outputs to=people.md        equal looks: by value, by dice, by U_max

`look` writes what a perfect reviewer downloads from the report's page: a label that is wrong (valence and arousal
beyond `rules.NEAR`) is corrected, everything else accepted. `orders` lets that reviewer look at 5 to 40 % of the
faces, chosen by the labels that are probably wrong (`seke.generation.people.risk`), by dice (20 throws), and by the
largest uncertainty of a description, as the paper's sampling takes it, and scores the labels that the machine had
given.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.cli.mistakes import in_one_line
from seke.core import audit, files, runs
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, Labels, read_jsonl
from seke.core.rules import near
from seke.core.text_tables import markdown_table
from seke.generation.people import risk

SHARES: Final = (0.05, 0.1, 0.2, 0.4)
"""Of the faces that are looked at."""
THROWS: Final = 20
FOURTEEN: Final = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24, 25, 26)
Floats = NDArray[np.float64]


def read(run: str, outputs: Path) -> tuple[Path, list[InstructionRecord], dict[str, Labels]]:
    """Return the folder of a run, its rows that the machine labelled, and what is true of each.

    Raises:
        UserError: if nobody knows the truth, as of photographs.
    """
    file = runs.locate("run", run, outputs, "generate", "instructions.jsonl")
    named = str(runs.manifest_beside(file)["config"]["records"])
    truth_file = runs.locate_records(named, outputs, "train.jsonl").parent / runs.TRUTH
    if not truth_file.is_file():
        raise UserError("run", run, "nobody knows the truth about its pictures", "give a run about drawn faces")
    truth = {row.id: row.labels for row in read_jsonl(truth_file, ImageRecord)}
    rows = [row for row in read_jsonl(file, InstructionRecord) if audit.labelled_by_machine(row) and row.id in truth]
    return file.parent, rows, truth


def decision(row: InstructionRecord, truth: Labels) -> dict[str, Any]:
    """Return what a perfect reviewer decides about a row, as review.json has it."""
    said: dict[str, Any] = {}
    if row.labels.expression is not None and row.labels.expression != truth.expression:
        said["expression"] = truth.expression
    for name in ("valence", "arousal"):
        before, after = getattr(row.labels, name), getattr(truth, name)
        if before is not None and after is not None and not near(before, after):
            said[name] = after
    known = truth.action_units or {}
    if units := {str(au): known[au] for au, on in (row.labels.action_units or {}).items() if known.get(au, on) != on}:
        said["action_units"] = units
    return {"id": row.id, "decision": "correct" if said else "accept", "labels": said or None}


def look(run: str, outputs: Path, to: Path) -> str:
    """Write a perfect reviewer's decisions about the faces of the run's queue."""
    folder, rows, truth = read(run, outputs)
    asked = {json.loads(line)["id"] for line in (folder / "queue.jsonl").read_text(encoding="utf-8").splitlines()}
    decisions = [decision(row, truth[row.id]) for row in rows if row.id in asked]
    of = {"name": folder.name, "manifest": runs.file_sha256(folder / runs.MANIFEST)}
    files.write_text(to, json.dumps({"run": of, "decisions": decisions}, indent=1) + "\n")
    return f"{to}: {len(decisions)} faces looked at"


def scores(rows: Sequence[InstructionRecord], truth: dict[str, Labels], looked_N: NDArray[np.bool_]) -> list[float]:
    """Return expression accuracy, mean F1 of 14 AUs, and mean absolute errors, over what the machine had labelled."""
    right: list[bool] = []
    errors: dict[str, list[float]] = {"valence": [], "arousal": []}
    counts = {au: np.zeros(3) for au in ACTION_UNITS}  # true positives, false positives, false negatives
    for row, looked in zip(rows, looked_N, strict=True):
        true = truth[row.id]
        if row.origin.expression == "generated":
            right.append(bool(looked) or row.labels.expression == true.expression)
        for name, found in errors.items():
            if getattr(row.origin, name) == "generated":
                error = abs(getattr(row.labels, name) - getattr(true, name))
                found.append(0.0 if looked and not near(error, 0.0) else error)
        for au, on in (row.labels.action_units or {}).items():
            if row.origin.action_units.get(str(au)) == "generated":
                said, is_on = ((true.action_units or {})[au] if looked else on), (true.action_units or {})[au]
                counts[au] += (said and is_on, said and not is_on, is_on and not said)
    f1 = [200 * tp / max(2 * tp + fp + fn, 1) for tp, fp, fn in (counts[au] for au in FOURTEEN)]
    return [100 * float(np.mean(right)), float(np.mean(f1)), *(float(np.mean(found)) for found in errors.values())]


def orders(run: str, outputs: Path, to: Path, seed: int) -> str:
    """Write a table of the finished labels by order and share of looks, and return it."""
    _, rows, truth = read(run, outputs)
    value_N = np.array([risk.expected(risk.risks(row)) or 0.0 for row in rows])
    u_max_N = np.array([row.uncertainty.max or 0.0 for row in rows])
    wrong_N = np.array(
        [sum(n for n, _ in risk.corrections(row.labels, truth[row.id], row.origin).values()) for row in rows]
    )
    rng = np.random.default_rng(seed)
    ways: dict[str, list[Floats]] = {
        "by value": [value_N],
        "dice": [rng.random(len(rows)) for _ in range(THROWS)],
        "U_max": [u_max_N],
    }
    first = scores(rows, truth, np.zeros(len(rows), dtype=bool))
    table = [["0", "nobody looks", "", *_printed(first)]]
    for share in SHARES:
        n = round(share * len(rows))
        for name, keys in ways.items():
            found, corrected = [], []
            for key_N in keys:
                looked_N = np.zeros(len(rows), dtype=bool)
                looked_N[np.argsort(-key_N, kind="stable")[:n]] = True
                found.append(scores(rows, truth, looked_N))
                corrected.append(wrong_N[looked_N].mean())
            table.append([f"{100 * share:.0f}", name, f"{np.mean(corrected):.2f}", *_printed(np.mean(found, axis=0))])
    head = ["looked at %", "chosen", "corrected per look", "expression acc. %", "AU F1 (14) %", "V MAE", "A MAE"]
    text = markdown_table(head, table)
    files.write_text(to, text + "\n")
    return f"{len(rows)} faces that the machine labelled, looked at by who knows the truth\n{text}\n{to}"


def _printed(found: Sequence[float]) -> list[str]:
    expression, units, valence, arousal = found
    return [f"{expression:.1f}", f"{units:.1f}", f"{valence:.3f}", f"{arousal:.3f}"]


@in_one_line()
def main(words: Sequence[str] | None = None) -> None:
    """Do what the first word says."""
    given_words = [*(sys.argv[1:] if words is None else words)]
    if len(given_words) < 2:
        raise UserError("command", " ".join(given_words), "too few words", "say look or orders, and the name of a run")
    what, run, *settings = given_words
    given = dict(setting.partition("=")[::2] for setting in settings)
    outputs, seed = Path(given.get("outputs", "outputs")), int(given.get("seed", "0"))
    if what == "look":
        print(look(run, outputs, Path(given.get("to", "review.json"))))
    elif what == "orders":
        print(orders(run, outputs, Path(given.get("to", "people.md")), seed))
    else:
        raise UserError("command", what, "no such command", "say look or orders, and the name of a run")


if __name__ == "__main__":
    main()
