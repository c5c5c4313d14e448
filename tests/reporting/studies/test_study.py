"""Studies: miniature runs in the stages' own form, and what `experiment=<name>` makes of them."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from seke.benchmark.scoring import subgroups as grouping
from seke.benchmark.scoring.metrics import evaluate
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.records import Labels, write_jsonl
from seke.core.runs import Run
from seke.reporting.data.runs import Outputs
from seke.reporting.data.tables import shown, to_csv, to_markdown
from seke.reporting.studies.orders import MeasureVerdict
from seke.reporting.studies.runs import read_rows, seeds_of
from seke.reporting.studies.study import Cells, Study
from seke.reporting.studies.tables import COLUMNS, paper_rows

from ... import warm
from ..experiments import PAIRED, ROOT, compiled, evaluation, generation, predictions, record

MAIN = ("expression.accuracy", "action_units.f1_mean_14", "valence.mae", "arousal.mae")


def cells(**settings: Any) -> Cells:
    given = {"name": "it", "title": "It", "runs": {"evaluate": "{name}-{cell}"}, "measures": MAIN, **settings}
    return Cells(**given)


def section(tmp_path: Path, part: Cells, name: str = "x") -> Any:
    return Study("It", "Table 0", [part]).compile(Outputs(tmp_path), name, tmp_path / "report", PAIRED).sections[0]


@pytest.fixture
def table4(tmp_path: Path) -> Path:
    """Table 4's tuned models: both parts best, verification alone worse than neither."""
    for cell, skill in {"plain": 0.5, "prior": 0.7, "verify": 0.3, "both": 0.95}.items():
        evaluation(tmp_path, f"table4-{cell}", skill)
    return tmp_path


def test_the_papers_numbers_are_as_printed_and_unknown_ones_are_none() -> None:
    rows = {
        line.key: line for line in paper_rows("table3.csv", {"MAFW": {"dataset": "MAFW"}, "FEID": {"dataset": "FEID"}})
    }
    assert rows["FEID"].value("expression.accuracy").value == pytest.approx(0.694)
    assert rows["FEID"].value("arousal.mae").value == 0.231
    assert rows["MAFW"].value("valence.mae").value is None


def test_a_row_that_the_paper_does_not_have_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"table4.csv has no such row"):
        paper_rows("table4.csv", {"Half": {"prior": "half"}})


def test_our_rows_stand_beside_the_papers_which_are_marked_and_do_not_compete_where_faces_are_synthetic(
    table4: Path,
) -> None:
    table = compiled(table4, "table4").sections[0].tables[0]
    assert [row.label for row in table.rows][3:5] == ["Both", "Neither (paper) †"]
    assert "not comparable with ours: synthetic faces" in table.caption
    assert table.is_best(table.rows[3], table.columns[0])
    assert not any(table.is_best(row, table.columns[0]) for row in table.rows if row.run == "paper")
    both = table.rows[3].cells["expression.accuracy"]
    assert isinstance(both, Estimate) and both.low is not None and both.low <= (both.value or 0)


def test_the_papers_rows_compete_where_nothing_differs(tmp_path: Path) -> None:
    evaluation(tmp_path, "table3-feid", 0.4, notes=())
    table = compiled(tmp_path, "table3").sections[0].tables[0]
    ours, papers = table.rows[0], table.rows[-1]
    assert papers.label == "FEID (paper)"
    assert table.is_best(papers, table.columns[0]) and not table.is_best(ours, table.columns[0])


def test_the_papers_rows_are_left_out_beside_a_few_images(tmp_path: Path) -> None:
    evaluation(tmp_path, "table3-feid", 0.4, notes=())
    metrics = tmp_path / "evaluate" / "table3-feid" / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "n": 9}))
    table = compiled(tmp_path, "table3").sections[0].tables[0]
    assert not any("(paper)" in row.label for row in table.rows)
    assert "9 images: not set beside the paper, which takes 10 or more." in table.caption


def test_an_order_that_came_out_and_one_that_did_not_are_both_told_plainly(table4: Path) -> None:
    found = compiled(table4, "table4").sections[0].findings
    assert found[0].startswith("Both above Prior only: holds on 3 of 4 measures (4 lie as expected): ")
    assert found[3].startswith("SV-UAMC only above Neither: REVERSED on ")
    assert "AGAINST the expectation" in found[3]
    assert found[4].startswith("Of 16 comparisons ") and "chance alone would give 0.4" in found[4]


