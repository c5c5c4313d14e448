"""Training and test set may share no id, no subject of one source and no picture; what cannot be known is said."""

import json
from pathlib import Path

import pytest

from seke.benchmark.contamination import Finding, check
from seke.errors import UserError
from seke.images import sha256
from seke.records import ImageRecord, Labels, write_jsonl


def record(folder: Path, id_: str, subject: str | None, source: str = "ck_plus", picture: str | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{id_}.png"
    path.write_bytes((picture or f"{source} {id_}").encode())
    return ImageRecord(
        id=f"{source}/{id_}", image=path.name, sha256=sha256(path.read_bytes()), source=source, subject=subject,
        split="train", labels=Labels(),
    )  # fmt: skip


def write_manifest(folder: Path, **facts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(facts))


def conversations(file: Path, records, prepared: Path | None = None) -> Path:
    rows = [
        {"id": row.id, "image": row.image, "source": row.source, "subject": row.subject, "conversations": []}
        for row in records
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    root = {"image_root": "images"} if prepared is None else {"config": {"records": str(prepared)}}
    write_manifest(file.parent, **root)
    return file


def trained(outputs: Path, name: str, base: str = "assets/none", **data) -> str:
    """Write a finished train run's manifest; return its model."""
    run = outputs / "train" / name
    (run / "model").mkdir(parents=True)
    write_manifest(run, base=base, config={"data": {"path": None, **data}, "paths": {"outputs": str(outputs)}})
    return str(run / "model")


@pytest.fixture
def train_rows(tmp_path: Path):
    folder = tmp_path / "generate" / "feid" / "images"
    rows = [record(folder, f"t{number}", f"S{number}") for number in range(5)]
    conversations(tmp_path / "generate" / "feid" / "instructions.jsonl", rows)
    return rows


def test_a_clean_split_passes_and_says_what_the_base_leaves_open(tmp_path: Path, train_rows) -> None:
    model = trained(tmp_path, "clean", path="feid")
    tested = [record(tmp_path / "test", "x", "S9"), record(tmp_path / "test", "y", "S1", source="disfa")]
    found = check(tested, model, tmp_path)
    assert found.notes == ()
    assert found.remarks == ("training data of assets/none not checked: it is not a checkpoint of train.py",)


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (("t0", None, "ck_plus", "another"), r"1 ids \(ck_plus/t0\);"),
        (("x", "S3", "ck_plus", None), r"1 subjects \(ck_plus/S3\);"),
        (("x", None, "disfa", "ck_plus t4"), r"1 images \([0-9a-f]{40}\);"),
    ],
    ids=["id", "subject", "image"],
)
def test_an_overlap_is_refused_or_allowed_and_told(tmp_path: Path, train_rows, tested, said: str) -> None:
    id_, subject, source, picture = tested
    records = [record(tmp_path / "test", id_, subject, source, picture)]
    model = trained(tmp_path, "leaky", path="feid")
    with pytest.raises(UserError, match=f"^model.path=.*trained on what it is tested on: {said}.*allow_overlap=true"):
        check(records, model, tmp_path)
    [note] = check(records, model, tmp_path, allow_overlap=True).notes
    assert note.startswith("trained on what it is tested on: 1 ")


def test_every_part_of_a_mixture_and_every_earlier_training_counts(tmp_path: Path, train_rows) -> None:
    others = [record(tmp_path / "mine" / "images", "m", "S7", "mine")]
    mine = conversations(tmp_path / "mine" / "rows.jsonl", others)
    first = trained(tmp_path, "first", path="feid")
    model = trained(tmp_path, "second", base=first, mixture={"feid": None, "mine": {"path": str(mine)}})
    for row in (train_rows[0], others[0]):
        with pytest.raises(UserError, match=f"{row.id}"):
            check([row], model, tmp_path)


def test_pictures_are_known_from_the_prepared_records_even_when_the_files_are_gone(tmp_path: Path) -> None:
    rows = [record(tmp_path / "images", "t", None)]
    prepared = tmp_path / "prepare" / "faces"
    prepared.mkdir(parents=True)
    write_jsonl(prepared / "train.jsonl", rows)
    conversations(tmp_path / "generate" / "feid" / "instructions.jsonl", rows, prepared=Path("faces"))
    model = trained(tmp_path, "run", path="feid")
    (tmp_path / "images" / "t.png").unlink()
    with pytest.raises(UserError, match="1 images"):
        check([record(tmp_path / "test", "x", None, "disfa", "ck_plus t")], model, tmp_path)


def test_what_is_not_there_any_more_is_said(tmp_path: Path, train_rows) -> None:
    (tmp_path / "generate" / "feid" / "images" / "t1.png").unlink()
    lost = trained(tmp_path, "lost", path="nowhere")
    part = trained(tmp_path, "part", path="feid")
    tested = [record(tmp_path / "test", "x", "S9")]
    assert check(tested, lost, tmp_path).remarks[0].startswith("training data nowhere not checked: it is not there")
    assert check(tested, part, tmp_path).remarks[0] == (
        "training data feid: 1 images are not there any more, and were not compared"
    )


def test_a_model_that_train_did_not_make_is_not_checked(tmp_path: Path) -> None:
    for model in (None, "Qwen/Qwen2.5-VL-7B-Instruct"):
        found = check([], model, tmp_path)
        assert found == Finding(remarks=(found.remarks[0],)) and "not checked" in found.remarks[0]
    (tmp_path / "theirs").mkdir()
    assert "no manifest" in check([], str(tmp_path / "theirs"), tmp_path).remarks[0]
