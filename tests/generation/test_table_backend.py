"""backend=table: a specialist's table as the annotator, at $0, whatever the generator's settings say of asking."""

import json
from pathlib import Path

import pytest
from hydra.errors import InstantiationException

from seke.cli.command import build, composed
from seke.core.budget import Budget, Spent
from seke.core.errors import UserError
from seke.core.records import InstructionRecord
from seke.generation import from_settings
from seke.generation.calibration import pilot
from seke.generation.outcome import completed
from seke.generation.run.dry_run import dry_run
from seke.generation.witnesses import tables


def annotators(path, *words):
    cfg = composed("generate", ["backend=table", f"backend.path={path}", *words])
    try:
        return from_settings.annotators(build, cfg, Budget(), Spent())
    except InstantiationException as error:  # the command prints its cause
        raise error.__cause__ from None


def table_of(data, path: Path, rows=40) -> Path:
    lines = ["image,AU01_r,AU06_r,AU12_r,valence"]
    for number, record in enumerate(data.records[:rows]):
        units = data.truth[record.id].action_units
        scores = ",".join(str(3.0 * units.get(au, False) + 0.01 * (number % 7)) for au in (1, 6, 12))
        lines.append(f"/elsewhere/{record.image},{scores},{data.truth[record.id].valence}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_labels_records_for_nothing_and_what_it_lacks_is_counted(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pilot, "FEWEST", 5)
    generator, spare, meter = annotators(table_of(data, tmp_path / "openface.csv", rows=30), "budget.usd=1")
    assert spare is None
    generator.learn(data.records, lambda record: None, tmp_path)
    assert "openface: 30 rows answer for 30 of 40 records (10 without an answer)" in caplog.text
    rows = [outcome.row for outcome in completed(generator, data.faces)]
    done = [row for row in rows if isinstance(row, InstructionRecord)]
    assert len(done) > 30
    assert all(row.samples == 0 and "not_looking" in row.flags for row in done)
    assert meter.spent.usd == 0.0
    assert meter.spent.requests == 0
    assert json.loads((tmp_path / "calibration.json").read_text())["witnesses"]["openface"]["human_labels"]["au"] > 5


def test_its_columns_are_named_as_those_of_a_witness(data, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("Bild;smile\n00;1\n01;0\n")
    generator, _, _ = annotators(path, "backend.columns={image: Bild, AU12: smile}")
    found = tables.matched(generator.witnesses[0], data.records)
    assert found.said.answered_N.tolist()[:3] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,AU12\nother.png,1\n", "none of its 1 rows is about a record: the first is about other.png"),
        ("image,notes\n0.png,hello\n", "says nothing about any face"),
        ("AU12,AU6\n1,0\n", "no column says which picture a row is about"),
    ],
)
def test_bad_tables_end_in_one_line_that_names_the_setting(data, tmp_path, text, problem):
    path = tmp_path / "t.csv"
    path.write_text(text)
    generator, _, _ = annotators(path)
    with pytest.raises(UserError, match=r"^backend\.path=") as error:
        generator.learn(data.records, lambda record: None, tmp_path)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["null"], r"backend\.path=None: names no file"),
        (["missing.csv"], r"backend\.path=missing\.csv: neither a table nor a finished run"),
        (["x", "generator=emovit", "backend=table"], r"backend=table: a table labels faces"),
        (["x", "+backend@second=simulated"], "second=given: a second annotator is asked by stopping=value alone"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(words, message):
    with pytest.raises(UserError, match=message):
        annotators(*words)


def test_an_estimate_says_that_nobody_is_asked(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pilot, "FEWEST", 5)
    cfg = composed("generate", ["backend=table", f"backend.path={table_of(data, tmp_path / 't.csv')}"])
    table = from_settings.table_of(build(cfg.backend))

    def ask(vlm):
        return from_settings.generator(build, cfg, vlm, table=table)

    faces = {face.record.id: face for face in data.faces}
    text = dry_run(ask, data.records, lambda record: faces[record.id], build(cfg.backend))
    assert "nobody is asked" in text
