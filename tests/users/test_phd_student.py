"""A PhD student's day: thirteen photographs and a sheet from German Excel, from the first command to a report.

Folders are called as people call them, and every command is typed as a shell passes it on.
"""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from seke.core.records import ImageRecord, read_jsonl

PEOPLE = ("Anna", "Jürgen", "Zoë", "Bert", "Mia", "Łukasz")
FEELINGS = ("happy", "Joy", "sad", "n/a", "Surprised")
TITLES = "source.columns={subject: Person, expression: Gefühl, valence: Valenz, arousal: Erregung}"


@pytest.fixture
def sheet():
    return pd.DataFrame(
        {
            "Bild": [f"img_{k + 1:04}.jpg" for k in range(13)],
            "Person": [PEOPLE[k % 5] for k in range(13)],
            "Gefühl": [FEELINGS[k % 5] for k in range(13)],
            "Valenz": [round(-0.6 + k / 10, 2) for k in range(13)],
            "Erregung": [0.25] * 13,
            "AU01": [1.0] * 6 + [0.0] * 7,
            "AU12_r": [k / 4 for k in range(13)],
            "Notiz": ["", "Brille; Bart", *[""] * 11],
        }
    )


@pytest.fixture
def photographs(tmp_path):
    """Thirteen views of a photograph; none is a near-duplicate of another one."""
    folder = tmp_path / "Ünï, #1 ~x = [2024] (Studie)" / "Fotos"
    folder.mkdir(parents=True)
    whole = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    rng = np.random.default_rng(0)
    for k in range(13):
        left, top = (int(place) for place in rng.integers(0, 150, 2))
        view = whole.crop((left, top, left + 350, top + 400)).rotate(float(rng.uniform(-25, 25)))
        view.save(folder / f"IMG_{k + 1:04}.JPG")
    return folder


def words(photographs):
    return f"paths.outputs={photographs.parent / 'Ergebnisse'}", "name=1e5"


def records(photographs):
    run = photographs.parent / "Ergebnisse" / "prepare" / "1e5"
    return {
        row.id: row
        for side in ("train", "validation", "test")
        for row in read_jsonl(run / f"{side}.jsonl", ImageRecord)
    }


def as_excel_writes(sheet, path):
    path.write_bytes(sheet.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n").encode("cp1252"))


@pytest.mark.parametrize("form", ["CSV of German Excel", "workbook", "Unicode text"])
def test_the_sheet_passes_at_the_first_run_with_a_list_of_what_was_understood(cli, photographs, sheet, form):
    if form == "workbook":
        sheet.to_excel(photographs / "labels.xlsx", index=False, sheet_name="Ratings")
    elif form == "Unicode text":
        (photographs / "labels.csv").write_bytes(sheet.to_csv(index=False, sep="\t").encode("utf-16"))
    else:
        as_excel_writes(sheet, photographs / "labels.csv")
    done = cli("prepare", "source=folder", f"source.root={photographs}", TITLES, *words(photographs))
    assert done.returncode == 0, done.stderr
    made = records(photographs)
    assert len(made) == 13
    for k, row in enumerate(sheet.to_dict("records")):
        record = made[f"IMG_{k + 1:04}.JPG"]
        expression = {"happy": "happiness", "Joy": "happiness", "sad": "sadness", "Surprised": "surprise"}.get(
            row["Gefühl"]
        )
        assert (record.subject, record.labels.expression) == (row["Person"], expression)
        assert (record.labels.valence, record.labels.arousal) == (row["Valenz"], 0.25)
        assert record.labels.action_units == {1: k < 6} and record.labels.au_intensity == {12: k / 4}
    assert len({record.split for record in made.values() if record.subject == "Anna"}) == 1
    for line in (
        "13 rows, 0 of them not used",
        "columns: Bild -> image, Person -> subject, Gefühl -> expression, Valenz -> valence, Erregung -> arousal, ",
        "columns that are not read: Notiz",
        "subjects: 5",
        "words: happy -> happiness, Joy -> happiness, sad -> sadness, Surprised -> surprise",
        "read as unknown, beside empty cells: n/a (2)",
        "13 of 13 pictures have a row",
        "advice: ",
        "no picture shows: neutral, fear, disgust, anger, contempt",
    ):
        assert line in done.stdout, done.stdout


def test_a_sheet_full_of_mistakes_takes_one_run_to_learn_of_them_all(cli, photographs, sheet):
    broken = sheet.assign(Valenz="hoch", Gefühl="gut", AU01=2).rename(columns={"Notiz": "arousel"})
    as_excel_writes(broken, photographs / "labels.csv")
    done = cli("prepare", "source=folder", f"source.root={photographs}", TITLES, *words(photographs))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    for part in (
        "line 1, column arousel: no column of this table; did you mean arousal?",
        "line 2, column Gefühl: 'gut' is none of neutral, happiness, ",
        "line 2, column Valenz: 'hoch' is no number from -1 to 1 (so line 3 'hoch', ",
        "AU on another scale than 0 (absent) and 1 (active): 13 of 13 rows are beyond, such as line 2, column AU01",
    ):
        assert part in done.stderr, done.stderr
    assert not (photographs.parent / "Ergebnisse" / "prepare" / "1e5").exists()


def test_a_sheet_that_nobody_has_described_says_how_to(cli, photographs, sheet):
    as_excel_writes(sheet.drop(columns=["AU01", "AU12_r"]), photographs / "labels.csv")
    done = cli("prepare", "source=folder", f"source.root={photographs}", *words(photographs))
    assert done.returncode == 2
    assert "no label among the columns (Gefühl, Valenz, Erregung, Notiz); say which one is what: " in done.stderr
    assert "'source.columns={expression: Gefühl}'" in done.stderr


@pytest.mark.slow
def test_the_rest_of_the_day(cli, photographs, sheet):
    as_excel_writes(sheet, photographs / "labels.csv")
    outputs, name = words(photographs)
    steps = [
        ("prepare", "source=folder", f"source.root={photographs}", TITLES),
        ("generate", "records=1e5"),
        ("train", "data.path=1e5"),
        ("evaluate", "records=1e5", "model.path=1e5"),
        ("report",),
    ]
    said = {}
    for step, *settings in steps:
        done = cli(step, *settings, outputs, name)
        assert done.returncode == 0, done.stderr
        said[step] = done.stdout + done.stderr
    small = "so small a model (6 MB) knows drawn faces only: for photographs use model=llava_ov_05b, or an API"
    assert small in said["train"] and small in said["evaluate"]
    assert "few optimiser steps (1; trainer.max_epochs=100 takes 100)" in said["train"]
    assert "could not see" in said["generate"]
    folder = photographs.parent / "Ergebnisse"
    table = (folder / "evaluate" / "1e5" / "table.md").read_text()
    n = json.loads((folder / "evaluate" / "1e5" / "metrics.json").read_text())["n"]
    assert f"{n} images: not set beside the paper, which takes 10 or more." in table and "GPT" not in table
    assert (folder / "report" / "1e5" / "index.html").is_file()
