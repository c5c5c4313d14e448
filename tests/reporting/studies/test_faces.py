"""Figure 6: faces side by side, chosen by a rule, and what a hostile answer can do."""

import re
from pathlib import Path

import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels, Origins, Prediction, Turn, Uncertainty, write_jsonl
from seke.core.runs import Run
from seke.reporting.studies.faces import SideBySide, annotations, choose, claims

from ..experiments import compiled, evaluation, predictions, record


def prediction(id_: str, labels: Labels, truth: Labels, source: str = "disfa") -> Prediction:
    return Prediction(
        id=id_, source=source, subject=None, text="", judged=None, labels=labels, truth=truth, status="ok"
    )


def faces(outputs: Path) -> None:
    folder = outputs / "prepare" / "faces"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (32, 32), (200, 150, 120)).save(folder / "images" / "a.png")
    write_jsonl(folder / "test.jsonl", [record(row.id, row.source, row.truth) for row in predictions(1.0)])
    Run(folder, {}, {}).finish(image_root="images")


def test_faces_are_those_on_which_the_models_differ_most_whoever_is_ahead() -> None:
    happy, sad = Labels(expression="happiness"), Labels(expression="sadness")
    said = {
        "A": {id_: prediction(id_, happy, happy) for id_ in ("a", "b", "c")},
        "B": {"a": prediction("a", happy, happy), "b": prediction("b", sad, happy), "c": prediction("c", happy, happy)},
    }
    assert choose(said, ["a", "b", "c"], 1) == ["b"]
    assert choose(dict(reversed(said.items())), ["a", "b", "c"], 1) == ["b"]


def test_faces_with_the_most_descriptions_come_first_and_sources_take_turns() -> None:
    full, bare = Labels(expression="fear", valence=0.1, arousal=0.2), Labels(expression="fear")
    rows = {
        "a": prediction("a", full, bare), "b": prediction("b", full, full), "c": prediction("c", full, full),
        "d": prediction("d", full, full, "bp4d"),
    }  # fmt: skip
    assert choose({"A": rows, "B": rows}, list(rows), 4) == ["b", "d", "c"]


def test_valence_is_right_within_a_fifth_and_a_missed_action_unit_is_wrong() -> None:
    truth = Labels(expression="fear", valence=0.5, arousal=0.5, action_units={1: True, 4: True, 12: False})
    said = Labels(expression="anger", valence=0.3, arousal=0.2, action_units={1: True, 12: True, 26: True})
    found = {claim.text: claim.verdict for claim in claims(prediction("a", said, truth))}
    assert found == {
        "anger": "wrong", "valence +0.30": "right", "arousal +0.20": "wrong", "AU1": "right", "AU4 missed": "wrong",
        "AU12": "wrong", "AU26": "unknown",
    }  # fmt: skip


def test_models_stand_side_by_side_and_an_answers_script_is_text(tmp_path: Path) -> None:
    faces(tmp_path)
    for cell, skill in {"emovit": 0.2, "feid": 0.9}.items():
        evaluation(tmp_path, f"table3-{cell}", skill)
    made = compiled(tmp_path, "figure6").sections[0]
    page = (tmp_path / "report" / "figure6.html").read_text(encoding="utf-8")
    for text in (page, made.markup):
        assert "<script" not in text and "&lt;script&gt;" in text
        assert text.count("<article") == 4 and 'class="right"' in text and 'class="wrong"' in text
        assert "data:image/webp;base64," in text
    assert made.missing == ("evaluate/table3-merr_fine: not run",)
    shares = [row.cells["all"].value for row in made.tables[0].rows]
    assert shares[0] < shares[1], "the chosen faces do not stand for all: their shares stand beside"
    assert (tmp_path / "report" / "figures" / "figure6.png").stat().st_size > 10_000


def test_pictures_that_are_gone_are_told_and_do_not_stop_the_figure(tmp_path: Path) -> None:
    for cell, skill in {"emovit": 0.2, "feid": 0.9}.items():
        evaluation(tmp_path, f"table3-{cell}", skill)
    made = compiled(tmp_path, "figure6").sections[0]
    assert "no picture" in made.markup
    assert made.panels


def test_where_nothing_is_known_the_faces_are_those_on_which_two_models_differ_most() -> None:
    happy, sad, unknown = Labels(expression="happiness"), Labels(expression="sadness"), Labels()
    said = {
        "A": {id_: prediction(id_, happy, unknown) for id_ in ("a", "b")},
        "B": {id_: prediction(id_, happy, unknown) for id_ in ("a", "b")},
        "C": {"a": prediction("a", happy, unknown), "b": prediction("b", sad, unknown)},
    }
    assert choose(said, ["a", "b"], 1) == ["b"]


