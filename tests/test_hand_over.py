"""Runs handed over to somebody who has the pictures elsewhere: the commands of docs/sharing.md, as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
import yaml
from PIL import Image as Picture

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")


def documented(beginning: str) -> str:
    """Return the line of the document's commands that begins so, without its comment."""
    [line] = [line for line in DOCUMENT.splitlines() if line.startswith(beginning)]
    return re.split(r"\s+#", line)[0]


def words(beginning: str, **instead: object) -> list[str]:
    """Return such a command's words after `python <command>.py`, some of them replaced."""
    found = [word for word in documented(beginning).split()[2:] if word.partition("=")[0] not in instead]
    return [*found, *(f"{name}={value}" for name, value in instead.items())]


@pytest.fixture
def mine(tmp_path: Path, cli) -> Path:
    """One's own labelled photographs, prepared and annotated; the folder of the outputs."""
    pictures = tmp_path / "mine" / "photographs"
    pictures.mkdir(parents=True)
    lines = ["image,subject,expression"]
    for number in range(12):
        Picture.frombytes("RGB", (40, 40), Random(number).randbytes(40 * 40 * 3)).save(pictures / f"{number}.png")
        lines.append(f"{number}.png,s{number},{'happiness' if number % 2 else 'sadness'}")
    (pictures / "labels.csv").write_text("\n".join(lines) + "\n")
    outputs = tmp_path / "mine" / "outputs"
    for command in (
        ("prepare", "source=folder", f"source.root={pictures}", "name=mine"),
        ("generate", "records=mine", "name=mine", "backend=simulated"),
    ):
        done = cli(*command, f"paths.outputs={outputs}")
        assert done.returncode == 0, done.stderr
    return outputs


def test_a_report_of_runs_from_elsewhere_shows_their_pictures_and_remembers_where_they_are(
    mine: Path, tmp_path: Path, cli
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    subprocess.run(documented("tar czf"), shell=True, cwd=mine.parent, check=True)
    shutil.move(mine.parent / "runs.tgz", theirs)
    shutil.move(mine.parent / "photographs", theirs / "pictures")
    shutil.rmtree(mine.parent)
    subprocess.run(documented("mkdir -p outputs && tar xzf"), shell=True, cwd=theirs, check=True)
    outputs = theirs / "outputs"
    assert sorted(path.name for path in outputs.iterdir()) == ["generate", "prepare"]
    page = outputs / "report" / "mine" / "index.html"

    def report(beginning: str, **instead: object) -> tuple[int, str]:
        done = cli("report", *words(beginning, **instead), f"paths.outputs={outputs}", "gallery.run=mine")
        assert done.returncode == 0, done.stderr
        return page.read_text(encoding="utf-8").count("data:image/"), done.stdout

    plain = "python report.py name=mine  "
    without, said = report(plain)
    assert "pictures:" not in said
    here = {"paths.images": theirs / "pictures"}
    shown, said = report("python report.py name=mine paths.images=", **here)
    assert shown > without and "pictures:" not in said
    again, said = report(plain)
    assert again == shown and f"pictures: {(theirs / 'pictures').resolve()}, as paths.images= said" in said
    assert str(theirs) not in page.read_text(encoding="utf-8")  # the page may be mailed
    (theirs / "pictures").rename(theirs / "moved")
    gone, said = report(plain)
    assert gone == without and "pictures:" not in said


def test_training_and_evaluating_there_need_no_more_than_paths_images(mine: Path, tmp_path: Path, cli) -> None:
    pictures = tmp_path / "elsewhere"
    shutil.move(mine.parent / "photographs", pictures)
    there = f"paths.images={pictures}"
    done = cli("train", *words("python train.py data.path=mine", **{"paths.images": pictures}), "dry_run=true",
                f"paths.outputs={mine}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = cli("evaluate", "records=mine", "backend=simulated", "name=there", there, f"paths.outputs={mine}",
                f"records={mine / 'prepare' / 'mine' / 'train.jsonl'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((mine / "evaluate" / "there" / "metrics.json").read_text())
    assert found["status"] == {"ok": found["n"]}


def test_the_citation_file_names_program_paper_and_authors() -> None:
    """The fields that CFF 1.2.0 requires, and the paper's eight authors as arXiv lists them."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(cited)
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert cited["version"] == version[1]
    paper = cited["preferred-citation"]
    assert paper["url"].endswith("2505.18168") and paper["year"] == 2025
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Wang", "Song", "He", "Su", "Wu", "Yang", "Zheng", "Yoshie"]
