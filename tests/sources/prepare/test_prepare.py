import json
from collections import Counter
from pathlib import Path

import pytest

from seke.core.limit import limited
from seke.core.records import ImageRecord, Labels, Rejection, read_jsonl
from seke.sources.base.split import assign

from ... import warm

ROOT = Path(__file__).resolve().parents[3]


def prepare(tmp_path, *words):
    return warm.run(ROOT / "prepare.py", f"paths.outputs={tmp_path}", "name=t", *words, cwd=tmp_path)


SMALL = ("source.images=60", "source.size=48", "source.workers=1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("outputs")
    done = prepare(path, *SMALL)
    assert done.returncode == 0, done.stderr
    return path / "prepare" / "t", done


def rows(run, split):
    return list(read_jsonl(run / f"{split}.jsonl", ImageRecord))


def test_the_command_writes_a_whole_prepared_directory(finished):
    run, done = finished
    manifest = json.loads((run / "manifest.json").read_text())
    counts = {split: len(rows(run, split)) for split in ("train", "validation", "test")}
    assert sum(counts.values()) == 60
    assert counts.items() <= manifest["counts"].items()
    assert list(read_jsonl(run / "rejected.jsonl", Rejection)) == []
    assert len(rows(run, "truth")) == 60
    for split in counts:
        assert all((run / manifest["image_root"] / row.image).is_file() for row in rows(run, split))
        assert all(row.split == split for row in rows(run, split))
    statistics = (run / "statistics.md").read_text()
    assert "| RAF-DB |" in statistics
    assert "| 26238 | 3035 |" in statistics
    assert "60" in done.stdout or "train" in done.stdout


def test_again_it_does_nothing_and_with_other_settings_it_refuses(finished):
    run, _ = finished
    before = (run / "manifest.json").stat().st_mtime_ns
    again = prepare(run.parents[1], *SMALL)
    assert again.returncode == 0
    assert "finished already" in again.stdout
    assert (run / "manifest.json").stat().st_mtime_ns == before
    other = prepare(run.parents[1], *SMALL, "seed=1")
    assert other.returncode == 2
    assert other.stderr.startswith("error: name=t: ")
    assert "overwrite=true" in other.stderr


def test_an_interrupted_run_of_another_day_gives_the_same_bytes(finished, tmp_path):
    run, _ = finished
    assert prepare(tmp_path, *SMALL).returncode == 0
    other = tmp_path / "prepare" / "t"
    (other / "manifest.json").unlink()
    (other / "train.jsonl").unlink()
    next((other / "images" / "disfa").iterdir()).unlink()
    assert prepare(tmp_path, *SMALL).returncode == 0
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "truth.jsonl", "statistics.md", "statistics.png"):
        assert (other / name).read_bytes() == (run / name).read_bytes()


def test_a_limit_keeps_a_fixed_part_in_truth_too(finished, tmp_path):
    done = prepare(tmp_path, *SMALL, "limit=20")
    assert done.returncode == 0, done.stderr
    limited = tmp_path / "prepare" / "t"
    kept = [row.id for split in ("train", "validation", "test") for row in rows(limited, split)]
    everything = [row.id for row in rows(finished[0], "truth")]
    assert len(kept) == 20
    assert set(kept) < set(everything)
    assert sorted(kept) == sorted(row.id for row in rows(limited, "truth"))
    assert json.loads((limited / "manifest.json").read_text())["counts"]["not_drawn"] == 40


def test_a_limit_keeps_each_splits_share_where_every_picture_is_a_group_of_its_own():
    splits = assign((f"fi/{k}" for k in range(4000)), 3)
    records = [
        ImageRecord(
            id=f"fi/{k}", image=f"{k}.png", sha256=None, source="fi", subject=None, split=splits[f"fi/{k}"],
            labels=Labels(),
        )
        for k in range(4000)
    ]  # fmt: skip
    kept = limited(records, 1000, seed=3)
    every, some = (Counter(record.split for record in rows) for rows in (records, kept))
    assert {split: some[split] / 1000 for split in every} == pytest.approx(
        {split: count / 4000 for split, count in every.items()}, abs=0.03
    )
    assert kept == sorted(kept, key=records.index), "in their old order"
    assert set(map(str, kept)) == set(map(str, limited(records[::-1], 1000, seed=3))), "whatever the order"


def test_a_folder_with_one_photograph(tmp_path):
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "sample_data"
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "grace_hopper.jpg").write_bytes((folder / "grace_hopper.jpg").read_bytes())
    (pictures / "half.jpg").write_bytes((folder / "grace_hopper.jpg").read_bytes()[:9999])
    done = prepare(tmp_path, "source=folder", f"source.root={pictures}")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "t"
    assert [row.image for row in rows(run, "train")] == ["grace_hopper.jpg"]
    assert rows(run, "validation") == rows(run, "test") == []
    assert [row.id for row in read_jsonl(run / "rejected.jsonl", Rejection)] == ["half.jpg"]
    assert json.loads((run / "manifest.json").read_text())["image_root"] == str(pictures.resolve())
    assert not (run / "truth.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["source=folder"], "error: source.root=None: no folder is given; "),
        (["source=folder", "source.root=/no/such"], "error: source.root=/no/such: no such folder; "),
        (["limit=0"], "error: limit=0: "),
        (["source.images=0"], "error: source.images=0: "),
    ],
)
def test_mistakes_end_with_one_line_and_exit_code_2(tmp_path, words, line):
    done = prepare(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "prepare").exists(), "a mistake claims no directory"
