import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seke.core import images
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Turn,
    Uncertainty,
    read_jsonl,
    write_jsonl,
)
from seke.core.runs import Run
from seke.hub import dataset_export
from seke.hub.licences import LICENCES

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["/somewhere/prepare.py", "source=feid_raw", "name=mini set", "export=parquet"]
LABELS = (
    Labels(),
    Labels(expression="neutral", valence=0.1, arousal=-1.0),
    Labels(action_units={1: True, 26: False}),
    Labels(expression="contempt", valence=0.0, action_units=dict.fromkeys(ACTION_UNITS, False)),
)
SOURCES = ("raf_db", "disfa", "my_phone")


@pytest.fixture(autouse=True)
def _caches_nowhere_else(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def picture(path, k=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9 + k, 12), (k, 2 * k, 255 - k)).save(path)
    return images.sha256(path.read_bytes())


def record(k, root, split="train", labels=Labels(), **changes):  # noqa: B008  (frozen)
    name = f"día {k}/{k}.png"
    facts = {
        "source": SOURCES[k % 3],
        "subject": None if k % 2 else f"s{k}",
        "attributes": {"é": [k, None]} if k else {},
    }
    sha256 = picture(root / name, k)
    return ImageRecord(id=f"{split}/{k}", image=name, sha256=sha256, split=split, labels=labels, **facts | changes)


@pytest.fixture
def prepared(tmp_path):
    """A finished prepare run on a licensed set: eight records for training, four for testing, none to validate."""
    root, path = tmp_path / "data", tmp_path / "outputs" / "prepare" / "mini"
    path.mkdir(parents=True)
    write_jsonl(path / "train.jsonl", [record(k, root, labels=LABELS[k % 4]) for k in range(8)])
    write_jsonl(path / "validation.jsonl", [])
    write_jsonl(path / "test.jsonl", [record(k, root, "test", LABELS[k % 4]) for k in range(8, 12)])
    Run(path, {}, {}).finish(image_root=str(root))
    return path


def instruction(k):
    labels = Labels(expression="fear", valence=-0.3, arousal=0.7, action_units={1: True, 12: False})
    turns = (Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value="Fear. Ünd \n more"))
    return InstructionRecord(
        id=str(k), image=f"{k}.png", source="disfa", subject="SN001", conversations=turns, labels=labels,
        origin=Origins(expression="generated", valence="manual", action_units={"1": "manual", "12": "generated"}),
        uncertainty=Uncertainty(expression=1 / 3, max=1 / 3) if k else Uncertainty(),
        confidence={"expression": {"fear": 0.9}} if k else None, samples=3 * k, annotator="gpt-4o-2024-11-20",
        flags=("blind",) if k else (),
    )  # fmt: skip


@pytest.fixture
def generated(tmp_path):
    path = tmp_path / "outputs" / "generate" / "feid"
    path.mkdir(parents=True)
    for k in range(3):
        picture(tmp_path / "pictures" / f"{k}.png", k)
    write_jsonl(path / "instructions.jsonl", [instruction(k) for k in range(3)])
    Run(path, {}, {}).finish(image_root="../../../pictures")
    return path


def export(path, form=dataset_export.RECORDS, embed=False, root=None):
    return dataset_export.export(form, path, root, embed, COMMAND)


def loaded(path):
    from datasets import load_dataset

    return load_dataset(str(path / "parquet"))


def labels_of(row, features):
    units = {au: row[f"AU{au}"] for au in ACTION_UNITS if row[f"AU{au}"] is not None}
    expression = None if row["expression"] is None else features["expression"].int2str(row["expression"])
    return Labels(expression=expression, valence=row["valence"], arousal=row["arousal"], action_units=units or None)


def record_of(row, features, split):
    return ImageRecord(
        id=row["id"], image=row["file"], sha256=row["sha256"], source=features["source"].int2str(row["source"]),
        subject=row["subject"], split=split, labels=labels_of(row, features), attributes=json.loads(row["attributes"]),
    )  # fmt: skip


