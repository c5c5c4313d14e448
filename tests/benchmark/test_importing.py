"""Answers made elsewhere: JSON Lines and CSV, mapped or not; what cannot be a label is unanswered and counted."""

import json
from pathlib import Path

import pytest

from seke.affect import ACTION_UNITS
from seke.benchmark.answer import Answer
from seke.benchmark.importing import read
from seke.errors import UserError
from seke.records import Labels, write_jsonl

IDS = {"a", "b", "c"}


def csv_file(folder: Path, *lines: str) -> Path:
    (folder / "p.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "p.csv"


def json_file(folder: Path, *rows: object) -> Path:
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "p.jsonl"


def units(*active: int) -> dict[int, bool]:
    return {au: au in active for au in ACTION_UNITS}


def test_our_own_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    rows = [Answer(id="a", text="She is sad.", model="m"), Answer(id="b", labels=Labels(valence=0.5), status="ok")]
    write_jsonl(tmp_path / "p.jsonl", rows)
    assert read(tmp_path / "p.jsonl", IDS) == ({row.id: row for row in rows}, ())


def test_a_csv_whose_columns_are_called_as_ours_needs_no_mapping(tmp_path: Path) -> None:
    found = read(csv_file(tmp_path, "id,text,other", '"a","She is sad, or\nso.",1', "b,,2"), IDS)
    assert {id_: answer.text for id_, answer in found.answers.items()} == {"a": "She is sad, or\nso.", "b": ""}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_texts_are_found_by_the_mapping(tmp_path: Path, kind: str) -> None:
    file = (
        csv_file(tmp_path, "name,response", "a,Valence is 0.2.")
        if kind == "csv"
        else json_file(tmp_path, {"name": "a", "response": "Valence is 0.2."})
    )
    found = read(file, IDS, {"id": "name", "text": "response", "valence": None})
    assert found.answers == {"a": Answer(id="a", text="Valence is 0.2.")}


def test_labels_are_found_by_the_mapping_in_the_words_of_others(tmp_path: Path) -> None:
    lines = ("file,emotion,v,a,aus", 'a,Happy,0.5,-0.25,"AU06, AU12"', "b,surprise,,,none", 'c,,,,"1 4"')
    fields = {"id": "file", "expression": "emotion", "valence": "v", "arousal": "a", "action_units": "aus"}
    found = read(csv_file(tmp_path, *lines), IDS, fields)
    assert [found.answers[id_].labels for id_ in "abc"] == [
        Labels(expression="happiness", valence=0.5, arousal=-0.25, action_units=units(6, 12)),
        Labels(expression="surprise", action_units=units()),
        Labels(action_units=units(1, 4)),
    ]
    assert found.remarks == ()


def test_action_units_may_have_a_column_each_and_the_others_stay_unknown(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "id,AU01,AU02,AU04", "a,1,0,", "b,0.0,true,7")
    found = read(file, IDS, {"id": "id", "action_units": {1: "AU01", 2: "AU02", 4: "AU04"}})
    assert found.answers["a"].labels.action_units == {1: True, 2: False}
    assert found.answers["b"].labels.action_units == {1: False, 2: True}
    assert found.remarks == ("1 x action unit that is neither 0 nor 1: unanswered",)


def test_labels_out_of_range_are_unanswered_never_clipped_and_counted(tmp_path: Path) -> None:
    fields = {"id": "id", "expression": "e", "valence": "v", "arousal": "a", "action_units": "u"}
    rows = [
        {"id": "a", "e": "bored", "v": 1.01, "a": "high", "u": [1, 27, 99]},
        {"id": "b", "e": None, "v": -7, "a": float("nan"), "u": [27]},
    ]
    found = read(json_file(tmp_path, *rows), IDS, fields)
    assert found.answers["a"].labels == Labels(action_units=units(1))
    assert found.answers["b"].labels == Labels()
    assert found.remarks == (
        "3 x action unit that is none of the 17: unanswered",
        "1 x arousal that is no number: unanswered",
        "1 x expression that is none of the eight: unanswered",
        "2 x valence out of [-1, 1]: unanswered",
    )


def test_the_same_holds_for_labels_in_our_own_rows(tmp_path: Path) -> None:
    row = {"id": "a", "labels": {"expression": "fear", "valence": 2.0, "action_units": {"1": True, "3": True}}}
    found = read(json_file(tmp_path, row), IDS)
    assert found.answers["a"].labels == Labels(expression="fear", action_units={1: True})
    assert len(found.remarks) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "a"}, {"id": "a"}], "id 'a' is answered twice"),
        ([{"id": "z"}], "id 'z' is not among the records"),
        ([{"id": 5}], "line 1: field id"),
        ([[1]], "line 1: no JSON object"),
        ([], "holds no row"),
        ([{"id": "z" * 50_000}], "id 'z{80}...' is not among the records"),
        ([{"id": "a", "status": "odd", "labels": {}}], "line 1: field status"),
    ],
)
def test_a_broken_doubled_or_unknown_row_is_refused(tmp_path: Path, rows, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(json_file(tmp_path, *rows), IDS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": "id"}, "does not say where"),
        ({"text": "text"}, "does not say where"),
        ({"id": "id", "text": "text", "valence": "v"}, "maps a text and labels"),
        ({"id": "id", "aus": "u"}, "predictions_fields.aus=u: no such field"),
        ({"id": "nr", "text": "text"}, "no 'nr' among id, text"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path: Path, fields, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(csv_file(tmp_path, "id,text", "a,x"), IDS, fields)


def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another number of cells"):
        read(csv_file(tmp_path, "id,text", "a"), IDS)
    with pytest.raises(UserError, match="no id in 'id'"):
        read(csv_file(tmp_path, "id,text", ",x"), IDS)
    (tmp_path / "p.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no JSON Lines in UTF-8"):
        read(tmp_path / "p.jsonl", IDS)
    (tmp_path / "p.jsonl").write_text("id,text\n")
    with pytest.raises(UserError, match="no JSON Lines"):
        read(tmp_path / "p.jsonl", IDS)


@pytest.mark.parametrize("header", ["file,response", "ID,Text", "id,said", "text"])
def test_a_csv_of_other_columns_names_them_and_the_mapping_that_would_help(tmp_path: Path, header: str) -> None:
    cells = ",".join("x" for _ in header.split(","))
    with pytest.raises(UserError) as told:
        read(csv_file(tmp_path, header, cells), IDS)
    assert str(told.value).startswith(
        f"predictions={tmp_path / 'p.csv'}: has the columns {', '.join(header.split(','))},"
    )
    assert 'predictions_fields="{id: ..., text: ...}"' in str(told.value)


def test_blanks_around_a_columns_name_and_lines_before_it_do_not_count(tmp_path: Path) -> None:
    assert read(csv_file(tmp_path, "", " id, text ", "a,x"), IDS).answers == {"a": Answer(id="a", text="x")}


@pytest.mark.parametrize("lines", [[], ["id,text"]], ids=["nothing", "header alone"])
def test_a_csv_without_a_row_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(UserError, match="holds no row"):
        read(csv_file(tmp_path, *lines), IDS)


def test_a_column_named_twice_is_refused_whichever_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: 2 columns are called 'text'"):
        read(csv_file(tmp_path, "id,text,text", "a,x,y"), IDS)
    assert read(csv_file(tmp_path, "id,text,,", "a,x,,"), IDS).answers["a"].text == "x", "nameless ones are no matter"


def test_broken_json_is_told_by_its_line_in_the_file(tmp_path: Path) -> None:
    rows = [json.dumps({"id": id_}) for id_ in "abc"]
    for broken, said in (
        ('{"id": "d", ', r"line 4: no JSON Lines \(.* at character \d+\)"),
        ("[" * 99_999, "line 4: "),
    ):
        (tmp_path / "p.jsonl").write_text("\n".join([*rows, broken]) + "\n")
        with pytest.raises(UserError, match=said):
            read(tmp_path / "p.jsonl", IDS)


def test_a_text_of_null_says_nothing_mapped_or_not(tmp_path: Path) -> None:
    file = json_file(tmp_path, {"id": "a", "text": None})
    assert read(file, IDS) == read(file, IDS, {"id": "id", "text": "text"}) == ({"a": Answer(id="a")}, ())


def test_a_cell_that_is_too_long_tells_of_quotes_and_of_the_limit(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"line 2: no CSV \(.*close all quotes; a cell holds at most 131,072 characters"
    ):
        read(csv_file(tmp_path, "id,text", "a," + "x" * 131_073), IDS)
