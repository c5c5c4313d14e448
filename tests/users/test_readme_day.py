"""A stranger's day: every command of README's "Your own photographs", in its order, on thirty photographs.

Only what a test cannot have is put in the place of what stands there: an API on this machine, the tiny model on the
CPU for two steps, a page that is not served but described. A person's part (filling in the table, correcting a label,
adding ten pictures) is done in between.
"""

import json
import re
import shlex
import shutil
from pathlib import Path
from random import Random

import pytest
from openpyxl import load_workbook
from PIL import Image

from seke.core.records import InstructionRecord, read_jsonl
from seke.core.runs import file_sha256

from ..conftest import ROOT
from ..servers.openai_server import running
from ..trees import emonet_face

KEY = {"OPENAI_API_KEY": "sk-test-0123456789"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(title: str) -> list[list[str]]:
    """Return the commands of a section of README, as words."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [
        shlex.split(line, comments=True)
        for block in re.findall(r"^```bash\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if line.startswith("python ")
    ]


COMMANDS = commands("Your own photographs")
PRICE = "backend.prices.gpt-test=[1,1,1]"
FEELINGS = ("happy", "sad", "angry", "surprised", "neutral", None)


def photographs(folder: Path, people: int, first: int = 0) -> None:
    for person in range(first, first + people):
        for number in range(5):
            path = folder / f"person{person}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = Random(f"{folder.name}{path.parent.name}{number}").randbytes(12 * 12 * 3)
            Image.frombytes("RGB", (12, 12), noise).resize((96, 96)).save(path, quality=95)


def fill_in(table: Path) -> None:
    """Write who is shown, and what some of them show, into the table that prepare.py has made."""
    book = load_workbook(table)
    titles = [cell.value for cell in book.active[1]]
    for number, row in enumerate(book.active.iter_rows(min_row=2)):
        row[titles.index("subject")].value = row[titles.index("image")].value.partition("/")[0]
        row[titles.index("expression")].value = FEELINGS[number % len(FEELINGS)]
    book.save(table)


@pytest.mark.slow
def test_a_stranger_follows_the_readme(tmp_path: Path, cli) -> None:
    photos, outputs, review = tmp_path / "photos", tmp_path / "outputs", tmp_path / "review.json"
    photographs(photos, 6)
    photographs(tmp_path / "new_photos", 1)
    assert len(COMMANDS) < 20

    def run(words: list[str], url: str) -> str:
        script, *typed = words[1:]
        typed = [re.sub(r"(?<==)(new_)?photos\b", lambda match: str(tmp_path / match[0]), word) for word in typed]
        stand_in = {
            "backend=openai": ["backend=openai", "backend.model=gpt-test", f"backend.base_url={url}", PRICE],
            "model=llava_ov_05b": ["model=llava_ov_tiny"],
            "trainer=gpu": ["trainer=cpu", "trainer.max_steps=2"],
            "review=review.json": [f"review={review}"],
        }  # fmt: skip
        words = [new for word in typed for new in stand_in.get(word, [word])]
        served = ["dry_run=true"] if script == "serve.py" else []
        done = cli(script.removesuffix(".py"), *words, *served, f"paths.outputs={outputs}", **KEY)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
        assert not re.search(r"[0-9a-f]{64}", done.stdout + done.stderr), "a hash where a person reads"
        return done.stdout

    with running() as server:
        for words in COMMANDS:
            if words[1].startswith("scripts/"):
                continue  # it talks to the Hub; its own test does
            if "review=review.json" in words:
                made = outputs / "generate" / "mine"
                row = next(read_jsonl(made / "instructions.jsonl", InstructionRecord))
                about = {"name": "mine", "manifest": file_sha256(made / "manifest.json")}
                correct = {"id": row.id, "decision": "correct", "labels": {"valence": -0.25}, "note": "frowns"}
                review.write_text(json.dumps({"run": about, "decisions": [correct]}))
            if words[1] == "prepare.py" and "update=true" in words:
                photographs(photos, 2, first=6)
            said = run(words, server.url)
            if any(word.startswith("source.template=") for word in words):
                fill_in(photos / "labels.xlsx")
            if "dry_run=true" in words:
                assert not server.bodies, "asking what it costs has cost something"
            if words[1] == "generate.py" and "update=true" in words and "records=mine" in words:
                assert re.search(r"\d+ records are taken over", said)
    corrected = list(read_jsonl(outputs / "generate" / "mine-reviewed" / "instructions.jsonl", InstructionRecord))
    assert [row.labels.valence for row in corrected if "reviewed" in row.flags] == [-0.25]
    assert (outputs / "train" / "mine" / "model" / "config.json").is_file()
    assert (outputs / "evaluate" / "new" / "labels.xlsx").is_file()
    shutil.rmtree(outputs)


@pytest.mark.slow
def test_faces_that_anyone_may_use_are_annotated_and_held_against_experts(tmp_path: Path, cli) -> None:
    emonet_face.make(tmp_path / "hq")
    steps = commands("Faces that anyone may use")
    assert [words[1] for words in steps] == ["prepare.py", *["generate.py"] * 2, "evaluate.py", "report.py"]
    with running() as server:
        stand_in = {
            "source.root=data/EmoNet-Face/hq": [f"source.root={tmp_path / 'hq'}"],
            "backend=openai": ["backend=openai", "backend.model=gpt-test", f"backend.base_url={server.url}", PRICE],
        }
        for words in steps:
            typed = [new for word in words[2:] for new in stand_in.get(word, [word])]
            done = cli(words[1].removesuffix(".py"), *typed, f"paths.outputs={tmp_path}", **KEY)
            assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
            assert bool(server.bodies) == ("prepare.py" not in words and "dry_run=true" not in words)
    found = json.loads((tmp_path / "evaluate" / "emonet-labels" / "metrics.json").read_text())
    assert found["expression"]["n"] > 0
