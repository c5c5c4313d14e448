"""`python evaluate.py` on pictures that nobody labelled, and on runs held against each other, as a user runs it."""

import csv
import json
from pathlib import Path
from random import Random

import pytest
from PIL import Image as Picture

from seke.core.affect import ACTION_UNITS
from seke.core.records import InstructionRecord, Labels, Origins, Prediction, Turn, Uncertainty, read_jsonl, write_jsonl

from ...servers import openai_server

SAYS = "The expression is happiness. Valence is 0.5. Active action units: AU12; all others are inactive."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """A server that sees the same in every face."""
    monkeypatch.setattr(openai_server.Server, "_answer", lambda self, request, choice: SAYS)
    with openai_server.running() as running:
        yield running


@pytest.fixture
def new(tmp_path: Path, cli) -> Path:
    """Seven photographs in a folder, prepared as a user does; none is labelled."""
    pictures, chance = tmp_path / "photographs", Random(0)
    pictures.mkdir()
    for number in range(7):
        noise = bytes(chance.randrange(256) for _ in range(32 * 32 * 3))
        Picture.frombytes("RGB", (32, 32), noise).save(pictures / f"{number}.png")
    done = cli("prepare", "source=folder", f"source.root={pictures}", "name=new", f"paths.outputs={tmp_path}")
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_new_pictures_are_labelled_and_nothing_complains_of_scores(new: Path, server, cli) -> None:
    asked = ("records=new", "backend=openai", f"backend.base_url={server.url}", f"paths.outputs={new}")
    cost = cli("evaluate", *asked, "dry_run=true")
    assert cost.returncode == 0, cost.stderr
    assert cost.stdout.splitlines()[3].split() == ["requests", "14", "14"]
    done = cli("evaluate", *asked, "name=mine")
    assert done.returncode == 0, done.stderr
    run = new / "evaluate" / "mine"
    with (run / "labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [f"{number}.png" for number in range(7)]
    assert {(line["expression"], line["expression_confidence"], line["AU12"]) for line in lines} == {
        ("happiness", "1.0", "1")
    }
    assert sorted(path.name for path in run.iterdir() if not path.name.startswith(".")) == [
        "config.yaml", "cost.json", "labels.csv", "labels.xlsx", "manifest.json", "predictions.jsonl", "table.md",
    ]  # fmt: skip
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["counts"], manifest["scores"]) == ({"predictions": 7, "labelled": 7}, "nothing")
    assert json.loads((run / "cost.json").read_text())["by"]["answers"]["requests"] == 14
    assert "score" not in done.stderr and "unanswered" not in done.stdout
    again = cli("evaluate", *asked, "name=mine")
    assert "is finished" in again.stdout
    # Another run of the same pictures finds every reply in the ledger.
    other = cli("evaluate", *asked, "name=other", "compare=mine")
    assert other.returncode == 0, other.stderr
    spent = json.loads((new / "evaluate" / "other" / "cost.json").read_text())
    assert (spent["by"]["answers"]["recalled"], server.paid.total()) == (14, 14)
    assert "| expression | 7 | 1.000" in (new / "evaluate" / "other" / "agreement.md").read_text()


def instruction(id_: str, labels: Labels, manual: bool = False) -> InstructionRecord:
    origin = "manual" if manual else "generated"
    return InstructionRecord(
        id=id_, image=f"{id_}.png", source="mine", subject=f"s{id_[-1]}", labels=labels, samples=1, annotator="x-1",
        conversations=(Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value="A face.")),
        origin=Origins(
            expression=origin, valence=origin, arousal=origin,
            action_units={str(au): origin for au in labels.action_units or {}},
        ),
        uncertainty=Uncertainty(),
    )  # fmt: skip