def instruction(id_: str, expression: str, valence: float, flags: tuple[str, ...] = ()) -> InstructionRecord:
    """An annotation of a face whose action units people gave and whose other labels were generated."""
    units = {1: True, 4: False}
    return InstructionRecord(
        id=id_, image="a.png", source="disfa", subject="S1",
        conversations=(
            Turn(speaker="human", value="<image>\nWhat?"),
            Turn(speaker="gpt", value=f"It is {expression}, AU1 <script>alert(1)</script>."),
        ),
        labels=Labels(expression=expression, valence=valence, arousal=0.0, action_units=units),
        origin=Origins(
            expression="generated", valence="generated", arousal="generated",
            action_units={str(au): "manual" for au in units},
        ),
        uncertainty=Uncertainty(), samples=1, annotator="m", flags=flags,
    )  # fmt: skip


def annotated(outputs: Path, cells: dict[str, list[InstructionRecord]], truth: bool) -> None:
    human = Labels(action_units={1: True, 4: False})
    folder = outputs / "prepare" / "faces"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (32, 32), (200, 150, 120)).save(folder / "images" / "a.png")
    write_jsonl(folder / "train.jsonl", [record(id_, "disfa", human, "train") for id_ in "abc"])
    if truth:
        whole = Labels(expression="fear", valence=-0.5, arousal=0.1, action_units={1: True, 4: False})
        write_jsonl(folder / "truth.jsonl", [record(id_, "disfa", whole, "train") for id_ in "abc"])
    Run(folder, {}, {}).finish(image_root="images")
    for cell, rows in cells.items():
        path = outputs / "generate" / f"table4-{cell}"
        path.mkdir(parents=True)
        write_jsonl(path / "instructions.jsonl", rows)
        Run(path, {"name": path.name, "records": "faces"}, {}).finish()


def test_an_annotation_claims_what_the_method_made_and_says_what_people_gave() -> None:
    truth = Labels(expression="anger", action_units={1: True, 4: True})
    found = [(claim.text, claim.origin, claim.verdict) for claim in annotations(instruction("a", "fear", 0.5), truth)]
    assert found == [
        ("fear", "generated", "wrong"), ("valence +0.50", "generated", "unknown"),
        ("arousal +0.00", "generated", "unknown"), ("AU1", "manual", "right"), ("AU4 missed", "manual", "wrong"),
    ]  # fmt: skip


def test_methods_of_annotation_stand_side_by_side_and_are_judged_by_what_they_made(tmp_path: Path) -> None:
    good = [instruction(id_, "fear", -0.5) for id_ in "abc"]
    one_wrong = [good[0], instruction("b", "anger", 0.9), instruction("c", "anger", 0.9, ("pilot",))]
    annotated(tmp_path, {"blind": one_wrong, "both": good}, truth=True)
    made = compiled(tmp_path, "appendix_d", runs="table4").sections[0]
    assert made.missing == ("generate/table4-plain: not run", "generate/table4-calibrated: not run")
    shares = {row.label: {key: cell.value for key, cell in row.cells.items()} for row in made.tables[0].rows}
    # a and b: the pilot's face is nobody's to be judged by; of b blind has the arousal right alone.
    assert shares["SEKE"] == {"all": 1.0, "b": 1.0, "a": 1.0}
    assert shares["Not looking"] == {"all": pytest.approx(2 / 3), "b": pytest.approx(1 / 3), "a": 1.0}
    page = (tmp_path / "report" / "appendix_d.html").read_text(encoding="utf-8")
    for text in (page, made.markup):
        assert "<script" not in text and "&lt;script&gt;" in text
        assert text.count("<article") == 2
        given = re.search(r'<span class="chip manual"><span class="unseen">manual </span>AU1(.*?)</td>', text)
        assert given and "mark" not in given[1], "what people gave is not judged"
        assert "human labels: AU1" in text and "truth: fear, valence -0.50".replace("-", "−") in text
        assert "data:image/webp;base64," in text


def test_the_methods_columns_stand_beside_one_another_below_the_same_face(tmp_path: Path, opened) -> None:
    annotated(tmp_path, {"blind": [instruction("a", "fear", -0.5)], "both": [instruction("a", "anger", 0.9)]}, True)
    compiled(tmp_path, "appendix_d", runs="table4")
    page = opened(tmp_path / "report" / "appendix_d.html", ".together")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        blind, both = (cell.bounding_box() for cell in page.locator(".together tbody tr").first.locator("td").all())
        assert blind["y"] == both["y"] and blind["x"] + blind["width"] <= both["x"] < width
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_a_truth_annotations_are_shown_where_they_differ_and_not_judged(tmp_path: Path) -> None:
    annotated(
        tmp_path,
        {
            "blind": [instruction("a", "fear", -0.5), instruction("b", "anger", 0.9)],
            "both": [instruction("a", "fear", -0.5), instruction("b", "fear", -0.5)],
        },
        truth=False,
    )
    made = compiled(tmp_path, "appendix_d", runs="table4").sections[0]
    assert made.markup.index("<h4>b</h4>") < made.markup.index("<h4>a</h4>")
    assert "truth:" not in made.markup and 'class="wrong"' not in made.markup
    assert all(cell.value is None for row in made.tables[0].rows for cell in row.cells.values())


def test_runs_of_another_command_are_refused() -> None:
    with pytest.raises(UserError, match=r"study\.stage=train: no such runs to show; set evaluate or generate"):
        SideBySide("x", "x", {}, stage="train")
