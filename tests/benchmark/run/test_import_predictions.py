"""Answers made elsewhere: JSON Lines and CSV, mapped or not; what cannot be a label is unanswered and counted."""

import json
from pathlib import Path

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.run.import_predictions import read
from seke.benchmark.tasks.feab import Feab
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Turn, Uncertainty, write_jsonl

IDS = {"a", "b", "c"}
FEAB = Feab(question="What?")
SAID = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True, 2: False})
FACE = ImageRecord(id="a", image="a.png", sha256="0", source="disfa", subject="s1", split="test", labels=SAID)
INSTRUCTION = InstructionRecord(
    id="a",
    image="a.png",
    source="disfa",
    subject="s1",
    conversations=(Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value=describe(SAID))),
    labels=SAID,
    origin=Origins(expression="manual"),
    uncertainty=Uncertainty(),
    samples=2,
    annotator="simulated-annotator",
)


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
    assert found.remarks == ("1 x cell of a column with action units that are neither 0 nor 1, such as 7: unanswered",)


def test_labels_out_of_range_are_unanswered_never_clipped_and_counted(tmp_path: Path) -> None:
    fields = {"id": "id", "expression": "e", "valence": "v", "arousal": "a", "action_units": "u"}
    rows = [
        {"id": "a", "e": "bored", "v": 1.01, "a": "high", "u": [1, 27]},
        {"id": "b", "e": None, "v": -7, "a": float("nan"), "u": [27]},
        {"id": "c", "e": None, "v": 0.5, "a": 0.5, "u": [1, 99]},
    ]
    found = read(json_file(tmp_path, *rows), IDS, fields)
    assert found.answers["a"].labels == Labels(action_units=units(1))
    assert found.answers["b"].labels == Labels()
    assert found.answers["c"].labels == Labels(arousal=0.5), "neither half a list, nor a column of two scales"
    assert found.remarks == (
        "2 x action unit that is none of the 17: unanswered",
        "1 x arousal that is no number: unanswered",
        "3 x cell of a column with valence out of [-1, 1], such as 1.01: unanswered",
        "1 x expression that is none of the eight: unanswered",
        "1 x text that is no list of action units: unanswered",
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


SOME = {4: True, 6: True, 12: False}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("{4, 6}", units(4, 6)),
        ("{'AU4', 'AU6'}", units(4, 6)),
        ("('AU4', 'AU6')", units(4, 6)),
        ("array([4, 6])", units(4, 6)),
        ("np.array([4, 6], dtype=int64)", units(4, 6)),
        ("[4 6]", units(4, 6)),
        ("[4.0, 6.0]", units(4, 6)),
        ("4+6C", units(4, 6)),
        ("AU4, R6", units(4, 6)),
        ("AU 4 and AU 6", units(4, 6)),
        ("AU6L AU6R AU4", units(4, 6)),
        ("{'AU4': 1, 'AU6': 1, 'AU12': 0}", SOME),
        ('{"4": true, "6": true, "12": false}', SOME),
        ("AU4: 1, AU6: yes, AU12: no", SOME),
        ("AU4=1; AU6=1; AU12=0", SOME),
        ("AU4 (1), AU6 (1), AU12 (0)", SOME),
        ("AU4, not AU6", None),
        ("AU4: 0.7, AU6: 0.2", None),
        ("AU4 is active", None),
        ("[[4, 6]]", None),
        ("AU3", None),
        ("AU4 AU99", None),
        ("(" * 900, None),
    ],
)
def test_a_cell_of_action_units_is_read_whole_or_not_at_all(tmp_path: Path, cell: str, expected) -> None:
    quoted = cell.replace('"', '""')
    found = read(csv_file(tmp_path, "id,aus", f'a,"{quoted}"'), IDS, {"id": "id", "action_units": "aus"})
    assert found.answers["a"].labels.action_units == expected
    assert bool(found.remarks) == (expected is None)


@pytest.mark.parametrize("vector", ["[0, 1, 0, 1]", "0;1;0;1", "[1 0 0]", "1 1 1", "[0.9, 0.1]", "[True, False]", "0"])
def test_one_vector_shows_that_a_whole_column_holds_vectors(tmp_path: Path, vector: str) -> None:
    lines = ("id,aus", "a,[1]", f'b,"{vector}"', "c,")
    found = read(csv_file(tmp_path, *lines), IDS, {"id": "id", "action_units": "aus"})
    assert [answer.labels for answer in found.answers.values()] == [Labels()] * 3
    assert found.remarks == ("2 x cell of a column with vectors in place of lists of action units: unanswered",)


