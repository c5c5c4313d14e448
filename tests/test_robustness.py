"""experiment=robustness: every claim in every world, from crafted measures, from a tiny run, and what is refused."""

import csv
import importlib
import json
import logging
import sys
from pathlib import Path

import pytest

from seke.core.errors import UserError

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.append(str(SCRIPTS))
robustness = importlib.import_module("robustness")
settings, tables = importlib.import_module("robustness_settings"), importlib.import_module("robustness_table")
Claim, verdict = settings.Claim, tables.verdict


@pytest.fixture(autouse=True)
def _warnings_are_heard_again():
    """The script turns them off in its own process, which here is that of other tests."""
    logger = logging.getLogger("seke")
    level = logger.level
    yield
    logger.setLevel(level)


def refused(words, capsys) -> str:
    """Return the one line that a run ends in, whose exit code is 2."""
    with pytest.raises(SystemExit) as stop:
        robustness.main(words)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    return said


def claim(**said) -> Claim:
    return Claim(**{"says": "a claim", "measure": ("f1",), "of": "ours", **said})


MEASURED = {
    "ours": {"accuracy": 80.0, "f1": 60.0, "valence": 12.0, "arousal": 10.0, "ece": 9.0},
    "theirs": {"accuracy": 85.0, "f1": 50.0, "valence": 15.0, "arousal": 10.5, "ece": None},
    "nobody's": {"accuracy": 60.0, "f1": 59.0, "valence": 11.5, "arousal": 30.0, "ece": None},
}


@pytest.mark.parametrize(
    ("said", "margin"),
    [
        ({"above": ("theirs",)}, 10.0),
        ({"above": ("theirs", "nobody's")}, 1.0),
        ({"measure": ("valence",), "above": ("theirs",)}, 3.0),
        ({"measure": ("valence",), "above": ("theirs", "nobody's")}, -0.5),
        ({"measure": ("valence",), "above": ("theirs", "nobody's"), "by": -1.0}, 0.5),
        ({"measure": ("f1", "arousal"), "above": ("theirs",)}, 0.5),
        ({"measure": ("accuracy", "f1"), "above": ("theirs",)}, -5.0),
        ({"measure": ("ece",), "at_most": 8.0}, -1.0),
        ({"measure": ("ece",), "above": ("theirs",)}, None),
        ({"measure": ("ece",), "of": "theirs", "at_most": 8.0}, None),
    ],
)
def test_by_how_much_a_claim_holds(said, margin):
    found = claim(**said).margin(MEASURED)
    assert found is None if margin is None else found == pytest.approx(margin)


def test_all_seeds_must_agree():
    assert verdict([1.0, 0.1, 2.0]).says == "holds"
    assert verdict([1.0, -0.1, 2.0]).says == "depends on the seed"
    assert verdict([0.0, -0.1, -2.0]).says == "fails", "no lead is none"
    assert verdict([1.0, None, 2.0]) == ("unknown", None)
    assert verdict([1.0, 2.0]).margin == pytest.approx(1.5)


def test_a_tie_is_judged_on_the_means_over_seeds():
    """Ours is 2 points behind with one seed and 1 ahead with the other: half a point behind on the whole."""

    def measured(*f1):
        seeds = enumerate(f1)
        return {("a", "drawn", seed): {"ours": {"f1": value}, "theirs": {"f1": 50.0}} for seed, value in seeds}

    claims = {str(pooled): claim(above=("theirs",), by=-1.0, pooled=pooled) for pooled in (False, True)}
    verdicts = tables.judge(claims, measured(48.0, 51.0))
    assert verdicts["False"]["a", "drawn"].says == "depends on the seed"
    assert verdicts["True"]["a", "drawn"] == ("holds", pytest.approx(0.5))
    assert tables.judge(claims, measured(48.0, None))["True"]["a", "drawn"] == ("unknown", None)


