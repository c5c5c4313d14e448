"""Scenes in the report: emotions and marks have tables of their own, beside chance, and none of faces stays empty."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from seke.benchmark.scoring.significance import compare
from seke.benchmark.tasks.emoset import EMOTIONS, PAPER_ACCURACY, paired
from seke.core.intervals import Estimate, interval
from seke.reporting.data import scenes as tables
from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import FinishedRun, Outputs
from seke.reporting.data.tables import to_markdown
from seke.reporting.report import Settings, write_report
from seke.reporting.studies.orders import Comparisons, judge_orders
from seke.reporting.studies.runs import read_rows
from seke.reporting.studies.tables import columns, paper_rows

from ..experiments import PAIRED, compiled, evaluation, reasoning, scenes

CELLS = ("emovit", "emovit-base")


def run(outputs: Path, name: str) -> FinishedRun:
    path = outputs / "evaluate" / name
    return FinishedRun("evaluate", name, path, json.loads((path / "manifest.json").read_text()))


@pytest.fixture
def emovit(tmp_path: Path) -> Path:
    scenes(tmp_path, "emovit", 0.7)
    scenes(tmp_path, "emovit-base", 0.1)
    return tmp_path


def test_what_needs_no_model_by_hand() -> None:
    sizes = {f"emotion.classes.{name}.n": Estimate(n) for name, n in {"awe": 6, "fear": 3, "anger": 0}.items()}
    f1 = {"emotion.classes.awe.f1": Estimate(0.9)}
    found = tables.without_a_model({**sizes, **f1})
    assert found == {"emotion.chance": Estimate(1 / 3), "emotion.commonest": Estimate(6 / 9)}
    assert tables.without_a_model({"expression.accuracy": Estimate(0.5)}) == {}


def test_the_papers_figure_is_the_benchmarks() -> None:
    [paper] = paper_rows("emovit.csv", {"EmoVIT": {"dataset": "EmoSet"}})
    assert paper.value("emotion.accuracy").value == pytest.approx(PAPER_ACCURACY)


def test_a_difference_against_resampling_the_pictures_themselves(emovit: Path) -> None:
    found = read_rows(Outputs(emovit), "emovit", {"evaluate": "{cell}"}, dict.fromkeys(CELLS, "Row"))
    whole = Comparisons(compare, partial(compare, pairing=paired))
    [order] = judge_orders(found.lines, [CELLS], columns(["emotion.accuracy", "emotion.f1_macro"]), whole)
    ours, theirs = (tables.answers_by_id(run(emovit, name)) for name in CELLS)
    right_N2 = np.array([[rows[id_].emotion == rows[id_].truth for rows in (ours, theirs)] for id_ in ours], float)
    drawn_BN = np.random.default_rng(1).integers(len(right_N2), size=(4000, len(right_N2)))
    gains_B = np.diff(right_N2[drawn_BN].mean(1))[:, 0] * -1
    accuracy, f1 = order.verdicts
    assert accuracy.gain == pytest.approx(right_N2[:, 0].mean() - right_N2[:, 1].mean())
    expected = interval(gains_B, accuracy.gain, len(right_N2))
    assert [accuracy.low, accuracy.high] == pytest.approx(expected, abs=0.02)
    assert f1.low is not None and f1.low < f1.gain < f1.high


@pytest.mark.parametrize("changed", [{"truth": "awe"}, {"emotion": "joy of another set"}])
def test_pictures_whose_truths_differ_or_whose_answers_are_strange_are_not_compared(
    emovit: Path, rewrite, changed: dict[str, str]
) -> None:
    rewrite(emovit / "evaluate" / "emovit-base" / "predictions.jsonl", lambda row: row.update(changed))
    found = read_rows(Outputs(emovit), "emovit", {"evaluate": "{cell}"}, dict.fromkeys(CELLS, "Row"))
    [order] = judge_orders(found.lines, [CELLS], columns(["emotion.accuracy"]), PAIRED)
    assert "point estimates only" in order.sentence


def test_the_study_stands_beside_chance_and_the_papers_figure_which_is_marked(emovit: Path) -> None:
    [section] = compiled(emovit, "emovit").sections
    rows = {row.label: row for row in section.tables[0].rows}
    tuned, paper = rows["InstructBLIP, Q-Former tuned"], rows["EmoVIT (paper) †"]
    accuracy = tuned.cells["emotion.accuracy"]
    assert isinstance(accuracy, Estimate) and accuracy.low is not None and accuracy.value is not None
    assert accuracy.value > 0.5
    assert tuned.cells["emotion.chance"] == Estimate(1 / 8)
    assert tuned.cells["emotion.commonest"] == Estimate(14 / 60)
    assert paper.reference and paper.cells["emotion.accuracy"].value == pytest.approx(0.8336)
    assert "not comparable with ours: drawn scenes" in section.tables[0].caption
    assert section.findings[0].startswith("InstructBLIP, Q-Former tuned above InstructBLIP, not tuned: holds on ")
    assert "point estimates" not in section.findings[0]


def test_an_evaluation_of_faces_is_not_compared_with_one_of_scenes(emovit: Path) -> None:
    evaluation(emovit, "emovit-faces", 0.5)
    found = read_rows(Outputs(emovit), "emovit", {"evaluate": "{name}-{cell}"}, {"faces": "F", "base": "B"})
    [order] = judge_orders(found.lines, [["base", "faces"]], columns(["emotion.accuracy"]), PAIRED)
    assert order.sentence.endswith("not measured.")


def test_several_seeds_give_mean_and_spread_of_what_varies_alone(tmp_path: Path) -> None:
    for seed in range(3):
        scenes(tmp_path, f"emovit-s{seed}", 0.6, seed)
        scenes(tmp_path, f"emovit-s{seed}-base", 0.1, seed)
    [section] = compiled(tmp_path, "emovit").sections
    of_seeds = [run(tmp_path, f"emovit-s{seed}").scores["emotion.accuracy"].value for seed in range(3)]
    cells = section.tables[0].rows[1].cells
    assert cells["emotion.accuracy"].value == pytest.approx(np.mean(of_seeds))
    assert cells["emotion.accuracy.sd"].value == pytest.approx(np.std(of_seeds, ddof=1))
    keys = [column.key for column in section.tables[0].columns]
    assert "emotion.f1_macro.sd" in keys and "emotion.chance" in keys and "emotion.chance.sd" not in keys
    assert "3 of 3 seeds" in section.findings[0]


def test_wordings_spread_is_told_of_scores_alone(tmp_path: Path) -> None:
    for number in range(8):
        scenes(tmp_path, f"emovit_phrasing-q{number}", number / 10, number)
    [section] = compiled(tmp_path, "emovit_phrasing").sections
    every, *_ = section.findings
    assert every.startswith("All wordings, 8, mean ± sd") and "Emotion acc. %" in every and "chance" not in every


def test_stages_are_judged_one_by_one(tmp_path: Path) -> None:
    skills = {"base": 0.0, "categorical": 0.5, "conversation": 0.3, "reasoning": 0.9, "curriculum": 0.7}
    for cell, skill in skills.items():
        scenes(tmp_path, f"emovit_stages-{cell}", skill)
    said = compiled(tmp_path, "emovit_stages").sections[0].findings
    assert ["(0 lie as expected)" in sentence for sentence in said[:5]] == [False, True, False, False, True]


def test_other_sets_and_faces_are_rows_and_what_was_not_asked_is_told(emovit: Path) -> None:
    scenes(emovit, "emovit-fi", 0.4, pictures=16)
    evaluation(emovit, "emovit-feab", 0.5)
    sets, faces = compiled(emovit, "emovit_cross", runs="emovit").sections
    assert [row.run for row in sets.tables[0].rows] == ["emovit-base", "emovit", "emovit-fi", "paper"]
    assert sets.missing == ("evaluate/emovit-webemo: not run", "evaluate/emovit-emotion6: not run")
    assert faces.tables[0].rows[0].cells["expression.accuracy"].value is not None


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_scenes_has_their_tables_and_none_of_faces(emovit: Path, settings: Settings) -> None:
    reasoning(emovit, "emovit-reasoning", 4, 2)
    written = write_report(emovit, "emovit", None, settings)
    assert [table.name for table in written.main] == ["scenes", "reasoning", "agreement"]
    files = {path.name for path in (written.page.parent / "tables").glob("*.md")}
    assert files == {"scenes.md", "scene_emotions.md", "reasoning.md", "agreement.md"}
    page = written.page.read_text(encoding="utf-8")
    assert 'id="scenes"' in page and 'id="reasoning"' in page
    assert 'id="scores"' not in page and "<h3>Action units" not in page and 'id="cases"' not in page
    assert page.count("Confusion matrix") == 2 and "commonest %" in page
    assert written.nature == "synthetic scenes, simulated judges"
    assert written.notes == tuple(
        f"emovit-reasoning: {judge} is simulated (simulated-{judge}): its marks say nothing of any model"
        for judge in ("mild", "stern")
    )


def test_marks_and_agreement_are_as_measured_and_name_the_judges(tmp_path: Path) -> None:
    reasoning(tmp_path, "r", 4, 2)
    [marked] = runs = named([run(tmp_path, "r")], {})
    row = tables.marks_table(runs, "").rows[0]
    assert row.cells["emotion"].value == 3.0
    assert (row.cells["n"], row.cells["unanswered"]) == (Estimate(10), Estimate(1))
    assert row.cells["judges"] == "mild: simulated-mild; stern: simulated-stern"
    agreed = tables.agreement_table(runs)
    assert agreed and agreed.rows[0].label == f"{marked.words.label}: mild and stern"
    assert (agreed.rows[0].cells["emotion.exact"], agreed.rows[0].cells["evidence.exact"]) == (Estimate(0), Estimate(1))


def test_each_emotion_has_a_row_and_evaluations_of_other_pictures_do_not_compete(emovit: Path) -> None:
    runs = named([run(emovit, name) for name in ("emovit", "emovit-base")], {})
    of_classes = tables.class_table(runs, "")
    assert [row.label for row in of_classes.rows[:-1]] == list(EMOTIONS)
    assert "**" in to_markdown(tables.score_table(runs, ""))
    shutil.rmtree(emovit / "evaluate" / "emovit-base")
    scenes(emovit, "emovit-base", 0.1, pictures=16)
    manifest = emovit / "evaluate" / "emovit-base" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("ab" * 32, "cd" * 32))
    others = named([run(emovit, name) for name in ("emovit", "emovit-base")], {})
    assert "**" not in to_markdown(tables.score_table(others, ""))
    assert "**" not in to_markdown(tables.class_table(others, ""))
