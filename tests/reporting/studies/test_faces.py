"""Figure 6: faces side by side, chosen by a rule, and what a hostile answer can do."""

from pathlib import Path

from PIL import Image

from seke.core.records import Labels, Prediction, write_jsonl
from seke.core.runs import Run
from seke.reporting.studies.faces import choose, claims

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
