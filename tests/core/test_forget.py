"""A person is removed from everything below outputs/: rows, paid replies, exports, pages, features; others stay."""

import json
import subprocess
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.forget import find, forget
from seke.core.images import sha256
from seke.core.ledger import Ledger

from .. import warm

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "forget.py"


def lines(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


def row(number: int, subject: str) -> dict[str, object]:
    picture = f"picture {number}".encode()
    return {
        "id": f"faces/{number}", "image": f"images/{number}.jpg", "sha256": sha256(picture), "source": "faces",
        "subject": subject,
    }  # fmt: skip


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Return the outputs of a small project about Ann (records 0 and 1), and Bob (record 2)."""
    out = tmp_path / "outputs"
    rows = [row(0, "ann"), row(1, "ann"), row(2, "bob")]
    lines(out / "prepare" / "p" / "train.jsonl", *rows)
    pictures = [[one["image"], 9, 1, 1, one["sha256"]] for one in rows]
    (out / "prepare" / "p" / "pictures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pictures))
    (out / "prepare" / "p" / "images").mkdir()
    for number in range(3):
        (out / "prepare" / "p" / "images" / f"{number}.jpg").write_bytes(f"picture {number}".encode())
    made = out / "generate" / "g"
    lines(made / "instructions.jsonl", *({**one, "id": f"{one['id']}/reasoning"} for one in rows[1:]))
    lines(made / "draws.jsonl", *({"id": one["id"]} for one in rows))
    traces = [{"row": json.dumps(one), "trace": json.dumps({"id": one["id"]})} for one in rows]
    lines(made / "progress.jsonl", *traces)
    lines(made / "rejected.jsonl", {"id": "faces/0", "reason": "image"}, {"id": "faces/9", "reason": "image"})
    (made / "unanswered.md").write_text("| faces/ann | 1 |")
    for folder in (made / "parquet" / "data", made / "wandb", out / "report" / "r", out / "train" / "t" / "model"):
        folder.mkdir(parents=True)
    lines(out / "evaluate" / "e" / "answers.jsonl", *({"id": one["id"], "text": "sad"} for one in rows))
    for run, config in (
        ("prepare/p", {"image_root": "."}),
        ("generate/g", {"config": {"records": "p"}}),
        ("train/t", {"config": {"data": {"path": "g"}}, "trained_on": [str(made / "instructions.jsonl")]}),
        ("report/r", {"inputs": {"generate/g": "00"}}),
        ("evaluate/e", {"config": {"records": "p"}}),
    ):
        (out / run / "manifest.json").write_text(json.dumps(config))
    features = out / "states" / "tower" / "ab"
    features.mkdir(parents=True)
    for one in rows:
        (features / f"{one['sha256']}.safetensors").write_bytes(b"states")
    with Ledger(out / "ledger.sqlite") as ledger:
        for number, one in enumerate(rows):
            mark = f"{number}.jpg#{str(one['sha256'])[:12]}"
            ledger.sent(f"k{number}", f"gpt: {mark}, draw 0, n=5").result()
            ledger.done(f"k{number}", f"reply {number}", "gpt", 1, 1).result()
        ledger.sent("old", "gpt: 0.jpg, draw 0, n=5").result()  # as it was written before hashes stood there
        ledger.done("old", "old reply", "gpt", 1, 1).result()
        ledger.sent("other", "gpt: 0.jpg#000000000000, draw 0, n=5").result()  # another dataset's 0.jpg
        ledger.done("other", "other reply", "gpt", 1, 1).result()
        ledger.sent("judge", "gpt: 'The face', draw 0, n=1").result()
        ledger.done("judge", "judged", "gpt", 1, 1).result()
    return out


def test_a_subject_is_forgotten_and_nobody_else(outputs: Path) -> None:
    ann = find("faces/ann", outputs)
    told = list(forget(ann, outputs).lines(outputs))
    assert ids(outputs / "prepare" / "p" / "train.jsonl") == ["faces/2"]
    assert ids(outputs / "generate" / "g" / "instructions.jsonl") == ["faces/2/reasoning"]
    assert ids(outputs / "generate" / "g" / "draws.jsonl") == ["faces/2"]
    assert ids(outputs / "generate" / "g" / "rejected.jsonl") == ["faces/9"]
    assert ids(outputs / "evaluate" / "e" / "answers.jsonl") == ["faces/2"]
    [noted] = (outputs / "prepare" / "p" / "pictures.jsonl").read_text().splitlines()
    assert "images/2.jpg" in noted
    [left] = (outputs / "generate" / "g" / "progress.jsonl").read_text().splitlines()
    assert "faces/2" in left
    assert sorted(path.name for path in (outputs / "prepare" / "p" / "images").iterdir()) == ["2.jpg"]
    assert [path.stem for path in outputs.rglob("*.safetensors")] == [row(2, "bob")["sha256"]]
    for gone in ("generate/g/parquet", "generate/g/wandb", "generate/g/unanswered.md", "report/r"):
        assert not (outputs / gone).exists() and f"{gone}: removed" in told
    with Ledger(outputs / "ledger.sqlite") as ledger:
        assert set(ledger.find(["k0", "k1", "k2", "old", "other", "judge"])) == {"k2", "other", "judge"}
    for renewed in ("train/t, weights", "report/r, made of", "generate/g, whose counts", "evaluate/e, whose counts"):
        assert any(line.startswith(f"make anew: {renewed}") for line in told)
    assert any(line.startswith("note: 1 replies in the ledger name no picture") for line in told)
    with pytest.raises(UserError, match="no row below"):
        find("faces/ann", outputs)


def test_what_was_removed_is_not_left_in_the_ledgers_file(outputs: Path) -> None:
    forget(find("ann", outputs), outputs)
    data = b"".join(path.read_bytes() for path in outputs.glob("ledger.sqlite*"))
    assert b"reply 2" in data and b"reply 0" not in data and b"reply 1" not in data


@pytest.mark.parametrize("who", ["images/1.jpg", "faces/1", "sha", "file"])
def test_one_picture_is_forgotten_by_whatever_names_it(outputs: Path, who: str) -> None:
    named = {"sha": str(row(1, "ann")["sha256"]), "file": str(outputs / "prepare" / "p" / "images" / "1.jpg")}
    forget(find(named.get(who, who), outputs), outputs)
    assert ids(outputs / "prepare" / "p" / "train.jsonl") == ["faces/0", "faces/2"]
    assert ids(outputs / "evaluate" / "e" / "answers.jsonl") == ["faces/0", "faces/2"]


def test_a_ledger_in_use_is_refused_before_anything_is_removed(outputs: Path) -> None:
    before = (outputs / "prepare" / "p" / "train.jsonl").read_bytes()
    with Ledger(outputs / "ledger.sqlite"), pytest.raises(UserError, match="locked"):
        forget(find("ann", outputs), outputs)
    assert (outputs / "prepare" / "p" / "train.jsonl").read_bytes() == before


def test_the_script_says_what_it_would_do_and_then_does_it(outputs: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return warm.run(SCRIPT, *arguments, "--outputs", outputs)

    would, did, again = run("ann", "--dry-run"), run("ann"), run("ann")
    assert (would.returncode, did.returncode, again.returncode) == (0, 0, 2)
    assert would.stdout.splitlines()[1:] == did.stdout.splitlines()[1:]
    assert "  ledger: 3 replies" in did.stdout.splitlines()
    assert again.stderr == f"error: who=ann: no row below {outputs} is about it; give a subject, an id or a picture\n"


def test_reviews_and_updates_name_nobody_who_is_forgotten(outputs: Path) -> None:
    made = outputs / "generate" / "g"
    decisions = [{"id": f"faces/{number}", "decision": "accept"} for number in range(3)]
    (made / "review.json").write_text(json.dumps({"run": {"name": "g"}, "decisions": decisions}))
    lines(
        made / "updates.jsonl", {"manifest": "0", "asked": {"faces/0": "picture", "faces/2": "labels"}}, {"asked": {}}
    )
    removed = forget(find("ann", outputs), outputs)
    assert (removed.rows[made / "review.json"], removed.rows[made / "updates.jsonl"]) == (2, 1)
    assert json.loads((made / "review.json").read_text()) == {"run": {"name": "g"}, "decisions": decisions[2:]}
    first, second = map(json.loads, (made / "updates.jsonl").read_text().splitlines())
    assert (first, second) == ({"manifest": "0", "asked": {"faces/2": "labels"}}, {"asked": {}})