def face(expression: str, valence: float, *active: int) -> Labels:
    units = {au: au in active for au in ACTION_UNITS}
    return Labels(expression=expression, valence=valence, arousal=0.0, action_units=units)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two generations and an evaluation of the same ten faces, of which people labelled one in the generations."""
    rows = {
        "a": [face("fear" if n % 2 else "anger", n / 10, 4) for n in range(10)],
        "b": [face("fear" if n % 3 else "anger", n / 10 + 0.05, 4, 7) for n in range(10)],
    }
    for name, labels in rows.items():
        folder = tmp_path / "generate" / name
        folder.mkdir(parents=True)
        made = [instruction(f"r{n}", one, manual=n == 9) for n, one in enumerate(labels)]
        write_jsonl(folder / "instructions.jsonl", made)
    (tmp_path / "evaluate" / "c").mkdir(parents=True)
    said = [
        Prediction(
            id=f"r{n}", source="mine", subject=f"s{n}", text="", judged=None, truth=Labels(), status="ok",
            labels=Labels(expression="fear", action_units={4: True}),
        )
        for n in range(10)
    ]  # fmt: skip
    write_jsonl(tmp_path / "evaluate" / "c" / "predictions.jsonl", said)
    return tmp_path


def test_generate_and_evaluate_runs_are_held_against_each_other_without_truth(runs: Path, cli) -> None:
    done = cli("evaluate", f"paths.outputs={runs}", "compare=[a,b,c]", "name=abc")
    assert done.returncode == 0, done.stderr
    run = runs / "evaluate" / "abc"
    found = json.loads((run / "agreement.json").read_text())
    assert found["annotators"] == ["a", "b", "c"] and found["n"] == 9  # of r9 only c says anything of its own
    one = found["pairs"][0]
    assert (one["first"], one["second"], one["expression"]["n"]) == ("a", "b", 9)
    assert one["expression"]["agreement"] == pytest.approx(5 / 9)
    assert one["valence"]["bias"] == pytest.approx(-0.05) and one["valence"]["within"] == 1.0
    assert one["action_units"]["kappa"]["7"] == pytest.approx(0.0)  # b sees it always, a never
    assert found["pairs"][1]["valence"]["n"] == 0  # c says nothing of it
    assert found["pairs"][1]["action_units"]["n"] == 9  # and what its answer leaves out is inactive
    where = found["differences"][0]
    assert where["action_units"] == [{"au": 7, "only_first": 0, "only_second": 9}]
    assert {(each["first"], each["second"]): each["n"] for each in where["expression"]} == {
        ("anger", "fear"): 3, ("fear", "anger"): 1,
    }  # fmt: skip
    with (run / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "id": "r0", "source": "mine", "subject": "s0", "description": "expression", "a": "anger", "b": "anger",
        "c": "fear",
    }  # fmt: skip
    assert "AU7 Lid Tightener | 0 | 9 |" in (run / "agreement.md").read_text()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["scores"] == "agreement" and set(manifest["inputs"]) == {"compare/a", "compare/b", "compare/c"}
    again = cli("evaluate", f"paths.outputs={runs}", "compare=[a,b,c]", "name=abc")
    assert "is finished" in again.stdout


def test_a_run_is_found_by_name_by_command_and_by_path_and_people_are_annotators_too(runs: Path, cli) -> None:
    (runs / "evaluate" / "a").mkdir()
    (runs / "evaluate" / "a" / "predictions.jsonl").write_bytes(
        (runs / "evaluate" / "c" / "predictions.jsonl").read_bytes()
    )
    both = cli("evaluate", f"paths.outputs={runs}", "compare=[a,b]", "name=x")
    assert both.stderr == (
        "error: compare=a: there are evaluate/a and generate/a; say which: evaluate/a and generate/a\n"
    )
    path = runs / "evaluate" / "c" / "predictions.jsonl"
    done = cli("evaluate", f"paths.outputs={runs}", f"compare=[generate/a,'{path}']", "name=x")
    assert done.returncode == 0, done.stderr
    found = json.loads((runs / "evaluate" / "x" / "agreement.json").read_text())
    assert found["annotators"] == ["generate/a", "predictions"]
    people = runs / "prepare" / "labelled"
    people.mkdir(parents=True)
    rows = [
        {"id": f"r{n}", "image": f"r{n}.png", "sha256": None, "source": "mine", "subject": f"s{n}", "split": "train",
         "labels": {"expression": "fear"}, "attributes": {}}
        for n in range(10)
    ]  # fmt: skip
    (people / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("evaluate", f"paths.outputs={runs}", "compare=[prepare/labelled,c]", "name=y")
    assert done.returncode == 0, done.stderr
    found = json.loads((runs / "evaluate" / "y" / "agreement.json").read_text())
    assert found["pairs"][0]["expression"] == {"n": 10, "agreement": 1.0, "kappa": None}


@pytest.mark.parametrize(
    ("compare", "line"),
    [
        ("[a]", "error: compare=a: not two or more different runs; "),
        ("[a,a]", "error: compare=a,a: not two or more different runs; "),
        ("[a,nobody]", "error: compare=nobody: no finished run of that name, nor a file of its rows; "),
        ("[a,scenes]", "error: compare=scenes: no labels of faces ("),
        (
            "[a,others]",
            "error: compare=a,others: no two of them have labelled the same description of the same image; ",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(runs: Path, cli, compare: str, line: str) -> None:
    scenes, others = (runs / "evaluate" / name for name in ("scenes", "others"))
    for folder in (scenes, others):
        folder.mkdir()
    (scenes / "predictions.jsonl").write_text(
        '{"id": "r1", "source": "x", "subject": null, "text": "", "judged": null, "emotion": "awe", "truth": null, '
        '"status": "ok"}\n'
    )
    rows = list(read_jsonl(runs / "evaluate" / "c" / "predictions.jsonl", Prediction))
    write_jsonl(others / "predictions.jsonl", [row.model_copy(update={"id": f"other-{row.id}"}) for row in rows])
    done = cli("evaluate", f"paths.outputs={runs}", f"compare={compare}", "name=wrong")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(line)
    assert not (runs / "evaluate" / "wrong").exists()
