"""What the paper prints, held to itself and to the constants made from it."""

import statistics
from decimal import Decimal

import pytest

from seke.benchmark.scoring.tables import TABLE2_COLUMNS, paper
from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, TABLE2_AUS

from .contracts.offered import composed

TABLE2 = paper("table2.csv")


def test_the_17_action_units_are_the_union_of_the_three_sets_of_twelve() -> None:
    assert [len(set(units)) for units in AUS_OF_SOURCE.values()] == [12, 12, 12]
    assert set(ACTION_UNITS) == set().union(*AUS_OF_SOURCE.values())
    assert len(ACTION_UNITS) == 17


def test_table_2_reports_14_of_them_and_leaves_out_those_that_only_disfa_has() -> None:
    printed = [int(column[2:]) for column in TABLE2[0] if column.startswith("AU")]
    assert tuple(printed) == TABLE2_AUS
    only_disfa = set(AUS_OF_SOURCE["disfa"]) - set(AUS_OF_SOURCE["bp4d"]) - set(AUS_OF_SOURCE["aff_wild2"])
    assert set(ACTION_UNITS) - set(TABLE2_AUS) == only_disfa == {5, 9, 20}
    assert set(TABLE2_COLUMNS) == set(TABLE2[0]) - {"method"}


@pytest.mark.parametrize("row", TABLE2, ids=lambda row: row["method"])
def test_table_2s_all_is_the_plain_mean_of_its_14_columns(row: dict[str, str]) -> None:
    """In all nine rows, the mean of the rounded columns is the printed "All" once it is rounded itself."""
    mean = statistics.mean(Decimal(row[f"AU{au}"]) for au in TABLE2_AUS)
    assert round(mean, 1) == Decimal(row["All"])


def test_table_2_has_nine_systems() -> None:
    assert len({row["method"] for row in TABLE2}) == len(TABLE2) == 9


@pytest.mark.parametrize(("total", "column", "printed"), [("FEID", "train", 26238), ("FEAB", "test", 3035)])
def test_table_1_sums(total: str, column: str, printed: int) -> None:
    rows = {row["dataset"]: row for row in paper("table1.csv")}
    parts = [int(row[column]) for name, row in rows.items() if name not in ("FEID", "FEAB")]
    assert len(parts) == 6
    assert sum(parts) == int(rows[total][column]) == printed


def test_tables_2_3_and_4_agree_on_the_seke_model() -> None:
    columns = ("EXP", "All", "Valence", "Arousal")
    last = [paper(f"table{number}.csv")[-1] for number in (2, 3, 4)]
    assert [[row[column] for column in columns] for row in last] == [["69.4", "54.9", "0.295", "0.231"]] * 3


def test_the_improvements_over_gpt_4o_in_the_text_follow_from_table_2() -> None:
    rows = {row["method"]: row for row in TABLE2}
    gained = [float(rows["SEKE"][column]) - float(rows["GPT-4o*"][column]) for column in ("EXP", "All", "Valence")]
    assert gained == pytest.approx([8.3, 25.9, -0.047])


def test_at_the_papers_scale_settings_are_the_papers() -> None:
    """Sec. 4.1: DISFA "higher than 2". Implementation details: N = 5, full parameters, one learning rate of 1e-5."""
    prepare, generate, train = (composed(command, "scale=paper") for command in ("prepare", "generate", "train"))
    disfa = prepare.source.sources.disfa
    assert (disfa.threshold, disfa.inclusive) == (2, False)
    assert composed("prepare", "source=disfa").source.inclusive, "one dataset by itself is read as the field reads it"
    assert generate.generator.max_samples == 5
    assert (train.model.trainable, train.model.lr, train.model.lr_of, train.model.system) == ("full", 1e-5, None, None)