def instruction_of(row, features):
    origin = row["origin"]
    units = {name[2:]: of for name, of in origin.items() if name.startswith("AU") and of is not None}
    plain = {name: of for name, of in origin.items() if not name.startswith("AU")}
    return InstructionRecord(
        id=row["id"], image=row["file"], source=features["source"].int2str(row["source"]), subject=row["subject"],
        conversations=tuple(Turn(**turn) for turn in row["conversations"]), labels=labels_of(row, features),
        origin=Origins(**plain, action_units=units), uncertainty=Uncertainty(**row["uncertainty"]),
        confidence=row["confidence"] and json.loads(row["confidence"]), samples=row["samples"],
        annotator=row["annotator"], flags=tuple(row["flags"]),
    )  # fmt: skip


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize("embed", [False, True])
def test_every_record_comes_back_equal_and_its_image_opens(prepared, embed, tmp_path, monkeypatch):
    export(prepared, embed=embed)
    monkeypatch.chdir(tmp_path if embed else tmp_path / "data")  # paths are relative to the folder of the images
    dataset = loaded(prepared)
    assert list(dataset) == ["train", "test"]
    for split, rows in dataset.items():
        assert [record_of(row, rows.features, split) for row in rows] == list(
            read_jsonl(prepared / f"{split}.jsonl", ImageRecord)
        )
    assert [picture.size for picture in dataset["test"]["image"]] == [(9 + k, 12) for k in range(8, 12)]


@pytest.mark.parametrize("embed", [False, True])
def test_every_instruction_comes_back_equal_and_its_image_opens(generated, embed, tmp_path, monkeypatch):
    export(generated, dataset_export.INSTRUCTIONS, embed)
    monkeypatch.chdir(tmp_path if embed else tmp_path / "pictures")
    rows = loaded(generated)["train"]
    assert [instruction_of(row, rows.features) for row in rows] == [instruction(k) for k in range(3)]
    assert [picture.size for picture in rows["image"]] == [(9 + k, 12) for k in range(3)]


unit = st.none() | st.floats(-1, 1)
known = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=unit,
    arousal=unit,
    action_units=st.none() | st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), st.booleans()),
)


@settings(max_examples=25)
@given(st.lists(known, min_size=1, max_size=8))
def test_whatever_is_known_or_unknown_survives_the_file(several):
    from datasets import Dataset, Features

    features = Features(
        {name: column.feature for name, column in dataset_export._columns(dataset_export.RECORDS, SOURCES).items()}
    )
    rows = [ImageRecord(id="1", image="a", sha256=None, source="disfa", subject=None, split="test", labels=labels)
            for labels in several]  # fmt: skip
    file = io.BytesIO()
    values = [dataset_export._values(row, SOURCES) for row in rows]
    pq.write_table(pa.Table.from_pylist(values, schema=features.arrow_schema), file)
    back = Dataset(pq.read_table(file))
    assert back.features == features
    assert [labels_of(row, back.features) for row in back] == several


def test_the_columns_are_typed(prepared):
    from datasets import ClassLabel
    from datasets import Image as Picture

    export(prepared)
    features = loaded(prepared)["test"].features
    assert features["image"] == Picture()
    assert features["expression"] == ClassLabel(names=list(EXPRESSIONS))
    assert features["source"] == ClassLabel(names=sorted(SOURCES))
    assert {features[f"AU{au}"].dtype for au in ACTION_UNITS} == {"bool"}


def test_the_files_alone_carry_the_types(prepared):
    from datasets import Dataset

    export(prepared)
    [file] = (prepared / "parquet" / "data").glob("test-*")
    alone = Dataset.from_parquet(str(file), cache_dir=str(prepared))
    assert alone.features == loaded(prepared)["test"].features


def test_images_are_not_in_the_files_unless_asked_for(prepared):
    export(prepared)
    rows = pq.read_table(prepared / "parquet" / "data")["image"].to_pylist()
    assert {row["bytes"] for row in rows} == {None}
    assert all((prepared.parents[2] / "data" / row["path"]).is_file() for row in rows)


