import json
import shutil
from itertools import product
from pathlib import Path
from statistics import mean

import pytest
from omegaconf import OmegaConf

import seke
from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection, read_jsonl
from seke.sources.faces_datasets.feid_raw import Draw, FeidRaw
from seke.sources.faces_datasets.folder import Folder
from seke.sources.prepare.statistics import TABLE1

from ...trees import ck_plus, disfa, feid_raw
from ...trees.pictures import save

SPLITS = ("train", "validation", "test")
WRITTEN = (
    *(f"{split}.jsonl" for split in SPLITS),
    "rejected.jsonl",
    "statistics.md",
    "statistics.png",
    "manifest.json",
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    feid_raw.make(root)
    return root


@pytest.fixture(scope="module")
def prepare(cli, tmp_path_factory):
    """Return prepare(data folder, settings...) -> the run's folder."""

    def run(data, *settings):
        outputs = tmp_path_factory.mktemp("outputs")
        done = cli(
            "prepare", "source=feid_raw", f"paths.data={data}", f"paths.outputs={outputs}", "name=mini", *settings
        )
        assert done.returncode == 0, done.stderr
        return outputs / "prepare" / "mini"

    return run


@pytest.fixture(scope="module")
def mini(prepare, trees):
    return prepare(trees)


def rows(run):
    return [row for split in SPLITS for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)]


def test_six_miniature_trees_become_one_prepared_set(mini, trees):
    manifest = json.loads((mini / "manifest.json").read_text())
    assert Path(manifest["image_root"]) == trees
    found = rows(mini)
    assert {row.source for row in found} == set(TABLE1)
    assert {au for row in found for au in row.labels.action_units or {}} == set(ACTION_UNITS)
    for row in found:
        assert (trees / row.image).is_file()
        assert row.sha256
        carries = TABLE1[row.source].labels.split(", ")
        assert (row.labels.expression is not None) == ("EXP" in carries)
        assert (row.labels.valence is not None) == (row.labels.arousal is not None) == ("VA" in carries)
        assert set(row.labels.action_units or {}) <= set(AUS_OF_SOURCE.get(row.source, ()))


def test_ids_are_unique_and_nothing_is_on_both_sides(mini):
    found = rows(mini)
    assert len({row.id for row in found}) == len(found)
    sides: dict[tuple[str, str], set[str]] = {}
    for row in found:
        sides.setdefault((row.source, row.subject or row.id), set()).add(row.split)
    assert all(len(splits) == 1 for splits in sides.values())
    test = {row.sha256 for row in found if row.split == "test"}
    assert not test & {row.sha256 for row in found if row.split != "test"}