def test_a_paired_difference_against_the_benchmarks_own_comparison(table4: Path) -> None:
    orders = compiled(table4, "table4").sections[0].tables[1]
    reference = {
        f"{row['task']}.{row['metric']}": row
        for row in PAIRED.faces(predictions(0.95), predictions(0.7), "prior")["metrics"]
    }
    accuracy, error = (orders.rows[0].cells[key] for key in ("expression.accuracy", "valence.mae"))
    assert isinstance(accuracy, Estimate) and isinstance(error, Estimate)
    assert list(accuracy) == pytest.approx(
        [reference["expression.accuracy"]["difference"], *reference["expression.accuracy"]["ci95"]]
    )
    low, high = reference["valence.mae"]["ci95"]
    assert list(error) == pytest.approx([-reference["valence.mae"]["difference"], -high, -low])


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (MeasureVerdict(COLUMNS["valence.mae"], 0.1, 0.05, 0.15, p=0.01, p_holm=0.04), "holds"),
        (MeasureVerdict(COLUMNS["valence.mae"], 0.1, 0.05, 0.15, p=0.01, p_holm=0.06), "within chance"),
        (MeasureVerdict(COLUMNS["valence.mae"], 0.1, each=(0.1, 0.2, 0.1), p=0.01, p_holm=0.3), "within chance"),
        (MeasureVerdict(COLUMNS["valence.mae"], -0.1, -0.2, -0.1, p=0.001, p_holm=0.001), "reversed"),
        (MeasureVerdict(COLUMNS["valence.mae"], 0.1), "not tested"),
        (MeasureVerdict(COLUMNS["valence.mae"], None), "not measured"),
    ],
)
def test_a_gain_holds_only_where_it_is_significant_among_all_of_its_table(
    verdict: MeasureVerdict, outcome: str
) -> None:
    assert verdict.outcome == outcome


def test_predictions_that_do_not_read_leave_the_point_estimates(table4: Path) -> None:
    (table4 / "evaluate" / "table4-both" / "predictions.jsonl").write_bytes(b"\xff")
    made = compiled(table4, "table4").sections[0]
    assert "Both above Prior only" in made.findings[0] and "point estimates only" in made.findings[0]


def test_several_seeds_give_mean_standard_deviation_and_count(tmp_path: Path) -> None:
    values = []
    for seed in range(3):
        evaluation(tmp_path, f"x-s{seed}-a", 0.6, seed)
        values.append(evaluate(predictions(0.6, seed), draws=1)["expression"]["accuracy"])
    made = section(tmp_path, cells(rows={"a": "A"}))
    row = made.tables[0].rows[0].cells
    mean = sum(values) / 3
    assert row["expression.accuracy"].value == pytest.approx(mean)
    assert row["expression.accuracy.sd"].value == pytest.approx((sum((v - mean) ** 2 for v in values) / 2) ** 0.5)
    assert row["seeds"].value == 3
    assert row["expression.accuracy"].low is None


def test_an_order_over_seeds_says_in_how_many_of_them_it_holds(tmp_path: Path) -> None:
    for seed, skill in enumerate((0.9, 0.9, 0.1)):
        evaluation(tmp_path, f"x-s{seed}-a", skill, seed)
        evaluation(tmp_path, f"x-s{seed}-b", 0.5, seed)
    made = section(tmp_path, cells(rows={"a": "A", "b": "B"}, expect=[["a", "b"]]))
    assert "2 of 3 seeds), within chance" in made.findings[0]
    assert "In 0 of 4 comparisons all seeds lie as expected, where chance alone would give 0.5" in made.findings[2]


def test_a_run_of_a_longer_name_is_no_seed(tmp_path: Path) -> None:
    for name in ("x-s0-a", "x-s10-a", "x-s2-a", "x-single", "xx-s7-a"):
        (tmp_path / "evaluate" / name).mkdir(parents=True)
    assert seeds_of(tmp_path, "x", {"evaluate": ""}) == ("x-s0", "x-s2", "x-s10")
    assert seeds_of(tmp_path, "y", {"evaluate": ""}) == ("y",)


def test_a_run_without_a_seed_beside_several_seeds_is_left_out_and_told(tmp_path: Path) -> None:
    for name in ("x-s0-a", "x-s1-a", "x-a"):
        evaluation(tmp_path, name, 0.5)
    made = section(tmp_path, cells(rows={"a": "A"}))
    assert made.missing == ("evaluate/x-a: left out, it has no seed in its name and others have",)
    assert made.tables[0].rows[0].run == "x-s0-a x-s1-a"