@pytest.mark.parametrize("embed", [False, True])
def test_no_file_of_an_export_says_where_the_images_lie(prepared, tmp_path, embed):
    export(prepared, embed=embed)
    files = [file for file in (prepared / "parquet").rglob("*") if file.is_file()]
    for table in map(pq.read_table, (file for file in files if file.suffix == ".parquet")):
        assert not any(Path(row["path"]).is_absolute() for row in table["image"].to_pylist())
    assert len(files) == 4 and not [file for file in files if str(tmp_path).encode() in file.read_bytes()]


def test_an_absolute_path_among_the_rows_is_refused(tmp_path):
    path = tmp_path / "outputs" / "prepare" / "mini"
    path.mkdir(parents=True)
    rows = [record(0, tmp_path / "data").model_copy(update={"image": "/home/somebody/0.png"})]
    for split in ("train", "validation", "test"):
        write_jsonl(path / f"{split}.jsonl", rows if split == "train" else [])
    Run(path, {}, {}).finish(image_root=str(tmp_path / "data"))
    with pytest.raises(UserError, match=r"^export=parquet: /home/somebody/0\.png of .* is an absolute path"):
        export(path)


def test_embedded_images_are_the_files_bytes_and_say_nothing_of_this_machine(prepared, tmp_path):
    export(prepared, embed=True)
    for row in pq.read_table(prepared / "parquet" / "data")["image"].to_pylist():
        assert not Path(row["path"]).is_absolute()
        assert row["bytes"] == (tmp_path / "data" / row["path"]).read_bytes()


def test_the_setting_for_images_overrules_the_manifest(prepared, tmp_path):
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    export(prepared, root=str(tmp_path / "elsewhere"), embed=True)
    assert loaded(prepared)["train"][3]["image"].size == (12, 12)


def test_a_large_split_goes_on_in_further_files_in_order(prepared, monkeypatch):
    monkeypatch.setattr(dataset_export, "GROUP_ROWS", 3)
    monkeypatch.setattr(dataset_export, "SHARD_BYTES", 1)
    export(prepared)
    assert sorted(path.name for path in (prepared / "parquet" / "data").glob("train-*")) == [
        f"train-0000{k}-of-00003.parquet" for k in range(3)
    ]
    assert loaded(prepared)["train"]["id"][:] == [f"train/{k}" for k in range(8)]


def test_a_row_group_never_holds_more_images_than_fit(prepared, monkeypatch):
    monkeypatch.setattr(dataset_export, "GROUP_BYTES", 1)
    export(prepared, embed=True)
    [file] = (prepared / "parquet" / "data").glob("train-*")
    metadata = pq.read_metadata(file)
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [1] * 8


def test_the_card_names_every_source_with_its_licence_and_no_other(prepared):
    export(prepared)
    card = (prepared / "parquet" / "README.md").read_text()
    for source in ("raf_db", "disfa"):
        assert all(fact in card for fact in LICENCES[source])
    assert "**my_phone**" in card
    assert LICENCES["bp4d"].title not in card
    assert "python prepare.py source=feid_raw 'name=mini set' export=parquet" in card
    assert "| disfa | 3 | 1 |" in card
    assert "| all | 8 | 4 |" in card
    assert "not embedded" in card


def test_the_front_matter_is_what_the_hub_reads(prepared):
    export(prepared)
    front = front_matter((prepared / "parquet" / "README.md").read_text())
    assert front["license"] == "other"
    assert front["task_categories"] == ["image-classification"]
    assert front["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"},
        {"split": "test", "path": "data/test-*"},
    ]
    assert {feature["name"] for feature in front["dataset_info"]["features"]} >= {"image", "AU26", "attributes"}


def test_the_card_says_which_labels_a_model_made(generated):
    export(generated, dataset_export.INSTRUCTIONS)
    card = (generated / "parquet" / "README.md").read_text()
    assert "gpt-4o-2024-11-20 (3 rows)" in card
    assert "| expression | generated | 3 |" in card
    assert "| action units | manual | 3 |" in card
    assert "simulated" not in card


def test_an_equal_export_is_reported_and_kept(prepared):
    export(prepared)
    [file] = (prepared / "parquet" / "data").glob("train-*")
    before = file.stat().st_mtime_ns
    assert export(prepared).endswith("is exported already")
    assert file.stat().st_mtime_ns == before