def test_valence_on_another_scale_is_unanswered_as_a_whole(tmp_path: Path) -> None:
    fields = {"id": "id", "valence": "v", "arousal": "a"}
    found = read(csv_file(tmp_path, "id,v,a", "a,1,0.5", "b,5,-0.5", "c,9,"), IDS, fields)
    labels = [answer.labels for answer in found.answers.values()]
    assert labels == [Labels(arousal=0.5), Labels(arousal=-0.5), Labels()]
    assert found.remarks == ("3 x cell of a column with valence out of [-1, 1], such as 5: unanswered",)


def test_the_scale_of_a_column_shows_in_rows_that_are_not_scored(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "id,v", "a,1", "b,9")
    found = read(file, IDS, {"id": "id", "valence": "v"}, {"a"})
    assert found.answers["a"].labels == Labels()
    assert found.remarks == ("1 x cell of a column with valence out of [-1, 1], such as 9: unanswered",)


@pytest.mark.parametrize("value", [True, False, "1e999", [0.5], {}])
def test_what_is_no_number_is_no_valence(tmp_path: Path, value: object) -> None:
    found = read(json_file(tmp_path, {"id": "a", "v": value}), IDS, {"id": "id", "valence": "v"})
    assert found.answers["a"].labels == Labels() and len(found.remarks) == 1


def test_labels_beside_the_id_are_read_in_json_lines_as_in_a_csv(tmp_path: Path) -> None:
    row = {"id": "a", "expression": "sad", "valence": 0.25, "text": None}
    assert read(json_file(tmp_path, row), IDS).answers["a"].labels == Labels(expression="sadness", valence=0.25)
    empty = csv_file(tmp_path, "id,text,expression", "a,,sad", "b,,")
    assert read(empty, IDS).answers["a"] == Answer(id="a", labels=Labels(expression="sadness"))


def test_labels_beside_a_text_are_not_read_and_it_is_said(tmp_path: Path) -> None:
    found = read(csv_file(tmp_path, "id,text,expression", "a,She is sad.,fear", "b,,fear"), IDS)
    assert [answer.text for answer in found.answers.values()] == ["She is sad.", ""]
    assert found.remarks == ("expression beside the texts: not read, labels are read from the texts",)


def test_json_lines_without_anything_that_could_be_an_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has the columns id, response, not id and text"):
        read(json_file(tmp_path, {"id": "a", "response": "She is sad."}), IDS)


def test_a_column_for_an_action_unit_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"predictions_fields\.action_units\.AU99=x: .*none of the 17"):
        read(csv_file(tmp_path, "id,x", "a,1"), IDS, {"id": "id", "action_units": {"AU99": "x"}})


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("neutral to sad", None),
        ("surprise vs fear", None),
        ("happily surprised", None),
        ("Very happy", "happiness"),
        ("happiness 0.9, sadness 0.1", "happiness"),
    ],
)
def test_a_cell_that_names_two_expressions_names_none(tmp_path: Path, cell: str, said: str | None) -> None:
    found = read(csv_file(tmp_path, "id,expression", f'a,"{cell}"'), IDS)
    assert found.answers["a"].labels.expression == said
    assert bool(found.remarks) == (said is None)


@pytest.mark.parametrize("bits", ["000010", "00000000000000010", "0001"])
def test_a_string_of_bits_is_no_number_of_an_action_unit(tmp_path: Path, bits: str) -> None:
    assert read(csv_file(tmp_path, "id,action_units", f"a,{bits}"), IDS).answers["a"].labels == Labels()
    assert read(csv_file(tmp_path, "id,action_units", "a,01"), IDS).answers["a"].labels.action_units == units(1)


@pytest.mark.parametrize("other", ["2.5", "0.4", "5"])
def test_an_intensity_in_one_units_column_shows_what_the_other_columns_are(tmp_path: Path, other: str) -> None:
    fields = {"id": "id", "action_units": {1: "AU01", 12: "AU12"}}
    found = read(csv_file(tmp_path, "id,AU01,AU12", f"a,1,{other}", "b,0,1.00"), IDS, fields)
    assert [answer.labels for answer in found.answers.values()] == [Labels()] * 2
    whole = read(csv_file(tmp_path, "id,AU01,AU12", "a,1.00,0", "b,0.000,1"), IDS, fields)
    assert [answer.labels.action_units for answer in whole.answers.values()] == [
        {1: True, 12: False},
        {1: False, 12: True},
    ]