def test_the_table_counts_worlds():
    """Two annotators, two kinds of faces, two seeds; ours leads everywhere but with one seed of one world."""
    measured = {
        (annotator, faces, seed): {
            "ours": {**MEASURED["ours"], "f1": 40.0 if (annotator, faces, seed) == ("b", "drawn", 1) else 60.0},
            "theirs": MEASURED["theirs"],
        }
        for faces in ("drawn", "spontaneous")
        for annotator in ("a", "b")
        for seed in (0, 1)
    }
    claims = {
        "leads": claim(above=("theirs",), says="ours leads"),
        "not": claim(above=("theirs",), measure=("accuracy",), says="ours is righter"),
        "sure": claim(of="theirs", measure=("ece",), at_most=8.0, says="theirs is sure"),
    }
    text = tables.table({"name": "x", "seeds": [0, 1], "faces": 100, "pilot": 40}, claims, measured)
    rows = {row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row.startswith("| ")}
    assert "| ours leads | 1 / 0 of 2 | 2 / 0 of 2 | 3 of 4 | +7.5 (+0.0 to +10.0) |" in text
    assert "| ours is righter | 0 / 2 of 2 | 0 / 2 of 2 | 0 of 4 | -5.0 (-5.0 to -5.0) |" in text
    assert "| theirs is sure | 0 / 0 of 2 | 0 / 0 of 2 | 0 of 4 (4 unknown) | - |" in text
    assert "one world of 4" in text, "the rate of chance with two seeds"
    assert "| ours leads | + 10.0 | ~ 0.0 |" in text
    assert rows["ours"].endswith("| - | - |"), "draws that nobody counted are no number"


TINY = (
    "faces=130", "pilot=60", "seeds=[3]", "workers=1", "annotators=[neutral,reversed_votes]", "worlds=[spontaneous]",
    "claims=[both_f1,calibrated_looks_f1,trusted]", "name=tiny",
)  # fmt: skip


def test_a_tiny_run_is_measured_written_and_not_measured_twice(tmp_path, monkeypatch, capsys):
    words = (*TINY, f"outputs={tmp_path}")
    robustness.main(words)
    folder = tmp_path / "report" / "tiny"
    assert "SEKE" not in (printed := capsys.readouterr().out), "only the claims that were asked for"
    assert "calibrated above not looking in AU F1" in printed and str(folder) in printed
    with (folder / "measures.csv").open() as file:
        rows = list(csv.DictReader(file))
    methods = {row["method"] for row in rows}
    assert methods == {"not_looking", "prior", "seke", "calibrated"}
    found = {(row["annotator"], row["method"], row["measure"]): row["value"] for row in rows}
    assert len({value for (_, method, _), value in found.items() if method == "not_looking"}) > 3
    for measure in ("accuracy", "f1"):
        assert found["neutral", "not_looking", measure] == found["reversed_votes", "not_looking", measure]
        assert 0 < float(found["neutral", "calibrated", measure]) < 100
    assert float(found["neutral", "seke", "f1"]) > float(found["reversed_votes", "seke", "f1"]), "votes decide"
    with (folder / "claims.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3 * 2
    assert (folder / "claims.png").read_bytes().startswith(b"\x89PNG")

    def refuse(*_):
        raise AssertionError("measured twice")

    monkeypatch.setattr(robustness, "measured", refuse)
    before = (folder / "table.md").read_bytes()
    robustness.main(words)
    assert (folder / "table.md").read_bytes() == before
    for other in ("overwrite=true", "seeds=[4]", "faces=131"):
        with pytest.raises(AssertionError, match="measured twice"):
            robustness.main((*words, other))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["worlds=[drawn,sponteneous]"], "worlds=sponteneous: there is none; use one of drawn, spontaneous"),
        (["claims=[seke_wins]"], "claims=seke_wins: there is none; use one of prior_accuracy, "),
        (["annotators=[perfect]"], "annotators=perfect: there is none; use one of neutral, "),
        (["face=3"], "face=3: no such setting; use one of name, outputs, "),
        (["faces"], "robustness=faces: no setting; write <setting>=<value>"),
        (["faces=few"], "faces=few: not a whole number"),
        (["faces=59"], "faces=59: less than 60"),
        (["seeds=3"], "seeds=3: no list of seeds"),
        (["config=nowhere.yaml"], "config=nowhere.yaml: no such file"),
        (["name=../x"], "name=../x: "),
        (["name="], "name=None: not a name"),
        (["outputs="], "outputs=None: not a name"),
        (["seeds=[1,1]"], "seeds=[1, 1]: one stands there twice"),
        (["claims=[]"], "claims=[]: no list of names; use for example claims=[prior_accuracy], or null for all"),
        (["annotators=neutral"], "annotators=neutral: no list of names"),
        (["annotator_settings=3"], "annotator_settings=3: not settings by name"),
        (["faces=100", "pilot=51"], "pilot=51: more than half of faces=100"),
    ],
)
def test_a_mistaken_setting_is_one_line(words, line, capsys):
    assert refused(words, capsys).startswith(f"error: {line}")