def test_missing_failed_and_unreadable_cells_are_listed_with_their_reason(tmp_path: Path) -> None:
    for name in ("x-a", "x-b", "x-c"):
        evaluation(tmp_path, name, 0.5)
    (tmp_path / "evaluate" / "x-b" / "manifest.json").unlink()
    (tmp_path / "evaluate" / "x-c" / "metrics.json").write_text("{", encoding="utf-8")
    made = section(tmp_path, cells(rows=dict.fromkeys("abcd", "Row"), expect=[["a", "d"]]))
    assert made.missing[0] == "evaluate/x-b: failed or not finished"
    assert "evaluate/x-c: " in made.missing[1] and "metrics.json is not" not in made.missing[0]
    assert made.missing[2] == "evaluate/x-d: not run"
    assert made.findings == ("Row above Row: not judged, a run is missing.",)
    assert len(made.tables[0].rows) == 1


def test_a_study_without_one_finished_run_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name=table4: no finished run of this experiment"):
        compiled(tmp_path, "table4")


def test_an_order_about_an_unknown_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study.expect=z"):
        section(tmp_path, cells(rows={"a": "A"}, expect=[["a", "z"]]))


def test_a_row_by_task_reads_each_task_from_its_own_cell(tmp_path: Path) -> None:
    for cell, skill in {"all": 0.9, "expression": 0.7, "va": 0.4, "au": 0.2}.items():
        evaluation(tmp_path, f"figure4-{cell}", skill)
    made = compiled(tmp_path, "figure4", drawn=True).sections[0]
    single = made.tables[0].rows[1].cells
    expected = {"expression": 0.7, "valence": 0.4, "arousal": 0.4}
    for key, skill in expected.items():
        metric = "accuracy" if key == "expression" else "mae"
        assert single[f"{key}.{metric}"].value == pytest.approx(evaluate(predictions(skill), draws=1)[key][metric])
    assert "(95 %" in made.findings[0], "paired, task by task"
    assert (tmp_path / "report" / "figures" / "figure4_radar.png").stat().st_size > 10_000
    assert "only one: Expression acc. 0.7" in made.panels[0].alt


def test_a_row_of_a_source_is_about_its_faces_alone(tmp_path: Path) -> None:
    evaluation(tmp_path, "x-a", 0.5)
    found = read_rows(Outputs(tmp_path), "x", {"evaluate": "{name}-{cell}"}, {"a": {"label": "A", "source": "disfa"}})
    own = evaluate([row for row in predictions(0.5) if row.source == "disfa"], draws=50)
    value = found.lines[0].value("expression.accuracy")
    assert value.value == pytest.approx(own["expression"]["accuracy"])
    assert [value.low, value.high] == pytest.approx(own["ci95"]["expression"]["accuracy"])


def labelled(outputs: Path, name: str, skill: float, faces: slice = slice(None), seed: int = 0) -> None:
    """An evaluation of some of the faces alone, as a run with a pilot leaves behind."""
    evaluation(outputs, name, skill, seed)
    folder = outputs / "evaluate" / name
    rows = predictions(skill, seed)[faces]
    write_jsonl(folder / "predictions.jsonl", rows)
    (folder / "metrics.json").write_text(json.dumps(evaluate(rows, draws=50)), encoding="utf-8")


def test_a_gain_over_the_control_is_the_benchmarks_own_comparison_on_the_shared_faces(tmp_path: Path) -> None:
    labelled(tmp_path, "x-blind", 0.5)
    labelled(tmp_path, "x-a", 0.9)
    labelled(tmp_path, "x-b", 0.7, slice(12, None))
    rows = {"blind": "Not looking", "a": "A", "b": "B"}
    made = section(tmp_path, cells(rows=rows, control="blind")).tables[0]
    assert [column.key for column in made.columns][:2] == ["expression.accuracy", "expression.accuracy.gain"]
    for row, faces, skill in zip(made.rows[1:], (slice(None), slice(12, None)), (0.9, 0.7), strict=True):
        found = PAIRED.faces(predictions(skill)[faces], predictions(0.5)[faces], "x-blind")["metrics"]
        reference = {f"{each['task']}.{each['metric']}": each for each in found}
        gain, error = (row.cells[f"{key}.gain"] for key in ("expression.accuracy", "valence.mae"))
        assert list(gain) == pytest.approx(
            [reference["expression.accuracy"]["difference"], *reference["expression.accuracy"]["ci95"]]
        )
        assert error.value == pytest.approx(-reference["valence.mae"]["difference"]) and error.value > 0
    assert made.rows[0].cells["expression.accuracy.gain"] == ""
    assert made.caption.endswith("Pictures that both scored: 36 to 48.") and "Gain: over Not looking" in made.caption
    assert "| A | " in to_markdown(made) and "| +" in to_markdown(made)


