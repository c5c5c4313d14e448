"""scripts/framings.py: the share of the wording in crafted errors, in a crafted run, and what is refused."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Trace, Turn, Uncertainty, write_jsonl

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("framings", ROOT / "scripts" / "framings.py")
framings = importlib.util.module_from_spec(spec)
sys.modules["framings"] = framings
spec.loader.exec_module(framings)


def crafted(share, pictures=600, ways=4, repeats=3, seed=0):
    """Return errors (pictures, ways, repetitions, 1): lasting ones of variance 1, and as much of each draw's own."""
    rng = np.random.default_rng(seed)
    of_picture_N = rng.normal(0, np.sqrt(1 - share), (pictures, 1, 1))
    of_way_NW = rng.normal(0, np.sqrt(share), (pictures, ways, 1))
    return (of_picture_N + of_way_NW + rng.normal(0, 1, (pictures, ways, repeats)))[..., None]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_that_was_put_in_is_found(share):
    errors = crafted(share)
    found, same, different = framings.shares(framings.covariances(errors, [f"s{n // 4}" for n in range(600)]))
    assert found.value == pytest.approx(share, abs=0.08)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.3
    assert same == pytest.approx(0.5, abs=0.05)
    assert different == pytest.approx((1 - share) / 2, abs=0.05)


def test_covariances_against_every_pair_of_draws():
    errors = crafted(0.3, pictures=4, ways=3, repeats=2)
    found = framings.covariances(errors, ["a", "b", "a", "b"])
    for number, name in enumerate("ab"):
        same, different = 0.0, 0.0
        for face in errors[number::2, :, :, 0]:
            same += np.mean([face[way, 0] * face[way, 1] for way in range(3)])
            pairs = [(one, other) for one in range(3) for other in range(3) if one != other]
            different += np.mean([face[a, i] * face[b, j] for a, b in pairs for i in range(2) for j in range(2)])
        assert (found.same_S[number], found.different_S[number]) == pytest.approx((same, different)), name


def test_draws_that_have_nothing_in_common_have_no_share():
    found, same, _ = framings.shares(framings.Covariances(np.zeros(5), np.zeros(5), np.ones(5)))
    assert found.value is None
    assert same == 0


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a run of two ways, twice each; half of the lasting error is the wording's."""

    def make(templates=None, draws=4, flawed=0, pictures=80):
        rng = np.random.default_rng(3)
        folder, prepared = (tmp_path / stage / "ways" for stage in ("generate", "prepare"))
        records, traces, rows = [], [], []
        for number in range(pictures):
            truth = float(rng.uniform(-0.8, 0.8))
            of_picture, of_way = rng.normal(0, 0.07), rng.normal(0, 0.07, 2)
            said = [
                Labels(
                    expression="fear", valence=float(0.5 * truth + 0.1 + of_picture + of_way[place % 2]),
                    arousal=0.0, action_units={12: True, 4: bool(rng.random() < 0.5)},
                )
                for place in range(4)
            ]  # fmt: skip
            name = f"f{number}"
            labels = Labels(expression="fear", valence=truth, action_units={12: True, 4: False})
            row = {"id": name, "image": "a.png", "source": "s", "subject": f"p{number // 2}"}
            records.append(ImageRecord(**row, sha256=None, split="train", labels=labels))
            spent = {"requests": 3, "input_tokens": 1, "output_tokens": 1}
            traces.append(Trace(id=name, prior=Labels(), draws=tuple(said), summary=None, **spent))
            rows.append(InstructionRecord(
                **row, conversations=(Turn(speaker="human", value="?"), Turn(speaker="gpt", value=".")), labels=said[0],
                origin=Origins(), uncertainty=Uncertainty(), samples=4, annotator="m",
                flags=("unusable_draws",) if number < flawed else (),
            ))  # fmt: skip
        for place in (folder, prepared):
            place.mkdir(parents=True)
        write_jsonl(prepared / "train.jsonl", records)
        write_jsonl(folder / "draws.jsonl", traces)
        write_jsonl(folder / "instructions.jsonl", rows)
        config = {
            "records": "ways",
            "generator": {"max_samples": draws},
            "prompts": {"templates": templates or {"draw": ["a", "b"]}},
        }
        (folder / "manifest.json").write_text(json.dumps({"made": "now", "config": config}))
        return ["ways", "--outputs", str(tmp_path)]

    return make


def test_the_table_of_a_run(run, capsys):
    framings.main(run(flawed=3))
    printed = capsys.readouterr().out
    assert printed.startswith("77 pictures of 39 subjects, 2 ways of asking, 2 draws each; 3 pictures left out")
    cells = {row.split("|")[1].strip(): [c.strip() for c in row.split("|")[2:-1]] for row in printed.splitlines()[4:]}
    same, different, share = cells["valence"]
    assert same == "1.00", "draws in the same way are equal, once what is right on average is taken out"
    assert float(different) == pytest.approx(0.5, abs=0.25)
    assert float(share.split()[0]) == pytest.approx(1 - float(different), abs=0.011)
    assert cells["expression"] == ["-", "-", "unknown"], "it always says the same"
    assert cells["arousal"] == ["-", "-", "unknown"], "nobody has labelled it"
    assert abs(float(cells["action units"][0])) < 0.25, "AU4 is a coin, and AU12 no error"


@pytest.mark.parametrize(
    ("made", "words", "problem"),
    [
        ({"templates": {"draw": "a"}}, (), "all its draws were asked in one way"),
        ({"draws": 3}, (), "generator.max_samples=3 is not the same number of two or more each"),
        ({"templates": {"draw": ["a"], "draw_reasons_first": ["b", "c"]}}, (), "of 3 ways of asking"),
        ({"draws": 8}, (), "has 8 usable draws; give --records that it annotated"),
        ({}, ("--records", "nothing"), "records=nothing: neither a file nor"),
        ({}, ("--outputs", "nowhere"), "run=ways: neither a file nor"),
    ],
)
def test_a_run_that_cannot_tell_is_refused_in_one_line(run, capsys, made, words, problem):
    with pytest.raises(SystemExit) as stop:
        framings.main([*run(**made, pictures=4), *words])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.count("\n") == 1
    assert problem in said