def test_table_1_stands_beside_ours(mini):
    page = (mini / "statistics.md").read_text()
    for name, paper in TABLE1.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| {paper.name} |"))
        assert f"| {paper.train} | {paper.test} | {paper.labels} |" in line, name
    assert (mini / "statistics.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_missing_or_broken_is_listed_by_source(mini):
    rejected = list(read_jsonl(mini / "rejected.jsonl", Rejection))
    sources = {row.id.partition("/")[0] for row in rejected}
    assert sources == set(TABLE1)
    assert {"no image", "no label"} <= {row.reason for row in rejected}


def test_twice_gives_the_same_bytes(mini, trees, prepare):
    again = prepare(trees)
    for name in WRITTEN:
        if name != "manifest.json":
            assert (again / name).read_bytes() == (mini / name).read_bytes(), name
    before, after = (json.loads((run / "manifest.json").read_text()) for run in (mini, again))
    for manifest in (before, after):
        manifest["config"]["paths"].pop("outputs")
        manifest.pop("made")  # the command, which names the folder too
    assert before == after


def test_one_more_subject_moves_no_other_record_across_the_split(mini, trees, prepare, tmp_path):
    shutil.copytree(trees, tmp_path / "data")
    disfa.make(tmp_path / "more", subjects=["SN099"])
    shutil.copytree(tmp_path / "more", tmp_path / "data" / "DISFA", dirs_exist_ok=True)
    before, after = ({row.id: row.split for row in rows(run)} for run in (mini, prepare(tmp_path / "data")))
    assert any(id_.startswith("disfa/SN099/") for id_ in after)
    assert {id_: after[id_] for id_ in before if id_ in after} == {id_: before[id_] for id_ in before if id_ in after}


def test_the_draw_meets_its_counts_and_says_what_it_left(trees, prepare):
    words = [
        f"source.draw.{name}.{side}={number}"
        for name in ("bp4d", "raf_db")
        for side, number in (("train", 20), ("test", 3))
    ]
    run = prepare(trees, *words)
    found = rows(run)
    for name in ("bp4d", "raf_db"):
        own = [row for row in found if row.source == name]
        assert sum(row.split != "test" for row in own) == 20
        assert sum(row.split == "test" for row in own) == 3
    assert json.loads((run / "manifest.json").read_text())["counts"]["not_drawn"] > 0


def test_a_dataset_elsewhere_and_one_left_out(trees, prepare, tmp_path):
    for name in ("CK+", "RAF-DB", "AffectNet", "BP4D", "Aff-Wild2"):
        shutil.copytree(trees / name, tmp_path / "data" / name)
    elsewhere = tmp_path / "disk2" / "ck"
    shutil.move(tmp_path / "data" / "CK+", elsewhere)
    run = prepare(tmp_path / "data", "~source.sources.disfa", f"source.sources.ck_plus.root={elsewhere}")
    assert {row.source for row in rows(run)} == set(TABLE1) - {"disfa"}
    assert Path(json.loads((run / "manifest.json").read_text())["image_root"]) == tmp_path


def test_a_missing_dataset_is_one_line(cli, tmp_path, trees):
    done = cli("prepare", "source=feid_raw", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=x")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: source.root={tmp_path}/CK+: no such folder (for ck_plus)")
    assert not (tmp_path / "prepare").exists()


def folder(path, *names):
    for name in names:
        save(path / name)
    return Folder(str(path))


def test_sources_whose_names_clash_are_refused(tmp_path):
    a, b = folder(tmp_path / "a", "x.png"), folder(tmp_path / "b", "x.png")
    union = FeidRaw({"folder": a, "other": b}, {})
    with pytest.raises(UserError, match=r"source\.sources\.other=folder"):
        list(union.read(tmp_path))


def test_images_that_share_nothing_but_the_disk_have_no_root(tmp_path):
    class Elsewhere(Folder):
        def image_root(self, run_path):
            return "/elsewhere"

    save(tmp_path / "b" / "x.png")
    union = FeidRaw({"a": folder(tmp_path / "a", "x.png"), "b": Elsewhere(str(tmp_path / "b"))}, {})
    with pytest.raises(UserError, match="share nothing but the disk"):
        union.image_root(tmp_path)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"train": -1, "test": 1}, r"source\.draw\.s\.train=-1"),
        ({"train": 1, "test": 1.5}, r"source\.draw\.s\.test=1\.5"),
        ({"train": 1}, r"source\.draw\.s="),
        ({"train": 1, "test": 1, "balance": "age"}, r"source\.draw\.s\.balance=age"),
        ({"train": 1, "test": 1, "balance_test": "age"}, r"source\.draw\.s\.balance_test=age"),
        ({"train": 1, "test": 1, "require": ["age"]}, r"source\.draw\.s\.require=age"),
        ({"train": 1, "test": 1, "sort": True}, r"source\.draw\.s="),
    ],
)
def test_a_draw_that_is_none(settings, argument):
    with pytest.raises(UserError, match=argument):
        Draw.checked("s", settings)


def test_no_source_at_all():
    with pytest.raises(UserError, match="no dataset left"):
        FeidRaw({}, {})


def test_ck_plus_alone_through_the_command(cli, tmp_path):
    ck_plus.make(tmp_path / "CK+")
    done = cli("prepare", "source=ck_plus", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=ck")
    assert done.returncode == 0, done.stderr
    assert {row.source for row in rows(tmp_path / "prepare" / "ck")} == {"ck_plus"}


def test_action_units_are_tested_as_people_show_them_and_trained_balanced():
    """The rare AU is over-represented on the train side alone."""

    class Frames(Folder):
        def read(self, run_path):
            for side, number in product(("train", "test"), range(2_000)):
                units = {1: number % 50 == 0, 4: number % 2 == 0}
                yield ImageRecord(
                    id=f"folder/{side}{number}", image=f"{side}{number}.png", sha256=None, source="folder",
                    subject=f"{side}{number % 7}", split=side, labels=Labels(action_units=units),
                )  # fmt: skip

    settings = OmegaConf.load(Path(seke.__file__).parent / "conf" / "source" / "feid_raw.yaml").draw.bp4d
    union = FeidRaw({"folder": Frames(str(Path(__file__).parent))}, {"folder": {**settings, "train": 300, "test": 500}})
    drawn = union.draw(list(union.sources["folder"].read(Path())))
    share = {side: mean(1 in row.labels.active for row in drawn if row.split == side) for side in ("train", "test")}
    assert abs(share["test"] - 0.02) < 4 * (0.02 * 0.98 / 500) ** 0.5
    assert share["train"] == 40 / 300  # all there are