def test_gains_over_seeds_are_the_mean_of_the_seeds(tmp_path: Path) -> None:
    values = []
    for seed in range(3):
        evaluation(tmp_path, f"x-s{seed}-a", 0.9, seed)
        evaluation(tmp_path, f"x-s{seed}-blind", 0.5, seed)
        a, b = (evaluate(predictions(skill, seed), draws=1)["valence"]["mae"] for skill in (0.9, 0.5))
        values.append(b - a)
    made = section(tmp_path, cells(rows={"blind": "Not looking", "a": "A"}, control="blind")).tables[0]
    assert made.rows[1].cells["valence.mae.gain"].value == pytest.approx(sum(values) / 3)


def test_without_its_control_a_table_has_no_gains_and_says_that_it_was_not_run(tmp_path: Path) -> None:
    evaluation(tmp_path, "x-a", 0.9)
    made = section(tmp_path, cells(rows={"blind": "Not looking", "a": "A"}, control="blind"))
    assert [column.key for column in made.tables[0].columns] == list(MAIN)
    assert made.missing == ("evaluate/x-blind: not run",)
    with pytest.raises(UserError, match=r"study.control=nobody: no row of that name; choose from a"):
        section(tmp_path, cells(rows={"a": "A"}, control="nobody"))


def test_seen_and_unseen_sources_are_compared_on_the_sources_faces(tmp_path: Path) -> None:
    evaluation(tmp_path, "cross_dataset-with-all", 0.9)
    evaluation(tmp_path, "cross_dataset-without-disfa", 0.4)
    made = compiled(tmp_path, "cross_dataset", drawn=True).sections[0]
    [sentence] = [text for text in made.findings if text.startswith("DISFA, seen above DISFA, never seen")]
    assert " of 4 measures (4 lie as expected)" in sentence and "(95 %" in sentence
    assert "DISFA: seen " in made.panels[0].alt and "never seen" in made.panels[0].alt


@pytest.mark.parametrize(("usd", "axis"), [(None, "requests"), (1.5, "US$")])
def test_a_sweep_joins_quality_and_cost_in_dollars_or_else_requests(
    tmp_path: Path, usd: float | None, axis: str
) -> None:
    for n, skill in {2: 0.5, 5: 0.8, 10: 0.9}.items():
        evaluation(tmp_path, f"sweep_n-labels-n{n}", skill)
        generation(tmp_path, f"sweep_n-n{n}", 100 * n, usd)
    made = compiled(tmp_path, "sweep_n", drawn=True).sections[0]
    row = made.tables[0].rows[0].cells
    assert row["cost.requests"].value == 2000
    assert row["cost.usd"].value == (None if usd is None else 15.0)
    assert f"over {axis} per 1,000 images" in made.panels[0].alt
    assert any(text.startswith("N = 10 above N = 2: holds") for text in made.findings)
    assert "N = 3 above N = 2: not judged, a run is missing." in made.findings
    assert "N = 2 above N = 1: not judged, a run is missing." in made.findings


@pytest.mark.parametrize("seeds", [("",), ("-s0", "-s1")])
def test_a_generation_without_draws_has_no_number_of_draws(tmp_path: Path, seeds: tuple[str, ...]) -> None:
    for seed, (cell, samples) in product(seeds, {"plain": 0.0, "both": 3.5}.items()):
        evaluation(tmp_path, f"table4{seed}-labels-{cell}", 0.5)
        generation(tmp_path, f"table4{seed}-{cell}", 100)
        file = tmp_path / "generate" / f"table4{seed}-{cell}" / "cost.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "mean_samples": samples}))
    table = compiled(tmp_path, "table4").sections[1].tables[0]
    assert [shown(row.cells["cost.mean_samples"], COLUMNS["cost.mean_samples"]) for row in table.rows] == [
        "no draws", "3.50",
    ]  # fmt: skip
    assert "| no draws |" in to_markdown(table) and ",no draws," in to_csv(table)