def test_an_export_of_other_settings_or_with_a_file_lost_is_made_anew(prepared):
    export(prepared)
    assert "8 train, 4 test, images embedded" in export(prepared, embed=True)
    [file] = (prepared / "parquet" / "data").glob("train-*")
    file.unlink()
    assert "8 train" in export(prepared, embed=True)
    assert file.is_file()


def test_a_folder_that_no_export_wrote_is_left_alone(prepared):
    (prepared / "parquet").mkdir()
    (prepared / "parquet" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"export=parquet: .*holds files that no export wrote"):
        export(prepared)
    assert (prepared / "parquet" / "thesis.tex").is_file()


def test_an_interrupted_export_leaves_nothing_that_looks_whole(prepared, monkeypatch):
    monkeypatch.setattr(dataset_export, "card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(prepared)
    assert not (prepared / "parquet").exists()
    monkeypatch.undo()
    assert "8 train" in export(prepared)
    assert not (prepared / "parquet.part").exists()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b"x"), "changed after it was prepared"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "leads out of the image root"),
    ],
)
def test_an_image_that_cannot_be_embedded_is_named(prepared, tmp_path, spoil, problem):
    spoil(tmp_path / "data" / "día 5" / "5.png")
    with pytest.raises(UserError, match=rf"^embed_images=true: .*5\.png.*{problem}"):
        export(prepared, embed=True)
    assert not (prepared / "parquet").exists()


def test_a_run_without_rows_has_nothing_to_export(generated):
    write_jsonl(generated / "instructions.jsonl", [])
    with pytest.raises(UserError, match="has no rows"):
        export(generated, dataset_export.INSTRUCTIONS)


@pytest.mark.parametrize("wrong", ["csv", "Parquet", True, 0, ""])
def test_another_format_is_refused(wrong):
    with pytest.raises(UserError, match=f"^export={wrong}: no such format"):
        dataset_export.checked_format(wrong)
    assert (dataset_export.checked_format(None), dataset_export.checked_format("parquet")) == (None, "parquet")


def test_every_source_has_its_terms():
    derived = {"feid_raw", "corrupted"}  # their records keep the sources that they come from
    sources = {path.stem for path in (ROOT / "conf" / "source").glob("*.yaml")} - derived
    assert sources <= set(LICENCES)
    assert all(all(fact for fact in licence) for licence in LICENCES.values())


def test_an_export_needs_no_torch(prepared):
    code = (
        "import sys; from pathlib import Path; from seke.hub import dataset_export as hub\n"
        f"hub.export(hub.RECORDS, Path({str(prepared)!r}), None, True, ['prepare.py'])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert (prepared / "parquet" / "README.md").is_file()


def test_both_commands_export_what_they_made_and_a_drawn_face_has_no_owner(cli, tmp_path):
    common = ["source.images=24", f"paths.outputs={tmp_path}"]
    assert "finished" not in cli("prepare", *common).stdout
    done = cli("prepare", *common, "export=parquet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("is finished already; overwrite=true makes it anew")
    assert " train" in done.stdout.splitlines()[1]
    card = (tmp_path / "prepare" / "demo" / "parquet" / "README.md").read_text()
    assert LICENCES["synthetic"].terms in card
    assert LICENCES["raf_db"].terms not in card

    done = cli("generate", f"paths.outputs={tmp_path}", "limit=5", "export=parquet", "embed_images=true")
    assert done.returncode == 0, done.stderr
    assert "**The annotator is simulated:**" in (tmp_path / "generate" / "demo" / "parquet" / "README.md").read_text()
    assert loaded(tmp_path / "generate" / "demo")["train"].num_rows == 5


@pytest.mark.parametrize("name", ["prepare", "generate"])
def test_a_command_refuses_another_format_before_it_claims_a_run(cli, tmp_path, name, prepared):
    records = [f"records={prepared / 'train.jsonl'}"] if name == "generate" else []
    done = cli(name, f"paths.outputs={tmp_path / 'out'}", *records, "export=csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: export=csv: no such format; set parquet")
    assert not (tmp_path / "out").exists()