@pytest.mark.parametrize(
    ("mine", "line"),
    [
        ({"claim_settings": {"x": {"says": "x", "measure": "f2", "of": "seke", "above": "prior"}}},
         "claim_settings.x.measure=f2: there is none; use one of accuracy, f1, valence, arousal, ece"),
        ({"claim_settings": {"x": {"says": "x", "measure": "f1", "of": "sekee", "above": "prior"}}},
         "claim_settings.x=sekee: there is none; use one of not_looking, "),
        ({"claim_settings": {"x": {"says": "x", "measure": "f1", "of": "seke"}}},
         "claim_settings.x=x: compares with nothing"),
        ({"claim_settings": {"x": {"says": "x", "measure": "f1", "of": "seke", "over": "prior"}}},
         "claim_settings.x.over=prior: no part of a claim"),
        ({"annotator_settings": {"x": ["backend.seeen=1"]}}, "annotator_settings.x=backend.seeen=1: backend.seeen=1: "),
        ({"annotator_settings": {"x": ["backend.couplings=folklore"]}},
         "annotator_settings.x=backend.couplings=folklore: backend.couplings=folklore: no such couplings"),
        ({"annotator_settings": {"x": ["generator.pilot=1"]}},
         "annotator_settings.x=generator.pilot=1: no setting of backend"),
        ({"face_settings": {"x": ["source.world=nowhere"]}}, "face_settings.x=source.world=nowhere: source.world="),
        ({"method_settings": {"seke": ["backend.seen=1"]}},
         "method_settings.seke=backend.seen=1: the annotators' settings"),
        ({"budgets": {"dice": ["nobody", "calibrated"]}}, "budgets=nobody: there is none"),
        ({"budgets": {"dice": "unsure"}}, "budgets.dice=unsure: not two methods"),
        ({"world_settings": {}}, "config="),
        ([], "config="),
        ({"annotator_settings": {"x": 3}}, "annotator_settings.x=3: no list of settings"),
        ({"claim_settings": {"x": 3}}, "claim_settings.x=3: no claim"),
        ({"claim_settings": {"x": {"says": "x", "measure": "f1", "of": "seke", "above": "prior", "by": "much"}}},
         "claim_settings.x.by=much: not such a number"),
        ({"claim_settings": {"x": {"says": "x", "measure": "f1", "of": "seke", "above": "prior", "pooled": "yes"}}},
         "claim_settings.x.pooled=yes: neither true nor false"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_configuration_of_ones_own_is_one_line(tmp_path, mine, line, capsys):
    (tmp_path / "mine.yaml").write_text(json.dumps(mine))
    words = [f"config={tmp_path / 'mine.yaml'}", f"outputs={tmp_path}", "claims=[both_f1]"]
    words += ["claims=[x]"] if "claim_settings" in mine else []
    words += ["annotators=[x]" if "annotator_settings" in mine else "annotators=[neutral]"]
    assert refused(words, capsys).startswith(f"error: {line}")


def test_a_configuration_that_is_no_yaml_is_one_line(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("a: [")
    assert "expected the node content" in refused([f"config={tmp_path / 'mine.yaml'}"], capsys)


def test_the_repository_states_at_least_ten_annotators_two_kinds_of_faces_and_three_seeds():
    found = settings.read_settings([])
    assert len(found["annotator_settings"]) >= 10 and len(found["face_settings"]) >= 2 and len(found["seeds"]) >= 3
    assert "not_looking" in found["method_settings"]
    with pytest.raises(UserError, match="seeds"):
        settings.read_settings(["seeds=[]"])