def test_wordings_spread_is_told_in_a_sentence(tmp_path: Path) -> None:
    for question, skill in enumerate((0.5, 0.7, 0.9)):
        evaluation(tmp_path, f"phrasing-q{question}", skill)
    made = compiled(tmp_path, "phrasing").sections[0]
    scores = [100 * evaluate(predictions(skill), draws=1)["expression"]["accuracy"] for skill in (0.5, 0.7, 0.9)]
    assert made.findings[0].startswith(
        f"Wordings, 3, mean ± sd (least to most): Expression acc. % {sum(scores) / 3:.1f} ±"
    )
    assert f"({min(scores):.1f} to {max(scores):.1f})" in made.findings[0]


def test_groups_have_a_table_with_their_gap_and_a_sentence(tmp_path: Path) -> None:
    evaluation(tmp_path, "fairness-model", 0.6)
    rows = predictions(0.6)
    records = [record(row.id, row.source, row.truth) for row in rows]
    path = tmp_path / "evaluate" / "fairness-model" / "metrics.json"
    found = grouping.by_group(rows, records, ["source"], draws=50, fewest=10)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"groups": found}), encoding="utf-8")
    made = compiled(tmp_path, "fairness").sections[0]
    assert [row.label for row in made.tables[0].rows] == ["aff_wild2", "ck_plus", "disfa", "Largest gap"]
    assert made.tables[0].rows[-1].cells["Valence MAE"].value == found["source"]["gaps"]["Valence MAE"]["gap"]
    assert made.findings[0].startswith("A tuned model, largest gaps by source: Expression acc. ")
    assert "p = 1.000, within chance" in made.findings[0]
    assert made.missing == ("evaluate/fairness-labels: not run",)


def test_images_are_counted_as_table_1_does(tmp_path: Path) -> None:
    folder = tmp_path / "prepare" / "table1"
    folder.mkdir(parents=True)
    for split, count in {"train": 3, "validation": 2, "test": 1}.items():
        rows = [record(f"{split}{number}", "disfa", Labels(), split) for number in range(count)]
        write_jsonl(folder / f"{split}.jsonl", rows)
    Run(folder, {}, {}).finish()
    made = {row.label: row.cells for row in compiled(tmp_path, "table1").sections[0].tables[0].rows}
    assert (made["DISFA"]["images.train"].value, made["DISFA"]["images.test"].value) == (5, 1)
    assert made["CK+"]["images.train"].value == 0
    assert made["DISFA (paper)"]["images.train"].value == 7001
    assert made["FEAB, all of test (paper)"]["images.train"].value is None


SEKE, SINGLE = "SEKE (UAMC, summary)", "Simple annotation (single pass)"


def masked(outputs: Path, run: str, gain: float, accuracy: float = 0.8, units: str = "AU F1") -> None:
    """What figure5.py leaves of one seed: SEKE, to which differences are taken, and a single pass that gains `gain`."""

    def row(method: str, gain: float | None) -> dict[str, Any]:
        measures = ("Expression accuracy", units, "Valence 1-MAE", "Arousal 1-MAE")
        cost = {"requests": 1000.0, "input_tokens": 1e6, "output_tokens": 1e4, "usd": 2.6}
        return {
            "method": method, "n": 9, "quality": {name: [accuracy, 0.7, 0.9] for name in measures}, "per_1000": cost,
            "difference": None if gain is None else {name: [gain, gain - 0.01, gain + 0.01] for name in measures},
            "p": {"difference": dict.fromkeys(measures, 0.001)}, "subjects": dict.fromkeys(measures, 9),
        }  # fmt: skip

    folder = outputs / "figure5" / run
    folder.mkdir(parents=True)
    (folder / "rows.json").write_text(json.dumps([row(SEKE, None), row(SINGLE, gain)]), encoding="utf-8")


def test_figure_5_is_shown_and_judged_by_its_own_paired_differences(tmp_path: Path) -> None:
    masked(tmp_path, "figure5", gain=-0.2)
    made = compiled(tmp_path, "figure5", drawn=True).sections[0]
    assert (
        "holds on 4 of 4 measures (4 lie as expected): Expression acc. +20.0 (95 % +19.0 to +21.0; p = 0.004, Holm)"
        in made.findings[0]
    )
    assert made.findings[2].endswith("not judged, not measured.")
    assert made.tables[0].rows[1].cells["cost.usd"].value == 2.6


def test_figure_5_of_an_earlier_release_still_opens_and_says_what_it_left_out(tmp_path: Path) -> None:
    masked(tmp_path, "figure5", gain=-0.2)
    table = compiled(tmp_path, "figure5").sections[0].tables[0]
    assert table.rows[0].cells["AU F1 (present)"].value == 0.8
    assert "a pilot, once, is left out" in table.caption
    assert not [column.key for column in table.columns if column.key.endswith(".gain")]


