"""The rules that rooms share say the same everywhere: what is right within 0.2, and which emotions are Mikels'."""

import ast
import re
from pathlib import Path

import numpy as np
import yaml

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.calibration import judged
from seke.benchmark.tasks import emoset
from seke.core.records import InstructionRecord, Labels, Origins, Prediction, Turn, Uncertainty
from seke.core.rules import EMOTIONS, FIGURE5, MEASURES, all_near, near
from seke.generation.calibration.fit import error
from seke.reporting.data.cases import verdict
from seke.reporting.data.results import SCORES, right_by_uncertainty
from seke.reporting.page.gallery import SharedTexts, encode_record
from seke.reporting.studies.groups import COLUMNS
from seke.reporting.studies.masked import QUALITY

ROOT = Path(__file__).resolve().parents[2]
HUNDREDTHS = range(-100, 101)
PAIRS = [(a, b, abs(a - b)) for a in HUNDREDTHS for b in HUNDREDTHS if 19 <= abs(a - b) <= 21]
"""Labels in hundredths around the boundary, and how many of these they are apart."""


def ways_of_judging(said: float, truth: float) -> list[bool]:
    """Return what each part of the program calls a valence: fitting, benchmark, the report's table, case and page."""
    labels, known = Labels(valence=said), Labels(valence=truth)
    row = InstructionRecord(
        id="r", image="x.png", sha256="0" * 64, source="s", subject=None,
        conversations=(Turn(speaker="human", value="<image>\n?"), Turn(speaker="gpt", value="!")), labels=labels,
        origin=Origins(valence="generated"), uncertainty=Uncertainty(valence=0.1, max=0.1), samples=1, annotator="a",
    )  # fmt: skip
    prediction = Prediction(
        id="r", source="s", subject=None, text="", judged=None, labels=labels, truth=known, status="ok"
    )
    return [
        error(labels, known) == 0.0,
        next(judged(prediction, Answer(id="r"), "valence")).right,
        sum(third.right for third in right_by_uncertainty([row], {"r": known})["valence"]) == 1,
        verdict(labels, known, "valence") == "right",
        encode_record(row, None, known, SharedTexts())[13][5] == 0b010,
    ]


def test_everybody_judges_labels_a_fifth_apart_alike() -> None:
    assert [apart for *_, apart in PAIRS].count(20) == 362
    for a, b, apart in PAIRS:
        assert ways_of_judging(a / 100, b / 100) == [apart <= 20] * 5, (a, b)


def test_labels_of_more_decimals_are_not_rounded_into_being_right() -> None:
    assert ways_of_judging(0.30004, 0.1) == [False] * 5


def test_near_is_symmetric_and_knows_no_sign() -> None:
    for a, b, apart in PAIRS:
        assert near(a / 100, b / 100) == near(b / 100, a / 100) == near(-a / 100, -b / 100) == (apart <= 20)
    low, high = (np.array([pick(a, b) / 100 for a, b, _ in PAIRS]) for pick in (min, max))
    assert all_near(low, high).tolist() == [apart <= 20 for *_, apart in PAIRS]


def test_no_other_file_compares_a_distance_with_a_fifth() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
        if re.search(r"abs\([^()]*\) *[<>]=? *(0\.2\b|NEAR)", path.read_text(encoding="utf-8"))
    ]
    assert found == ["src/seke/core/rules.py"]
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/seke").rglob("*.jinja"))
    assert "tolerance" not in pages and "within 0.2" not in pages


def test_mikels_eight_are_one_list() -> None:
    mapped = yaml.safe_load((ROOT / "conf/benchmark/feab_mikels.yaml").read_text(encoding="utf-8"))["classes"]
    classes = yaml.safe_load((ROOT / "conf/generator/emovit.yaml").read_text(encoding="utf-8"))["generator"]["classes"]
    assert tuple(mapped) == tuple(classes) == tuple(emoset.WORDS) == EMOTIONS
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List) and path.name != "rules.py":
                assert {getattr(each, "value", None) for each in node.elts} != set(EMOTIONS), path


def test_the_measures_are_keys_of_metrics_json() -> None:
    assert [measure.key for measure in MEASURES] == [
        "expression.accuracy", "action_units.f1_mean_14", "valence.mae", "arousal.mae",
    ]  # fmt: skip
    assert [measure.key for measure in FIGURE5][1] == "action_units.f1_mean_17"
    assert [measure.name for measure in FIGURE5] == [
        "Expression accuracy", "AU F1 (present)", "Valence 1-MAE", "Arousal 1-MAE",
    ]  # fmt: skip
    assert {measure.better for measure in FIGURE5} == {"high"}


def test_the_columns_are_written_as_they_have_been() -> None:
    assert [tuple(vars(column).values())[:6] for column in SCORES] == [
        ("expression.accuracy", "acc. %", "Expression", 1, 100, "high"),
        ("expression.f1_macro", "F1 %", "Expression", 1, 100, "high"),
        ("action_units.f1_mean_14", "F1 (14) %", "Action units", 1, 100, "high"),
        ("action_units.f1_mean_17", "F1 (17) %", "Action units", 1, 100, "high"),
        ("valence.mae", "MAE", "Valence", 3, 1, "low"),
        ("valence.rmse", "RMSE", "Valence", 3, 1, "low"),
        ("valence.ccc", "CCC", "Valence", 3, 1, "high"),
        ("arousal.mae", "MAE", "Arousal", 3, 1, "low"),
        ("arousal.rmse", "RMSE", "Arousal", 3, 1, "low"),
        ("arousal.ccc", "CCC", "Arousal", 3, 1, "high"),
        ("n", "n", "Answers", 0, 1.0, ""),
        ("subjects", "subjects", "Answers", 0, 1.0, ""),
        ("unanswered", "no answer", "Answers", 0, 1.0, ""),
    ]
    assert [tuple(vars(column).values())[:6] for column in QUALITY] == [
        ("Expression accuracy", "acc. %", "Expression", 1, 100, "high"),
        ("AU F1 (present)", "F1 (present) %", "Action units", 1, 100, "high"),
        ("Valence 1-MAE", "1 − MAE", "Valence", 3, 1, "high"),
        ("Arousal 1-MAE", "1 − MAE", "Arousal", 3, 1, "high"),
    ]
    assert [column.label for column in COLUMNS] == ["acc. %", "F1 %", "MAE", "MAE"]