@pytest.mark.parametrize("other", ["50%", "3/9", "7 of 9", "1_0", "٠.٥"])
def test_a_number_with_a_scale_shows_the_scale_of_the_plain_ones_beside_it(tmp_path: Path, other: str) -> None:
    found = read(csv_file(tmp_path, "id,valence", "a,1", f"b,{other}"), IDS)
    assert [answer.labels.valence for answer in found.answers.values()] == [None, None]
    assert found.remarks == ("2 x cell of a column with valence that is no number: unanswered",)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_spreadsheets_own_marks_and_decimal_commas_are_read(tmp_path: Path, mark: str) -> None:
    lines = ("id,expression,valence", "a,sad,-0.25", "b,,0.5", ",,")
    file = csv_file(tmp_path, *(line.replace(",", mark).replace(".", ",") for line in lines))
    labels = [answer.labels for answer in read(file, IDS).answers.values()]
    assert labels == [Labels(expression="sadness", valence=-0.25), Labels(valence=0.5)]


def test_rows_of_json_lines_may_leave_labels_out(tmp_path: Path) -> None:
    found = read(json_file(tmp_path, {"id": "a", "expression": "sad"}, {"id": "b", "valence": 0.5}), IDS)
    assert [answer.labels for answer in found.answers.values()] == [Labels(expression="sadness"), Labels(valence=0.5)]


def test_labels_by_other_names_are_told(tmp_path: Path) -> None:
    found = read(json_file(tmp_path, {"id": "a", "labels": {"emotion": "fear", "valence": 0.5}}), IDS)
    assert found.answers["a"].labels == Labels(valence=0.5)
    assert found.remarks == ("1 x 'emotion' in labels, which is none of ours: not read",)


def test_half_a_character_is_a_broken_row(tmp_path: Path) -> None:
    for row in ({"id": "\ud800", "valence": 0.5}, {"id": "a", "text": "\ud800"}):
        with pytest.raises(UserError, match="line 1: field"):
            read(json_file(tmp_path, row), IDS)


def test_rows_of_predictions_and_of_instructions_are_answers(tmp_path: Path) -> None:
    rows, _ = FEAB.predictions([FACE], {"a": Answer(id="a", text=describe(SAID))}, parse)
    write_jsonl(tmp_path / "predictions.jsonl", rows)
    again, _ = FEAB.predictions([FACE], read(tmp_path / "predictions.jsonl", {"a"}).answers, parse)
    assert again == rows
    write_jsonl(tmp_path / "instructions.jsonl", [INSTRUCTION])
    answer = read(tmp_path / "instructions.jsonl", {"a"}).answers["a"]
    assert (answer.labels, answer.model, answer.text) == (SAID, "simulated-annotator", "")


def test_an_outsiders_row_needs_an_id_and_a_text_only(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "a", "text": describe(SAID), "temperature": 1}) + "\n")
    assert parse(read(tmp_path / "p.jsonl", {"a"}).answers["a"]).labels == SAID


def test_columns_called_as_openface_calls_them_need_no_mapping(tmp_path: Path) -> None:
    found = read(csv_file(tmp_path, "id, AU06_r, AU45_r, AU06_c", "a,2.5,1,1", "b,0,0,0", "c,,,"), IDS)
    assert [found.answers[id_].labels for id_ in "abc"] == [
        Labels(action_units={6: True}, au_intensity={6: 2.5}),
        Labels(action_units={6: False}, au_intensity={6: 0.0}),
        Labels(),
    ]
    only = read(json_file(tmp_path, {"id": "a", "AU06_r": 2.5}, {"id": "b", "AU12_r": 1}), IDS)
    assert [only.answers[id_].labels for id_ in "ab"] == [Labels(au_intensity={6: 2.5}), Labels(au_intensity={12: 1.0})]


def test_intensities_are_mapped_stated_or_kept_in_our_own_rows(tmp_path: Path) -> None:
    expected = {"a": Labels(au_intensity={1: 3.0})}
    mapped = read(csv_file(tmp_path, "id,x", "a,3"), IDS, {"id": "id", "au_intensity": {1: "x"}})
    stated = read(csv_file(tmp_path, "id,au_intensity", "a,\"{'AU1': 3}\""), IDS)
    own = read(json_file(tmp_path, {"id": "a", "labels": {"au_intensity": {"1": 3.0}}}), IDS)
    for found in (mapped, stated, own):
        assert {id_: answer.labels for id_, answer in found.answers.items()} == expected
        assert found.remarks == ()


def test_intensities_on_another_scale_are_unanswered_and_counted(tmp_path: Path) -> None:
    found = read(csv_file(tmp_path, "id,AU01_r,AU12_r", "a,80,3", "b,high,"), IDS)
    assert all(answer.labels.empty for answer in found.answers.values())
    problem = "cell of a column with intensities out of [0, 5], such as 80"
    assert found.remarks == (f"3 x {problem}: unanswered",)