def test_figure_5_tells_what_each_method_gains_over_not_looking(tmp_path: Path) -> None:
    masked(tmp_path, "figure5", gain=-0.2, units="AU F1 (present)")
    file = tmp_path / "figure5" / "figure5" / "rows.json"
    seke, single = json.loads(file.read_text())
    control = {
        **seke,
        "method": "Not looking (no picture, no call, $0)",
        "difference": single["difference"],
        "gain": None,
    }
    gains = {name: [0.04, 0.01, 0.07] for name in seke["quality"]}
    rows = [{**row, "aus_present": 12} for row in (control, {**seke, "gain": gains}, {**single, "gain": gains})]
    file.write_text(json.dumps(rows))
    table = compiled(tmp_path, "figure5").sections[0].tables[0]
    assert [column.key for column in table.columns][2:4] == ["AU F1 (present)", "AU F1 (present).gain"]
    assert [row.cells["AU F1 (present).gain"] for row in table.rows] == ["", (0.04, 0.01, 0.07), (0.04, 0.01, 0.07)]
    assert "occur in these records, 12." in table.caption and "a pilot is part of it" in table.caption
    assert "Gain: over Not looking" in table.caption


def test_figure_5_over_several_seeds_has_mean_and_spread_and_says_in_how_many_an_order_holds(tmp_path: Path) -> None:
    for seed, (gain, accuracy) in enumerate(((-0.2, 0.7), (-0.1, 0.8), (0.06, 0.9))):
        masked(tmp_path, f"figure5-s{seed}", gain, accuracy)
    (tmp_path / "generate" / "figure5-s3-uamc-summary-au").mkdir(parents=True)
    masked(tmp_path, "figure5", gain=-0.9)
    made = compiled(tmp_path, "figure5").sections[0]
    cells = made.tables[0].rows[0].cells
    assert [cells[key].value for key in ("Expression accuracy", "Expression accuracy.sd", "seeds")] == pytest.approx(
        [0.8, 0.1, 3]
    )
    assert "Expression acc. +8.0 ± 13.1 (95 % " in made.findings[0]
    assert made.missing == (
        "figure5/figure5-s3: not run, or not finished",
        "figure5/figure5: left out, it has no seed in its name and others have",
    )


def test_files_hold_every_table_in_three_forms_and_every_drawing_in_two(table4: Path) -> None:
    made = compiled(table4, "table4", drawn=True)
    folder = table4 / "report"
    assert {path.name for path in (folder / "tables").glob("table4.*")} == {"table4.md", "table4.csv", "table4.tex"}
    drawn = {panel.name for panel in made.sections[0].panels}
    assert len(drawn) == 4
    assert {path.stem for path in (folder / "figures").glob("*.png")} == drawn
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == drawn
    text = (folder / "study.md").read_text(encoding="utf-8")
    assert "Both above Prior only: holds" in text and "evaluate/table4-labels-both: not run" in text


def test_the_report_command_prints_the_study_and_leaves_it_beside_the_page(table4: Path) -> None:
    done = warm.run(ROOT / "report.py", "experiment=table4", f"paths.outputs={table4}", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Both above Prior only: holds" in done.stdout
    assert "Both (paper) †" in done.stdout and "69.4" in done.stdout
    assert (table4 / "report" / "table4" / "study.md").is_file()
    assert (table4 / "report" / "table4" / "index.html").is_file()


def test_corruptions_are_curves_that_begin_at_the_clean_pictures_and_losses_against_these(tmp_path: Path) -> None:
    for cell, skill in {"clean": 0.9, "light1": 0.7, "light3": 0.2, "pose2": 0.5}.items():
        evaluation(tmp_path, f"corruptions-{cell}", skill)
    made = compiled(tmp_path, "corruptions", drawn=True).sections[0]
    assert "evaluate/corruptions-blur1: not run" in made.missing
    accuracy = next(panel for panel in made.panels if panel.name.startswith("corruptions_expression_accuracy"))
    clean, *_, worst = (row.cells["expression.accuracy"].value for row in made.tables[0].rows[:3])
    assert f"light: {100 * clean:.1f}" in accuracy.alt and f"{100 * worst:.1f} " in accuracy.alt
    assert all(place in accuracy.alt for place in ("at 0", "at 1", "at 3", "pose: ", "at 2"))
    assert "Gain: over As they are" in made.tables[0].caption
